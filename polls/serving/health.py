"""The checks that are open to everybody and ask the database: is the site well, and is it ready.

Under ASGI one thread, with one connection, makes all of them: who came while one was made is told its result.
"""

import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from ..database import database

# When the request came in, where one thread answers them all.
_came_at: ContextVar[float | None] = ContextVar("came_at", default=None)


@contextmanager
def came_now() -> Iterator[None]:
    """For the handler, around a request that waits for that thread: a check is told when it came."""
    token = _came_at.set(time.monotonic())
    try:
        yield
    finally:
        _came_at.reset(token)


class Check:
    """A check that raises the error that a voter would meet."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        # The last one of that thread.
        self._ended = 0.0
        self._error: Exception | None = None

    def __call__(self) -> None:
        came = _came_at.get()
        if came is None:
            # Under WSGI each thread has a connection of its own.
            self._check()
            return
        if came > self._ended:
            self._check_once()
        if self._error:
            # A new one each time: one that is raised again keeps all frames that it has come through.
            raise type(self._error)(*self._error.args) from self._error

    def _check_once(self) -> None:
        self._error = None
        try:
            self._check()
        except Exception as error:
            self._error = error
        self._ended = time.monotonic()


class NotMigrated(OperationalError):
    """The database is older than this code, or another one."""


@functools.cache
def _newest() -> set[tuple[str, str]]:
    """Return the last migration of each app: those have all others before them."""
    return set(MigrationLoader(None).graph.leaf_nodes())


def _check_migrated() -> None:
    missing = _newest() - MigrationRecorder(connection).applied_migrations().keys()
    if missing:
        app, name = min(missing)
        raise NotMigrated(
            f"The database lacks {app}.{name}. Run: python manage.py migrate"
        )


# A lambda, for each thread has a connection of its own. With little room on the disk, SQLite's tries to write something.
is_well = Check(lambda: database.check_health())
is_migrated = Check(_check_migrated)


def reason_of(error: BaseException) -> str:
    """Return why it is not well in a sentence that anybody may read: what a database says names machines and files."""
    if isinstance(error, NotMigrated):
        return str(error)
    if isinstance(error, OSError):
        return f"{os.strerror(error.errno or 0)}."
    if re.search("disk is full|No space left", str(error)):
        return "There is no room on the disk."
    if database.is_busy(error):
        return "The database is busy."
    return "The database cannot be used."
