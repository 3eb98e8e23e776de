"""The rounds of a run-off as HTML: a table that stays narrow however many there are, and a list of what went out before."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from django.template.loader import render_to_string
from django.utils.translation import get_language

# As many columns as a phone has room for. Of more rounds the table has the first and the last ones.
MOST_COLUMNS = 6
LAST_COLUMNS = 4

Votes = tuple[int | None, ...]


class Row(NamedTuple):
    """A choice with its votes in every round, None from where it is out."""

    text: str
    is_elected: bool
    votes: Votes

    @property
    def rounds(self) -> int:
        """Return how many rounds it was in."""
        return sum(votes is not None for votes in self.votes)


class Out(NamedTuple):
    """A choice that went out before the rounds at the end of the table: in which round, and with how many votes."""

    round: int
    text: str
    votes: int


def rounds_table(
    rows: Sequence[Row], exhausted: Sequence[int], ties: Sequence[str], mark: str
) -> str:
    if not exhausted:
        return ""
    return _render(tuple(rows), tuple(exhausted), tuple(ties), mark, get_language())


@functools.lru_cache(maxsize=128)
def _render(
    rows: tuple[Row, ...],
    exhausted: tuple[int, ...],
    ties: tuple[str, ...],
    mark: str,
    language: str | None,
) -> str:
    """Render the table once a change and language: the reader of live results asks for it four times a second."""
    number = len(exhausted)
    shown = _shown(number)
    # Who stayed longest comes first, and of those who stayed to the end who has most.
    ordered = sorted(rows, key=_standing, reverse=True)
    is_whole = len(shown) == number
    long_in = [row for row in ordered if is_whole or row.rounds > shown[1]]
    context = {
        "numbers": [n + 1 for n in shown],
        "rows": [(row, _cells(row, shown)) for row in long_in],
        "exhausted": [exhausted[n] for n in shown],
        "outs": _outs(ordered[len(long_in) :]),
        "ties": ties,
        "mark": mark,
    }
    return render_to_string("polls/_rounds_table.html", context)


def _shown(number: int) -> list[int]:
    if number <= MOST_COLUMNS:
        return list(range(number))
    return [0, *range(number - LAST_COLUMNS, number)]


def _standing(row: Row) -> tuple[int, int]:
    return row.rounds, row.votes[row.rounds - 1] or 0


def _cells(row: Row, shown: list[int]) -> list[int | str | None]:
    """Return votes, and from where it is out: that, once."""
    cells: list[int | str | None] = []
    for n in shown:
        votes = row.votes[n]
        if votes is not None:
            cells.append(votes)
        else:
            cells.append(None if "out" in cells else "out")
    return cells


def _outs(rows: Sequence[Row]) -> list[Out]:
    """Return those that are not in the table, in the order in which they went out."""
    outs = [Out(row.rounds, row.text, row.votes[row.rounds - 1] or 0) for row in rows]
    return sorted(outs)
