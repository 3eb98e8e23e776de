"""How SQLite forgets: the note that something is still to be overwritten is 1 in a number that it has for its users."""

from django.db import OperationalError
from django.db.backends.utils import CursorWrapper


def note(cursor: CursorWrapper, is_due: bool) -> None:
    if is_due:
        # What is deleted from here on is overwritten with zeros at once.
        cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute(f"PRAGMA user_version={int(is_due)}")


def is_due(cursor: CursorWrapper) -> bool:
    cursor.execute("PRAGMA user_version")
    return bool(cursor.fetchone()[0] == 1)


def overwrite(cursor: CursorWrapper) -> None:
    # secure_delete does not reach what a row was before an earlier change: that lies in the gaps of a page.
    cursor.execute("VACUUM")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if cursor.fetchone()[0]:
        raise OperationalError("somebody is reading the end of the log")
