"""Reading the database from the event loop, on one connection of its own: a few rows take less time than to ask a thread for them.

What cannot be read so raises an error, and is read in a thread: where the database is away, where somebody holds a lock,
where more than rows is needed. No request waits for the connection to be opened either.
"""

import asyncio
import time
from contextlib import suppress
from typing import TypeVar

from django.db import OperationalError

from ..database import LoopConnection, database
from ..page_sql import Reading

T = TypeVar("T")
# Seconds from one try to open a connection to the next: it is the threads that find out whether the database is there.
REST = 1


class LoopReader:
    def __init__(self) -> None:
        self._connection: LoopConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._opened_at = -float("inf")

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed

    async def read(self, reading: Reading[T]) -> T:
        """Raise OperationalError where there is no connection yet, and whatever the connection raises."""
        try:
            statement = next(reading)
            while True:
                if not (self._connection and self.is_open):
                    self._open()
                    raise OperationalError("There is no connection yet.")
                statement = reading.send(await self._connection.rows(statement))
        except StopIteration as made:
            result: T = made.value
            return result
        finally:
            reading.close()

    def _open(self) -> None:
        if time.monotonic() - self._opened_at >= REST:
            self._opened_at = time.monotonic()
            self._opening = asyncio.create_task(self._opened())

    async def _opened(self) -> None:
        # What is wrong the threads find too, and tell it.
        with suppress(Exception):
            self._connection = await database.open_for_loop()

    async def close(self) -> None:
        if self._opening and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._connection and self.is_open:
            await self._connection.close()
