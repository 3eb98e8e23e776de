"""Live results: whoever watches a question is sent its tally when it changes.

The database is the bus. In each worker one reader asks it for all the questions that are watched there, one statement
a tick, and none when nobody watches. Where not everyone sees the results, it also asks whether the viewers still may.
A viewer costs a connection and one send a change: no query, no thread, and no task while nothing happens.

The pages work without this: where the server cannot stream, they ask for results.json now and then.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import CoroutineType
from typing import NamedTuple, TypeVar

from django.conf import settings
from django.db import Error as DatabaseUnavailable
from django.db import connection, connections
from django.http import StreamingHttpResponse

from ..audience import Right, lost_rights
from ..counting.tally import Numbers, count_all, lacks_votes, say_in
from ..models import Audience, Question, results_visible_to
from .descriptors import has_room_for_stream
from .server_stop import (
    Message,
    Receive,
    Send,
    connection_of,
    hook_signals,
)

logger = logging.getLogger("polls.live")

# Seconds. A change is on its way to everyone within a tick.
TICK = 0.25
# A comment in a quiet stream, so that proxies do not take it for dead.
HEARTBEAT = 15
# Where results are hidden, rights are checked before each change is sent, and this often while nothing changes.
RECHECK = 1
# For a client to take its last event, before it holds up a server that stops.
SEND_TIMEOUT = 0.5
# The comment is for proxies; scripts see only events, and miss this one when the network has gone.
BEAT = b":\nevent: beat\ndata: 1\n\n"

A = TypeVar("A")
T = TypeVar("T")


def _event(tally: Numbers) -> bytes:
    # The reader runs in the language of whoever came first.
    said = say_in(settings.LANGUAGE_CODE, tally)
    return f"id: {tally['version']}\ndata: {json.dumps(said)}\n\n".encode()


def _body(event: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": event, "more_body": more}


def _last_event(reason: str) -> bytes:
    """The browser stops here: without this it would come back for more."""
    return f"event: end\ndata: {json.dumps({'reason': reason})}\n\n".encode()


class Subscription(NamedTuple):
    """What a stream is asked for: the results of a question, seen by a right, by somebody who knows a version of them."""

    question: int
    right: Right
    known: int


class Viewer:
    """One open stream. However slow it reads, only the newest event waits for it."""

    __slots__ = (
        "known",
        "right",
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
        self._queue(_body(event, more=False))
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
        # Stale read: they may have seen a newer tally from another worker, so they wait for a reading that begins
        # after they came.
        self.newcomers: set[Viewer] = set()
        self.event = b""
        self.tally: Numbers | None = None
        # Who sees results, by the last reading: the viewers are gone through only when that changes.
        self.results = self.state = ""
        self.sent_at = self.checked_at = now

    def rights_to_check(self, tally: Numbers, now: float) -> list[Right]:
        """Return by what right viewers see hidden results, when it is time to check that they still have it."""
        question = tally["question"]
        if results_visible_to(
            question["results"], question["state"], Audience.SPECTATOR
        ):
            return []
        if tally == self.tally and now - self.checked_at < RECHECK:
            return []
        self.checked_at = now
        return [viewer.right for viewer in self.viewers]

    def publish(self, tally: Numbers, waiting: set[Viewer], now: float) -> None:
        """Send a changed tally to all, and an unchanged one to those who waited for this reading."""
        self.newcomers -= waiting
        if tally["question"]["results"] != self.results:
            self._see(tally)
        if tally != self.tally:
            self.event, self.tally, self.sent_at = _event(tally), tally, now
            self._push(self.viewers - self.newcomers, self.event)
        else:
            self._push(self.viewers & waiting, self.event)

    def close(self, tally: Numbers) -> None:
        """Send the last tally to all who may see it, and end."""
        self._see(tally)
        self.end(_event(tally) + _last_event("closed"))

    def shows_to(self, viewer: Viewer) -> bool:
        audience = viewer.right.audience
        return not self.results or results_visible_to(
            self.results, self.state, audience
        )

    def _see(self, tally: Numbers) -> None:
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

    def beat(self, now: float, heartbeat: float) -> None:
        if now - self.sent_at > heartbeat:
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


def read_tallies(questions: list[int]) -> dict[int, Numbers]:
    return count_all(Question.objects.published().filter(pk__in=questions))


def _ask(ask: Callable[[A], T], argument: A) -> T:
    """Ask the database; if it fails, the next tick connects anew."""
    try:
        return ask(argument)
    except DatabaseUnavailable:
        connection.close()
        raise


class Hub:
    """The watched questions of this worker, and the one reader that asks for them."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        tick: float = TICK,
        heartbeat: float = HEARTBEAT,
        read: Callable[[list[int]], dict[int, Numbers]] = read_tallies,
    ) -> None:
        # One thread, with its own database connection.
        self.thread = ThreadPoolExecutor(1, "polls-live")
        self._clock = clock
        self._tick = tick
        self._heartbeat = heartbeat
        self._read = read
        self._channels: dict[int, Channel] = {}
        self._reader: asyncio.Task[None] | None = None
        self._stopping = False
        self._database_away = False
        self._open = 0

    def enter(self) -> bool:
        """Take a place among the open streams, which leave() gives back; False if there is none."""
        has_room = has_room_for_stream(self._open)
        self._open += has_room
        return has_room

    def leave(self) -> None:
        self._open -= 1

    async def watch(
        self, subscription: Subscription, receive: Receive, send: Send
    ) -> None:
        """Serve one viewer until it leaves or the stream ends."""
        # Browsers that lose a server together do not all come back in the same moment.
        retry = f"retry: {random.randint(1000, 4000)}\n\n".encode()
        await send(_body(retry))
        viewer = Viewer(subscription, receive, send)
        self._join(subscription.question, viewer)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            # The viewer cancels its own request when the stream has ended; whoever else cancels it is obeyed.
            task = asyncio.current_task()
            if not viewer.ended or not task:
                raise
            task.uncancel()
        finally:
            viewer.serving = None
            self._leave(subscription.question, viewer)

    def _join(self, question: int, viewer: Viewer) -> None:
        if self._stopping:
            viewer.end()
            return
        channel = self._channels.setdefault(question, Channel(self._clock()))
        if not channel.shows_to(viewer):
            viewer.end(_last_event("hidden"))
            return
        channel.viewers.add(viewer)
        if channel.tally and channel.tally["version"] >= viewer.known:
            viewer.push(_body(channel.event))
        else:
            channel.newcomers.add(viewer)
        if self._reader is None:
            # A server tells its application of a stop only when all connections have closed.
            hook_signals(self.stop)
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
        try:
            while self._channels:
                began = self._clock()
                await self._read_and_publish()
                self._beat_and_check()
                await asyncio.sleep(max(0, began + self._tick - self._clock()))
        except Exception:
            # Nobody waits for a reader that has died: the browsers come again, and start another.
            logger.exception("The reader of live results failed.")
            self._end_all()
        finally:
            self._reader = None
            self.thread.submit(connections.close_all)

    async def _read_and_publish(self) -> None:
        asked = {pk: set(channel.newcomers) for pk, channel in self._channels.items()}
        try:
            tallies = await self._in_thread(self._read, list(asked))
            await self._dismiss(tallies)
        except DatabaseUnavailable as error:
            if not self._database_away:
                logger.warning("Live results wait for the database: %s", error)
            self._database_away = True
            return
        self._database_away = False
        for question, waiting in asked.items():
            if question in self._channels:
                self._publish(question, tallies.get(question), waiting)

    async def _in_thread(self, ask: Callable[[A], T], argument: A) -> T:
        loop = asyncio.get_running_loop()
        asking = loop.run_in_executor(self.thread, _ask, ask, argument)
        # A database that hangs holds up no heartbeat and no stop.
        while not (await asyncio.wait({asking}, timeout=self._tick))[0]:
            self._beat_and_check()
        return asking.result()

    async def _dismiss(self, tallies: dict[int, Numbers]) -> None:
        """End the streams of who has withdrawn, logged out or lost a permission since, before they are sent these."""
        now, rights = self._clock(), list[Right]()
        for question in tallies.keys() & self._channels.keys():
            channel = self._channels[question]
            rights += channel.rights_to_check(tallies[question], now)
        lost = await self._in_thread(lost_rights, rights) if rights else None
        if lost:
            for question in tallies.keys() & self._channels.keys():
                channel = self._channels[question]
                channel.dismiss({v for v in channel.viewers if v.right in lost})
                if not channel.viewers:
                    del self._channels[question]

    def _publish(
        self, question: int, tally: Numbers | None, waiting: set[Viewer]
    ) -> None:
        channel = self._channels[question]
        if tally is None:
            self._channels.pop(question).end(_last_event("gone"))
        elif tally["question"]["state"] == "closed":
            # The last event has the result, so it waits for what is still to be counted.
            if not lacks_votes(tally):
                self._channels.pop(question).close(tally)
        else:
            channel.publish(tally, waiting, self._clock())
            if not channel.viewers:
                del self._channels[question]

    def _beat_and_check(self) -> None:
        """Send what heartbeats are due; end all when the server stops without a signal, as after max_requests."""
        now, channels = self._clock(), list(self._channels.values())
        for channel in channels:
            channel.beat(now, self._heartbeat)
        # They are all of one server, so one viewer knows.
        viewers = (next(iter(channel.viewers)) for channel in channels)
        if any(viewer.connection.server_is_stopping for viewer in viewers):
            self.stop()

    def stop(self) -> None:
        """End all streams: this worker is told to stop, and browsers find another."""
        self._stopping = True
        self._end_all()

    def _end_all(self) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.end(b"")


# Of this worker.
hub = Hub()


class EventStream(StreamingHttpResponse):
    """The answer of polls:live: the handler sends its head, and the hub its body."""

    def __init__(self, question: int, right: Right, known: int) -> None:
        super().__init__((), content_type="text/event-stream")
        self["Cache-Control"] = "no-store"
        # nginx would hold small events back.
        self["X-Accel-Buffering"] = "no"
        self.subscription = Subscription(question, right, known)
