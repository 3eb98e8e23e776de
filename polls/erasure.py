"""What is deleted must not be found in the database's files: both databases leave it lying where it was."""

import contextlib
import time
from collections.abc import Iterator

from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper


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
