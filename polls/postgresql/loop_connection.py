"""What the event loop reads of PostgreSQL: on one connection, by which one request after the other asks for a few rows."""

import asyncio
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
    def __init__(
        self, connection: psycopg.AsyncConnection[Any], wants_primary: bool
    ) -> None:
        self._connection, self._wants_primary = connection, wants_primary

    @property
    def is_closed(self) -> bool:
        return self._connection.closed

    async def rows(self, statement: Statement) -> Rows:
        # Bytes, for the driver wants text to be a literal.
        sql, parameters = statement.sql.encode(), statement.parameters
        try:
            async with asyncio.timeout(PATIENCE):
                asked = await self._connection.execute(sql, parameters, prepare=True)
                rows = await asked.fetchall()
            if self._wants_primary and is_read_only(self._connection.info):
                # Stale read: the votes are on another server.
                raise psycopg.OperationalError("This server takes no votes any more.")
        except BaseException:
            # What comes later would be taken for the answer to another question.
            await self.close()
            raise
        return rows

    async def close(self) -> None:
        await self._connection.close()
