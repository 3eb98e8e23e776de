"""The threads that middleware and views run in under ASGI.

The crossing into one is asgiref's, as everywhere in Django: context variables
go along and come back, and async_to_sync() in a thread leads to this loop again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """Threads whose calls cannot be cancelled: servers give up the request of a client that has gone, and its vote counts."""

    def submit(
        self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        result: Future[T] = Future()
        result.set_running_or_notify_cancel()
        super().submit(_settle, result, partial(call, *args, **kwargs))
        return result

    def crossing(self, call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
        """Return the call for the loop to await."""
        return sync_to_async(call, thread_sensitive=False, executor=self)

    async def run_to_its_end(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await the call, and its end also when cancelled: no file is closed while it is read."""
        running = asyncio.ensure_future(self.crossing(call)(*args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _settle(result: Future[T], call: Callable[[], T]) -> None:
    try:
        result.set_result(call())
    except BaseException as error:
        result.set_exception(error)
