"""What the event loop reads of PostgreSQL, on one connection: one task asks for those who wait, one after the other."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

import psycopg
from django.db import OperationalError

from ..database import Rows, Statement

# Seconds from when a statement is sent. Whoever has no answer by then asks in a thread, which may wait for longer.
PATIENCE = 2
# Seconds after which the server gives a statement up by itself, for a lock, say: a line that is hung up it would not notice.
STATEMENT_TIMEOUT = 1
# Requests that wait here at most. Others ask in threads, several at a time: over a long line those are faster.
MOST_WAITING = 16


def is_read_only(info: psycopg.ConnectionInfo) -> bool:
    """Tell whether the server has said, with its last answer, that it takes no writes: it is the primary no more."""
    said = info.parameter_status
    return "on" in {said("default_transaction_read_only"), said("in_hot_standby")}


class LoopConnection:
    is_closed = False

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], wants_primary: bool
    ) -> None:
        self._connection, self._wants_primary = connection, wants_primary
        self._waiting: list[tuple[Statement, asyncio.Future[Rows]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def rows(self, statement: Statement) -> Rows:
        """Raises OperationalError or TimeoutError."""
        if len(self._waiting) >= MOST_WAITING:
            raise OperationalError("Too many wait for this connection.")
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, answer))
        if not self._is_asking:
            self._asking = asyncio.create_task(self._ask())
        # A request that is given up in the middle takes no more than its answer away.
        async with asyncio.timeout(PATIENCE):
            return await answer

    @property
    def _is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    async def _ask(self) -> None:
        try:
            while self._waiting:
                statement, answer = self._waiting[0]
                rows = await self._read(statement)
                del self._waiting[0]
                if not answer.done():
                    answer.set_result(rows)
        except Exception as error:
            self.is_closed = True
            for _, answer in self._waiting:
                if not answer.done():
                    answer.set_exception(OperationalError(str(error)))
            await self._connection.close()

    async def _read(self, statement: Statement) -> Rows:
        # Bytes, for the driver wants text to be a literal.
        sql, parameters = statement.sql.encode(), statement.parameters
        frozen = asyncio.get_running_loop().call_later(PATIENCE, self._hang_up)
        try:
            asked = await self._connection.execute(sql, parameters, prepare=True)
            rows: Rows = await asked.fetchall()
        finally:
            frozen.cancel()
        if self._wants_primary and is_read_only(self._connection.info):
            # Stale read: the votes are on another server.
            raise OperationalError("This server takes no votes any more.")
        return rows

    def _hang_up(self) -> None:
        """End what is asked at this moment, with an error.

        The driver's C code is at work on the connection meanwhile: to close that under it ends the process.
        """
        self.is_closed = True
        # The other end may have hung up before.
        with suppress(OSError, psycopg.OperationalError):
            with socket.socket(fileno=os.dup(self._connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        self.is_closed = True
        if self._is_asking and self._asking:
            self._hang_up()
            await self._asking
        await self._connection.close()
