"""The health check, made once for all who wait for it.

It is open to everybody, and asks the database. Under ASGI all of it is one
thread's, with one connection: whoever came before a check ended has its result.
"""

import time
from contextvars import ContextVar

from ..database import database

# When the request came in, where one thread answers all of them.
came_at: ContextVar[float | None] = ContextVar("came_at", default=None)


class _Latest:
    """The latest check of that thread."""

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


_latest = _Latest()


def check() -> None:
    """Raise the error that a voter would meet."""
    came = came_at.get()
    if came is None:
        # Under WSGI each thread has its own connection, and keeps it.
        database.check_health()
    else:
        _latest.result_for(came)
