"""What a database of the Django tutorial's polls has for this site: its questions and their choices.

Its votes are numbers without ballots. Nobody could say whose they are, or count them again, so they are left behind.
"""

import contextlib
import datetime
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from .models import Question
from .poll_file.draft import Draft, NotImported

# The first bytes of every SQLite file.
MAGIC = b"SQLite format 3\0"
TABLES = {"polls_question", "polls_choice"}
OWN_TABLE = "polls_ballot"

ROWS = """
SELECT q.id, q.question_text, q.pub_date, c.id, c.choice_text, c.votes
FROM polls_question q LEFT JOIN polls_choice c ON c.question_id = q.id
ORDER BY q.id, c.id"""


class Found(NamedTuple):
    drafts: list[Draft]
    votes_left: int


def is_database(data: bytes) -> bool:
    return data.startswith(MAGIC)


def read(path: Path) -> Found:
    """Read a database and check what it has. Raises NotImported."""
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            _check(database)
            rows = database.execute(ROWS).fetchall()
    except sqlite3.Error as error:
        raise NotImported([f"The database cannot be read: {error}."]) from None
    drafts = list(_drafts(rows))
    # What is missing can be added by hand: the tutorial allows it.
    problems = [p for draft in drafts for p in draft.problems(least_choices=0)]
    if problems:
        raise NotImported(problems)
    return Found(drafts, sum(int(row[5] or 0) for row in rows))


def _check(database: sqlite3.Connection) -> None:
    names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in names}
    if OWN_TABLE in tables:
        sentence = "This is a database of this site: write its polls with exportpolls, and import that file."
        raise NotImported([sentence])
    if not tables >= TABLES:
        raise NotImported(["This is no database of the Django tutorial's polls."])


def _drafts(rows: list[tuple[object, ...]]) -> Iterator[Draft]:
    for (pk, text, pub_date), group in groupby(rows, key=lambda row: row[:3]):
        place = f"question {pk}"
        question = Question(
            question_text=str(text), pub_date=_moment(str(pub_date), place)
        )
        choices = [str(row[4]) for row in group if row[3] is not None]
        yield Draft(question, choices, place)


def _moment(text: str, place: str) -> datetime.datetime:
    """Read a time as Django writes it in SQLite: in UTC, and without saying so."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise NotImported([f"{place}: its date is {text!r}, and no time."]) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
