"""What the event loop reads of PostgreSQL, on one connection: one task asks for those who wait, one after the other."""

import asyncio
import os
import socket
from typing import Any

import psycopg

from ..database import Rows, Statement

# Seconds. Whoever has no answer by then asks in a thread, which may wait for longer.
PATIENCE = 2


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
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, answer))
        if not self._is_asking:
            self._asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(PATIENCE):
                # A request that is given up in the middle takes no more than its answer away.
                return await answer
        except TimeoutError:
            self._hang_up()
            raise

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
                    answer.set_exception(error)
            await self._connection.close()

    async def _read(self, statement: Statement) -> Rows:
        # Bytes, for the driver wants text to be a literal.
        sql, parameters = statement.sql.encode(), statement.parameters
        asked = await self._connection.execute(sql, parameters, prepare=True)
        rows: Rows = await asked.fetchall()
        if self._wants_primary and is_read_only(self._connection.info):
            # Stale read: the votes are on another server.
            raise psycopg.OperationalError("This server takes no votes any more.")
        return rows

    def _hang_up(self) -> None:
        """End what is asked at this moment, with an error. To close the connection under it would end the process."""
        self.is_closed = True
        if not self._connection.closed:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        self.is_closed = True
        if self._is_asking and self._asking:
            self._hang_up()
            await self._asking
        await self._connection.close()
