"""What the event loop reads of SQLite by itself: a few rows by an index take a tenth of the time that it takes to ask a thread.

It waits for no lock of others: that is for a thread to do.
"""

import functools
import sqlite3

from django.db import OperationalError

from ..database import Rows, Statement
from .file import Connection, DatabaseFile


@functools.lru_cache(maxsize=256)
def _for_driver(sql: str) -> str:
    return sql.replace("%s", "?")


class LoopConnection:
    is_closed = False

    def __init__(self, connection: Connection, file: DatabaseFile) -> None:
        self._connection, self._file = connection, file

    async def rows(self, statement: Statement) -> Rows:
        """Raises OperationalError."""
        self._file.require_same()
        sql = _for_driver(statement.sql)
        try:
            return self._connection.execute(sql, statement.parameters).fetchall()
        except sqlite3.Error as error:
            raise OperationalError(str(error)) from error

    async def close(self) -> None:
        self.is_closed = True
        with self._file.closing(self._connection):
            self._connection.close()
