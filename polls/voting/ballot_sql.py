"""The statements that write new ballots, with their marks and the totals: plain rows in, ids out.

A ballot is written if its voter has none yet, and if the question is open and
reads as the voter was shown it; cast() finds out why another is not.

Plain SQL, for it is run once a vote: Django takes four times as long to build
such statements as a database to run them. SQLite is given a few small ones a
ballot, which it keeps prepared. PostgreSQL is given all ballots as one message:
the totals, which everybody who votes on a question waits for, are not locked
while answers travel.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, cast

from django.db import connection, transaction
from django.utils import timezone

if TYPE_CHECKING:
    from ..postgresql.base import Connection

Row = dict[str, object]

# Columns of the question that must still be, when a ballot is written, what its voter was shown.
CHECKED_COLUMNS = {
    "question_text": "text",
    "kind": "text",
    "min_choices": "int",
    "max_choices": "int",
    "voters": "text",
    "voter_salt": "text",
    "rewordings": "int",
}
TIMES = {"pub_date": "timestamptz", "closes_at": "timestamptz"}
BALLOT_COLUMNS = (
    CHECKED_COLUMNS
    | TIMES
    | {
        "receipt": "text",
        "question_id": "bigint",
        "voter_key": "text",
        "cast_at": "timestamptz",
        "ranking": "text",
    }
)
MARK_COLUMNS = {
    "receipt": "text",
    "choice_id": "bigint",
    "choice_text": "text",
    "rank": "int",
    "votes": "int",
    "first_marks": "int",
}

# What must be so of the question when a ballot is written.
TAKES_BALLOTS = """question.pub_date <= {now}
AND (question.closes_at IS NULL
    OR question.closes_at > {now} AND COALESCE(question.closed_at <> question.closes_at, TRUE))
AND question.ballots_sha256 = '' AND question.voter_salt <> ''
AND (question.voters <> 'codes' OR EXISTS (
    SELECT 1 FROM polls_invitation invitation WHERE invitation.question_id = question.id
    AND invitation.voter_key = {voter_key} AND invitation.voided_at IS NULL))"""


# SQLite: nobody else writes between these statements. The parameters are the columns.

IS_OFFERED = """
SELECT 1 FROM polls_choice
WHERE id = :choice_id AND question_id = :question_id AND choice_text = :choice_text"""

BALLOT = f"""
INSERT INTO polls_ballot (question_id, voter_key, receipt, cast_at)
SELECT question.id, :voter_key, :receipt, :cast_at FROM polls_question question
WHERE question.id = :question_id AND {TAKES_BALLOTS.format(now=":now", voter_key=":voter_key")}
AND {" AND ".join(f"question.{name} IS :{name}" for name in CHECKED_COLUMNS)}
ON CONFLICT (question_id, voter_key) DO NOTHING RETURNING id"""

MARK = """
INSERT INTO polls_mark (ballot_id, choice_id, rank) VALUES (:ballot_id, :choice_id, :rank)"""

TOTAL = """
UPDATE polls_choice SET votes = votes + :votes, first_marks = first_marks + :first_marks, revision = revision + 1
WHERE id = :choice_id"""

RANKING = """
INSERT INTO polls_ranking (question_id, choices, ballots) VALUES (:question_id, :ranking, 1)
ON CONFLICT (question_id, choices) DO UPDATE SET ballots = ballots + 1"""


# PostgreSQL: however many ballots there are, the text is the same.


def _rows_of(name: str, columns: dict[str, str]) -> str:
    fields = [f"{column} {type_}" for column, type_ in columns.items()]
    return f"json_to_recordset(%({name})s::json) AS {name} ({', '.join(fields)})"


# Lock in id order, so that two who vote cannot deadlock. Whoever closes or changes a question locks all of its choices.
LOCK = f"""
SELECT id FROM polls_choice WHERE id IN (SELECT choice_id FROM {_rows_of("new_mark", MARK_COLUMNS)})
ORDER BY id FOR NO KEY UPDATE"""

TAKES_NEW_BALLOT = TAKES_BALLOTS.format(
    # This machine's clock, as everywhere, plus the time that the lock was waited for.
    now="%(now)s::timestamptz + %(is_alone)s * (clock_timestamp() - transaction_timestamp())",
    voter_key="new_ballot.voter_key",
)
# The times too: this vote's clock may be older than the close that it waited for.
IS_UNCHANGED = " AND ".join(
    f"question.{name} IS NOT DISTINCT FROM new_ballot.{name}"
    for name in CHECKED_COLUMNS | TIMES
)

# Insert in one order, so that two who insert the same voters cannot deadlock.
BALLOTS = f"""
INSERT INTO polls_ballot (question_id, voter_key, receipt, cast_at)
SELECT new_ballot.question_id, new_ballot.voter_key, new_ballot.receipt, new_ballot.cast_at
FROM new_ballot JOIN polls_question question ON question.id = new_ballot.question_id
WHERE {TAKES_NEW_BALLOT} AND {IS_UNCHANGED}
AND NOT EXISTS (
    SELECT 1 FROM new_mark LEFT JOIN polls_choice choice ON choice.id = new_mark.choice_id
    AND choice.question_id = new_ballot.question_id AND choice.choice_text = new_mark.choice_text
    WHERE new_mark.receipt = new_ballot.receipt AND choice.id IS NULL)
