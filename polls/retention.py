"""Forgetting: voters, ballots, and what the database's files keep of them.

Both databases leave what is deleted lying where it was. So what is forgotten is
overwritten, and what order of ids or of rows would tell is written anew.
"""

import contextlib
import datetime
import secrets
import time
from array import array
from collections.abc import Iterator

from django.conf import settings
from django.core.management.base import CommandError
from django.db import OperationalError, connection, models, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from django.utils import timezone

from .models import Ballot, BallotQuerySet, Choice, Mark, Question, RankingTotal, Voters

# Ballots that are deleted, or written anew, in one transaction: a fraction of a second.
DELETED_AT_ONCE = 2000
REWRITTEN_AT_ONCE = 1000


def forget_voters(question: Question) -> None:
    """Erase what ties voters to the ballots of a closed question, for good.

    Each piece is a transaction, as in delete_ballots(). The salt goes last: what is broken off is begun again.
    """
    _close_gaps_between_marks(question)
    # By receipt, an order that says nothing of who came when.
    ballots = question.ballot_set.order_by("receipt").values_list("pk", flat=True)
    for piece in _pieces(ballots):
        with transaction.atomic():
            question.choice_set.lock()
            _rewrite_ballots(Ballot.objects.filter(pk__in=piece), question.closes_at)
    _erase_salt(question)


