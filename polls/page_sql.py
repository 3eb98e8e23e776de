"""What pages ask of the database again and again, in SQL: Django takes longer to build it than the database to answer it.

Ids and voter keys go down, plain rows come up. Who asks is left open where it may be a thread or the event loop: a
Reading yields each statement, is sent its rows, and returns what it makes of them.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

from .database import Rows, Statement, database

T = TypeVar("T")
Reading = Generator[Statement, Rows, T]


def read(reading: Reading[T]) -> T:
    """Ask the database in this thread."""
    try:
        statement = next(reading)
        while True:
            statement = reading.send(_rows(statement))
    except StopIteration as made:
        result: T = made.value
        return result
    finally:
        # Of an error, too: what it has entered, such as a language, is left now, and not when it is collected as garbage.
        reading.close()


def _rows(statement: Statement) -> Rows:
    with database.prepared_cursor() as cursor:
        cursor.execute(statement.sql, statement.parameters)
        rows: Rows = cursor.fetchall()
    return rows


class OwnBallot(NamedTuple):
    """A voter's ballot: its choices are ids in the order of their marks."""

    receipt: str
    choices: list[int]


class ChoiceRow(NamedTuple):
    pk: int
    choice_text: str
    votes: int
    first_marks: int
    revision: int


def choices_of(question: int) -> list[tuple[int, str, int]]:
    """Read id, text and first marks of the choices, as they stand on the ballot page."""
    sql = "SELECT id, choice_text, first_marks FROM polls_choice WHERE question_id = %s ORDER BY id"
    return _rows(Statement(sql, [question]))


def own_ballot(question: int, voter_key: str) -> OwnBallot | None:
    sql = (
        "SELECT ballot.receipt, mark.choice_id FROM polls_ballot ballot"
        " JOIN polls_mark mark ON mark.ballot_id = ballot.id"
        " WHERE ballot.question_id = %s AND ballot.voter_key = %s ORDER BY mark.rank"
    )
    rows = _rows(Statement(sql, [question, voter_key]))
    return OwnBallot(rows[0][0], [choice for _, choice in rows]) if rows else None


_CHOICES = "SELECT id, choice_text, votes, first_marks, revision FROM polls_choice WHERE question_id = %s"
_WITH_OWN = (
    f"{_CHOICES} UNION ALL SELECT mark.choice_id, ballot.receipt, 0, 0, -mark.rank FROM polls_ballot ballot"
    " JOIN polls_mark mark ON mark.ballot_id = ballot.id"
    " WHERE ballot.question_id = %s AND ballot.voter_key = %s"
)


def choices_with_own(
    question: int, voter_key: str
) -> Reading[tuple[list[ChoiceRow], OwnBallot | None]]:
    """Read the choices and the ballot of this voter by one statement, so that it is counted."""
    if voter_key:
        rows = yield Statement(_WITH_OWN, [question, question, voter_key])
    else:
        rows = yield Statement(_CHOICES, [question])
    # Ranks are told from revisions by their sign.
    choices = sorted(ChoiceRow._make(row) for row in rows if row[-1] >= 0)
    marks = sorted((-rank, pk, receipt) for pk, receipt, *_, rank in rows if rank < 0)
    own = OwnBallot(marks[0][2], [pk for _, pk, _ in marks]) if marks else None
    return choices, own


def _places(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


def ballots_with_own(
    ids: Sequence[int], keys: Sequence[str]
) -> Reading[tuple[dict[int, int], set[int]]]:
    """Read how many ballots these questions have, and on which of them is one with one of these voter keys.

    By one statement, so that it is counted. A key is of one question: none of them is found on another.
    """
    if not ids:
        return {}, set()
    sql = (
        "SELECT question_id, SUM(first_marks) FROM polls_choice"
        f" WHERE question_id IN ({_places(ids)}) GROUP BY question_id"
    )
    if keys:
        sql += (
            " UNION ALL SELECT question_id, -1 FROM polls_ballot"
            f" WHERE question_id IN ({_places(ids)}) AND voter_key IN ({_places(keys)})"
        )
    rows = yield Statement(sql, [*ids, *ids, *keys] if keys else ids)
    counted = {pk: ballots for pk, ballots in rows if ballots >= 0}
    voted = {pk for pk, ballots in rows if ballots < 0}
    return dict.fromkeys(ids, 0) | counted, voted
