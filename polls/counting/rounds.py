"""The run-off of each ranked question, as this worker counted it last.

A count takes the time of the rankings that occur. Where they are few, it is made
with the page and never behind. Where they are many, a stale count is served
while one thread makes the next, at most a tenth of the time, however many votes
come in and pages ask: the totals of a tally are those of this moment, and it
says which version its rounds have counted.
"""

import functools
import threading
from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection

from .. import process_memory
from ..background import Background
from .instant_runoff import Round, instant_runoff

# Different rankings that are counted with the page: some milliseconds, with as many choices as may be.
FEW = 1000
# Beyond what any question has.
ALL = 10**9
# Questions whose last count is kept; then the oldest goes.
MOST_KEPT = 256

# Of each choice: id, revision.
Revisions = tuple[tuple[int, int], ...]

# One statement, so that totals and rankings are of one moment.
SQL = """
SELECT id, revision, '' FROM polls_choice WHERE question_id = %s
UNION ALL SELECT * FROM (
    SELECT 0, ballots, choices FROM polls_ranking WHERE question_id = %s AND ballots > 0 LIMIT %s
) AS ranking"""


def _version(revisions: Revisions) -> int:
    return sum(number for _, number in revisions)


class Count(NamedTuple):
    revisions: Revisions
    rounds: list[Round]
    elected: int | None
    # Too many rankings to count them with a page.
    is_big: bool

    @property
    def version(self) -> int:
        return _version(self.revisions)


_kept: dict[int, Count] = {}
_counting = threading.Lock()


def nine_times(seconds: float) -> float:
    """How long to rest after a count of so many seconds: it is at work a tenth of the time."""
    return 9 * seconds


big_counts = Background("polls-rounds", rest=nine_times)


def latest(question: int, revisions: Revisions) -> Count:
    """Return the count of a question whose choices have moved so often: exact if that is quick, else the last one.

    Before the first one of many rankings it has no rounds.
    """
    if not process_memory.keeps():
        return exact(question)
    known = _kept.get(question)
    if known and known.revisions == revisions:
        return known
    if not (known and known.is_big):
        known = _count_few(question, revisions)
    if known.is_big:
        big_counts.submit(question, functools.partial(_count_many, question))
    return known


def exact(question: int) -> Count:
    return _count(*_read(question, ALL))


def _count_few(question: int, revisions: Revisions) -> Count:
    with _counting:
        known = _kept.get(question)
        # Made while this thread waited. Stale read: it may have begun before the vote that is asked for.
        is_new = known and (
            known.revisions == revisions or known.version > _version(revisions)
        )
        if known and (known.is_big or is_new):
            return known
        read, rankings = _read(question, FEW + 1)
        if len(rankings) <= FEW:
            count = _count(read, rankings)
        elif known:
            count = known._replace(is_big=True)
        else:
            count = Count((), [], None, is_big=True)
        _keep(question, count)
    return count


def _count_many(question: int) -> None:
    count = exact(question)
    with _counting:
        _keep(question, count)


def _keep(question: int, count: Count) -> None:
    _kept.pop(question, None)
    while len(_kept) >= MOST_KEPT:
        del _kept[next(iter(_kept))]
    _kept[question] = count


def _read(question: int, most: int) -> tuple[Revisions, dict[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(SQL, [question, question, most])
        rows = cursor.fetchall()
    revisions = sorted((pk, number) for pk, number, ranking in rows if not ranking)
    return tuple(revisions), {ranking: number for _, number, ranking in rows if ranking}


def _count(revisions: Revisions, rankings: dict[str, int]) -> Count:
    rounds, elected = instant_runoff(rankings, [pk for pk, _ in revisions], _ids)
    return Count(revisions, rounds, elected, is_big=len(rankings) > FEW)


def _ids(ranking: str) -> Iterator[int]:
    """Read as far as it is asked for: most rankings count for their first choices only."""
    while ranking:
        pk, _, ranking = ranking.partition(",")
        yield int(pk)
