"""Live results: whoever watches a question is sent its tally when it changes.

The database is the bus. In each worker one reader asks it for all the
questions that are watched there, one statement a tick, and none when nobody
watches. A viewer costs a connection and one send a change: no query, no
thread, no task while nothing happens. The pages work without this module:
where the server cannot stream, they ask for results.json now and then.
"""

import asyncio
import functools
import json
import logging
import random
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from django.db import Error as DatabaseUnavailable
from django.db import connection
from django.http import StreamingHttpResponse

from .models import Question, Tally

logger = logging.getLogger("polls.live")

# Seconds. A change is on its way to everyone within a tick.
TICK = 0.25
# A comment in a quiet stream, so that proxies do not take it for dead.
HEARTBEAT = 15

Message = dict[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def _event(tally: Tally) -> bytes:
    return f"id: {tally['version']}\ndata: {json.dumps(tally)}\n\n".encode()


def _body(event: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": event, "more_body": more}


def _last_event(reason: str) -> bytes:
    """The browser stops here: without this it would come back for more."""
    return f"event: end\ndata: {json.dumps({'reason': reason})}\n\n".encode()


def _read(questions: list[int]) -> dict[int, Tally]:
    """Count the watched questions, in the reader's own thread with its own connection."""
    try:
        return Question.objects.published().filter(pk__in=questions).tallies()
    except DatabaseUnavailable:
        # The next tick connects anew.
        connection.close()
        raise


class Viewer:
    """One open stream. However slow it reads, only the newest event waits for it."""

    __slots__ = (
        "send",
        "known",
        "connection",
        "kept_alive",
        "serving",
        "waiting",
        "delivery",
        "ended",
    )

    def __init__(self, send: Send, known: int) -> None:
        self.send = send
        self.known = known
        # uvicorn's own object, where it is uvicorn that serves.
        self.connection = getattr(send, "__self__", None)
        self.kept_alive = getattr(self.connection, "keep_alive", False)
        self.serving = asyncio.current_task()
        self.waiting: Message | None = None
        self.delivery: asyncio.Task[None] | None = None
        self.ended = False

    def push(self, message: Message) -> None:
        """Send at once if the connection takes it, as it nearly always does; else let the newest wait.

        A task for each of ten thousand sends would cost twice as much as the
        sends. So this one is stepped by hand, up to where it would wait, and
        only there becomes a task. A message that was written all the same
        arrives twice, which a tally may.
        """
        if self.delivery is None:
            attempt = self.send(message)
            try:
                attempt.send(None)
            except StopIteration:
                self._sent()
                return
            except OSError:
                return
            attempt.close()
        self.waiting = message
        if self.delivery is None:
            self.delivery = asyncio.create_task(self._deliver())

    def end(self, event: bytes = b"") -> None:
        """Send a last event and let the request end."""
        self.ended = True
        self.push(_body(event, more=False))

    async def _deliver(self) -> None:
        try:
            while self.waiting is not None:
                message, self.waiting = self.waiting, None
                await self.send(message)
        except OSError:
            # The client has gone; its request learns that by itself.
            pass
        finally:
            self.delivery = None
            self._sent()

    def _sent(self) -> None:
        if self.ended and self.serving:
            self.serving.cancel()


class Channel:
    """One watched question: who watches, and what they were sent last."""

    __slots__ = ("viewers", "newcomers", "event", "version", "sent_at")

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.newcomers: set[Viewer] = set()
        self.event = b""
        self.version = 0
        self.sent_at = 0.0

    def publish(self, tally: Tally, now: float) -> None:
        event = _event(tally)
        if event != self.event:
            self.event, self.version, self.sent_at = event, tally["version"], now
            self._push(self.viewers, event)
        elif now - self.sent_at > HEARTBEAT:
            self.sent_at = now
            self._push(self.viewers, event if self.newcomers else b":\n\n")
        else:
            self._push(self.newcomers, event)
        self.newcomers.clear()

    def end(self, event: bytes) -> None:
        for viewer in self.viewers:
            viewer.end(event)

    @staticmethod
    def _push(viewers: set[Viewer], event: bytes) -> None:
        message = _body(event)
        for viewer in viewers:
            viewer.push(message)


class Hub:
    """The watched questions of this worker, and the one reader that asks for them."""

    def __init__(self) -> None:
        self._channels: dict[int, Channel] = {}
        self._reader: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "polls-live")
        self._stopping = False
        self._database_away = False

    async def watch(
        self, question: int, known: int, receive: Receive, send: Send
    ) -> None:
        """Serve one viewer until it leaves or the stream ends; `known` is the version it has already."""
        # Browsers that lose a server together do not all come back in the same moment.
        retry = f"retry: {random.randint(1000, 4000)}\n\n".encode()
        await send(_body(retry))
        viewer = Viewer(send, known)
        self._join(question, viewer)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            # The hub's own way to say that the stream has ended; anybody else's goes on.
            if not viewer.ended:
                raise
            asyncio.current_task().uncancel()
        finally:
            viewer.serving = None
            self._leave(question, viewer)

    def _join(self, question: int, viewer: Viewer) -> None:
        if self._stopping:
            viewer.end()
            return
        channel = self._channels.setdefault(question, Channel())
        channel.viewers.add(viewer)
        # What this worker read last may be older than what the viewer has from another one.
        if channel.event and channel.version >= viewer.known:
            viewer.push(_body(channel.event))
        else:
            channel.newcomers.add(viewer)
        if self._reader is None:
            self._chain_signals()
            self._reader = asyncio.create_task(self._run())

    def _leave(self, question: int, viewer: Viewer) -> None:
        if viewer.delivery:
            viewer.delivery.cancel()
        channel = self._channels.get(question)
        if channel:
            channel.viewers.discard(viewer)
            channel.newcomers.discard(viewer)
            if not channel.viewers:
                del self._channels[question]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._channels:
                began = loop.time()
                await self._read_and_publish(loop)
                if self._told_to_close():
                    self.stop()
                await asyncio.sleep(max(0, began + TICK - loop.time()))
        except Exception:
            # Nobody waits for a reader that has died: the browsers come again, and start another.
            logger.exception("The reader of live results failed.")
            self._end_all()
        finally:
            self._reader = None
            self._thread.submit(connection.close)

    async def _read_and_publish(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = list(self._channels)
        try:
            tallies = await loop.run_in_executor(self._thread, _read, asked)
        except DatabaseUnavailable as error:
            if not self._database_away:
                logger.warning("Live results wait for the database: %s", error)
            self._database_away = True
            return
        self._database_away = False
        for question in asked:
            if question in self._channels:
                self._publish(question, tallies.get(question), loop.time())

    def _publish(self, question: int, tally: Tally | None, now: float) -> None:
        channel = self._channels[question]
        if tally is None:
            self._channels.pop(question).end(_last_event("gone"))
        elif tally["question"]["state"] == "closed":
            last = _event(tally) + _last_event("closed")
            self._channels.pop(question).end(last)
        else:
            channel.publish(tally, now)

    def stop(self) -> None:
        """End all streams: this worker is told to stop, and browsers find another."""
        self._stopping = True
        self._end_all()

    def _end_all(self) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.end(b"")

    def _chain_signals(self) -> None:
        """Learn of a stop from the signal itself: the server tells its application only after all connections have closed."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before) and not isinstance(before, functools.partial):
                signal.signal(number, functools.partial(self._on_signal, loop, before))

    def _on_signal(
        self,
        loop: asyncio.AbstractEventLoop,
        before: Callable[[int, FrameType | None], object],
        number: int,
        frame: FrameType | None,
    ) -> None:
        loop.call_soon_threadsafe(self.stop)
        before(number, frame)

    def _told_to_close(self) -> bool:
        """Tell whether uvicorn ends this worker without a signal, as it does after max_requests.

        All it does is to mark each connection to be closed after its request.
        """
        for channel in self._channels.values():
            for viewer in channel.viewers:
                if viewer.kept_alive:
                    return not viewer.connection.keep_alive
        return False


hub = Hub()


class EventStream(StreamingHttpResponse):
    """The answer of polls:live, whose body the hub sends: see Handler.handle()."""

    def __init__(self, question: int, last_event_id: str) -> None:
        super().__init__((), content_type="text/event-stream")
        self["Cache-Control"] = "no-store"
        # nginx would hold small events back.
        self["X-Accel-Buffering"] = "no"
        usable = last_event_id.isascii() and last_event_id.isdecimal()
        known = int(last_event_id) if usable and len(last_event_id) < 19 else 0
        self.serve = functools.partial(hub.watch, question, known)
