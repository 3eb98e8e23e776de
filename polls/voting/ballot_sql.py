"""The statements that write new ballots, with their marks and the totals: plain rows in, ids out.

A ballot is written if its voter has none yet, and if the question is open and
reads as the voter was shown it; cast() finds out why another is not.

Plain SQL, for it is run once a vote: Django takes four times as long to build
such statements as a database to run them. However many ballots there are, the
text is the same, and on PostgreSQL all of it is one message: the totals, which
everybody who votes on a question waits for, are not locked while answers travel.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

if TYPE_CHECKING:
    import psycopg

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

# Lock in id order, so that two who vote cannot deadlock. Whoever closes or changes a question locks all of its choices.
LOCK = """
SELECT id FROM polls_choice WHERE id IN (SELECT choice_id FROM {new_mark})
ORDER BY id FOR NO KEY UPDATE"""

# Insert in one order, so that two who insert the same voters cannot deadlock.
BALLOTS = """
INSERT INTO polls_ballot (question_id, voter_key, receipt, cast_at)
SELECT new_ballot.question_id, new_ballot.voter_key, new_ballot.receipt, new_ballot.cast_at
FROM {new_ballot} JOIN polls_question question ON question.id = new_ballot.question_id
WHERE question.pub_date <= {now}
AND (question.closes_at IS NULL
    OR question.closes_at > {now} AND COALESCE(question.closed_at <> question.closes_at, TRUE))
AND question.ballots_sha256 = '' AND question.voter_salt <> '' AND {unchanged}
AND NOT EXISTS (
    SELECT 1 FROM {new_mark} LEFT JOIN polls_choice choice ON choice.id = new_mark.choice_id
    AND choice.question_id = new_ballot.question_id AND choice.choice_text = new_mark.choice_text
    WHERE new_mark.receipt = new_ballot.receipt AND choice.id IS NULL)
AND (question.voters <> 'codes' OR EXISTS (
    SELECT 1 FROM polls_invitation invitation WHERE invitation.question_id = question.id
    AND invitation.voter_key = new_ballot.voter_key AND invitation.voided_at IS NULL))
ORDER BY new_ballot.question_id, new_ballot.voter_key
ON CONFLICT (question_id, voter_key) DO NOTHING RETURNING receipt, id"""

MARKS = """
INSERT INTO polls_mark (ballot_id, choice_id, rank)
SELECT ballot.id, new_mark.choice_id, new_mark.rank
FROM {new_mark} JOIN {ballot} ON ballot.receipt = new_mark.receipt"""

TOTALS = """
UPDATE polls_choice SET votes = polls_choice.votes + change.votes,
first_marks = polls_choice.first_marks + change.first_marks, revision = polls_choice.revision + change.revision
FROM (
    SELECT new_mark.choice_id, SUM(new_mark.votes) AS votes, SUM(new_mark.first_marks) AS first_marks, COUNT(*) AS revision
    FROM {new_mark} JOIN {ballot} ON ballot.receipt = new_mark.receipt
    GROUP BY new_mark.choice_id) AS change
