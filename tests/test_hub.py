"""The hub on a real loop, with a clock that runs."""

import asyncio
import functools
import time

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import AsyncRequestFactory

from polls.audience import SPECTATOR
from polls.serving import event_stream as live
from polls.views import results

pytestmark = pytest.mark.once


def tally(version, state="open"):
    return {
        "question": {"state": state, "results": "always", "kind": "one"},
        "version": version,
        "ballots": version,
        "choices": [],
    }


class Connection:
    """What a server gives its application; `deaf` never takes the next message."""

    def __init__(self):
        self.sent, self.gone, self.readable = [], asyncio.Event(), asyncio.Event()
        self.readable.set()

    fault: Exception | None = None

    async def send(self, message):
        await self.readable.wait()
        if self.fault:
            raise self.fault
        self.sent.append(message)

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def versions(self):
        texts = [message["body"].decode() for message in self.sent]
        return [int(t.split("\n")[0][4:]) for t in texts if t.startswith("id: ")]


@pytest.fixture
def rows(monkeypatch):
    """What the database would say; each read is noted."""
    rows = {"reads": 0, 1: tally(0)}

    def read(questions):
        rows["reads"] += 1
        if isinstance(rows[1], Exception):
            raise rows[1]
        return {q: rows[q] for q in questions if rows.get(q)}

    monkeypatch.setattr(live, "_read", read)
    monkeypatch.setattr(live, "TICK", 0.02)
    return rows


async def watching(hub, *connections, known=0):
    tasks = [
        asyncio.create_task(hub.watch(1, SPECTATOR, known, c.receive, c.send))
        for c in connections
    ]
    await asyncio.sleep(0.1)
    return tasks


def test_everyone_gets_each_change_once(rows):
    async def scenario():
        hub, viewers = live.Hub(), [Connection() for _ in range(5)]
        await watching(hub, *viewers)
        rows[1] = tally(1)
        await asyncio.sleep(0.1)
        assert [viewer.versions for viewer in viewers] == [[0, 1]] * 5

    asyncio.run(scenario())


class Promising(Connection):
    """A server whose send() begins at once and returns a future: ASGI promises an awaitable, and no coroutine."""

    def send(self, message):
        return asyncio.ensure_future(super().send(message))


def test_a_server_may_send_without_coroutines(rows):
    async def scenario():
        hub, viewers = live.Hub(), [Promising(), Promising(), Connection()]
        tasks = await watching(hub, *viewers)
        viewers[1].readable.clear()
        for version in range(1, 6):
            rows[1] = tally(version)
            await asyncio.sleep(0.1)
        viewers[1].readable.set()
        rows[1] = tally(6, "closed")
        done, _ = await asyncio.wait(tasks, timeout=1)
        assert len(done) == 3 and not [t for t in done if t.exception()]
        assert viewers[0].versions == viewers[2].versions == [0, 1, 2, 3, 4, 5, 6]
        assert viewers[1].versions in ([0, 1, 5, 6], [0, 1, 6]), "only the newest waits"

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Connection, Promising])
def test_a_send_that_fails_later_ends_one_stream(rows, kind, caplog):
    async def scenario():
        hub, bad, good = live.Hub(), kind(), Connection()
        task, _ = await watching(hub, bad, good)
        bad.fault = RuntimeError("refused")
        rows[1] = tally(1)
        assert (await asyncio.wait([task], timeout=1))[0]
        rows[1] = tally(2)
        await asyncio.sleep(0.1)
        assert good.versions == [0, 1, 2]
        assert "could not be sent to" in caplog.text

    asyncio.run(scenario())


def test_one_read_a_tick_however_many_watch(rows):
    async def scenario():
        hub = live.Hub()
        await watching(hub, *(Connection() for _ in range(200)))
        before = rows["reads"]
        await asyncio.sleep(0.4)
        assert 5 <= rows["reads"] - before <= 21

    asyncio.run(scenario())


def test_no_read_when_nobody_watches(rows):
    async def scenario():
        hub, viewer = live.Hub(), Connection()
        tasks = await watching(hub, viewer)
        viewer.gone.set()
        await asyncio.wait(tasks, timeout=1)
        await asyncio.sleep(0.1)
        before = rows["reads"]
        await asyncio.sleep(0.2)
        assert rows["reads"] == before

    asyncio.run(scenario())


def test_a_slow_viewer_has_only_the_newest_waiting(rows):
    async def scenario():
        hub, slow, quick = live.Hub(), Connection(), Connection()
        await watching(hub, slow, quick)
        slow.readable.clear()
        for version in range(1, 6):
            rows[1] = tally(version)
            await asyncio.sleep(0.1)
        slow.readable.set()
        await asyncio.sleep(0.1)
        assert quick.versions == [0, 1, 2, 3, 4, 5]
        assert slow.versions == [0, 1, 5], "one was on its way when the reading stopped"

    asyncio.run(scenario())


def test_a_viewer_who_knows_more_than_this_worker_is_not_sent_back(rows):
    async def scenario():
        hub, here, back = live.Hub(), Connection(), Connection()
        await watching(hub, here)
        live.TICK = 0.3
        await asyncio.sleep(0.05)
        rows[1] = tally(7)
        await watching(hub, back, known=7)
        await asyncio.sleep(0.5)
        assert back.versions == [7]

    asyncio.run(scenario())


