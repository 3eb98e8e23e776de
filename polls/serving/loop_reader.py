"""Reading the database from the event loop, on one connection of its own: a few rows take less time than to ask a thread for them.

What cannot be read so raises an error, and is read in a thread: where the database is away or lets somebody wait, where
more than rows is needed. No request waits for the connection to be opened either.
"""

import asyncio
import logging
import time
from typing import TypeVar

from django.db import OperationalError

from ..database import LoopConnection, database
from ..page_sql import Reading

T = TypeVar("T")
# Seconds from one try to open a connection to the next: it is the threads that find out whether the database is there.
REST = 1
# Seconds for a try.
PATIENCE = 10

logger = logging.getLogger(__name__)


class LoopReader:
    def __init__(self) -> None:
        self._connection: LoopConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._tried_at = -float("inf")
        # The log has a line for many tries that fail.
        self._has_told = False

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed

    @property
    def _is_opening(self) -> bool:
        return self._opening is not None and not self._opening.done()

    async def read(self, reading: Reading[T]) -> T:
        """Raises OperationalError, also where there is no connection yet, or TimeoutError."""
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
        if not self._is_opening and time.monotonic() - self._tried_at >= REST:
            self._tried_at = time.monotonic()
            self._opening = asyncio.create_task(self._try_to_open())

    async def _try_to_open(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                self._connection = await database.open_for_loop()
            self._has_told = False
        except Exception as error:
            if not self._has_told:
                sentence = "The event loop cannot read the database, so threads do: %s"
                logger.warning(sentence, error)
            self._has_told = True

    async def close(self) -> None:
        if self._opening and self._is_opening:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._connection and self.is_open:
            await self._connection.close()
