"""Visitors who hold their connections, and another one who votes meanwhile."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.people import Voter
from tests.support.servers import ROOT, Site

pytestmark = pytest.mark.once

RUN = re.search(r"^run:.*\n\t\$\(BIN\)/(.+)", (ROOT / "Makefile").read_text(), re.M)[1]
OPEN = b""
HEADERS = b"GET /polls/ HTT"
BODY = b"POST /polls/1/vote/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nchoice"


@contextmanager
def held(site: Site, *beginnings: bytes) -> Iterator[None]:
    with ExitStack() as stack:
        for beginning in beginnings:
            address = ("127.0.0.1", site.port)
            connection = stack.enter_context(socket.create_connection(address))
            connection.sendall(beginning)
        yield


def seconds_for_a_vote(site: Site) -> float:
    question, voter, began = site.ask(), Voter(site.base), time.monotonic()
    answer = voter.open_and_vote(question)
    assert (answer.status, site.counts(question)) == (302, (1, 1))
    return time.monotonic() - began


def test_what_make_run_starts_serves_others_while_requests_are_half_sent(start):
    site = start(RUN, WEB_CONCURRENCY="2").ready()
    with held(site, *[OPEN, HEADERS, BODY] * 60):
        assert seconds_for_a_vote(site) < 10
    assert "Without one" not in site.output()


def test_connections_that_only_open_hold_up_nobody_under_sync(start):
    site = start("gunicorn polls.wsgi", WEB_CONCURRENCY="1").ready()
    with held(site, *[OPEN] * 9):
        assert seconds_for_a_vote(site) < 10
    said = "The sync worker belongs behind a proxy that buffers, such as nginx."
    assert site.output().count(said) == 1


def test_readme_names_what_make_run_starts():
    assert f"| `{RUN}` | what `make run` does" in (ROOT / "README.md").read_text()