def _close_gaps_between_marks(question: Question) -> None:
    """Give the marks of other questions, whose voters are known, fresh ids where they lie between those of this one.

    From gap to gap they would tell how many marks the ballots in between have.
    """
    own = Mark.objects.filter(ballot__question=question)
    span = own.aggregate(first=models.Min("pk"), last=models.Max("pk"))
    between = Mark.objects.filter(pk__range=(span["first"] or 0, span["last"] or 0))
    others = between.exclude(ballot__question=question).exclude(
        ballot__question__voter_salt=""
    )
    for piece in _pieces(others.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            _rewrite_marks(Mark.objects.filter(pk__in=piece))


def _erase_salt(question: Question) -> None:
    """Erase the salt and the invitation codes, and the order in which rankings came up.

    The numbers on the sheet of codes tie voters to ballots too.
    """
    with transaction.atomic():
        question.choice_set.lock()
        question.invitation_set.all().delete()
        _rewrite_rankings(question)
        # Not to change them: PostgreSQL keeps beside a row which transaction was the last to write it.
        question.choice_set.update(revision=F("revision"))
        Question.objects.filter(pk=question.pk).update(voter_salt="")


def delete_ballots(question: Question) -> int:
    """Delete the ballots of a closed question for good, and leave its totals; return how many.

    Each piece is a transaction: on SQLite others want to write too, and
    what is broken off can be begun again.
    """
    with transaction.atomic():
        _erase_salt(question)
        kept = Question.objects.filter(pk=question.pk, ballots_deleted_at=None)
        kept.update(ballots_deleted_at=timezone.now())
    number = 0
    while True:
        piece = question.ballot_set.values_list("pk", flat=True)[:DELETED_AT_ONCE]
        deleted = Ballot.objects.filter(pk__in=list(piece)).bulk_delete()
        if not deleted:
            return number
        number += deleted
        # A writer who waits for SQLite looks every tenth of a second whether it is free.
        time.sleep(0.1 if deleted == DELETED_AT_ONCE else 0)


def _pieces(ids: models.QuerySet) -> Iterator[list[int]]:
    """Yield the ids piece by piece, with time for others who write in between; in 8 bytes of memory an id."""
    left = array("q", ids.iterator())
    for start in range(0, len(left), REWRITTEN_AT_ONCE):
        yield list(left[start : start + REWRITTEN_AT_ONCE])
        # As in delete_ballots().
        time.sleep(0.1 if start + REWRITTEN_AT_ONCE < len(left) else 0)


def _insert(table: str, rows: list[tuple[object, ...]]) -> None:
    """Insert rows in this order, without an object of Django's for each: there may be millions."""
    if not rows:
        return
    values = ", ".join(["%s"] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES ({values})", rows)


def _rewrite_ballots(ballots: BallotQuerySet, cast_at: datetime.datetime) -> None:
    """Write these ballots anew, in the order of their receipts: with fresh ids and random keys, and at one time."""
    old = list(ballots.order_by("receipt").values_list("question", "receipt"))
    marks = Mark.objects.filter(ballot__in=ballots).order_by("ballot__receipt", "rank")
    marks = list(marks.values_list("ballot__receipt", "choice", "rank"))
    ballots.bulk_delete()
    moment = connection.ops.adapt_datetimefield_value(cast_at)
    _insert(
        "polls_ballot (question_id, receipt, voter_key, cast_at)",
        [(*row, secrets.token_hex(16), moment) for row in old],
    )
    receipts = [receipt for _, receipt in old]
    fresh = Ballot.objects.filter(receipt__in=receipts)
    ids = dict(fresh.values_list("receipt", "pk"))
    _insert(
        "polls_mark (ballot_id, choice_id, rank)",
        [(ids[receipt], *mark) for receipt, *mark in marks],
    )


def _rewrite_marks(marks: models.QuerySet[Mark]) -> None:
    """Give these marks fresh ids, in the order that they have."""
    Choice.objects.filter(
        question__in=marks.values("ballot__question").distinct()
    ).lock()
    # Read with the lock in hand: a voter may have changed some meanwhile.
    rows = list(marks.order_by("pk").values_list("ballot_id", "choice_id", "rank"))
    marks.delete()
    _insert("polls_mark (ballot_id, choice_id, rank)", rows)


def _rewrite_rankings(question: Question) -> None:
    """Write the rankings of ballots anew in an order that says nothing; the caller has locked the choices."""
    rows = RankingTotal.objects.filter(question=question)
    kept = rows.filter(ballots__gt=0).order_by("choices")
    totals = list(kept.values_list("question", "choices", "ballots"))
    rows.delete()
    _insert("polls_ranking (question_id, choices, ballots)", totals)


KEPT = {
    Voters.ANYONE: "a key made of a random cookie in your browser",
    Voters.ACCOUNTS: "a key made of your account",
    Voters.CODES: "a key made of your invitation code",
}


def what_is_kept(question: Question) -> str:
    """Say in one line what this poll keeps about a voter, and until when."""
    days = (
        settings.FORGET_VOTERS_DAYS,
        settings.DELETE_BALLOTS_DAYS,
        settings.DELETE_POLLS_DAYS,
    )
    first = min(filter(None, days), default=None)
    until = "the operator erases it"
    if first:
        until = f"{first} days after the poll has closed"
    if not question.voter_salt:
        return "What tied voters to their ballots has been erased: nobody can tell any more who cast which."
    receipt = (
        "a receipt code" if question.receipts else "a random code that nobody is given"
    )
    return (
        f"This poll keeps your choice, the time, {receipt} and {KEPT[question.voters]}: no name, no address. "
        f"Until {until}, whoever runs this site could tie a ballot to its voter."
    )


@contextlib.contextmanager
def for_good() -> Iterator[None]:
    """Overwrite what is deleted meanwhile. Not within a transaction."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA secure_delete=ON")
        # Before anything is deleted: whoever is killed leaves it to the next run.
        _set_due(cursor, True)
        try:
            yield
        finally:
            # Also for what was done before something failed.
            _rewrite(cursor)


# The database itself keeps, until it is done, that its files are to be written anew: SQLite in a number that it has for
# its users, PostgreSQL as a comment on a table.
_DUE = "What manage.py purge deleted is still in the files."


def is_due() -> bool:
    """Tell whether an earlier run has deleted something and could not overwrite it."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA user_version")
            return cursor.fetchone()[0] == 1
        cursor.execute("SELECT obj_description('polls_question'::regclass, 'pg_class')")
        return cursor.fetchone()[0] == _DUE


def _set_due(cursor: CursorWrapper, due: bool) -> None:
    if connection.vendor == "sqlite":
        cursor.execute(f"PRAGMA user_version={int(due)}")
    else:
        words = f"'{_DUE}'" if due else "NULL"
        cursor.execute(f"COMMENT ON TABLE polls_question IS {words}")


def _rewrite(cursor: CursorWrapper) -> None:
    on_sqlite = connection.vendor == "sqlite"
    try:
        _rewrite_sqlite(cursor) if on_sqlite else _rewrite_postgresql(cursor)
        _set_due(cursor, False)
    except OperationalError as error:
        raise CommandError(
            f"It is deleted, but the database's files could not be written anew ({error}), and what was deleted "
            "can still be found in them. Make room, or wait until nobody else uses the database, and say purge --yes "
            "again."
        ) from None


def _rewrite_sqlite(cursor: CursorWrapper) -> None:
    # A row that was changed before has left its old text in the gaps of a page: secure_delete came too late for that.
    cursor.execute("VACUUM")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if cursor.fetchone()[0]:
        raise OperationalError("somebody is reading the end of the log")


# Whether nobody is left whose transaction is older than this one.
_IS_LAST = """
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8 AND NOT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) > age(%s::xid8::xid)
)
"""


def _wait_for_readers(cursor: CursorWrapper) -> None:
    """Wait for transactions that may still see what was deleted: for them VACUUM leaves it there."""
    cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    next_transaction = cursor.fetchone()[0]
    for _ in range(300):
        cursor.execute(_IS_LAST, [next_transaction] * 2)
        if cursor.fetchone()[0]:
            return
        time.sleep(0.1)
    raise OperationalError("a long transaction, such as a backup, still sees it")


# In the order of an index: a row that was changed has moved behind the others, and would stay there.
_REWRITTEN = [
    "polls_question",
    "polls_choice",
    "polls_ballot",
    "polls_mark",
    "polls_ranking",
    "polls_invitation",
    "auth_user",
    "django_session",
]


def _rewrite_postgresql(cursor: CursorWrapper) -> None:
    _wait_for_readers(cursor)
    # Whoever waits for this lock keeps all others waiting.
    cursor.execute("SET lock_timeout = '10s'")
    _drop_statistics(cursor)
    for table in _REWRITTEN:
        # A VACUUM FULL that sorts. A plain one would leave the bytes in their pages.
        cursor.execute(f"CLUSTER {table} USING {table}_pkey")
        cursor.execute(f"ANALYZE {table}")
    # Their old rows too; a warning, and no error, to whom the database does not belong.
    cursor.execute("VACUUM FULL pg_statistic")
    cursor.execute("RESET lock_timeout")


# The columns of which a migration lets the planner keep nothing, or as little as it takes to find a key. What it has kept
# before goes with a change of type, be it to the same one; ANALYZE drops none of it.
_SAMPLED = """
SELECT 'ALTER TABLE ' || relname || ' ALTER ' || attname || ' TYPE ' || format_type(atttypid, atttypmod)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_stats USING (attname)
WHERE tablename = relname AND schemaname = current_schema() AND relnamespace = schemaname::regnamespace
AND relname = ANY(%s) AND attstattarget BETWEEN 0 AND 1
"""


def _drop_statistics(cursor: CursorWrapper) -> None:
    cursor.execute(_SAMPLED, [_REWRITTEN])
    for (statement,) in cursor.fetchall():
        cursor.execute(statement)
