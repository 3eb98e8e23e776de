"""Live results: whoever watches a question is sent its tally when it changes.

The database is the bus. In each worker one reader asks it for all the questions that are watched there, one statement
a tick, and none when nobody watches. Where not everyone sees the results, it also asks whether the viewers still may.
What has changed is said once in each language that is watched. A viewer costs a connection and one send a change: no
query, no thread, and no task while nothing happens.

Where results are hidden, whoever wants may watch how many ballots there are: an event has that number alone, and a
ballot that is changed sends none.

The pages work without this: where the server cannot stream, they ask for results.json now and then.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TypeVar

from django.db import Error as DatabaseUnavailable
from django.db import connection, connections
from django.http import StreamingHttpResponse
from django.utils import translation

from ..audience import Right, lost_rights
from ..counting.numbers import Numbers, count_all, lacks_votes
from ..counting.shown import ballots_alone
from ..counting.tally import say
from ..metrics import count_viewer
from ..models import Question
from .channel import Channel, last_event, why_not
from .descriptors import has_room_for_stream
from .server_stop import Receive, Send, hook_signals
from .viewer import Subscription, View, Viewer, message_of

logger = logging.getLogger("polls.live")

# Seconds. A change is on its way to everyone within a tick.
TICK = 0.25
# A comment in a quiet stream, so that proxies do not take it for dead.
HEARTBEAT = 15

A = TypeVar("A")
T = TypeVar("T")


def read_tallies(questions: list[int]) -> dict[int, Numbers]:
    return count_all(Question.objects.published().filter(pk__in=questions))


def event_of(numbers: Numbers, view: View) -> bytes:
    # The reader has a thread of its own, and no language.
    with translation.override(view.language):
        if view.only_ballots:
            return f"data: {_dump(ballots_alone(numbers))}\n\n".encode()
        return f"id: {numbers['version']}\ndata: {_dump(say(numbers))}\n\n".encode()


def _dump(told: Mapping[str, object]) -> str:
    return json.dumps(told, ensure_ascii=False)


def say_all(
    to_say: dict[int, tuple[Numbers, set[View]]],
) -> dict[int, dict[View, bytes]]:
    return {
        question: {view: event_of(tally, view) for view in views}
        for question, (tally, views) in to_say.items()
    }


def _ask(ask: Callable[[A], T], argument: A) -> T:
    """Ask the database; if it fails, the next tick connects anew."""
    # Stale read: a server that has become a standby would answer for ever, and hear of no vote.
    connection.close_if_unusable_or_obsolete()
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
        count_viewer(has_room)
        return has_room

    def leave(self) -> None:
        self._open -= 1
        count_viewer(-1)

    async def watch(
        self, subscription: Subscription, receive: Receive, send: Send
    ) -> None:
        """Serve one viewer until it leaves or the stream ends."""
        # Browsers that lose a server together do not all come back in the same moment.
        retry = f"retry: {random.randint(1000, 4000)}\n\n".encode()
        await send(message_of(retry))
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
            viewer.end(why_not(viewer))
            return
        channel.join(viewer, self._clock())
        if self._reader is None:
            # A server tells its application of a stop only when all connections have closed.
            hook_signals(self.stop)
            # What it logs is about no viewer's request.
            self._reader = asyncio.create_task(self._run(), context=Context())

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
            said = await self._say(tallies)
        except DatabaseUnavailable as error:
            if not self._database_away:
                logger.warning("Live results wait for the database: %s", error)
            self._database_away = True
            return
        self._database_away = False
        for question, waiting in asked.items():
            if question in self._channels:
                tally = tallies.get(question)
                self._publish(question, tally, said.get(question, {}), waiting)

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

    async def _say(self, tallies: dict[int, Numbers]) -> dict[int, dict[View, bytes]]:
        """Say what has changed, once in each view that is watched; in the thread, for a table of rounds takes its time."""
        to_say = {
            question: (tally, views)
            for question, tally in tallies.items()
            if (channel := self._channels.get(question))
            and (views := channel.views_to_say(tally))
        }
        return await self._in_thread(say_all, to_say) if to_say else {}

    def _publish(
        self,
        question: int,
        tally: Numbers | None,
        said: dict[View, bytes],
        waiting: set[Viewer],
    ) -> None:
        channel = self._channels[question]
        if tally is None:
            self._channels.pop(question).end(last_event("gone"))
        elif tally["question"]["state"] == "closed":
            # The last event has the result, so it waits for what is still to be counted.
            if not lacks_votes(tally):
                self._channels.pop(question).close(tally, said)
        else:
            channel.publish(tally, said, waiting, self._clock())
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

    def __init__(self, subscription: Subscription) -> None:
        super().__init__((), content_type="text/event-stream")
        self["Cache-Control"] = "no-store"
        # nginx would hold small events back.
        self["X-Accel-Buffering"] = "no"
        self.subscription = subscription
