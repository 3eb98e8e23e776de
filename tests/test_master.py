"""gunicorn's master, killed so that it can tell nobody."""

import signal
from pathlib import Path

import pytest

from tests.support.crowd import CUT_OFF, Crowd
from tests.support.waiting import wait_until

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


@pytest.mark.parametrize("command", COMMANDS)
def test_workers_end_with_a_master_that_was_killed(start, command):
    """Votes under way are finished, the workers go, and the next start has the port."""
    site = start(command, WEB_CONCURRENCY="2").ready()
    question, workers = site.ask(), site.workers()
    crowd = Crowd(site.base, question, 3, gone=CUT_OFF)
    crowd.wait_for_answers(5)
    site.stop(signal.SIGKILL)
    wait_until(lambda: not any(map(runs, workers)), 8)
    crowd.join()
    site.restart().ready()
    assert set(crowd.statuses) == {302}
    votes, ballots = site.counts(question)
    # A vote can be counted whose answer was no longer sent; none the other way.
    assert len(crowd.statuses) <= votes == ballots <= len(crowd.statuses) + 3
