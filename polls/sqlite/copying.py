"""How rows get into a new SQLite: under another name, until all are there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from ..database import NotEmpty
from ..locks import file_lock
from .file import file_at

# Of a database and the files that SQLite keeps beside it.
SUFFIXES = ("", "-wal", "-shm")


@contextmanager
def empty_place() -> Iterator[None]:
    """Let the body fill a new file, which gets its name when all is in it: nobody finds half of one."""
    place = str(connection.settings_dict["NAME"])
    with ExitStack() as held:
        try:
            # Race: a site that starts now waits, and does not make a database of its own meanwhile.
            held.enter_context(file_lock(f"{place}.lock", timeout=0))
        except TimeoutError:
            raise NotEmpty(f"Another process is making {place}.") from None
        _require_nothing_at(place)
        draft = f"{place}.restoring"
        _delete(draft)
        connection.close()
        connection.settings_dict["NAME"] = draft
        try:
            yield
            _empty_log()
            connection.close()
            _move(draft, place)
        finally:
            connection.close()
            connection.settings_dict["NAME"] = place
            _delete(draft)


def _require_nothing_at(place: str) -> None:
    for suffix in SUFFIXES:
        if os.path.exists(f"{place}{suffix}"):
            raise NotEmpty(
                f"{place}{suffix} is there. Stop the site and move {place}, {place}-wal and {place}-shm away, as far as "
                "they are there; or name another place."
            )


def _empty_log() -> None:
    """Move what is in the log into the file: the end of a connection does so too, and says nothing of a full disk."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if cursor.fetchone()[0]:
            raise OperationalError("somebody else reads the new file")


def _delete(path: str) -> None:
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _move(draft: str, place: str) -> None:
    try:
        # Race: this fails where somebody has made one meanwhile.
        os.link(draft, place)
    except FileExistsError:
        raise NotEmpty(f"Somebody has made {place} meanwhile. It stays.") from None
    folder = os.open(os.path.dirname(os.path.abspath(place)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    file_at(place).note_made()


def begin(cursor: CursorWrapper, tables: Sequence[str]) -> None:
    """Nobody else knows of the file."""


def insert(
    cursor: CursorWrapper,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    values = ", ".join(["%s"] * len(columns))
    cursor.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})", rows
    )


def last_id(cursor: CursorWrapper, table: str) -> int:
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
    found = cursor.fetchone()
    return int(found[0]) if found else 0


def finish(cursor: CursorWrapper, table: str, last_id: int) -> None:
    cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
    cursor.execute("INSERT INTO sqlite_sequence VALUES (%s, %s)", [table, last_id])
