"""Group commit: what waits to be written at one moment is written in one transaction.

A commit takes the disk as long for ten items as for one. While one thread of a
worker writes, others queue what they have, and whoever is next writes for all
of them. An item that is alone waits for nobody. Each has its own outcome: when
one spoils the transaction, they are written one by one, unless it is the
database that is locked or away.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection

from ..database import database

Item = TypeVar("Item")
Result = TypeVar("Result")
STOPPED = "The worker was stopped."


@dataclass(eq=False, slots=True)
class Pending(Generic[Item, Result]):
    """An item to be written, and then what became of it: its result or an error."""

    item: Item
    # Of one that was submitted from the loop: done when the item is.
    future: asyncio.Future[None] | None = None
    done: bool = False
    value: Result | None = None
    error: Exception | None = None

    def result(self) -> Result | None:
        """Return what `write` returned for it. Raises the error of the database; then nothing of it has been written."""
        if self.error:
            raise self.error
        return self.value


class GroupCommit(Generic[Item, Result]):
    """Items that `write` writes in one transaction; it returns the result of each, in their order."""

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self.write = write
        self.pending: list[Pending[Item, Result]] = []
        self.write_lock = threading.Lock()
        self._writing_for_loop: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> Result | None:
        """Write this item, with the others that are pending, and return its result."""
        if connection.in_atomic_block:
            # Somebody's own transaction is no place for the items of others.
            return self.write([item])[0]
        pending: Pending[Item, Result] = Pending(item)
        self.pending.append(pending)
        with self.write_lock:
            if not pending.done:
                self._write_pending()
        return pending.result()

    def submit_from_loop(self, item: Item, writer: Executor) -> Pending[Item, Result]:
        """Have this item written by this thread, also if nobody waits for it any more."""
        future = asyncio.get_running_loop().create_future()
        pending: Pending[Item, Result] = Pending(item, future)
        self.pending.append(pending)
        if not self._writing_for_loop or self._writing_for_loop.done():
            self._writing_for_loop = asyncio.create_task(self._write_for_loop(writer))
        return pending

    async def _write_for_loop(self, writer: Executor) -> None:
        # Back on the loop after each transaction: whoever is answered now, and those who come, share the next one.
        while self.pending:
            try:
                await asyncio.wrap_future(writer.submit(self._write_in_thread))
            except asyncio.CancelledError:
                # The loop ends, and whoever was given up by then still counts.
                writer.submit(self._write_in_thread)
                raise
            except Exception as error:
                # There is no thread any more.
                _finish(self._drain(), error)

    def _write_in_thread(self) -> None:
        with self.write_lock:
            self._write_pending(starts_request=True)

    def _write_pending(self, starts_request: bool = False) -> None:
        pending: list[Pending[Item, Result]] = []
        try:
            if starts_request:
                # As Django does when a request starts: a connection that broke is made anew.
                connection.close_if_unusable_or_obsolete()
            with database.write_queue():
                # Whatever came while others were writing goes along.
                pending = self._drain()
                self._write(pending)
        except Exception as error:
            pending = pending or self._drain()
            # A database that is locked or away is so for all of them, and each would wait for it again.
            if len(pending) == 1 or isinstance(
                error, OperationalError | InterfaceError
            ):
                _finish(pending, error)
            else:
                for one in pending:
                    self._write_alone(one)
        finally:
            # Of a thread that is told to end: nobody must take these for written.
            _finish([one for one in pending if not one.done], OperationalError(STOPPED))

    def _write_alone(self, one: Pending[Item, Result]) -> None:
        try:
            with database.write_queue():
                self._write([one])
        except Exception as error:
            _finish([one], error)

    def _write(self, pending: list[Pending[Item, Result]]) -> None:
        if pending:
            results = self.write([one.item for one in pending])
            for one, result in zip(pending, results, strict=True):
                one.value = result
            _finish(pending)

    def _drain(self) -> list[Pending[Item, Result]]:
        pending = self.pending[:]
        del self.pending[: len(pending)]
        return pending


def _finish(
    pending: list[Pending[Item, Result]], error: Exception | None = None
) -> None:
    for one in pending:
        one.error, one.done = error, True
    futures = [one.future for one in pending if one.future]
    for loop in {future.get_loop() for future in futures}:
        # A loop that has ended has nobody left to be told.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake, loop, futures)


def _wake(loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        # Some requests may have been cancelled meanwhile.
        if future.get_loop() is loop and not future.done():
            future.set_result(None)
