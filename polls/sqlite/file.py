"""The files of an SQLite database, held against what this process opened.

SQLite goes on writing to a file that nobody can open any more, and mixes the
log of one file with the pages of another. So whoever writes looks first. A
worker never opens the file that came in the place of its own: two workers
would have two databases. When its own is back, it is used again.
"""

import functools
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import OperationalError

Identity = tuple[int, int] | None


class FileLost(OperationalError):
    """What is at the path does not hold the votes. Its text tells the operator what is so, and what to do."""


class Connection(sqlite3.Connection):
    """A connection that a weak reference can follow, as it cannot Python's own."""


def _identity(path: str) -> Identity:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class DatabaseFile:
    def __init__(self, path: str) -> None:
        self.path = path
        # The log and its index, which SQLite keeps beside the database while somebody has it open.
        self.log, self.index = f"{path}-wal", f"{path}-shm"
        # Left by the first start, with the number of the file, so that a database that is gone is not taken for a new
        # site. The name begins with another word: `rm polls.sqlite3*` leaves it.
        self.made = Path(path).with_name(f"made-{Path(path).name}")
        # The last write failed, because the disk is full, say.
        self.cannot_write = False
        self._damage = ""
        self._opened: dict[str, Identity] = {}
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._opening = threading.Lock()

    def require_same(self) -> None:
        """Raise FileLost unless what is at the path is what was opened."""
        if self._damage:
            raise FileLost(self._damage)
        for path, opened in self._opened.items():
            if _identity(path) != opened:
                raise FileLost(
                    f"{path} was deleted or replaced while the site had it open. Put the same file back. "
                    f"Or stop the site, {self._restore}"
                )

    @property
    def _restore(self) -> str:
        return (
            f"put a backup in the place of {self.path}, delete {self.log} and {self.index} (they are of the old one), "
            "and start again."
        )

    def note_damage(self, error: BaseException | None) -> None:
        self._damage = (
            f"{self.path} is damaged ({error}); perhaps another file was copied over it while the site had it open. "
            f"Stop the site, {self._restore}"
        )

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Look before the body opens a connection, and keep what it has opened."""
        with self._opening:
            # Held, so that none of them ends before this one is open: not by garbage collection either.
            others = list(self._connections)
            if not others:
                # Whoever closes last deletes the log and its index; the next ones are others.
                self._opened.pop(self.log, None)
                self._opened.pop(self.index, None)
            self.require_same()
            self._require_what_was_made()
            if not os.path.exists(self.path):
                # SQLite would let the group and others read it, and gives its other files the mode of this one.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            yield
            for path in (self.path, self.log, self.index):
                self._opened.setdefault(path, _identity(path))
            del others

    def keep(self, connection: Connection) -> None:
        self._connections.add(connection)

    @contextmanager
    def closing(self, connection: Connection) -> Iterator[None]:
        """Let nobody open a connection while the body closes this one.

        It may be the last, with which the log goes: whoever opened one meanwhile
        would have another log than the one that was noted.
        """
        with self._opening:
            # Not left to the garbage collection: a traceback may hold it for long after this.
            self._connections.discard(connection)
            yield

    def note_made(self) -> None:
        """Note that this database has been made, and which file it is."""
        number = f"{os.stat(self.path).st_ino}\n"
        if self.made.exists() and self.made.read_text() == number:
            # It stands. On a full disk that does not let the site start: SQLite's index needs room, too.
            return
        descriptor = os.open(self.made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(number)

    def _require_what_was_made(self) -> None:
        """Raise FileLost if there was a database, and what a new process finds is nothing, or is half of it."""
        if not self.made.exists():
            return
        if not os.path.exists(self.path) or not os.path.getsize(self.path):
            raise FileLost(
                f"{self.path} is gone, though there was a database. Put a backup in its place; or, for a new site, "
                f"delete {self.made}."
            )
        number = self.made.read_text().strip()
        is_other = number and number != str(os.stat(self.path).st_ino)
        if is_other and os.path.exists(self.log) and os.path.getsize(self.log):
            raise FileLost(
                f"{self.path} has another number (inode) than before. If it came here together with {self.log} (a folder "
                "that was copied, moved or restored whole), or if nobody put it there (some file systems number anew when "
                f"they are mounted), delete {self.made} and nothing else: the log may hold accepted votes. If it alone was "
                f"put in the place of another, the log is of that other and would spoil it. Delete {self.log} and {self.index}."
            )

    def keep_private(self) -> None:
        """Let nobody but the owner read it: the hashes of passwords and the salts are in there."""
        ours = ["", "-wal", "-shm", ".lock", ".queue", ".export"]
        for path in [f"{self.path}{suffix}" for suffix in ours]:
            if os.path.exists(path) and os.stat(path).st_mode & 0o077:
                os.chmod(path, 0o600)


@functools.cache
def file_at(path: str) -> DatabaseFile:
    """Return the one object of this process for this database."""
    return DatabaseFile(path)
