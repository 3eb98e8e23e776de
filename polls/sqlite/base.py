"""Django's SQLite, for a file that may be deleted, replaced or out of room while the site runs."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Any

from django.db import NotSupportedError, OperationalError, transaction
from django.db.backends.sqlite3 import base
from django.db.backends.utils import CursorWrapper
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property

from ..database import Reason
from ..locks import file_lock
from . import copying, erasure
from .file import Connection, DatabaseFile, file_at
from .loop_connection import LoopConnection

# With less room than this on the disk, the log is kept short, and the health check tries whether a write succeeds.
LITTLE_ROOM = 16 * 1024 * 1024

# SQLite lets the log grow to 1,000 pages before it moves them into the database. On a small disk that leaves the database
# no room to take them.
SHORT_LOG = ("PRAGMA wal_autocheckpoint = 100", "PRAGMA journal_size_limit = 409600")

CANNOT_WRITE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Busy(OperationalError):
    """Those before did not finish in time."""


def _has_little_room(file: DatabaseFile) -> bool:
    room = os.statvfs(os.path.dirname(os.path.abspath(file.path)))
    return room.f_bavail * room.f_frsize < LITTLE_ROOM


class ErrorWrapper(DatabaseErrorWrapper):
    """Learn from every error of SQLite whether the file can still be used."""

    wrapper: "DatabaseWrapper"

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The low byte is the kind, the rest says more about it.
        kind = getattr(exc_value, "sqlite_errorcode", 0) & 0xFF
        file = self.wrapper.file
        if file and kind in CANNOT_WRITE:
            file.cannot_write = True
        if file and kind in DAMAGED:
            file.note_damage(exc_value)
            file.require_same()
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    bytewise = "BINARY"
    erasure = erasure
    copying = copying

    # The stubs of Django keep silent about some methods that backends override: hence type: ignore[misc].

    # How transactions begin; of the options of the settings.
    transaction_mode: str | None

    # The database on the disk; None for one in memory, or before the first connection.
    file: DatabaseFile | None = None

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        return ErrorWrapper(self)

    def get_new_connection(self, params: dict[str, Any]) -> sqlite3.Connection:
        self.file = None if self.is_in_memory_db() else file_at(str(params["database"]))
        if not self.file:
            in_memory: sqlite3.Connection = super().get_new_connection(params)
            return in_memory
        with self.file.opening():
            connection: Connection = super().get_new_connection(
                params | {"factory": Connection}
            )
            # SQLite opens the log with the first reading.
            connection.execute("PRAGMA schema_version").fetchone()
            self.file.keep(connection)
        if _has_little_room(self.file):
            self._keep_log_short(connection)
        return connection

    def _close(self) -> None:
        if not self.file or self.connection is None:
            super()._close()  # type: ignore[misc]
            return
        with self.file.closing(self.connection):
            super()._close()  # type: ignore[misc]

    def create_cursor(self, name: str | None = None) -> base.SQLiteCursorWrapper:
        # Every statement comes by here: pages, too, are not to show what is no more. A transaction looks as it
        # begins, and before it is committed.
        if self.file and not self.in_atomic_block:
            self.file.require_same()
        cursor: base.SQLiteCursorWrapper = super().create_cursor(name)
        return cursor

    def prepared_cursor(self) -> CursorWrapper:
        # SQLite's driver keeps all of them.
        return self.cursor()

    async def open_for_loop(self) -> LoopConnection:
        # In a thread, for SQLite may have to read its log first.
        return await asyncio.to_thread(self._open_for_loop)

    def _open_for_loop(self) -> LoopConnection:
        parameters = self.get_connection_params() | {"timeout": 0}
        connection = self.get_new_connection(parameters)
        if not (self.file and isinstance(connection, Connection)):
            raise NotSupportedError("Nobody else can read what is in memory.")
        return LoopConnection(connection, self.file)

    def _start_transaction_under_autocommit(self) -> None:
        if self.file and self.file.cannot_write:
            self._make_room()
        super()._start_transaction_under_autocommit()  # type: ignore[misc]

    def _commit(self) -> None:
        if self.file:
            self.file.require_same()
        super()._commit()  # type: ignore[misc]
        if self.file:
            self.file.cannot_write = False

    def _make_room(self) -> None:
        """Move what is in the log into the database, so that the log is written from its beginning again."""
        with self.wrap_database_errors:
            self._keep_log_short(self.connection)
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _keep_log_short(self, connection: sqlite3.Connection) -> None:
        for statement in SHORT_LOG:
            connection.execute(statement).fetchone()

    def is_busy(self, error: BaseException | None) -> bool:
        # The low byte is the kind.
        kind = getattr(error and error.__cause__, "sqlite_errorcode", 0) & 0xFF
        return isinstance(error, Busy) or kind in {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        }

    def explain(self, error: Exception) -> Reason:
        folder = os.path.dirname(self.settings_dict["NAME"])
        said = " ".join(str(error).split())
        return Reason(said, f"Check the data folder {folder!r}.", False)

    def missing_limits(self) -> list[str]:
        return []

    def check_health(self) -> None:
        """A write is tried only where one is likely to fail."""
        with self.cursor() as cursor:
            cursor.execute("PRAGMA schema_version").fetchall()
            if not self.file:
                return
            if self.file.cannot_write or _has_little_room(self.file):
                self._write_something(cursor)

    def _write_something(self, cursor: CursorWrapper) -> None:
        with transaction.atomic():
            # The number that purge keeps there, written anew as it is.
            ((number,),) = cursor.execute("PRAGMA user_version").fetchall()
            cursor.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def write_queue(self) -> Iterator[None]:
        """SQLite would have them sleep ever longer before they try again, and now and then one is unlucky many times."""
        if self.is_in_memory_db():
            # It is a test's, and has no file to queue beside.
            yield
            return
        path = f"{self.settings_dict['NAME']}.queue"
        # No longer than SQLite itself would wait.
        timeout = self.settings_dict["OPTIONS"]["timeout"]
        with ExitStack() as held:
            try:
                held.enter_context(file_lock(path, timeout, keep_open=True))
            except TimeoutError:
                sentence = "The database is busy: those before did not finish."
                raise Busy(sentence) from None
            except OSError as error:
                # As when SQLite cannot open its own files.
                raise OperationalError(f"{path}: {error.strerror}") from None
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.ensure_connection()
        usual = self.transaction_mode
        # The site's own transactions take the lock of the one writer as they begin.
        self.transaction_mode = "DEFERRED"
        try:
            with transaction.atomic(self.alias):
                yield
        finally:
            self.transaction_mode = usual

    def long_statements(self) -> AbstractContextManager[None]:
        """As on PostgreSQL, where statements have a limit of time."""
        return nullcontext()

    @contextmanager
    def big_file_lock(self) -> Iterator[bool]:
        with ExitStack() as held:
            path = f"{self.settings_dict['NAME']}.export"
            try:
                held.enter_context(file_lock(path, timeout=0))
                is_held = True
            except TimeoutError:
                is_held = False
            yield is_held
