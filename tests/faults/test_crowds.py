"""One voter, one ballot, and no accepted vote lost: with crowds, double clicks and killed workers."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.support.servers import ROOT, Site
from tests.support.waiting import wait_until

# Not several crowds at once.
pytestmark = pytest.mark.xdist_group("crowds")

SERVERS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
]


def begin(
    site: Site, question: int, processes: int, voters: int, clicks: int = 1
) -> list:
    words = [sys.executable, "-m", "tests.support.crowd", site.base]
    numbers = [str(n) for n in (question, voters, clicks)]
    return [
        subprocess.Popen(words + numbers, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]


def outcomes(crowd: list) -> Counter:
    total = Counter()
    for process in crowd:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        for line in out.splitlines():
            outcome, count = line.split("\t")
            total[outcome] += int(count)
    return total


@pytest.fixture(scope="module", params=SERVERS)
def site(request, share):
    return share(request.param, WEB_CONCURRENCY="3").ready()


def test_crowds_come_one_after_the_other(request):
    """A pytest-xdist that does not know this pytest leaves the groups out, and says nothing."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@crowds")


def test_800_voters_make_800_ballots(site):
    question = site.ask()
    assert outcomes(begin(site, question, 8, 100)) == {"302": 800}
    assert site.counts(question) == (800, 800)
    assert "Totals that differ: 0." in site.manage("recount")


def test_100_voters_who_click_8_times_make_100_ballots(site):
    question = site.ask()
    assert outcomes(begin(site, question, 4, 25, clicks=8)) == {"302": 800}
    assert site.counts(question) == (100, 100)
    assert "Totals that differ: 0." in site.manage("recount")


def test_a_killed_worker_takes_no_accepted_vote_along(site):
    question = site.ask()
    crowd = begin(site, question, 8, 100)
    for ballots in range(50, 450, 50):
        wait_until(
            lambda n=ballots: site.workers() and site.counts(question)[1] >= n, 60
        )
        # The arbiter may have just taken leave of it.
        with contextlib.suppress(ProcessLookupError):
            for pid in site.workers()[:1]:
                os.kill(pid, signal.SIGKILL)
    total = outcomes(crowd)
    votes, ballots = site.counts(question)
    assert "500" not in total
    # What was answered is counted; what was cut off may or may not have been.
    assert total["302"] <= votes == ballots <= 800
    assert "Totals that differ: 0." in site.manage("recount")
