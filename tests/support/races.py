"""Several at once, on a real database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.core.management import call_command
from django.db import connection

from polls.counting.recount import miscounted_choices, miscounted_rankings
from polls.counting.tally import tally_of
from polls.kinds import Kind
from polls.models import Ballot, Choice, Question


def race(*runs: Callable[[], object]) -> list[object]:
    """Run all at the same moment, each in a thread with its own connection; return what each returned or raised."""
    barrier = threading.Barrier(len(runs))

    def runner(run: Callable[[], object]) -> object:
        def together() -> object:
            barrier.wait(10)
            return run()

        return outcome(together)

    with ThreadPoolExecutor(len(runs)) as threads:
        return list(threads.map(runner, runs))


def wait_until(so: Callable[[], object]) -> None:
    """Wait for a condition, ten seconds at most."""
    for _ in range(1000):
        if so():
            return
        time.sleep(0.01)
    raise AssertionError("It never came to be so.")


def outcome(run: Callable[[], object]) -> object:
    """Return what it returns or raises, and give the thread's connection back."""
    try:
        return run()
    except Exception as error:
        return error
    finally:
        connection.close()


def assert_count_adds_up(question: Question) -> int:
    """Return the number of ballots, which are as the question asks and add up to its totals."""
    assert not list(miscounted_choices(Choice.objects.all()))
    assert not Ballot.objects.invalid().exists()
    tally = tally_of(question)
    assert tally["ballots"] == question.ballot_set.count()
    if question.kind == Kind.RANKED:
        assert not list(miscounted_rankings(question))
    call_command("recount", verbosity=0)
    return tally["ballots"]
