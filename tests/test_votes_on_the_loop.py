"""Votes under ASGI, which take no thread of their own: the handler is called as a server would call it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.core import signals
from django.db import OperationalError, connection, connections
from test_handler_parity import FORM, Visit

from polls import ballot_box, ballot_rows, memory, views
from polls.handler import Handler
from polls.models import Ballot, Choice, Question
from polls.voters import _signer

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a" * 32


@pytest.fixture
def red(ask, keeping, monkeypatch) -> Choice:
    """A question that the worker has just read, as it is while people vote."""
    monkeypatch.setattr(memory, "KEPT", 60)
    question = ask("Which colour?", "Red", "Blue")
    assert memory.recent(question.pk, lambda: question).offered
    return question.choice_set.get(choice_text="Red")


@pytest.fixture
def handler(settings):
    settings.ASGI_THREADS = 1
    handler = Handler()
    yield handler
    handler._threads.submit(connections.close_all).result()
    handler._threads.shutdown()


def vote(choice: Choice, voter: str = "", token: str = TOKEN, form: str = "") -> Visit:
    cookies = f"csrftoken={TOKEN}"
    if voter:
        cookies += f"; voter={_signer.sign(voter)}"
    body = f"csrfmiddlewaretoken={token}&choice={choice.pk}{form}".encode()
    headers = FORM | {"cookie": cookies, "content-length": str(len(body))}
    path = f"/polls/{choice.question_id}/vote/"
    return Visit(path, "POST", headers, [body])


def send(handler: Handler, *visits: Visit) -> list[int]:
    """Send all at the same moment; return the statuses."""

    async def all_of_them():
        await asyncio.gather(*(visit.to(handler) for visit in visits))

    async_to_sync(all_of_them)()
    return [visit.sent[0]["status"] for visit in visits]


@pytest.fixture
def viewed(monkeypatch) -> list[str]:
    """The threads in which votes come to their view's question."""
    threads, recent = [], memory.recent

    def noting(*arguments):
        threads.append(threading.current_thread().name)
        return recent(*arguments)

    monkeypatch.setattr(views.memory, "recent", noting)
    return threads


def test_it_works(handler, red, viewed):
    assert send(handler, *(vote(red) for _ in range(10))) == [302] * 10
    assert Ballot.objects.count() == Choice.objects.get(pk=red.pk).votes == 10
    assert not [name for name in viewed if name.startswith("polls")]


