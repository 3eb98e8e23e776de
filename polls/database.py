"""What the site asks of its database beside what Django asks: sqlite/ and postgresql/ both answer it."""

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

from django.db import connection
from django.db.backends.utils import CursorWrapper

Rows = list[tuple[Any, ...]]


class Statement(NamedTuple):
    """SQL with a %s for each parameter."""

    sql: str
    parameters: Sequence[Any]


class LoopConnection(Protocol):
    """A connection that the event loop reads by, outside of transactions."""

    @property
    def is_closed(self) -> bool: ...

    def rows(self, statement: Statement) -> Awaitable[Rows]:
        """Read without waiting for long. Raises OperationalError or TimeoutError, and then a thread may wait."""

    def close(self) -> Awaitable[None]: ...


class Erasure(Protocol):
    """How a database overwrites what was deleted; while that is due, it keeps a note of it."""

    def note(self, cursor: CursorWrapper, is_due: bool) -> None: ...

    def is_due(self, cursor: CursorWrapper) -> bool: ...

    def overwrite(self, cursor: CursorWrapper) -> None:
        """Raise OperationalError where somebody still reads what was deleted."""


class Reason(NamedTuple):
    """Why the database cannot be used, what the operator is to do, and whether it may pass by itself."""

    said: str
    advice: str
    may_pass: bool


class NotEmpty(Exception):
    """There is something where a copy was to go. Its text says what, and what to do."""


class Copying(Protocol):
    """How the rows of another database get into this one."""

    def empty_place(self) -> AbstractContextManager[None]:
        """Let the body fill the database. Raises NotEmpty where the place alone tells that there is one."""

    def begin(self, cursor: CursorWrapper, tables: Sequence[str]) -> None:
        """Keep others from writing to these tables, until the end of the transaction."""

    def insert(
        self,
        cursor: CursorWrapper,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
    ) -> None: ...

    def last_id(self, cursor: CursorWrapper, table: str) -> int:
        """Return the last id that the table has given; 0 for none."""

    def finish(self, cursor: CursorWrapper, table: str, last_id: int) -> None:
        """Let the table go on with the ids after this one."""


class Database(Protocol):
    # The collation that sorts text byte by byte.
    bytewise: str
    erasure: Erasure
    copying: Copying

    def cursor(self) -> CursorWrapper: ...

    def prepared_cursor(self) -> CursorWrapper:
        """Return a cursor for what pages ask again and again: the database keeps its statements ready."""

    def open_for_loop(self) -> Awaitable[LoopConnection]:
        """Open a connection for the event loop that awaits it."""

    def is_busy(self, error: BaseException | None) -> bool:
        """Tell whether it refused for a moment, as when others hold a lock: what was to be written is certainly not."""

    def explain(self, error: Exception) -> Reason:
        """Say why it cannot be used."""

    def missing_limits(self) -> list[str]:
        """Name the limits of time that somebody else was to set, and has not."""

    def check_health(self) -> None:
        """Raise the error that a voter would meet."""

    def write_queue(self) -> AbstractContextManager[None]:
        """Let the workers write one after the other, where the database itself gives them no fair turn."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Let the body read the database as it is at one moment, while others write."""

    def long_statements(self) -> AbstractContextManager[None]:
        """Give the statements of the body all the time that they take, as for a million ballots."""

    def big_file_lock(self) -> AbstractContextManager[bool]:
        """Take the lock of whoever makes a big file, without waiting; tell the body whether it is held."""


# Django makes it of the class that the settings name, which no type can say.
database = cast(Database, connection)
