"""Group commit: what waits to be written at one moment is written in one transaction.

A commit takes the disk as long for ten items as for one. While one thread of a
worker writes, others queue what they have, and whoever is next writes for all
of them. An item that is alone waits for nobody. Each has its own outcome: when
one spoils the transaction, they are written one by one, unless it is the
database that is locked or away.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Generic, NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError, connection

from ..database import database

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Pending(NamedTuple, Generic[Item, Result]):
    item: Item
    future: Future[Result]


class GroupCommit(Generic[Item, Result]):
    """Items that `write` writes in one transaction; it returns the result of each, in their order."""

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self.write = write
        self.pending: list[_Pending[Item, Result]] = []
        self.write_lock = threading.Lock()
        # Between a look at what is pending and the start or end of the thread that writes for the loop.
        self._thread_lock = threading.Lock()
        self._has_thread = False

    def submit(self, item: Item) -> Result:
        """Write this item, with the others that are pending, and return its result.

        Raises the error of the database; then nothing of this item has been written.
        """
        if connection.in_atomic_block:
            # Somebody's own transaction is no place for the items of others.
            return self.write([item])[0]
        future = self._add(item)
        with self.write_lock:
            if not future.done():
                self._write_pending()
        return future.result()

    def submit_from_loop(self, item: Item, threads: Executor) -> Future[Result]:
        """Have this item written by one of these threads, the same for all that are submitted meanwhile."""
        with self._thread_lock:
            future = self._add(item)
            is_first = not self._has_thread
            self._has_thread = True
        if is_first:
            threads.submit(self._write_for_loop)
        return future

    def _add(self, item: Item) -> Future[Result]:
        future: Future[Result] = Future()
        # It cannot be cancelled from now on: what was submitted is written, also for a request that is given up.
        future.set_running_or_notify_cancel()
        self.pending.append(_Pending(item, future))
        return future

    def _write_for_loop(self) -> None:
        try:
            while True:
                with self.write_lock:
                    self._write_pending(starts_request=True)
                with self._thread_lock:
                    if not self.pending:
                        self._has_thread = False
                        return
        except BaseException:
            # The thread is told to end. Whatever came since has no other one, the next item has.
            with self._thread_lock:
                _fail(self._drain(), OperationalError("The worker was stopped."))
                self._has_thread = False
            raise

    def _write_pending(self, starts_request: bool = False) -> None:
        pending: list[_Pending[Item, Result]] = []
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
                _fail(pending, error)
            else:
                for one in pending:
                    self._write_alone(one)
        finally:
            # Of a thread that is told to end: nobody must take these for written.
            _fail(pending, OperationalError("The worker was stopped."))

    def _write_alone(self, one: _Pending[Item, Result]) -> None:
        try:
            with database.write_queue():
                self._write([one])
        except Exception as error:
            _fail([one], error)

    def _write(self, pending: list[_Pending[Item, Result]]) -> None:
        if pending:
            results = self.write([one.item for one in pending])
            for one, result in zip(pending, results, strict=True):
                one.future.set_result(result)

    def _drain(self) -> list[_Pending[Item, Result]]:
        pending = self.pending[:]
        del self.pending[: len(pending)]
        return pending


def _fail(pending: list[_Pending[Item, Result]], error: Exception) -> None:
    for one in pending:
        if not one.future.done():
            one.future.set_exception(error)
