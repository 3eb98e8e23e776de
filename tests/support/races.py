"""Several at once, on a real database."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from django.db import connection


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


def outcome(run: Callable[[], object]) -> object:
    """Return what it returns or raises, and give the thread's connection back."""
    try:
        return run()
    except Exception as error:
        return error
    finally:
        connection.close()


@contextmanager
def elsewhere(held: AbstractContextManager[object]) -> Iterator[threading.Event]:
    """Hold this in a thread with its own connection, from before the body to its end, or until the event is set."""
    begun, done = threading.Event(), threading.Event()

    def hold() -> object:
        with held:
            begun.set()
            return done.wait(30)

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(outcome, hold)
        try:
            assert begun.wait(10), holding
            yield done
        finally:
            done.set()
