"""The statements that write new ballots, with their marks and the totals.

A ballot is written if its voter has none yet, and if the question is open and
reads as the voter was shown it; why another is not, cast() finds out.

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
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.utils import timezone

from ..kinds import Kind, ballot_increments, ranking_text

if TYPE_CHECKING:
    import psycopg

    from .. import models


Row = dict[str, object]

# What a ballot is checked against, and must still be when it is written: columns of the question.
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

# In id order, as everybody locks them. Whoever closes or changes a question holds all of its choices.
LOCK = """
SELECT id FROM polls_choice WHERE id IN (SELECT choice_id FROM {pick})
ORDER BY id FOR NO KEY UPDATE"""

# In one order, so that two who insert the same voters do not wait for each other.
BALLOTS = """
INSERT INTO polls_ballot (question_id, voter_key, receipt, cast_at)
SELECT slip.question_id, slip.voter_key, slip.receipt, slip.cast_at
FROM {slip} JOIN polls_question question ON question.id = slip.question_id
WHERE question.pub_date <= {now}
AND (question.closes_at IS NULL
    OR question.closes_at > {now} AND COALESCE(question.closed_at <> question.closes_at, TRUE))
AND question.ballots_sha256 = '' AND question.voter_salt <> '' AND {as_shown}
AND NOT EXISTS (
    SELECT 1 FROM {pick} LEFT JOIN polls_choice choice ON choice.id = pick.choice_id
    AND choice.question_id = slip.question_id AND choice.choice_text = pick.choice_text
    WHERE pick.receipt = slip.receipt AND choice.id IS NULL)
AND (question.voters <> 'codes' OR EXISTS (
    SELECT 1 FROM polls_invitation invitation WHERE invitation.question_id = question.id
    AND invitation.voter_key = slip.voter_key AND invitation.voided_at IS NULL))
ORDER BY slip.question_id, slip.voter_key
ON CONFLICT (question_id, voter_key) DO NOTHING RETURNING receipt, id"""

MARKS = """
INSERT INTO polls_mark (ballot_id, choice_id, rank)
SELECT ballot.id, pick.choice_id, pick.rank
FROM {pick} JOIN {ballot} ON ballot.receipt = pick.receipt"""

TOTALS = """
UPDATE polls_choice SET votes = polls_choice.votes + moved.votes,
first_marks = polls_choice.first_marks + moved.first_marks, revision = polls_choice.revision + moved.revision
FROM (
    SELECT pick.choice_id, SUM(pick.votes) AS votes, SUM(pick.first_marks) AS first_marks, COUNT(*) AS revision
    FROM {pick} JOIN {ballot} ON ballot.receipt = pick.receipt
    GROUP BY pick.choice_id) AS moved
