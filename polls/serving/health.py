"""The health check, which is open to everybody and asks the database.

Under ASGI one thread, with one connection, makes all checks: who came while one was made is told its result.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..database import database

# When the request came in, where one thread answers them all.
_came_at: ContextVar[float | None] = ContextVar("came_at", default=None)


@contextmanager
def came_now() -> Iterator[None]:
    """For the handler, around a request that waits for that thread: check() is told when it came."""
    token = _came_at.set(time.monotonic())
    try:
        yield
    finally:
        _came_at.reset(token)


class _LastCheck:
    """The last check of that thread."""

    def __init__(self) -> None:
        self._ended = 0.0
        self._error: Exception | None = None

    def result_for(self, came: float) -> None:
        if came > self._ended:
            self._check()
        if self._error:
            # A new one each time: one that is raised again keeps all frames that it has come through.
            raise type(self._error)(*self._error.args) from self._error

    def _check(self) -> None:
        self._error = None
        try:
            database.check_health()
        except Exception as error:
            self._error = error
        self._ended = time.monotonic()


_last_check = _LastCheck()


def check() -> None:
    """Raise the error that a voter would meet."""
    came = _came_at.get()
    if came is None:
        # Under WSGI each thread has a connection of its own.
        database.check_health()
    else:
        _last_check.result_for(came)
