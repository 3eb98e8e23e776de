"""Work that no page waits for."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from polls import background
from polls.background import Background
from polls.counting.rounds import nine_times
from tests.support.servers import ROOT
from tests.support.waiting import wait_until


@pytest.fixture
def clock(keeping, monkeypatch) -> SimpleNamespace:
    """The clock of the background, which only work and sleep move."""

    def sleep(seconds: float) -> None:
        clock.now += seconds
        clock.slept += seconds

    clock = SimpleNamespace(now=0.0, slept=0.0, sleep=sleep)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(background, "time", clock)
    return clock


@pytest.mark.once
def test_it_works_a_tenth_of_the_time(clock):
    def work() -> None:
        clock.now += 2

    worker = Background("test", nine_times)
    for n in range(4):
        worker.submit(n, work)
    wait_until(lambda: worker.is_idle)
    assert (clock.now, clock.slept) == (80, 72)


@pytest.mark.once
def test_what_failed_rests_no_longer_for_the_time_that_it_waited(clock):
    def wait_in_vain() -> None:
        clock.now += 12
        raise OperationalError("The database is away.")

    worker = Background("test", nine_times)
    worker.submit(1, wait_in_vain)
    wait_until(lambda: worker.is_idle)
    assert clock.slept == background.PAUSE


@pytest.mark.once
def test_what_failed_is_said_and_tried_again(keeping, caplog, monkeypatch):
    monkeypatch.setattr(background, "PAUSE", 0)
    worker, done = Background("polls-test", rest=lambda seconds: 0), []

    def fail() -> None:
        raise ValueError("a fault")

    worker.submit(1, fail)
    wait_until(lambda: worker.is_idle)
    assert "polls-test failed." in caplog.text and "a fault" in caplog.text
    worker.submit(1, lambda: done.append(1))
    wait_until(lambda: done)


@pytest.mark.server
@pytest.mark.once
def test_a_worker_that_stops_does_not_wait_for_it():
    program = (
        "import time, polls.background as b\n"
        "b.Background('test', lambda seconds: 0).submit(1, lambda: print('begun', flush=True) or time.sleep(60))\n"
        "time.sleep(0.5)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "begun\n", "")
