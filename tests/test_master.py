"""gunicorn's master, killed so that it can tell nobody."""

import http.client
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.people import Voter
from tests.support.servers import Site

pytestmark = pytest.mark.once

COMMANDS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.wsgi -k gthread --threads 4",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "gunicorn polls.asgi -k asgi",
]


def runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def seconds_until_gone(pids: list[int]) -> float:
    began = time.monotonic()
    while any(map(runs, pids)):
        if time.monotonic() - began > 20:
            # Nothing else would end them.
            for pid in filter(runs, pids):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return time.monotonic() - began


def keep_voting(site: Site, question: int, accepted: list[int]) -> None:
    """Vote until the server is gone."""
    while True:
        try:
            voter = Voter(site.base)
            answer = voter.vote(voter.open_ballot(question)[0], question)
        except (OSError, http.client.HTTPException, IndexError):
            return
        accepted.append(answer.status)


@pytest.mark.parametrize("command", COMMANDS)
def test_workers_end_with_a_master_that_was_killed(start, command):
    """Votes under way are finished, the workers go, and the next start has the port."""
    site = start(command, WEB_CONCURRENCY="2").ready()
    question, accepted = site.ask(), []
    workers = site.workers()
    voting = (site, question, accepted)
    voters = [threading.Thread(target=keep_voting, args=voting) for _ in range(3)]
    for voter in voters:
        voter.start()
    while len(accepted) < 5:
        time.sleep(0.01)
    site.stop(signal.SIGKILL)
    assert seconds_until_gone(workers) < 8
    for voter in voters:
        voter.join()
    site.restart().ready()
    assert set(accepted) == {302}
    votes, ballots = site.counts(question)
    # A vote can be counted whose answer was no longer sent; none the other way.
    assert len(accepted) <= votes == ballots <= len(accepted) + len(voters)
