"""A backup goes into an empty place, whole or not at all; what is written is read again and compared."""

import hashlib
from collections.abc import Iterator
from typing import IO

from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from ..database import NotEmpty, database
from . import archive, rows
from .archive import Chunk, NotRestored, Report, Sum
from .rows import MADE_BY_MIGRATE, Model


def check(file: IO[bytes], report: Report) -> None:
    """Read the file to its end. Raises NotRestored if it cannot be restored."""
    done = 0
    for part in archive.read(file):
        if isinstance(part, Sum):
            done = 0
            continue
        report(part.table.name, done, part.table.rows)
        done += len(part.rows)


def restore(file: IO[bytes], report: Report) -> Iterator[Sum]:
    """Write all of the file; yield each table that is the same now. Raises NotRestored or NotEmpty; then nothing is kept."""
    try:
        with database.copying.empty_place():
            _require_empty()
            call_command("migrate", verbosity=0)
            archive.require_migrated()
            with transaction.atomic():
                _begin()
                yield from _fill(file, report)
    except DatabaseError as error:
        raise _refused("The rows", error) from error


def _begin() -> None:
    models = rows.all_models()
    with database.cursor() as cursor:
        database.copying.begin(cursor, [model._meta.db_table for model in models])
    # Race: somebody may have written to it until the lock was taken.
    _require_empty()
    _delete_what_migrate_made(models)


def _refused(what: str, error: Exception) -> NotRestored:
    reason = " ".join(str(error).split())
    return NotRestored(
        f"{what}: the database refuses them ({reason}). Nothing is kept."
    )


def _require_empty() -> None:
    there = set(connection.introspection.table_names())
    for model in rows.all_models():
        table = model._meta.db_table
        if table not in there or model in MADE_BY_MIGRATE:
            continue
        if model._base_manager.exists():
            raise NotEmpty(
                f"The database is not empty: there are rows in {table}. It stays as it is. Make an empty one, and restore before "
                "a site starts on it."
            )


def _delete_what_migrate_made(models: list[Model]) -> None:
    with database.cursor() as cursor:
        for model in reversed(models):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")


def _fill(file: IO[bytes], report: Report) -> Iterator[Sum]:
    models = {model._meta.db_table: model for model in rows.all_models()}
    done = 0
    for part in archive.read(file):
        model = models[part.table.name]
        if isinstance(part, Sum):
            _finish(model, part)
            done = 0
            yield part
        else:
            report(part.table.name, done, part.table.rows)
            _insert(model, part)
            done += len(part.rows)


def _insert(model: Model, part: Chunk) -> None:
    try:
        rows.insert(model, part.rows)
    except (DatabaseError, TypeError, ValueError) as error:
        raise _refused(f"The rows of {part.table.name}", error) from error


def _finish(model: Model, part: Sum) -> None:
    with database.cursor() as cursor:
        database.copying.finish(cursor, part.table.name, part.table.last_id)
    digest = hashlib.sha256()
    for chunk in rows.lines(model):
        digest.update(b"".join(chunk))
    if digest.hexdigest() != part.sha256:
        raise NotRestored(
            f"{part.table.name}: what was written reads otherwise than it was. Nothing is kept."
        )
