"""When the server stops, and how to be rid of a connection: what ASGI has no messages for.

A stream may stay open for hours, and servers wait for open connections before they tell the application that they
stop. So this module reads it from the objects inside the server: the only place that knows them.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from types import FrameType
from typing import Any, Protocol

# ASGI's own names: messages are dictionaries of mixed values.
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class UvicornCycle(Protocol):
    """uvicorn's request and response, of which `receive` is a method."""

    # Whether the connection stays open after the answer. A uvicorn that stops sets it to False, and gives no other sign.
    keep_alive: bool
    # To abort.
    transport: asyncio.Transport


class GunicornWorker(Protocol):
    # False when the worker stops, for whatever reason.
    alive: bool


class GunicornProtocol(Protocol):
    """A connection of gunicorn's own ASGI worker: `receive` is a method of what reads its body, and has it as `protocol`."""

    worker: GunicornWorker
    # To close or abort.
    transport: asyncio.Transport


class Connection:
    """The connection of one request, by a server that is not known: its stop is learnt from signals alone."""

    __slots__ = ()

    @property
    def server_is_stopping(self) -> bool:
        return False

    def keep_open(self) -> None:
        """Let the answer last; called before it begins."""

    def finish(self) -> None:
        """Treat the connection as without keep_open(); called before the answer ends."""

    def close(self) -> None:
        """Close it once the answer is written, where the server heeds no `Connection: close`."""

    def abort(self) -> None:
        """Close it now. The server would wait until the client has read what was written before."""


class UvicornConnection(Connection):
    __slots__ = ("_cycle", "_keep_alive")

    def __init__(self, cycle: UvicornCycle) -> None:
        self._cycle = cycle
        self._keep_alive = cycle.keep_alive

    @property
    def server_is_stopping(self) -> bool:
        return not self._cycle.keep_alive

    def keep_open(self) -> None:
        # Also where the client wants it closed in the end: a stop would take nothing away from it.
        self._cycle.keep_alive = True

    def finish(self) -> None:
        if not self._keep_alive:
            self._cycle.keep_alive = False

    def abort(self) -> None:
        self._cycle.transport.abort()


class GunicornConnection(Connection):
    __slots__ = ("_protocol",)

    def __init__(self, protocol: GunicornProtocol) -> None:
        self._protocol = protocol

    @property
    def server_is_stopping(self) -> bool:
        return not self._protocol.worker.alive

    def close(self) -> None:
        self._protocol.transport.close()

    def abort(self) -> None:
        self._protocol.transport.abort()


UNKNOWN = Connection()


def connection_of(receive: Receive) -> Connection:
    """Return the connection that a request came by, as its server knows it."""
    owner: Any = getattr(receive, "__self__", None)
    if hasattr(owner, "keep_alive"):
        return UvicornConnection(owner)
    if hasattr(owner, "protocol"):
        return GunicornConnection(owner.protocol)
    return UNKNOWN


class _Hook:
    """A signal handler that tells the loop, and then does what the one before it did."""

    def __init__(
        self,
        stop: Callable[[], None],
        before: Callable[[int, FrameType | None], object],
    ) -> None:
        self._stop = stop
        self._before = before
        self._loop = asyncio.get_running_loop()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)
        self._before(number, frame)


def hook_signals(stop: Callable[[], None]) -> None:
    """Have `stop` called on the running loop when the process is told to end, once however often this is asked for."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before) and not isinstance(before, _Hook):
            signal.signal(number, _Hook(stop, before))
