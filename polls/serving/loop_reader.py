"""Reading the database from the event loop, on one connection of its own: a few rows take less time than to ask a thread for them.

What cannot be read so raises an error, and is read in a thread: where the database is away, where somebody holds a lock,
where more than rows is needed.
"""

import asyncio
import time
from typing import TypeVar

from django.db import OperationalError

from ..database import LoopConnection, database
from ..page_sql import Reading

T = TypeVar("T")
# Seconds after a connection could not be opened: the threads find out whether the database is there again.
REST = 1


class LoopReader:
    def __init__(self) -> None:
        self._connection: LoopConnection | None = None
        self._opening = asyncio.Lock()
        self._rests_until = 0.0

    async def read(self, reading: Reading[T]) -> T:
        try:
            statement = next(reading)
            while True:
                connection = await self._open()
                statement = reading.send(await connection.rows(statement))
        except StopIteration as made:
            result: T = made.value
            return result
        finally:
            reading.close()

    async def _open(self) -> LoopConnection:
        async with self._opening:
            if self._connection and not self._connection.is_closed:
                return self._connection
            if time.monotonic() < self._rests_until:
                raise OperationalError("There was no connection a moment ago.")
            self._rests_until = time.monotonic() + REST
            self._connection = await database.open_for_loop()
            self._rests_until = 0.0
            return self._connection

    async def close(self) -> None:
        if self._connection and not self._connection.is_closed:
            await self._connection.close()
