"""A viewer of live results: one open stream, and what is sent over it."""

import asyncio
import logging
from collections.abc import Awaitable
from types import CoroutineType
from typing import NamedTuple

from ..audience import Right
from .server_stop import Message, Receive, Send, connection_of

logger = logging.getLogger("polls.live")

# Seconds, for a client to take its last event, before it holds up a server that stops.
SEND_TIMEOUT = 0.5


class View(NamedTuple):
    """What a viewer is sent: all viewers with the same view share one event."""

    language: str
    # The number of ballots, and nothing of the results.
    only_ballots: bool = False


class Subscription(NamedTuple):
    """What a stream is asked for: a view of a question, seen by a right, by somebody who knows a version of it."""

    question: int
    right: Right
    known: int
    view: View


def message_of(event: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": event, "more_body": more}


class Viewer:
    """One open stream. However slow it reads, only the newest event waits for it."""

    __slots__ = (
        "known",
        "right",
        "view",
        "send",
        "connection",
        "serving",
        "waiting",
        "delivery",
        "ended",
    )

    def __init__(
        self, subscription: Subscription, receive: Receive, send: Send
    ) -> None:
        self.known = subscription.known
        self.right = subscription.right
        self.view = subscription.view
        self.send = send
        self.connection = connection_of(receive)
        self.connection.keep_open()
        self.serving = asyncio.current_task()
        self.waiting: Message | None = None
        self.delivery: asyncio.Task[None] | None = None
        self.ended = False

    def push(self, message: Message) -> None:
        """Send at once if the connection takes it, as it nearly always does; else let the newest wait.

        A task for each of ten thousand sends would cost twice as much as the sends. So the coroutine is stepped by
        hand; only one that would wait is given up, and sent again in a task. If it had written, the tally arrives
        twice, which does no harm.
        """
        if self.delivery is None:
            try:
                attempt = self.send(message)
                if type(attempt) is not CoroutineType:
                    # ASGI promises an awaitable only; this one, a future perhaps, cannot be stepped or sent again.
                    self.delivery = asyncio.create_task(self._deliver(attempt))
                    return
                attempt.send(None)
            except StopIteration:
                return
            except Exception as error:
                self._fail(error)
                return
            attempt.close()
        self._queue(message)

    def _queue(self, message: Message) -> None:
        self.waiting = message
        if self.delivery is None:
            self.delivery = asyncio.create_task(self._deliver())

    def end(self, event: bytes = b"") -> None:
        """Send a last event and let the request end; a client that does not take it is left behind."""
        self.ended = True
        self.connection.finish()
        self._queue(message_of(event, more=False))
        asyncio.get_running_loop().call_later(SEND_TIMEOUT, self._abandon)

    async def _deliver(self, begun: Awaitable[None] | None = None) -> None:
        try:
            if begun is not None:
                await begun
            while self.waiting is not None:
                message, self.waiting = self.waiting, None
                await self.send(message)
        except Exception as error:
            self._fail(error)
        finally:
            self.delivery = None
            if self.ended:
                self._release()

    def _fail(self, error: Exception) -> None:
        """End this stream, and no other."""
        # An OSError is a client that has gone, which its request learns by itself.
        if not isinstance(error, OSError):
            logger.error("A viewer could not be sent to.", exc_info=error)
            self.ended = True
            self._release()

    def _release(self) -> None:
        if self.serving:
            self.serving.cancel()

    def _abandon(self) -> None:
        if self.serving:
            if self.delivery:
                self.delivery.cancel()
            self.connection.abort()
            self._release()
