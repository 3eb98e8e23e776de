"""uvicorn's connections when a worker stops: what is on its way by one of them is still answered.

Race: uvicorn closes each connection that has no request at that moment. A proxy that keeps connections, or a kernel that has
just taken one, may have sent a vote there which nobody has read yet, and it would get no answer. So a connection is
closed when it has been idle for longer than a proxy keeps it, or with the answer to what it brings.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Seconds. Twice what nginx-http.conf lets nginx use an idle connection again, and no more: a stop waits for it. A proxy that
# uses one that has been idle for longer may lose the request that it sends at the moment of a stop.
LINGER = 0.4


class Listener(Protocol):
    """A socket of gunicorn's that takes connections; the worker closes it as it begins to stop."""

    # None once closed.
    sock: object


class LingeringProtocol(HttpToolsProtocol):
    def __init__(self, listeners: Sequence[Listener], **given: Any) -> None:
        self._listeners = listeners
        self._is_last = False
        super().__init__(**given)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if all(listener.sock is None for listener in self._listeners):
            # It was on its way when the others were told that the worker stops.
            self.shutdown()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # For every request: no more than a look at a flag.
        if self._is_last and self.cycle is not None:
            # The answer says that no other follows.
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        self._is_last = True
        if self.cycle is None or self.cycle.response_complete:
            left = max(0, LINGER - self._seconds_idle())
            self.loop.call_later(left, super().shutdown)
        else:
            super().shutdown()

    def _seconds_idle(self) -> float:
        timer = self.timeout_keep_alive_task
        if timer is None:
            return 0
        return self.timeout_keep_alive - (timer.when() - self.loop.time())


def linger(config: Config, listeners: Sequence[Listener]) -> None:
    """Have a worker of this configuration serve by such connections, unless it was told by which."""
    if config.http == "auto":
        # What uvicorn takes for a class is called for each connection.
        config.http = partial(LingeringProtocol, listeners)  # type: ignore[assignment]
