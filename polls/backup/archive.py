"""The file of a backup: gzip, and in it JSON, a line a row, the same for both databases.

    {"format": "polls backup 1", "migrations": ["polls.0001_initial", ...]}
    {"name": "polls_question", "columns": ["id", ...], "rows": 2, "last_id": 7}
    [3,"Which colour?", ...]
    [7,"Lunch?", ...]
    {"sha256": "..."}
    ... the other tables ...
    {"tables": 12}

The SHA-256 is that of a table's rows as they stand there: what two databases compare.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from django.db import connection
from django.db.migrations.loader import MigrationLoader

from ..database import database
from . import rows
from .rows import Model, Table

FORMAT = "polls backup 1"
# Bytes. No line of a backup is longer, and of a file that is none no more is read into memory.
LONGEST = 16 * 1024 * 1024

# Is told the table, how many of its rows are done, and how many there are.
Report = Callable[[str, int, int], object]


class NotRestored(Exception):
    """Its text says why in one sentence, and what to do."""


class Sum(NamedTuple):
    """A table that is done."""

    table: Table
    sha256: str

    def __str__(self) -> str:
        return f"{self.table.name}: rows: {self.table.rows:,}, SHA-256: {self.sha256}"


class Chunk(NamedTuple):
    """Some rows of a table."""

    table: Table
    rows: list[rows.Row]


def write(file: IO[bytes], report: Report) -> Iterator[Sum]:
    """Write all that the database has at one moment; yield each table that is done."""
    # Fast: what takes most of the room is random.
    with database.snapshot(), gzip.open(file, "wb", compresslevel=1) as zipped:
        head = {"format": FORMAT, "migrations": require_migrated()}
        zipped.write(_line(head))
        models = rows.all_models()
        for model in models:
            yield _write_table(zipped, model, report)
        zipped.write(_line({"tables": len(models)}))


def _line(values: dict[str, Any]) -> bytes:
    return f"{json.dumps(values)}\n".encode()


def _write_table(zipped: gzip.GzipFile, model: Model, report: Report) -> Sum:
    table, digest, done = rows.table_of(model), hashlib.sha256(), 0
    zipped.write(_line(table._asdict()))
    for chunk in rows.lines(model):
        report(table.name, done, table.rows)
        text = b"".join(chunk)
        zipped.write(text)
        digest.update(text)
        done += len(chunk)
    zipped.write(_line({"sha256": digest.hexdigest()}))
    return Sum(table, digest.hexdigest())


def require_migrated() -> list[str]:
    """Return the migrations of the database. Raises NotRestored unless they are those of this version."""
    loader = MigrationLoader(connection)
    ours, applied = set(loader.graph.nodes), set(loader.applied_migrations)
    if ours != applied:
        raise NotRestored(
            "The database is of another version of this site. Run manage.py migrate, with the later version of the two."
        )
    return _names(ours)


def _names(migrations: set[tuple[str, str]]) -> list[str]:
    return sorted(f"{app}.{name}" for app, name in migrations)


def read(file: IO[bytes]) -> Iterator[Chunk | Sum]:
    """Yield what is in the file. Raises NotRestored for one that is damaged, of something else, or of another version."""
    try:
        yield from _Reader(file).read()
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise NotRestored(
            f"The file is no backup of this site, or is damaged or cut off ({error}). Take another one."
        ) from None


class _Reader:
    def __init__(self, file: IO[bytes]) -> None:
        self._lines = gzip.open(file, "rb")

    def read(self) -> Iterator[Chunk | Sum]:
        head = self._next()
        if head["format"] != FORMAT:
            raise ValueError(f"{head['format']!r}")
        _require_this_version(set(head["migrations"]))
        models = {model._meta.db_table: model for model in rows.all_models()}
        number = len(models)
        while "tables" not in (head := self._next()):
            table = Table(**head)
            if rows.columns_of(models.pop(table.name)) != table.columns:
                raise ValueError(f"other columns in {table.name}")
            yield from self._table(table)
        if head["tables"] != number or models or self._lines.read(1):
            raise ValueError("tables are missing, or there are more")

    def _next(self) -> dict[str, Any]:
        line = self._line()
        values: dict[str, Any] = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError(f"an odd line, {line[:40]!r}")
        return values

    def _line(self) -> bytes:
        line = self._lines.readline(LONGEST)
        if not line.endswith(b"\n"):
            raise ValueError("an end in the middle" if line else "an early end")
        return line

    def _table(self, table: Table) -> Iterator[Chunk | Sum]:
        digest, left = hashlib.sha256(), table.rows
        while left > 0:
            lines = [self._line() for _ in range(min(left, rows.CHUNK))]
            left -= len(lines)
            digest.update(b"".join(lines))
            yield Chunk(table, _same_length(rows.parse(lines), table))
        if self._next()["sha256"] != digest.hexdigest():
            raise ValueError(f"other rows in {table.name} than were written")
        yield Sum(table, digest.hexdigest())


def _same_length(parsed: list[rows.Row], table: Table) -> list[rows.Row]:
    if any(len(row) != len(table.columns) for row in parsed):
        raise ValueError(f"an odd row in {table.name}")
    return parsed


def _require_this_version(theirs: set[str]) -> None:
    ours = set(_names(set(MigrationLoader(None).graph.nodes)))
    if theirs != ours:
        raise NotRestored(
            f"The backup is of another version of this site ({_difference(theirs, ours)}). Restore it with that version, "
            "and upgrade then."
        )


def _difference(theirs: set[str], ours: set[str]) -> str:
    unknown, missing = sorted(theirs - ours), sorted(ours - theirs)
    words = [
        f"{verb} {names[-1]}"
        for verb, names in (("it has", unknown), ("it lacks", missing))
        if names
    ]
    return ", ".join(words)
