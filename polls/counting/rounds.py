"""A cache of run-offs: of each question with rounds, the last count that this worker made.

A count takes the time of the different rankings. Where they are few, it is made
with the page and is never behind. Where they are many, pages get the last count
while one thread makes the next, at most a tenth of the time, however many votes
come in and pages ask: the totals of a tally are those of this moment, and it
says which version its rounds have counted.
"""

import functools
import threading
from typing import NamedTuple

from django.db import connection
from django.utils.asyncio import async_unsafe

from .. import process_memory
from ..background import Background
from ..kinds import read_ranking
from .instant_runoff import Outcome, instant_runoff

# Different rankings that are counted with the page: some milliseconds, with as many choices as may be.
FEW = 1000
# Beyond what any question has.
ALL = 10**9
# Questions whose last count is kept; then the oldest goes.
MAX_ENTRIES = 256

# Of each choice: id, revision.
Revisions = tuple[tuple[int, int], ...]

# One statement, so that totals and rankings are of one moment.
SQL = """
SELECT id, revision, '' FROM polls_choice WHERE question_id = %s
UNION ALL SELECT * FROM (
    SELECT 0, ballots, choices FROM polls_ranking WHERE question_id = %s AND ballots > 0 LIMIT %s
) AS ranking"""


def version(revisions: Revisions) -> int:
    return sum(revision for _, revision in revisions)


class Count(NamedTuple):
    """The outcome, and how often its choices had changed by then."""

    revisions: Revisions = ()
    outcome: Outcome = Outcome([], None)
    # Whether there are too many rankings to count them with a page.
    is_big: bool = False

    @property
    def version(self) -> int:
        return version(self.revisions)


NOT_COUNTED = Count()

_counts: dict[int, Count] = {}
# A page that counts holds it, so that of several at once only one counts.
_counting = threading.Lock()


def nine_times(seconds: float) -> float:
    """How long to rest after a count of so many seconds: it is at work a tenth of the time."""
    return 9 * seconds


big_counts = Background("polls-rounds", rest=nine_times)


def clear() -> None:
    with _counting:
        _counts.clear()


def last_count(question: int, revisions: Revisions) -> Count:
    """Return the count for these revisions if it is quick to make or kept, or else the last one made.

    Where there are many rankings it has no rounds before the first one is made.
    """
    if not process_memory.keeps():
        return full_count(question)
    known = _counts.get(question)
    if known and known.revisions == revisions:
        return known
    return _next_count(question, revisions, known)


# Not on the event loop, which would wait for whoever counts.
@async_unsafe
def _next_count(question: int, revisions: Revisions, known: Count | None) -> Count:
    if not (known and known.is_big):
        known = _count_few(question, revisions)
    if known.is_big:
        big_counts.submit(question, functools.partial(_count_many, question))
    return known


def full_count(question: int) -> Count:
    """Count all ballots now, however long it takes."""
    return _count(*_read(question, ALL))


def _count_few(question: int, revisions: Revisions) -> Count:
    with _counting:
        known = _counts.get(question)
        if known and (known.is_big or _is_fresh(known, revisions)):
            return known
        read, rankings = _read(question, FEW + 1)
        if len(rankings) <= FEW:
            count = _count(read, rankings)
        else:
            count = (known or NOT_COUNTED)._replace(is_big=True)
        _keep(question, count)
    return count


def _is_fresh(known: Count, revisions: Revisions) -> bool:
    """Tell whether a count that was made while this thread waited has counted these revisions.

    Stale read: it may have begun before the vote whose voter asks.
    """
    return known.revisions == revisions or known.version > version(revisions)


def _count_many(question: int) -> None:
    count = full_count(question)
    with _counting:
        _keep(question, count)


def _keep(question: int, count: Count) -> None:
    _counts.pop(question, None)
    while len(_counts) >= MAX_ENTRIES:
        del _counts[next(iter(_counts))]
    _counts[question] = count


def _read(question: int, limit: int) -> tuple[Revisions, dict[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [question, question, limit])
        rows = cursor.fetchall()
    revisions = sorted((pk, number) for pk, number, ranking in rows if not ranking)
    return tuple(revisions), {ranking: number for _, number, ranking in rows if ranking}


def _count(revisions: Revisions, rankings: dict[str, int]) -> Count:
    ballots = ((read_ranking(ranking), number) for ranking, number in rankings.items())
    outcome = instant_runoff(ballots, [pk for pk, _ in revisions])
    return Count(revisions, outcome, is_big=len(rankings) > FEW)
