"""How the ballots of a question came in over time, without telling of few people when they voted.

Secrecy: an organiser sees the totals move. Who knew besides in which hour a ballot was cast, and that one person alone
voted then, would know that person's vote: from the totals before and after that hour, or when the ballot is withdrawn
and its hour loses one. So times are rounded, and between two points of the curve there are always some ballots.
"""

import datetime
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.utils import timezone

from ..models import Ballot, Question

# From one point to the next.
LEAST_STEP = 10
# Ballots that are looked at: of more, those whose keys are lowest. Keys are random.
SAMPLE = 4000
MOST_POINTS = 60
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
STEPS = [HOUR, DAY, 7 * DAY, 28 * DAY, 364 * DAY]


class Point(NamedTuple):
    """So many ballots had been cast at this moment, of those that stand now."""

    moment: datetime.datetime
    ballots: int


class Turnout(NamedTuple):
    """`points` is empty where there are too few ballots, or their times are erased."""

    points: list[Point]
    has_times: bool = True
    is_sample: bool = False


def turnout(question: Question, ballots: int) -> Turnout:
    """Return the curve of a question that has so many ballots.

    Its cost does not grow with them: a ballot's key is a random number, so that the ballots up to a key, which an index
    finds, are a fair sample.
    """
    if not question.voter_salt or question.ballots_deleted_at:
        return Turnout([], has_times=False)
    times = sorted(_times(question, ballots))
    end = min(question.closes_at or timezone.now(), timezone.now())
    step = _step(end - question.pub_date)
    marks = _marks(question.pub_date, end, step)
    counts = [(mark, bisect_left(times, mark)) for mark in marks]
    # Stale read: since the total was read, the last ballot may have been withdrawn.
    scale = ballots / len(times) if 0 < len(times) < ballots else 1
    points = [Point(mark, round(n * scale)) for mark, n in _far_apart(counts)]
    return Turnout(points, is_sample=scale > 1)


def _times(question: Question, ballots: int) -> list[datetime.datetime]:
    own = Ballot.objects.filter(question=question)
    if ballots > SAMPLE:
        up_to = int(16**8 * SAMPLE / ballots)
        own = own.filter(voter_key__lt=f"{up_to:08x}")
    return list(own.values_list("cast_at", flat=True)[: 2 * SAMPLE])


def _step(length: datetime.timedelta) -> datetime.timedelta:
    return next((step for step in STEPS if length / step < MOST_POINTS), STEPS[-1])


def _marks(
    start: datetime.datetime, end: datetime.datetime, step: datetime.timedelta
) -> Iterator[datetime.datetime]:
    """Yield the beginning, full hours or midnights after it, and the end."""
    local = timezone.localtime(start)
    full = local.replace(minute=0, second=0, microsecond=0)
    if step > HOUR:
        full = full.replace(hour=0)
    yield start
    mark = full + step
    while mark < end:
        yield mark
        mark += step
    yield end


def _far_apart(
    counts: Sequence[tuple[datetime.datetime, int]],
) -> list[tuple[datetime.datetime, int]]:
    """Keep the beginning, and of the others those that are LEAST_STEP ballots or more after the one before."""
    kept = [counts[0]]
    for moment, number in counts[1:]:
        if number - kept[-1][1] >= LEAST_STEP:
            kept.append((moment, number))
    return kept if len(kept) > 1 else []
