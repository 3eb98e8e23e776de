"""Live results: whoever watches a question is sent its tally when it changes.

The database is the bus. In each worker one reader asks it for all the
questions that are watched there, one statement a tick, and none when nobody
watches. Where not everyone sees the results, it asks too whether the viewers
still may. A viewer costs a connection and one send a change: no query, no
thread, no task of its own while nothing happens. The pages work without this module:
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
from types import CoroutineType, FrameType
from typing import TypeVar

from django.db import Error as DatabaseUnavailable
from django.db import connection
from django.http import StreamingHttpResponse

from ..audience import Right, lost_rights
from ..counting.tally import Tally, rounds_are_behind, tallies_of
from ..models import Audience, Question, results_visible_to
from .descriptors import leave_room

logger = logging.getLogger("polls.live")

# Seconds. A change is on its way to everyone within a tick.
TICK = 0.25
# A comment in a quiet stream, so that proxies do not take it for dead.
HEARTBEAT = 15
# Where results are hidden, viewers are looked at again before each change is sent, and this often while nothing moves.
RECHECK = 1
# For a client to take its last event, before it holds up a server that stops.
PATIENCE = 0.5
# The comment is for proxies; scripts see only events, and miss this one when the network has gone.
BEAT = b":\nevent: beat\ndata: 1\n\n"

T = TypeVar("T")
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
    return tallies_of(Question.objects.published().filter(pk__in=questions))


def _ask(function: Callable[..., T], argument: object) -> T:
    """Ask the database, in the reader's own thread with its own connection."""
    try:
        return function(argument)
    except DatabaseUnavailable:
        # The next tick connects anew.
        connection.close()
        raise


def _close() -> None:
    connection.close()


class Viewer:
    """One open stream. However slow it reads, only the newest event waits for it."""

    __slots__ = (
        "send",
        "known",
        "right",
        "connection",
        "protocol",
        "kept_alive",
        "serving",
        "waiting",
        "delivery",
        "ended",
    )

    def __init__(self, receive: Receive, send: Send, known: int, right: Right) -> None:
        self.send = send
        self.known = known
        self.right = right
        self.serving = asyncio.current_task()
        self.waiting: Message | None = None
        self.delivery: asyncio.Task[None] | None = None
        self.ended = False
        # The server's own object for this connection. When uvicorn stops without a signal, all that it does
        # is to take keep_alive away, so that is set here, and watched; gunicorn's worker says it of itself.
        self.connection = getattr(receive, "__self__", None)
        self.protocol = getattr(self.connection, "protocol", self.connection)
        self.kept_alive = getattr(self.connection, "keep_alive", None)
        if self.kept_alive is False:
            self.connection.keep_alive = True

    @property
    def server_is_stopping(self) -> bool:
        worker = getattr(self.protocol, "worker", None)
        if worker is not None:
            return not worker.alive
        return self.kept_alive is not None and not self.connection.keep_alive

    def push(self, message: Message) -> None:
        """Send at once if the connection takes it, as it nearly always does; else let the newest wait.

        A task for each of ten thousand sends would cost twice as much as the
        sends. So this one is stepped by hand, up to where it would wait, and
        only there becomes a task. A tally that was written all the same
        arrives twice, which does no harm.
        """
        if self.delivery is None:
            try:
                attempt = self.send(message)
                if type(attempt) is not CoroutineType:
                    # ASGI promises no more than an awaitable, and this one may have begun already.
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
        if self.kept_alive is False:
            self.connection.keep_alive = False
        self._queue(_body(event, more=False))
        asyncio.get_running_loop().call_later(PATIENCE, self._abandon)

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
        """Let go of one viewer that cannot be sent to, and of no other."""
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
            # The server would wait until the client has read all that was written before.
            transport = getattr(self.protocol, "transport", None)
            if transport:
                transport.abort()
            self._release()


