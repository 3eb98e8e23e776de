"""A ballots.csv counted again, from the file alone: no database is asked.

A choice that is on no ballot is not in the file. It changes nothing but the
number of rounds: it would go out with no votes, and no ballot would move on.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from .models import CODE_ALPHABET
from .runoff import run_off


class Foreign(Exception):
    """The file is none of ours, or broken. Its text says where."""


_RECEIPT = re.compile(rf"[{CODE_ALPHABET}]{{4}}(-[{CODE_ALPHABET}]{{4}}){{2}}")
_CHOICE = re.compile(r"([1-9]\d{0,8})\. .*", re.DOTALL)


def count_file(path: str) -> Iterator[str]:
    """Yield what there is to say of the file, line by line. Raises Foreign."""
    try:
        with Path(path).open("rb") as file:
            yield f"SHA-256: {hashlib.file_digest(file, 'sha256').hexdigest()}"
        with Path(path).open(encoding="utf-8", newline="") as text:
            yield from _count(text)
    except OSError as error:
        raise Foreign(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Foreign(f"{path} is not a text in UTF-8.") from None


def _count(text: TextIO) -> Iterator[str]:
    reader = csv.reader(text, strict=True)
    names: dict[int, str] = {}
    rankings: Counter[tuple[int, ...]] = Counter()
    try:
        ranked, width = _heading(next(reader, []))
        last = ""
        for receipt, *cells in (row or [""] for row in reader):
            _check_receipt(last, receipt)
            if len(cells) != width:
                raise Foreign(f"it has {len(cells)} choices, the heading has {width}")
            last = receipt
            rankings[_ballot(cells, names)] += 1
    except (Foreign, csv.Error) as error:
        line = max(reader.line_num, 1)
        sentence = f"Line {line} is not as ballots.csv has it: {error}."
        raise Foreign(sentence) from None
    yield f"Ballots: {rankings.total()}"
    order = sorted(names)
    report = _rounds if ranked else _votes
    if rankings:
        yield from report(rankings, order, names)


def _heading(cells: list[str]) -> tuple[bool, int]:
    """Return whether the ballots are ranked, and how many choices a line has room for."""
    for word in ("choice", "rank"):
        places = [f"{word} {n}" for n in range(1, len(cells))]
        if places and cells == ["receipt", *places]:
            return word == "rank", len(places)
    raise Foreign("the heading begins with receipt, and choice 1 or rank 1")


def _check_receipt(last: str, receipt: str) -> None:
    if not _RECEIPT.fullmatch(receipt):
        raise Foreign(f"{receipt!r} is not a receipt")
    if receipt == last:
        raise Foreign(f"the receipt {receipt} stands twice")
    if receipt < last:
        raise Foreign(f"the receipt {receipt} is out of order")


def _ballot(cells: list[str], names: dict[int, str]) -> tuple[int, ...]:
    """Return the numbers of the choices; note their names."""
    while cells and not cells[-1]:
        cells.pop()
    numbers = [_number(cell, names) for cell in cells]
    if not numbers:
        raise Foreign("it has no choice")
    if len(set(numbers)) < len(numbers):
        raise Foreign("it has a choice twice")
    return tuple(numbers)


def _number(cell: str, names: dict[int, str]) -> int:
    match = _CHOICE.fullmatch(cell)
    if not match:
        raise Foreign(f"{cell!r} is not a choice with its number")
    number = int(match[1])
    if names.setdefault(number, cell) != cell:
        raise Foreign(f"{cell!r} is {names[number]!r} before")
    return number


def _votes(
    rankings: Counter[tuple[int, ...]], order: list[int], names: dict[int, str]
) -> Iterator[str]:
    votes: Counter[int] = Counter()
    for choices, ballots in rankings.items():
        for choice in choices:
            votes[choice] += ballots
    yield votes_line([names[choice] for choice in order], [votes[c] for c in order])


def _rounds(
    rankings: Counter[tuple[int, ...]], order: list[int], names: dict[int, str]
) -> Iterator[str]:
    rounds, elected = run_off(rankings, order)
    for n, round_ in enumerate(rounds, 1):
        left = [names[choice] for choice in round_["votes"]]
        yield round_line(n, left, list(round_["votes"].values()), round_["exhausted"])
    if elected is not None:
        yield f"Elected: {names[elected]}"


def votes_line(names: Sequence[str], votes: Sequence[int | None]) -> str:
    return f"Votes: {_listed(names, votes)}"


def round_line(
    n: int, names: Sequence[str], votes: Sequence[int | None], exhausted: int
) -> str:
    return f"Round {n}: {_listed(names, votes)}; exhausted: {exhausted}"


def _listed(names: Sequence[str], votes: Sequence[int | None]) -> str:
    """Leave out those that are out."""
    return "; ".join(f"{name}: {n}" for name, n in zip(names, votes) if n is not None)