ORDER BY new_ballot.question_id, new_ballot.voter_key
ON CONFLICT (question_id, voter_key) DO NOTHING RETURNING receipt, id"""

MARKS = """
INSERT INTO polls_mark (ballot_id, choice_id, rank)
SELECT ballot.id, new_mark.choice_id, new_mark.rank FROM new_mark JOIN ballot USING (receipt)"""

TOTALS = """
UPDATE polls_choice SET votes = polls_choice.votes + change.votes,
first_marks = polls_choice.first_marks + change.first_marks, revision = polls_choice.revision + change.revision
FROM (
    SELECT choice_id, SUM(votes) AS votes, SUM(first_marks) AS first_marks, COUNT(*) AS revision
    FROM new_mark JOIN ballot USING (receipt) GROUP BY choice_id) AS change
WHERE polls_choice.id = change.choice_id"""

RANKINGS = """
INSERT INTO polls_ranking (question_id, choices, ballots)
SELECT question_id, ranking, COUNT(*) FROM new_ballot JOIN ballot USING (receipt)
WHERE ranking <> '' GROUP BY question_id, ranking
ON CONFLICT (question_id, choices) DO UPDATE SET ballots = polls_ranking.ballots + excluded.ballots"""

# All but the lock is one statement, whose parts read what the insertion of the ballots returns.
NEW_ROWS = f"""
WITH new_ballot AS (SELECT * FROM {_rows_of("new_ballot", BALLOT_COLUMNS)}),
new_mark AS (SELECT * FROM {_rows_of("new_mark", MARK_COLUMNS)})"""
ALL_IN_ONE = f"""{NEW_ROWS},
ballot AS ({BALLOTS}), mark AS ({MARKS}), total AS ({TOTALS}), ranking AS ({RANKINGS})
SELECT receipt, id FROM ballot"""


class NewBallot(NamedTuple):
    """A ballot to be written: a row with BALLOT_COLUMNS, and one with MARK_COLUMNS for each of its marks."""

    ballot: Row
    marks: list[Row]


def insert_ballots(ballots: Sequence[NewBallot]) -> list[int | None]:
    """Write these ballots in one transaction; return the id of each, None for one that was not written."""
    # The driver's own cursors below it: Django's take a third of the time, and cannot do what PostgreSQL needs.
    if connection.vendor == "sqlite":
        with connection.wrap_database_errors:
            return _on_sqlite(ballots)
    with connection.cursor() as cursor, connection.wrap_database_errors:
        return _on_postgresql(cursor.connection, ballots)


def _time(moment: object) -> str:
    """Return a moment as the database writes it."""
    return str(connection.ops.adapt_datetimefield_value(cast(datetime, moment)))


def _on_sqlite(ballots: Sequence[NewBallot]) -> list[int | None]:
    with transaction.atomic(), connection.cursor() as cursor:
        database = cursor.connection
        # Nobody else writes by now: a clock read before could be older than the close of the question.
        now = _time(timezone.now())
        return [_insert_on_sqlite(database, new, now) for new in ballots]


def _insert_on_sqlite(
    database: sqlite3.Connection, new: NewBallot, now: str
) -> int | None:
    row = new.ballot | {"now": now, "cast_at": _time(new.ballot["cast_at"])}
    for mark in new.marks:
        if not database.execute(IS_OFFERED, row | mark).fetchone():
            return None
    ids: list[tuple[int]] = database.execute(BALLOT, row).fetchall()
    if not ids:
        return None
    ((pk,),) = ids
    database.executemany(MARK, [mark | {"ballot_id": pk} for mark in new.marks])
    database.executemany(TOTAL, new.marks)
    if row["ranking"]:
        database.execute(RANKING, row)
    return pk


def _on_postgresql(
    database: "Connection", ballots: Sequence[NewBallot]
) -> list[int | None]:
    """Send it all at once: everybody else who votes would wait for an answer in between.

    Prepared, for the server plans such a statement twice as long as it runs it.
    """
    from psycopg import Cursor

    parameters = {
        "new_ballot": json.dumps([new.ballot for new in ballots], default=_time),
        "new_mark": json.dumps([mark for new in ballots for mark in new.marks]),
        "now": timezone.now(),
        "is_alone": int(not connection.in_atomic_block),
    }
    with database.all_at_once():
        for statement in (LOCK, ALL_IN_ONE):
            cursor = Cursor(database)
            cursor.execute(statement, parameters, prepare=True)
    ids: dict[object, int] = dict(cursor.fetchall())
    return [ids.get(new.ballot["receipt"]) for new in ballots]