def test_a_quiet_stream_has_a_heartbeat(rows, monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)

    async def scenario():
        hub, viewer = live.Hub(), Connection()
        await watching(hub, viewer)
        await asyncio.sleep(0.3)
        assert viewer.sent[-1]["body"].startswith(b":\n")
        assert viewer.versions == [0]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change, reason", [(None, b"gone"), (tally(3, "closed"), b"closed")]
)
def test_what_ends_sends_a_last_event(rows, change, reason):
    async def scenario():
        hub, viewer = live.Hub(), Connection()
        tasks = await watching(hub, viewer)
        rows[1] = change
        done, _ = await asyncio.wait(tasks, timeout=1)
        assert done and tasks[0].exception() is None
        assert reason in viewer.sent[-1]["body"]
        assert viewer.sent[-1]["more_body"] is False

    asyncio.run(scenario())


def test_the_last_event_has_the_rounds_of_all_ballots(rows):
    """They may be counted a moment after the close."""

    def ranked(rounds_version):
        told = tally(3, "closed") | {"rounds_version": rounds_version}
        return told | {"question": told["question"] | {"kind": "ranked"}}

    async def scenario():
        hub, viewer = live.Hub(), Connection()
        tasks = await watching(hub, viewer)
        rows[1] = ranked(2)
        await asyncio.sleep(0.1)
        assert viewer.versions == [0] and not tasks[0].done()
        rows[1] = ranked(3)
        done, _ = await asyncio.wait(tasks, timeout=1)
        assert done and viewer.versions == [0, 3]

    asyncio.run(scenario())


def test_a_database_that_is_away_ends_nothing_and_the_heart_beats(rows, monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)

    async def scenario():
        hub, viewer = live.Hub(), Connection()
        await watching(hub, viewer)
        rows[1] = live.DatabaseUnavailable("away")
        await asyncio.sleep(0.3)
        assert viewer.sent[-1]["body"] == live.BEAT
        rows[1] = tally(2)
        await asyncio.sleep(0.1)
        assert viewer.versions == [0, 2]

    asyncio.run(scenario())


def test_a_fault_of_ours_ends_the_streams_loudly(rows, caplog):
    async def scenario():
        hub, viewer = live.Hub(), Connection()
        tasks = await watching(hub, viewer)
        rows[1] = ValueError("a fault")
        done, _ = await asyncio.wait(tasks, timeout=1)
        assert done
        assert "The reader of live results failed." in caplog.text

    asyncio.run(scenario())


def test_a_viewer_that_cannot_be_sent_to_harms_no_other(rows, caplog):
    async def scenario():
        hub, bad, good = live.Hub(), Connection(), Connection()

        async def refuse(message):
            raise RuntimeError("refused")

        task, _ = await watching(hub, bad, good)
        for viewer in hub._channels[1].viewers:
            if viewer.send == bad.send:
                viewer.send = refuse
        rows[1] = tally(1)
        await asyncio.wait([task], timeout=1)
        rows[1] = tally(2)
        await asyncio.sleep(0.1)
        assert good.versions == [0, 1, 2]
        assert task.done() and "could not be sent to" in caplog.text

    asyncio.run(scenario())


def test_a_viewer_that_never_reads_holds_up_no_end(rows, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0.1)

    async def scenario():
        hub, deaf = live.Hub(), Connection()
        tasks = await watching(hub, deaf)
        deaf.readable.clear()
        rows[1] = tally(1)
        await asyncio.sleep(0.1)
        hub.stop()
        done, _ = await asyncio.wait(tasks, timeout=1)
        assert done

    asyncio.run(scenario())


def test_who_comes_during_a_reading_waits_for_the_next(rows, monkeypatch):
    """The reading under way may know less than the viewer."""

    def slow(questions):
        told = rows[1]
        time.sleep(0.2)
        return {1: told}

    async def scenario():
        hub, here, back = live.Hub(), Connection(), Connection()
        monkeypatch.setattr(live, "_read", slow)
        rows[1] = tally(6)
        asyncio.create_task(hub.watch(1, SPECTATOR, 0, here.receive, here.send))
        await asyncio.sleep(0.1)
        rows[1] = tally(7)
        asyncio.create_task(hub.watch(1, SPECTATOR, 7, back.receive, back.send))
        await asyncio.sleep(0.6)
        assert (here.versions, back.versions) == ([6, 7], [7])

    asyncio.run(scenario())


def test_a_server_that_cancels_is_obeyed(rows):
    async def scenario():
        hub, viewer = live.Hub(), Connection()
        (task,) = await watching(hub, viewer)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not hub._channels

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "named", [{"query_params": {"version": "7"}}, {"headers": {"Last-Event-ID": "7"}}]
)
def test_a_page_that_names_its_version_is_not_sent_back(
    question, rows, monkeypatch, named
):
    """On its first visit in the address, later as the browser does."""
    request = AsyncRequestFactory().get("/polls/1/live/", **named)
    request.user = AnonymousUser()
    monkeypatch.setattr(live, "hub", live.Hub())
    stream = results.live(request, question.pk)
    rows[question.pk] = tally(6)

    async def scenario():
        here, page = Connection(), Connection()
        watch = functools.partial(live.hub.watch, question.pk, SPECTATOR, 0)
        asyncio.create_task(watch(here.receive, here.send))
        await asyncio.sleep(0.1)
        live.TICK = 0.3
        await asyncio.sleep(0.05)
        rows[question.pk] = tally(7)
        asyncio.create_task(stream.serve(page.receive, page.send))
        await asyncio.sleep(0.5)
        assert (here.versions, page.versions) == ([6, 7], [7])

    asyncio.run(scenario())