WHERE polls_choice.id = change.choice_id"""

RANKINGS = """
INSERT INTO polls_ranking (question_id, choices, ballots)
SELECT new_ballot.question_id, new_ballot.ranking, COUNT(*)
FROM {new_ballot} JOIN {ballot} ON ballot.receipt = new_ballot.receipt
WHERE new_ballot.ranking <> '' GROUP BY new_ballot.question_id, new_ballot.ranking
ON CONFLICT (question_id, choices) DO UPDATE SET ballots = polls_ranking.ballots + excluded.ballots"""


# PostgreSQL takes all but the lock as one statement, whose parts read what the first one inserts.
ALL_IN_ONE = f"""
WITH ballot AS ({BALLOTS}), mark AS ({MARKS}), total AS ({TOTALS}), ranking AS ({RANKINGS})
SELECT receipt, id FROM ballot"""


def _json_each(name: str, columns: dict[str, str]) -> str:
    fields = [f"json_extract(value, '$.{column}') AS {column}" for column in columns]
    return f"(SELECT {', '.join(fields)} FROM json_each(:{name})) AS {name}"


def _json_to_recordset(name: str, columns: dict[str, str]) -> str:
    fields = [f"{column} {type_}" for column, type_ in columns.items()]
    return f"json_to_recordset(%({name})s::json) AS {name} ({', '.join(fields)})"


def _unchanged(is_same: str, columns: Iterable[str]) -> str:
    return " AND ".join(
        f"question.{name} {is_same} new_ballot.{name}" for name in columns
    )


def _for_sqlite(statement: str) -> str:
    return statement.format(
        new_ballot=_json_each("new_ballot", BALLOT_COLUMNS),
        new_mark=_json_each("new_mark", MARK_COLUMNS),
        ballot="polls_ballot ballot",
        unchanged=_unchanged("IS", CHECKED_COLUMNS),
        now=":now",
    )


def _for_postgresql(statement: str) -> str:
    return statement.format(
        new_ballot=_json_to_recordset("new_ballot", BALLOT_COLUMNS),
        new_mark=_json_to_recordset("new_mark", MARK_COLUMNS),
        ballot="ballot",
        # The times too: this vote's clock may be older than the close that it waited for.
        unchanged=_unchanged("IS NOT DISTINCT FROM", CHECKED_COLUMNS | TIMES),
        # This machine's clock, as everywhere, plus the time that the lock was waited for.
        now="%(now)s::timestamptz + %(is_alone)s * (clock_timestamp() - transaction_timestamp())",
    )


ON_SQLITE = [_for_sqlite(statement) for statement in (BALLOTS, MARKS, TOTALS, RANKINGS)]
ON_POSTGRESQL = [_for_postgresql(statement) for statement in (LOCK, ALL_IN_ONE)]


class NewBallot(NamedTuple):
    """A ballot to be written: a row with BALLOT_COLUMNS, and one with MARK_COLUMNS for each of its marks."""

    ballot: Row
    marks: list[Row]


def insert_ballots(ballots: Sequence[NewBallot]) -> list[int | None]:
    """Write these ballots in one transaction; return the id of each, None for one that was not written."""
    parameters: Row = {
        "new_ballot": _json([new.ballot for new in ballots]),
        "new_mark": _json([mark for new in ballots for mark in new.marks]),
    }
    # The driver's own cursors below it: Django's take a third of the time, and cannot do what PostgreSQL needs.
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if connection.vendor == "sqlite":
            is_ranked = any(new.ballot["ranking"] for new in ballots)
            ids = _on_sqlite(cursor.connection, parameters, is_ranked)
        else:
            ids = _on_postgresql(cursor.connection, parameters)
    return [ids.get(new.ballot["receipt"]) for new in ballots]


def _json(rows: list[Row]) -> str:
    return json.dumps(rows, default=_time)


def _time(moment: datetime) -> str:
    """Return a moment as the database writes it."""
    return str(connection.ops.adapt_datetimefield_value(moment))


def _on_sqlite(
    database: sqlite3.Connection, parameters: Row, is_ranked: bool
) -> dict[object, int]:
    first, *rest = ON_SQLITE if is_ranked else ON_SQLITE[:-1]
    with transaction.atomic():
        # Nobody else writes by now: a clock read before could be older than the close of the question.
        parameters["now"] = _time(timezone.now())
        ids = dict(database.execute(first, parameters).fetchall())
        for statement in rest if ids else []:
            database.execute(statement, parameters)
    return ids


def _on_postgresql(
    database: "psycopg.Connection", parameters: Row
) -> dict[object, int]:
    """Send it all at once: everybody else who votes would wait for an answer in between.

    Prepared, for the server plans such a statement twice as long as it runs it.
    """
    from psycopg import Cursor

    is_alone = not connection.in_atomic_block
    parameters |= {"now": timezone.now(), "is_alone": int(is_alone)}
    with database.pipeline(), database.transaction() if is_alone else nullcontext():
        for statement in ON_POSTGRESQL:
            cursor = Cursor(database)
            cursor.execute(statement, parameters, prepare=True)
    return dict(cursor.fetchall())
