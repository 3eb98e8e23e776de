"""How rows get into an empty PostgreSQL: in one transaction."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper


def empty_place() -> AbstractContextManager[None]:
    """Only its rows tell whether it is one."""
    return nullcontext()


def begin(cursor: CursorWrapper, tables: Sequence[str]) -> None:
    # A site that is running there shows what it had, and writes nothing meanwhile.
    cursor.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
    # Else the server would keep each row in memory until the commit, to check where it refers to.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def insert(
    cursor: CursorWrapper,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def last_id(cursor: CursorWrapper, table: str) -> int:
    cursor.execute(
        f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {_sequence(cursor, table)}"
    )
    return int(cursor.fetchone()[0])


def finish(cursor: CursorWrapper, table: str, last_id: int) -> None:
    cursor.execute(
        "SELECT setval(%s, %s, %s)",
        [_sequence(cursor, table), max(last_id, 1), last_id > 0],
    )
    # The planner knows nothing of rows that came a moment ago.
    cursor.execute(f"ANALYZE {table}")


def _sequence(cursor: CursorWrapper, table: str) -> str:
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
    return str(cursor.fetchone()[0])
