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
        try:
            yield
        finally:
            # Also for what was done before something failed.
            _rewrite(cursor)


def _rewrite(cursor: CursorWrapper) -> None:
    on_sqlite = connection.vendor == "sqlite"
    try:
        _rewrite_sqlite(cursor) if on_sqlite else _rewrite_postgresql(cursor)
    except OperationalError as error:
        raise CommandError(
            f"It is deleted, but the database's files could not be written anew ({error}), and what was deleted "
            "can still be found in them. Run VACUUM on the database when nobody else uses it."
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


def _rewrite_postgresql(cursor: CursorWrapper) -> None:
    _wait_for_readers(cursor)
    # Whoever waits for this lock keeps all others waiting.
    cursor.execute("SET lock_timeout = '10s'")
    # The salts and the codes are in small tables, written anew: a plain VACUUM would leave the bytes in their pages.
    for table in (
        "FULL polls_question",
        "FULL polls_invitation",
        "polls_ballot",
        "polls_mark",
    ):
        cursor.execute(f"VACUUM {table}")
    cursor.execute("RESET lock_timeout")
