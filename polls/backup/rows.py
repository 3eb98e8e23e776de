"""What is copied: the rows of all tables, as lines of JSON that are the same whatever the database.

In the order of their ids, so that the place of a row does not tell when it was changed.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection, models

from ..database import database

Model = type[models.Model]
Row = list[Any]

# Rows to a chunk: what is in memory at any moment.
CHUNK = 2000

# Whoever has the key of a session is logged in by it: it is in no backup. On the copy people log in again.
LEFT_BEHIND = {Session}

# Written by migrate, into a database that is still empty for that.
MADE_BY_MIGRATE = {
    ContentType,
    Permission,
    Group,
    Group._meta.get_field("permissions").remote_field.through,
}


class Table(NamedTuple):
    """A table at one moment. `last_id` is the last that it has given, be that row deleted since."""

    name: str
    columns: list[str]
    rows: int
    last_id: int


def all_models() -> list[Model]:
    """Return the models whose rows are copied, each after those that it refers to."""
    kept = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model not in LEFT_BEHIND and not model._meta.proxy
    ]
    kept.sort(key=lambda model: model._meta.db_table)
    refers = {
        model: [
            field.related_model
            for field in model._meta.concrete_fields
            if field.related_model in kept and field.related_model is not model
        ]
        for model in kept
    }
    return list(TopologicalSorter(refers).static_order())


def columns_of(model: Model) -> list[str]:
    return [str(field.column) for field in model._meta.concrete_fields]


def table_of(model: Model) -> Table:
    name = model._meta.db_table
    with database.cursor() as cursor:
        last_id = database.copying.last_id(cursor, name)
    rows = model._base_manager.count()
    return Table(name, columns_of(model), rows, last_id)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{type(value)} has no form in a backup.")


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=_plain
).encode


def lines(model: Model) -> Iterator[list[bytes]]:
    """Yield the rows in chunks of lines."""
    names = [field.attname for field in model._meta.concrete_fields]
    rows = model._base_manager.order_by("pk").values_list(*names)
    left = rows.iterator(chunk_size=CHUNK)
    while chunk := list(itertools.islice(left, CHUNK)):
        yield [f"{_encode(row)}\n".encode() for row in chunk]


def parse(chunk: Sequence[bytes]) -> list[Row]:
    """Read lines. Raises ValueError for what is none."""
    rows: list[Row] = json.loads(b"[" + b",".join(chunk) + b"]")
    return rows


def insert(model: Model, rows: Sequence[Row]) -> None:
    for position, read in _readers(model).items():
        for row in rows:
            if row[position] is not None:
                row[position] = read(row[position])
    columns = [connection.ops.quote_name(name) for name in columns_of(model)]
    with database.cursor() as cursor:
        database.copying.insert(cursor, model._meta.db_table, columns, rows)


def _readers(model: Model) -> dict[int, Callable[[str], Any]]:
    """Return what makes a value of the database of one in JSON, by its place in a row, where they differ."""
    return {
        position: _read_time
        for position, field in enumerate(model._meta.concrete_fields)
        if isinstance(field, models.DateTimeField)
    }


def _read_time(text: str) -> object:
    moment = datetime.fromisoformat(text)
    return connection.ops.adapt_datetimefield_value(moment)