WHERE polls_choice.id = moved.choice_id"""

RANKINGS = """
INSERT INTO polls_ranking (question_id, choices, ballots)
SELECT slip.question_id, slip.ranking, COUNT(*)
FROM {slip} JOIN {ballot} ON ballot.receipt = slip.receipt
WHERE slip.ranking <> '' GROUP BY slip.question_id, slip.ranking
ON CONFLICT (question_id, choices) DO UPDATE SET ballots = polls_ranking.ballots + excluded.ballots"""


# PostgreSQL takes all but the lock as one statement, and counts from what it has just inserted.
TOGETHER = f"""
WITH ballot AS ({BALLOTS}), mark AS ({MARKS}), total AS ({TOTALS}), ranking AS ({RANKINGS})
SELECT receipt, id FROM ballot"""


def _json_each(name: str, columns: dict[str, str]) -> str:
    fields = [f"json_extract(value, '$.{column}') AS {column}" for column in columns]
    return f"(SELECT {', '.join(fields)} FROM json_each(:{name})) AS {name}"


def _json_to_recordset(name: str, columns: dict[str, str]) -> str:
    fields = [f"{column} {type_}" for column, type_ in columns.items()]
    return f"json_to_recordset(%({name})s::json) AS {name} ({', '.join(fields)})"


def _same(is_same: str, columns: Iterable[str]) -> str:
    return " AND ".join(f"question.{name} {is_same} slip.{name}" for name in columns)


def _for_sqlite(statement: str) -> str:
    return statement.format(
        slip=_json_each("slip", BALLOT_COLUMNS),
        pick=_json_each("pick", MARK_COLUMNS),
        ballot="polls_ballot ballot",
        as_shown=_same("IS", CHECKED_COLUMNS),
        now=":now",
    )


def _for_postgresql(statement: str) -> str:
    return statement.format(
        slip=_json_to_recordset("slip", BALLOT_COLUMNS),
        pick=_json_to_recordset("pick", MARK_COLUMNS),
        ballot="ballot",
        # The times too: a vote that was on its way while the question was closed goes by an old clock.
        as_shown=_same("IS NOT DISTINCT FROM", CHECKED_COLUMNS | TIMES),
        # This machine's clock, as everywhere, and how long the totals were waited for since.
        now="%(now)s::timestamptz + %(own)s * (clock_timestamp() - transaction_timestamp())",
    )


ON_SQLITE = [_for_sqlite(statement) for statement in (BALLOTS, MARKS, TOTALS, RANKINGS)]
ON_POSTGRESQL = [_for_postgresql(statement) for statement in (LOCK, TOGETHER)]


def _time(moment: datetime | None) -> str | None:
    """Return a moment as the database writes it."""
    return moment and str(connection.ops.adapt_datetimefield_value(moment))


def _slip(ballot: "models.Ballot", choices: Sequence[int]) -> Row:
    question = ballot.question
    ranked = question.kind == Kind.RANKED
    return {rule: getattr(question, rule) for rule in CHECKED_COLUMNS} | {
        "pub_date": _time(question.pub_date),
        "closes_at": _time(question.closes_at),
        "receipt": ballot.receipt,
        "question_id": question.pk,
        "voter_key": ballot.voter_key,
        "cast_at": _time(ballot.cast_at),
        "ranking": ranking_text(choices) if ranked else "",
    }


def _picks(ballot: "models.Ballot", choices: Sequence[int]) -> Iterable[Row]:
    question = ballot.question
    weights = ballot_increments(question.kind, choices)
    for rank, choice in enumerate(choices, 1):
        yield {
            "receipt": ballot.receipt,
            "choice_id": choice,
            "choice_text": question.choice_texts.get(choice),
            "rank": rank,
            "votes": weights[choice][0],
            "first_marks": weights[choice][1],
        }


def insert_ballots(ballots: Sequence[tuple["models.Ballot", Sequence[int]]]) -> None:
    """Write these ballots with their choices (ids, best first), in one transaction. Those written have an id."""
    pending = [_slip(*ballot) for ballot in ballots]
    picks = [pick for ballot in ballots for pick in _picks(*ballot)]
    parameters = {"slip": json.dumps(pending), "pick": json.dumps(picks)}
    # The driver's own cursors below it: Django's take a third of the time, and cannot do what PostgreSQL needs.
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if connection.vendor == "sqlite":
            ranked = any(slip["ranking"] for slip in pending)
            ids = _on_sqlite(cursor.connection, parameters, ranked)
        else:
            ids = _on_postgresql(cursor.connection, parameters)
    for ballot, _ in ballots:
        ballot.pk = ids.get(ballot.receipt)


def _on_sqlite(
    database: sqlite3.Connection, parameters: Row, ranked: bool
) -> dict[str, int]:
    first, *rest = ON_SQLITE if ranked else ON_SQLITE[:-1]
    with transaction.atomic():
        # The only writer by now: the clock is read after that.
        parameters["now"] = _time(timezone.now())
        ids = dict(database.execute(first, parameters).fetchall())
        for statement in rest if ids else []:
            database.execute(statement, parameters)
    return ids


def _on_postgresql(database: "psycopg.Connection", parameters: Row) -> dict[str, int]:
    """Send it all at once: all others who vote would wait for an answer in between.

    Prepared, for the server plans such a statement twice as long as it runs it.
    """
    from psycopg import Cursor

    own = not connection.in_atomic_block
    parameters |= {"now": timezone.now(), "own": int(own)}
    with database.pipeline(), database.transaction() if own else nullcontext():
        for statement in ON_POSTGRESQL:
            cursor = Cursor(database)
            cursor.execute(statement, parameters, prepare=True)
    return dict(cursor.fetchall())
