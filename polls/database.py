"""What the site asks of its database beside what Django asks: sqlite/ and postgresql/ both answer it."""

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, cast

from django.db import connection
from django.db.backends.utils import CursorWrapper


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


class Database(Protocol):
    # The collation that sorts text byte by byte.
    bytewise: str
    erasure: Erasure

    def cursor(self) -> CursorWrapper: ...

    def is_busy(self, error: BaseException | None) -> bool:
        """Tell whether it refused for a moment, as when others hold a lock: what was to be written is certainly not."""

    def explain(self, error: Exception) -> Reason:
        """Say why it cannot be used."""

    def check_health(self) -> None:
        """Raise the error that a voter would meet."""

    def write_queue(self) -> AbstractContextManager[None]:
        """Let the workers write one after the other, where the database itself gives them no fair turn."""

    def long_statements(self) -> AbstractContextManager[None]:
        """Give the statements of the body all the time that they take, as for a million ballots."""

    def big_file_lock(self) -> AbstractContextManager[bool]:
        """Take the lock of whoever makes a big file, without waiting; tell the body whether it is held."""


# Django makes it of the class that the settings name, which no type can say.
database = cast(Database, connection)
