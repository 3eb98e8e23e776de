"""The kinds of question."""

from collections.abc import Iterable, Sequence

from django.db import models


class InvalidBallot(Exception):
    """Too few or too many choices, or one of them twice."""


class Kind(models.TextChoices):
    ONE = "one", "One choice"
    SEVERAL = "several", "Several choices"
    RANKED = "ranked", "Ranked choice (instant run-off)"


# As many as a ranking has room for.
MOST_RANKS = 50


def ranking_text(choices: Iterable[int]) -> str:
    """Return how a ranking (ids, best first) is written in the database, such as "3,1,2"."""
    return ",".join(map(str, choices))


def read_ranking(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def ballot_increments(kind: str, choices: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return what a ballot adds to each choice: to its votes, and to the number of ballots."""
    ranked = kind == Kind.RANKED
    return {
        pk: (int(n == 0 or not ranked), int(n == 0)) for n, pk in enumerate(choices)
    }
