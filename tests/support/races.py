"""Several at once, on a real database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
