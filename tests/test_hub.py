"""The hub on a real loop, with a clock that a test sets and readings that it answers."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.test import AsyncRequestFactory
from django.utils import translation

from polls.audience import SPECTATOR
from polls.serving import event_stream
from polls.serving.event_stream import Hub
from polls.serving.viewer import Subscription, View
from polls.views import results
from tests.support.waiting import until

pytestmark = pytest.mark.once


RESULTS, BALLOTS = View("en"), View("en", only_ballots=True)


def tally(version, state="open", results="always", ballots=None):
    number = version if ballots is None else ballots
    return {
        "question": {"id": 1, "state": state, "results": results, "kind": "one"},
        "version": version,
        "ballots": number,
        "choices": [],
        "rounds": [],
        "elected": None,
        "leaders": [],
        "rounds_version": None,
    }


class Database:
    """What it would say of question 1; whoever clears `answers` holds a reading up."""

    def __init__(self):
        self.reads, self.tally, self.fault = 0, tally(0), None
        self.answers = threading.Event()
        self.answers.set()

    def read(self, questions):
        told, fault = self.tally, self.fault
        self.reads += 1
        assert self.answers.wait(10)
        if fault:
            raise fault
        return {1: told} if told else {}

    async def is_read_again(self):
        """Wait for a whole reading, and until its tally is sent."""
        reads = self.reads + 2
        await until(lambda: self.reads >= reads)


class Connection:
    """What a server gives its application."""

    fault: Exception | None = None

    def __init__(self):
        self.sent, self.gone, self.readable = [], asyncio.Event(), asyncio.Event()
        self.readable.set()

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

    async def has(self, version):
        await until(lambda: version in self.versions)


class Promising(Connection):
    """A server whose send() begins at once and returns a future: ASGI promises an awaitable, and no coroutine."""

    def send(self, message):
        return asyncio.ensure_future(super().send(message))


class Pausing(Connection):
    async def send(self, message):
        await asyncio.sleep(0)
        await super().send(message)


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def clock():
    return SimpleNamespace(now=100.0)


@pytest.fixture
def hub(database, clock):
    return Hub(clock=lambda: clock.now, tick=0.001, read=database.read)


def watch(hub, viewer, known=0, view=RESULTS):
    subscription = Subscription(1, SPECTATOR, known, view)
    return asyncio.create_task(hub.watch(subscription, viewer.receive, viewer.send))


async def watching(hub, *viewers):
    tasks = [watch(hub, viewer) for viewer in viewers]
    for viewer in viewers:
        await until(lambda: viewer.versions)
    return tasks


async def all_is_over():
    """Wait until only the test is left on the loop: no reader, no viewer."""
    await until(lambda: len(asyncio.all_tasks()) == 1)


def test_everyone_gets_each_change_once(hub, database):
    async def scenario():
        viewers = [Connection() for _ in range(5)]
        await watching(hub, *viewers)
        database.tally = tally(1)
        await database.is_read_again()
        await database.is_read_again()
        assert [viewer.versions for viewer in viewers] == [[0, 1]] * 5

    asyncio.run(scenario())


async def joins(hub, viewer, view):
    task = watch(hub, viewer, view=view)
    await until(lambda: len(viewer.sent) > 1)
    return task


def test_each_language_is_said_once_and_shared(hub, database, monkeypatch):
    said = []

    def event_of(tally, view):
        said.append((tally["version"], view.language))
        return f"id: {tally['version']}\ndata: {view.language}\n\n".encode()

    monkeypatch.setattr(event_stream, "event_of", event_of)

    async def scenario():
        languages = ["en", "de", "ar"] * 4
        viewers = [Connection() for _ in languages]
        for viewer, language in zip(viewers, languages):
            await joins(hub, viewer, View(language))
        database.tally = tally(1)
        for viewer in viewers:
            await viewer.has(1)
        assert sorted(said) == [
            (n, code) for n in (0, 1) for code in ("ar", "de", "en")
        ]
        for viewer, language in zip(viewers, languages):
            assert viewer.sent[-1]["body"].endswith(f"data: {language}\n\n".encode())
        assert len({id(viewer.sent[-1]["body"]) for viewer in viewers}) == 3

    asyncio.run(scenario())


def test_the_number_of_ballots_alone_tells_no_change(hub, database, clock):
    """No version, no votes, and no event where a ballot was changed; a heartbeat though, when that takes long."""
    database.tally = tally(3, results="voted", ballots=3)

    async def scenario():
        stranger = Connection()
        await joins(hub, stranger, BALLOTS)
        first = stranger.sent[-1]["body"]
        assert b'"ballots": 3' in first and b"3 ballots" in first
        assert (
            b"id:" not in first and b"version" not in first and b"choices" not in first
        )
        database.tally = tally(4, results="voted", ballots=3)
        await database.is_read_again()
        assert len(stranger.sent) == 2
        clock.now += 16
        await until(lambda: beats(stranger))
        database.tally = tally(5, results="voted", ballots=4)
        await until(lambda: b'"ballots": 4' in stranger.sent[-1]["body"])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change, reason",
    [
        (tally(3), b"shown"),
        (tally(3, "closed", "organisers"), b"closed"),
        (tally(3, "closed", "voted"), b"closed"),
    ],
)
def test_who_watches_the_number_is_told_when_there_is_another_page(
    hub, database, change, reason
):
    database.tally = tally(3, results="voted")

    async def scenario():
        stranger = Connection()
        task = await joins(hub, stranger, BALLOTS)
        database.tally = change
        await asyncio.wait_for(task, 5)
        assert reason in stranger.sent[-1]["body"]
        assert not any(b"choices" in message["body"] for message in stranger.sent)

    asyncio.run(scenario())


def test_a_server_may_send_without_coroutines(hub, database):
    async def scenario():
        viewers = [Promising(), Promising(), Connection()]
        tasks = await watching(hub, *viewers)
        viewers[1].readable.clear()
        for version in range(1, 6):
            database.tally = tally(version)
            await viewers[0].has(version)
        viewers[1].readable.set()
        database.tally = tally(6, "closed")
        done, _ = await asyncio.wait(tasks, timeout=5)
        assert len(done) == 3 and not [t for t in done if t.exception()]
        assert viewers[0].versions == viewers[2].versions == [0, 1, 2, 3, 4, 5, 6]
        assert viewers[1].versions in ([0, 1, 5, 6], [0, 1, 6]), "only the newest waits"

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Connection, Promising, Pausing])
def test_a_viewer_that_cannot_be_sent_to_harms_no_other(hub, database, kind, caplog):
    async def scenario():
        bad, good = kind(), Connection()
        task, _ = await watching(hub, bad, good)
        bad.fault = RuntimeError("refused")
        database.tally = tally(1)
        await asyncio.wait_for(task, 5)
        database.tally = tally(2)
        await good.has(2)
        assert good.versions == [0, 1, 2] and bad.versions == [0]
        assert "could not be sent to" in caplog.text

    asyncio.run(scenario())


def test_one_read_is_for_all_who_watch(hub, database):
    async def scenario():
        viewers = [Connection() for _ in range(200)]
        await watching(hub, *viewers)
        before = database.reads
        for version in range(1, 6):
            database.tally = tally(version)
            await database.is_read_again()
        assert {tuple(v.versions) for v in viewers} == {(0, 1, 2, 3, 4, 5)}
        assert database.reads - before < 20

    asyncio.run(scenario())


def test_no_read_when_nobody_watches(hub, database):
    async def scenario():
        viewer = Connection()
        await watching(hub, viewer)
        viewer.gone.set()
        await all_is_over()
        # Who comes then has it read anew.
        database.tally = tally(1)
        again = Connection()
        await watching(hub, again)
        assert again.versions == [1]

    asyncio.run(scenario())


def test_a_slow_viewer_has_only_the_newest_waiting(hub, database):
    async def scenario():
        slow, quick = Connection(), Connection()
        await watching(hub, slow, quick)
        slow.readable.clear()
        for version in range(1, 6):
            database.tally = tally(version)
            await quick.has(version)
        slow.readable.set()
        await slow.has(5)
        assert quick.versions == [0, 1, 2, 3, 4, 5]
        assert slow.versions == [0, 1, 5], "one was on its way when the reading stopped"

    asyncio.run(scenario())


def test_a_viewer_who_knows_more_than_this_worker_is_not_sent_back(hub, database):
    """Nor by a reading that is under way: it may know less than the viewer."""

    async def scenario():
        here, back = Connection(), Connection()
        await watching(hub, here)
        database.answers.clear()
        await database_is_asked(database)
        await comes_knowing_more(hub, database, back)
        assert (here.versions, back.versions) == ([0, 7], [7])

    asyncio.run(scenario())


def test_who_comes_during_the_first_reading_waits_for_the_next(hub, database):
    async def scenario():
        here, back = Connection(), Connection()
        database.answers.clear()
        database.tally = tally(6)
        watch(hub, here)
        await database_is_asked(database)
        await comes_knowing_more(hub, database, back)
        assert (here.versions, back.versions) == ([6, 7], [7])

    asyncio.run(scenario())


async def comes_knowing_more(hub, database, viewer):
    """Watch with a version that the reading under way does not have yet, and let that end."""
    database.tally = tally(7)
    watch(hub, viewer, known=7)
    await until(lambda: viewer.sent)
    database.answers.set()
    await viewer.has(7)


async def database_is_asked(database):
    reads = database.reads
    await until(lambda: database.reads > reads)


def test_a_quiet_stream_has_a_heartbeat(hub, database, clock):
    async def scenario():
        viewer = Connection()
        await watching(hub, viewer)
        clock.now += 15
        await database.is_read_again()
        assert not beats(viewer)
        clock.now += 1
        await until(lambda: beats(viewer) == 1)
        await database.is_read_again()
        assert beats(viewer) == 1 and viewer.versions == [0]

    asyncio.run(scenario())


def beats(viewer):
    return sum(m["body"].startswith(b":\nevent: beat\n") for m in viewer.sent)


@pytest.mark.parametrize(
    "change, reason", [(None, b"gone"), (tally(3, "closed"), b"closed")]
)
def test_what_ends_sends_a_last_event(hub, database, change, reason):
    async def scenario():
        viewer = Connection()
        (task,) = await watching(hub, viewer)
        database.tally = change
        await asyncio.wait_for(task, 5)
        assert reason in viewer.sent[-1]["body"]
        assert viewer.sent[-1]["more_body"] is False

    asyncio.run(scenario())


def test_the_last_event_has_the_rounds_of_all_ballots(hub, database):
    """They may be counted a moment after the close."""

    async def scenario():
        viewer = Connection()
        (task,) = await watching(hub, viewer)
        database.tally = tally(3, "closed") | {
            "question": {
                "state": "closed",
                "results": "always",
                "kind": "ranked",
                "id": 1,
            },
            "rounds_version": None,
        }
        await database.is_read_again()
        assert viewer.versions == [0] and not task.done()
        database.tally = tally(3, "closed")
        await asyncio.wait_for(task, 5)
        assert viewer.versions == [0, 3]

    asyncio.run(scenario())


def test_a_database_that_is_away_ends_nothing_and_the_heart_beats(
    hub, database, clock, caplog
):
    async def scenario():
        viewer = Connection()
        await watching(hub, viewer)
        database.fault = DatabaseError("away")
        await database.is_read_again()
        clock.now += 16
        await until(lambda: beats(viewer))
        database.fault, database.tally = None, tally(2)
        await viewer.has(2)
        assert viewer.versions == [0, 2]
        assert caplog.text.count("wait for the database: away") == 1

    asyncio.run(scenario())


def test_a_database_that_hangs_holds_up_no_heartbeat_and_no_stop(hub, database, clock):
    async def scenario():
        viewer = Connection()
        (task,) = await watching(hub, viewer)
        database.answers.clear()
        await database_is_asked(database)
        clock.now += 16
        await until(lambda: beats(viewer))
        hub.stop()
        await asyncio.wait_for(task, 5)
        database.answers.set()

    asyncio.run(scenario())


def test_a_fault_of_ours_ends_the_streams_loudly(hub, database, caplog):
    async def scenario():
        (task,) = await watching(hub, Connection())
        database.fault = ValueError("a fault")
        await asyncio.wait_for(task, 5)
        assert "The reader of live results failed." in caplog.text

    asyncio.run(scenario())


def test_a_viewer_that_never_reads_holds_up_no_end(hub, database):
    async def scenario():
        deaf, reader = Connection(), Connection()
        task, _ = await watching(hub, deaf, reader)
        deaf.readable.clear()
        database.tally = tally(1)
        await reader.has(1)
        hub.stop()
        await asyncio.wait_for(task, 5)

    asyncio.run(scenario())


def test_a_server_that_cancels_is_obeyed(hub):
    async def scenario():
        (task,) = await watching(hub, Connection())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await all_is_over()

    asyncio.run(scenario())


class OfUvicorn(Connection):
    def __init__(self, keep_alive=True):
        super().__init__()
        self.keep_alive, self.transport = keep_alive, SimpleNamespace()

    def server_stops(self):
        self.keep_alive = False


class OfGunicorn(Connection):
    def __init__(self):
        super().__init__()
        worker = SimpleNamespace(alive=True)
        self.protocol = SimpleNamespace(worker=worker, transport=SimpleNamespace())

    def server_stops(self):
        self.protocol.worker.alive = False


@pytest.mark.parametrize("server", [OfUvicorn, OfGunicorn])
def test_a_server_that_stops_without_a_signal_ends_the_streams(hub, database, server):
    async def scenario():
        viewer = server()
        (task,) = await watching(hub, viewer)
        await database.is_read_again()
        assert not task.done()
        viewer.server_stops()
        await asyncio.wait_for(task, 5)
        assert viewer.sent[-1] == {**viewer.sent[0], "body": b"", "more_body": False}

    asyncio.run(scenario())


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_connection_that_was_to_be_closed_is(hub, database, keep_alive):
    async def scenario():
        viewer = OfUvicorn(keep_alive)
        (task,) = await watching(hub, viewer)
        assert viewer.keep_alive
        database.tally = None
        await asyncio.wait_for(task, 5)
        assert viewer.keep_alive == keep_alive

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "named", [{"query_params": {"version": "7"}}, {"headers": {"Last-Event-ID": "7"}}]
)
def test_a_page_names_its_version(question, named):
    """On its first visit in the address, later as the browser does."""
    request = AsyncRequestFactory().get("/polls/1/live/", **named)
    request.user = AnonymousUser()
    with translation.override("en"):
        stream = results.live(request, question.pk)
    assert stream.subscription == Subscription(question.pk, SPECTATOR, 7, RESULTS)