class Channel:
    """One watched question: who watches, and what they were sent last."""

    __slots__ = (
        "viewers",
        "newcomers",
        "event",
        "tally",
        "results",
        "state",
        "sent_at",
        "checked_at",
    )

    def __init__(self, now: float) -> None:
        self.viewers: set[Viewer] = set()
        # Those who wait for a reading that begins after they came: an older one could
        # hold less than they have seen already, from another worker.
        self.newcomers: set[Viewer] = set()
        self.event = b""
        self.tally: Tally | None = None
        # Who sees them, by the last reading; looked at viewer by viewer only when that changes.
        self.results = self.state = ""
        self.sent_at = self.checked_at = now

    def rights_to_check(self, tally: Tally, now: float) -> list[Right]:
        """Return what viewers see hidden results by, when it is time to look whether it still holds."""
        question = tally["question"]
        if results_visible_to(
            question["results"], question["state"], Audience.SPECTATOR
        ):
            return []
        if tally == self.tally and now - self.checked_at < RECHECK:
            return []
        self.checked_at = now
        return [viewer.right for viewer in self.viewers]

    def publish(self, tally: Tally, waiting: set[Viewer], now: float) -> None:
        """Send what has changed to all, and what has not to those who waited for this reading."""
        self.newcomers -= waiting
        if tally["question"]["results"] != self.results:
            self._see(tally)
        if tally != self.tally:
            self.event, self.tally, self.sent_at = _event(tally), tally, now
            self._push(self.viewers - self.newcomers, self.event)
        else:
            self._push(self.viewers & waiting, self.event)

    def close(self, tally: Tally) -> None:
        """Send the last tally to all who may see it, and end."""
        self._see(tally)
        self.end(_event(tally) + _last_event("closed"))

    def shows_to(self, viewer: Viewer) -> bool:
        audience = viewer.right.audience
        return not self.results or results_visible_to(
            self.results, self.state, audience
        )

    def _see(self, tally: Tally) -> None:
        """Learn who sees results by this reading, and end the streams of the others."""
        self.results = tally["question"]["results"]
        self.state = tally["question"]["state"]
        self.dismiss({v for v in self.viewers if not self.shows_to(v)})

    def dismiss(self, viewers: set[Viewer]) -> None:
        """End the streams of those who may not see any more."""
        self.viewers -= viewers
        self.newcomers -= viewers
        for viewer in viewers:
            viewer.end(_last_event("hidden"))

    def beat(self, now: float) -> None:
        if now - self.sent_at > HEARTBEAT:
            self.sent_at = now
            self._push(self.viewers, BEAT)

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
        self._open = 0

    def enter(self) -> bool:
        """Take a place among the open streams, each of which has a connection; False if there is room for no more."""
        has_room = leave_room(self._open)
        self._open += has_room
        return has_room

    def leave(self) -> None:
        self._open -= 1

    async def watch(
        self, question: int, right: Right, known: int, receive: Receive, send: Send
    ) -> None:
        """Serve one viewer until it leaves or the stream ends; `known` is the version it has already."""
        # Browsers that lose a server together do not all come back in the same moment.
        retry = f"retry: {random.randint(1000, 4000)}\n\n".encode()
        await send(_body(retry))
        viewer = Viewer(receive, send, known, right)
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
        now = asyncio.get_running_loop().time()
        channel = self._channels.setdefault(question, Channel(now))
        if not channel.shows_to(viewer):
            viewer.end(_last_event("hidden"))
            return
        channel.viewers.add(viewer)
        if channel.tally and channel.tally["version"] >= viewer.known:
            viewer.push(_body(channel.event))
        else:
            channel.newcomers.add(viewer)
        if self._reader is None:
            self._hook_signals()
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
                self._beat_and_check(loop.time())
                await asyncio.sleep(max(0, began + TICK - loop.time()))
        except Exception:
            # Nobody waits for a reader that has died: the browsers come again, and start another.
            logger.exception("The reader of live results failed.")
            self._end_all()
        finally:
            self._reader = None
            self._thread.submit(_close)

    async def _read_and_publish(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = {pk: set(channel.newcomers) for pk, channel in self._channels.items()}
        try:
            tallies = await self._in_thread(loop, _read, list(asked))
            await self._dismiss(loop, tallies)
        except DatabaseUnavailable as error:
            if not self._database_away:
                logger.warning("Live results wait for the database: %s", error)
            self._database_away = True
            return
        self._database_away = False
        for question, waiting in asked.items():
            if question in self._channels:
                self._publish(question, tallies.get(question), waiting, loop.time())

    async def _in_thread(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., T],
        argument: object,
    ) -> T:
        reading = loop.run_in_executor(self._thread, _ask, function, argument)
        # A database that hangs holds up no heartbeat and no stop.
        while not (await asyncio.wait({reading}, timeout=1))[0]:
            self._beat_and_check(loop.time())
        return reading.result()

    async def _dismiss(
        self, loop: asyncio.AbstractEventLoop, tallies: dict[int, Tally]
    ) -> None:
        """End the streams of who has withdrawn, logged out or lost a permission since, before they are sent these."""
        rights: list[Right] = []
        for question in tallies.keys() & self._channels.keys():
            channel = self._channels[question]
            rights += channel.rights_to_check(tallies[question], loop.time())
        lost = await self._in_thread(loop, lost_rights, rights) if rights else None
        if lost:
            for question in tallies.keys() & self._channels.keys():
                channel = self._channels[question]
                channel.dismiss({v for v in channel.viewers if v.right in lost})
                if not channel.viewers:
                    del self._channels[question]

    def _publish(
        self, question: int, tally: Tally | None, waiting: set[Viewer], now: float
    ) -> None:
        channel = self._channels[question]
        if tally is None:
            self._channels.pop(question).end(_last_event("gone"))
        elif tally["question"]["state"] == "closed":
            # The last event has the result: what is still to be counted for it is waited for.
            if not rounds_are_behind(tally):
                self._channels.pop(question).close(tally)
        else:
            channel.publish(tally, waiting, now)
            if not channel.viewers:
                del self._channels[question]

    def _beat_and_check(self, now: float) -> None:
        """Send what heartbeats are due; end all when the server stops without a signal, as after max_requests."""
        channels = list(self._channels.values())
        for channel in channels:
            channel.beat(now)
        if any(next(iter(channel.viewers)).server_is_stopping for channel in channels):
            self.stop()

    def stop(self) -> None:
        """End all streams: this worker is told to stop, and browsers find another."""
        self._stopping = True
        self._end_all()

    def _end_all(self) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.end(b"")

    def _hook_signals(self) -> None:
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


hub = Hub()


def hang_up(receive: Receive) -> None:
    """Close the connection of whoever was refused a stream: gunicorn's own worker heeds no Connection header."""
    protocol = getattr(getattr(receive, "__self__", None), "protocol", None)
    transport = getattr(protocol, "transport", None)
    if transport:
        transport.close()


class EventStream(StreamingHttpResponse):
    """The answer of polls:live, whose body the hub sends: see Handler.handle()."""

    def __init__(self, question: int, right: Right, known: int) -> None:
        super().__init__((), content_type="text/event-stream")
        self["Cache-Control"] = "no-store"
        # nginx would hold small events back.
        self["X-Accel-Buffering"] = "no"
        self.enter, self.leave = hub.enter, hub.leave
        self.serve = functools.partial(hub.watch, question, right, known)