@pytest.mark.postgresql
def test_they_share_a_commit(handler, red):
    send(handler, *(vote(red) for _ in range(10)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM polls_ballot")
        assert cursor.fetchone()[0] <= 2


def test_no_answer_leaves_before_the_ballot_is_written(handler, red):
    with ballot_box._writing:
        release = threading.Timer(0.3, ballot_box._writing.release)
        release.start()
        visit = vote(red)

        async def look_before_and_after():
            task = asyncio.ensure_future(visit.to(handler))
            await asyncio.sleep(0.15)
            before = list(visit.sent)
            await task
            return before

        assert async_to_sync(look_before_and_after)() == []
        ballot_box._writing.acquire()
    assert visit.sent[0]["status"] == 302 and Ballot.objects.count() == 1


def test_a_double_click_is_one_ballot(handler, red):
    statuses = send(handler, *(vote(red, "ann") for _ in range(5)))
    assert statuses == [302] * 5
    assert Ballot.objects.count() == Choice.objects.get(pk=red.pk).votes == 1


def test_a_second_vote_changes_the_first_in_a_thread(handler, red, viewed):
    blue = red.question.choice_set.get(choice_text="Blue")
    assert (
        send(handler, vote(red, "ann")) + send(handler, vote(blue, "ann")) == [302] * 2
    )
    assert Ballot.objects.get().choices == [blue]
    assert [name.startswith("polls") for name in viewed] == [False, False, True]


def test_a_question_that_was_just_closed_takes_no_vote(handler, red):
    """The worker still has it in memory as it was."""
    Question.objects.get().close()
    visit = vote(red)
    assert send(handler, visit) == [200]
    page = b"".join(message.get("body", b"") for message in visit.sent).decode()
    assert "Your vote was not counted." in page
    assert not Ballot.objects.exists()


def test_one_bad_vote_harms_none_of_its_neighbours(handler, red):
    bad = [
        vote(red, token="b" * 32),
        vote(red, form="&choice=999"),
        vote(red, form="&wording=x"),
    ]
    assert send(handler, vote(red), *bad, vote(red)) == [302, 403, 200, 200, 302]
    assert Ballot.objects.count() == 2


def test_it_goes_to_a_thread_where_the_question_is_not_in_memory(handler, red, viewed):
    memory.forget()
    assert send(handler, vote(red)) == [302]
    assert [name.startswith("polls") for name in viewed] == [False, True]
    assert Ballot.objects.count() == 1


@pytest.fixture
def quiet(caplog) -> Iterator[list]:
    """What Django signals or logs as an error."""
    errors = caplog.records
    note = lambda **signal: errors.append(signal)
    signals.got_request_exception.connect(note)
    yield errors
    signals.got_request_exception.disconnect(note)


@pytest.mark.parametrize("debug", [False, True])
def test_it_goes_to_a_thread_where_the_voter_has_to_be_asked_for(
    handler, red, viewed, client, admin_user, settings, quiet, debug
):
    settings.DEBUG = debug
    Question.objects.update(voters="accounts")
    memory.forget()
    question = Question.objects.get()
    assert memory.recent(question.pk, lambda: question).offered
    viewed.clear()
    client.force_login(admin_user)
    visit = vote(red)
    visit.headers["cookie"] += f"; sessionid={client.cookies['sessionid'].value}"
    assert send(handler, visit) == [302]
    assert Ballot.objects.count() == 1 and not quiet
    assert [name.startswith("polls") for name in viewed] == [False, True]


def held_up(monkeypatch):
    """Hold up whoever writes; return what says that somebody does, and what lets go."""
    begun, go_on, write = threading.Event(), threading.Event(), ballot_rows.write

    def slowly(ballots):
        begun.set()
        go_on.wait(10)
        write(ballots)

    monkeypatch.setattr(ballot_rows, "write", slowly)
    return begun, go_on


def test_a_vote_whose_client_left_while_others_were_written_counts(
    handler, red, monkeypatch
):
    """gunicorn's own worker cancels it after a while."""
    begun, go_on = held_up(monkeypatch)

    async def ann_then_bob():
        ann = asyncio.ensure_future(vote(red, "ann").to(handler))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        bob = asyncio.ensure_future(vote(red, "bob").to(handler))
        await asyncio.sleep(0.05)
        bob.cancel()
        go_on.set()
        await ann
        await handler._emptying

    async_to_sync(ann_then_bob)()
    assert Ballot.objects.count() == 2 and not ballot_box._waiting


def test_a_ballot_that_failed_is_not_tried_again(handler, red, monkeypatch):
    """Its commit may have been one: whoever has no cookie yet would be two voters."""
    write, tried = ballot_rows.write, []

    def lose_the_answer(ballots):
        tried.append(ballots)
        write(ballots)
        raise OperationalError("The connection was lost.")

    with monkeypatch.context() as broken:
        broken.setattr(ballot_rows, "write", lose_the_answer)
        assert send(handler, vote(red)) == [503]
    assert Ballot.objects.count() == len(tried) == 1
    assert send(handler, vote(red)) == [302]


@pytest.mark.postgresql
def test_a_connection_that_broke_is_made_anew(handler, red):
    assert send(handler, vote(red)) == [302]
    mine = "pid <> pg_backend_pid() AND datname = current_database()"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"
        )
    assert [send(handler, vote(red)) for _ in range(3)] == [[302]] * 3
    assert Ballot.objects.count() == 4
