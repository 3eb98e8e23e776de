"""Numbers for Prometheus: what was counted, and how long it took. docs/metrics.md says what each is for.

Off, unless METRICS_TOKEN is set: every function here returns at once, and the library is not even imported.
"""

import functools
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings

if TYPE_CHECKING:
    from .prometheus import Numbers

logger = logging.getLogger("polls.metrics")

# Of text().
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Result = TypeVar("Result")

_numbers: "Numbers | None" = None
_threads = 0


def start() -> None:
    """Count from now on, where that is asked for. Whoever serves calls it; commands count nothing."""
    global _numbers
    if not settings.METRICS_TOKEN or _numbers:
        return
    from .prometheus import Numbers

    try:
        _numbers = Numbers(settings.DATA_DIR / "metrics")
    except OSError as error:
        logger.error("Nothing is counted for /metrics: %s", error)
    else:
        _numbers.threads.set(_threads)
        _follow_forks()


@functools.cache
def _follow_forks() -> None:
    """Let each worker count for itself where gunicorn's master forks them after this, with --preload; it serves nobody."""
    os.register_at_fork(before=_stop, after_in_child=start)


def _stop() -> None:
    global _numbers
    if _numbers:
        _numbers.folder.give_number_back()
        _numbers = None


def count_vote(how: str, number: int = 1) -> None:
    if _numbers and number:
        _numbers.votes.labels(how).inc(number)


def refused(reason: str, answer: Answer) -> Answer:
    """Count a vote that was not accepted, and return the answer. Where that cannot be made, nothing is counted."""
    if _numbers:
        _numbers.refusals.labels(reason).inc()
    return answer


def measure_commits(
    write: Callable[[Sequence[Item]], Sequence[Result]],
) -> Callable[[Sequence[Item]], Sequence[Result]]:
    """Measure what writes new ballots together, and count those that it has written."""

    def measured(items: Sequence[Item]) -> Sequence[Result]:
        if not _numbers:
            return write(items)
        began = time.perf_counter()
        results = write(items)
        _numbers.commits.observe(time.perf_counter() - began)
        _numbers.ballots.observe(len(items))
        count_vote("new", sum(result is not None for result in results))
        return results

    return measured


def count_answer(view: str, status: int, began: float) -> None:
    """Count the answer to a request that came at this moment of time.perf_counter()."""
    if _numbers:
        _numbers.page(view).observe(time.perf_counter() - began)
        _numbers.answer(status).inc()
        if view == "polls:vote" and status >= 400:
            _numbers.refusals.labels(status).inc()


def count_viewer(change: int) -> None:
    if _numbers:
        _numbers.viewers.inc(change)


def count_busy_thread(change: int) -> None:
    if _numbers:
        _numbers.busy.inc(change)


def tell_threads(number: int) -> None:
    """Say how many threads of this process answer requests."""
    global _threads
    _threads = number
    if _numbers:
        _numbers.threads.set(number)


def text() -> bytes | None:
    """Return the numbers of all workers on this machine; None where they are not counted."""
    return _numbers.text() if _numbers else None
