"""Overwriting what was deleted: both databases leave its bytes in their files until they need the room."""

import contextlib
from collections.abc import Iterator

from django.db import OperationalError

from .database import database


class NotOverwritten(Exception):
    """What was deleted can still be found in the database's files; its text is the database's reason."""


@contextlib.contextmanager
def erasing() -> Iterator[None]:
    """Overwrite what the body deletes, also where the body fails. Not within a transaction.

    Raises NotOverwritten. Then, or if the process is killed, is_overdue() holds until a later run succeeds.
    """
    with database.cursor() as cursor:
        database.erasure.note(cursor, is_due=True)
        try:
            yield
        finally:
            try:
                database.erasure.overwrite(cursor)
                database.erasure.note(cursor, is_due=False)
            except OperationalError as error:
                raise NotOverwritten(str(error)) from error


def is_overdue() -> bool:
    """Tell whether an earlier run deleted something and did not overwrite it."""
    with database.cursor() as cursor:
        return database.erasure.is_due(cursor)
