"""What is deleted must not be found in the database's files: both databases leave it lying where it was."""

import contextlib
from collections.abc import Iterator

from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper


@contextlib.contextmanager
def for_good() -> Iterator[None]:
    """Overwrite what is deleted meanwhile. Not within a transaction."""
    on_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        if on_sqlite:
            cursor.execute("PRAGMA secure_delete=ON")
        yield
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


def _rewrite_postgresql(cursor: CursorWrapper) -> None:
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
