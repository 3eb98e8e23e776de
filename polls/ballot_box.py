"""Where new ballots are written: those that wait together, in one transaction.

A commit takes the disk as long for ten ballots as for one. While one thread of
a worker writes, the others of the same moment queue here, and whoever is next
writes for all of them. A ballot that is alone waits for nobody. Each keeps its
own outcome; when one spoils the transaction, they are written one by one.

The statements are plain SQL, for they are run once a vote: Django takes four
times as long to build them as a database to run them.
"""

import fcntl
import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

# The module and not its names: it imports this one.
from . import models


@dataclass(eq=False)
class Slip:
    """A ballot to be written, and then what became of it."""

    ballot: "models.Ballot"
    choices: Sequence[int]
    done: bool = False
    error: Exception | None = None

    @property
    def question(self) -> "models.Question":
        return self.ballot.question


_waiting: list[Slip] = []
_writing = threading.Lock()


def put(ballot: "models.Ballot", choices: Sequence[int]) -> bool:
    """Write a new ballot and its totals; return False if the voter has one already.

    Raises Refused, Choice.DoesNotExist, or an error of the database; then nothing of this ballot has been written.
    """
    slip = Slip(ballot, choices)
    if connection.in_atomic_block:
        # Somebody's own transaction is no place for the ballots of others.
        _write([slip])
        return ballot.pk is not None
    _waiting.append(slip)
    with _writing:
        if not slip.done:
            slips = _waiting[:]
            del _waiting[: len(slips)]
            _write_each_with_its_outcome(slips)
    if slip.error:
        raise slip.error
    return ballot.pk is not None


def _write_each_with_its_outcome(slips: list[Slip]) -> None:
    try:
        with _turn():
            _write(slips)
    except Exception as error:
        # A database that is locked or away is so for all of them, and each would wait for it again.
        if len(slips) == 1 or isinstance(error, OperationalError | InterfaceError):
            for slip in slips:
                slip.error = error
        else:
            for slip in slips:
                _write_each_with_its_outcome([slip])
    except BaseException:
        # This thread is told to end: the others must not take their ballots for written.
        for slip in slips:
            slip.error = OperationalError("The worker was stopped.")
        raise
    finally:
        for slip in slips:
            slip.done = True


@functools.cache
def _queue_file() -> int:
    """Return a file descriptor, which stays open as long as the process."""
    name = f"{connection.settings_dict['NAME']}.queue"
    return os.open(name, os.O_RDWR | os.O_CREAT, 0o600)


def _wait_in_line(seconds: float) -> None:
    """Wait for those before, but no longer than for SQLite itself."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            fcntl.flock(_queue_file(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.0005)
    raise OperationalError("The database is busy: those before did not finish.")


@contextmanager
def _turn() -> Iterator[None]:
    """Let the workers write to SQLite one after the other.

    SQLite itself would have them sleep ever longer before they try again, and
    now and then one is unlucky many times.
    """
    if connection.vendor != "sqlite":
        yield
        return
    _wait_in_line(connection.settings_dict["OPTIONS"]["timeout"])
    try:
        yield
    finally:
        fcntl.flock(_queue_file(), fcntl.LOCK_UN)


def _write(slips: list[Slip]) -> None:
    # In one order, so that two workers who insert the same voters do not wait for each other.
    slips = sorted(slips, key=lambda slip: (slip.question.pk, slip.ballot.voter))
    with transaction.atomic(), connection.cursor() as cursor:
        ids = _insert_ballots(cursor, [slip.ballot for slip in slips])
        new = [slip for slip in slips if slip.ballot.receipt in ids]
        if not new:
            return
        insert_marks(cursor, [(ids[s.ballot.receipt], s.choices) for s in new])
        # Late: from here to the commit, all others who vote on this question wait.
        if not _move_totals(cursor, new):
            raise models.Choice.DoesNotExist
        for slip in new:
            if slip.question.kind == models.Kind.RANKED:
                models.Ranking.objects.move(slip.question, [], slip.choices)
        require_same(cursor, [slip.ballot for slip in new])
    for slip in new:
        slip.ballot.pk = ids[slip.ballot.receipt]


def _places(rows: int, columns: int) -> str:
    row = f"({','.join(['%s'] * columns)})"
    return ",".join([row] * rows)


def _insert_ballots(
    cursor: CursorWrapper, ballots: list["models.Ballot"]
) -> dict[str, int]:
    """Return the ids of those that are their voter's first, by receipt."""
    adapt = connection.ops.adapt_datetimefield_value
    values = [
        value
        for ballot in ballots
        for value in (
            ballot.question_id,
            ballot.voter,
            ballot.receipt,
            adapt(ballot.cast_at),
        )
    ]
    cursor.execute(
        "INSERT INTO polls_ballot (question_id, voter, receipt, cast_at)"
        f" VALUES {_places(len(ballots), 4)}"
        " ON CONFLICT (question_id, voter) DO NOTHING RETURNING receipt, id",
        values,
    )
    return dict(cursor.fetchall())


def insert_marks(
    cursor: CursorWrapper, ballots: list[tuple[int, Sequence[int]]]
) -> None:
    """Write the choices of these ballots (ids); a ballot has at least one."""
    marks = [
        value
        for ballot, choices in ballots
        for rank, choice in enumerate(choices, 1)
        for value in (ballot, choice, rank)
    ]
    cursor.execute(
        "INSERT INTO polls_mark (ballot_id, choice_id, rank)"
        f" VALUES {_places(len(marks) // 3, 3)}",
        marks,
    )


def _move_totals(cursor: CursorWrapper, slips: list[Slip]) -> bool:
    """Return False if a choice is not one of its question's any more, or reads otherwise than its voter was shown."""
    totals: dict[tuple[int, int, str], list[int]] = {}
    for slip in slips:
        for choice, (votes, ballots) in slip.question.weights(slip.choices).items():
            text = slip.question.offered.get(choice, "")
            total = totals.setdefault((choice, slip.question.pk, text), [0, 0, 0])
            total[:] = total[0] + votes, total[1] + ballots, total[2] + 1
    # In id order, as everybody locks them.
    for key in sorted(totals):
        cursor.execute(
            "UPDATE polls_choice SET votes = votes + %s, ballots = ballots + %s, moves = moves + %s"
            " WHERE id = %s AND question_id = %s AND choice_text = %s",
            [*totals[key], *key],
        )
        if not cursor.rowcount:
            return False
    return True


def require_same(cursor: CursorWrapper, ballots: list["models.Ballot"]) -> None:
    """Hold each question as it is now against what its voter was shown. Raises Refused or Choice.DoesNotExist.

    To be called with the totals locked: a vote may have waited there for the
    question to be closed.
    """
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    questions = sorted({ballot.question_id for ballot in ballots})
    cursor.execute(
        # As in QuestionQuerySet.open(), and held to it by a test.
        "SELECT id, pub_date <= %s AND (closes_at IS NULL OR closes_at > %s),"
        f" {', '.join(models.Question.RULES)} FROM polls_question"
        f" WHERE id IN {_places(1, len(questions))}",
        [now, now, *questions],
    )
    found = {pk: (is_open, rules) for pk, is_open, *rules in cursor.fetchall()}
    for ballot in ballots:
        question = ballot.question
        if question.pk not in found:
            raise models.Choice.DoesNotExist
        is_open, rules = found[question.pk]
        if not is_open:
            raise models.NotOpen("Your vote was not counted.")
        if rules != [getattr(question, name) for name in question.RULES]:
            raise models.Changed
        question.require_invited(ballot.voter)
