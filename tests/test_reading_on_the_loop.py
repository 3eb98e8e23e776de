"""Pages of who has voted, under ASGI: their words are in memory, and the event loop itself reads what is the visitor's own."""

import asyncio
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.core import signals
from django.db import connection
from django.http import HttpResponse

from polls.models import Choice, Question
from polls.postgresql import loop_connection
from polls.serving import own_pages
from polls.serving.asgi_handler import Handler
from polls.serving.spectator_cache import Cache
from polls.voting.cast import cast
from polls.voting.identity import (
    COOKIE,
    make_codes,
    remember_identity,
    voter_key,
)
from tests.support import disks
from tests.support.visits import TOKEN, Visit, send

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("keeping"),
]
PAGES = "{}/results/", "{}/results.json", "{}/", ""


def visit(question: Question, page: str, voter: str, **headers: str) -> Visit:
    response = HttpResponse()
    remember_identity(response, question, voter)
    cookies = f"csrftoken={TOKEN}; {COOKIE}={response.cookies[COOKIE].value}"
    path = "/polls/" + page.format(question.pk)
    return Visit(path, headers={"cookie": cookies} | headers)


def vote(choice: Choice, voter: str) -> str:
    """Return the receipt."""
    key = voter_key(choice.question, voter)
    return cast(choice.question, key, [choice.pk]).receipt


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch) -> None:
    """A slow machine forgets no page in the middle of a test."""
    monkeypatch.setattr(own_pages, "pages", Cache(clock=lambda: 100.0))


@pytest.fixture
def looked(handler, red) -> Question:
    """Ann has voted, each of her pages is in memory, and the loop has a connection."""
    vote(red, "ann")
    for page in PAGES:
        assert send(handler, visit(red.question, page, "ann")) == [200]
    wait_for_connection(handler, red.question)
    return red.question


def wait_for_connection(handler: Handler, question: Question) -> None:
    async def visit_until_open() -> None:
        async with asyncio.timeout(30):
            while not handler.reader.is_open:
                await visit(question, "{}/results/", "ann").to(handler)
                await asyncio.sleep(0.05)

    async_to_sync(visit_until_open)()


@contextmanager
def no_thread_free(handler: Handler) -> Iterator[None]:
    """Let the body find all threads at work, as while they wait for the database."""
    end = threading.Event()
    handler.threads.submit(end.wait, 60)
    try:
        yield
    finally:
        end.set()


look = partial(send, within=10)


@pytest.mark.parametrize("page", PAGES)
def test_who_has_voted_waits_for_no_thread(handler, looked, page):
    with no_thread_free(handler):
        visits = [visit(looked, page, "ann") for _ in range(5)]
        assert look(handler, *visits) == [200] * 5


@contextmanager
def all_in_threads(handler: Handler) -> Iterator[None]:
    """Let somebody listen to requests who is not Django: each takes a thread."""
    receiver = lambda **event: None
    signals.request_started.connect(receiver)
    try:
        yield
    finally:
        signals.request_started.disconnect(receiver)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("voter", ["ann", "bob"])
def test_the_answer_is_that_of_a_thread(handler, looked, page, encoding, voter):
    # That of Bob, who has not voted, is in memory too.
    look(handler, visit(looked, page, "bob"))
    answers = []
    for somewhere in (no_thread_free, all_in_threads):
        asked = visit(looked, page, voter, **{"accept-encoding": encoding})
        with somewhere(handler):
            look(handler, asked)
        answers.append(_without_what_differs(asked))
        # The view makes it anew for the second.
        own_pages.pages.clear()
    assert answers[0] == answers[1]


def _without_what_differs(asked: Visit) -> tuple[str, bytes]:
    """Return headers and body without a token, and without a second that may pass between two of them."""
    body = b"".join(message.get("body", b"") for message in asked.sent[1:])
    token = rb'(csrfmiddlewaretoken" value=")[^"]+'
    headers = re.sub("expires=[^;]+", "", str(asked.headers_sent))
    return headers, re.sub(token, rb"\1", body)


def test_it_tells_of_a_vote_at_once(handler, looked):
    red = looked.choice_set.get(choice_text="Red")
    for number in range(2, 5):
        vote(red, f"voter {number}")
        with no_thread_free(handler):
            asked = visit(looked, "{}/results.json", "ann")
            look(handler, asked)
        assert f'"ballots": {number}' in asked.text


def test_who_has_the_newest_is_told_so(handler, looked):
    first = visit(looked, "{}/results.json", "ann")
    look(handler, first)
    etag = dict(first.sent[0]["headers"])[b"ETag"].decode()
    with no_thread_free(handler):
        again = visit(looked, "{}/results.json", "ann", **{"if-none-match": etag})
        assert look(handler, again) == [304]


def test_each_gets_their_own_though_others_leave(handler, looked):
    """Also those who ask at the same moment on the same connection, and whose request is given up in the middle."""
    red = looked.choice_set.get(choice_text="Red")
    receipts = {name: vote(red, name) for name in map(str, range(20))}

    async def ask(name: str) -> str:
        asked = visit(looked, "{}/results/", name)
        await asked.to(handler)
        return asked.text

    async def ask_and_leave() -> dict[str, str]:
        tasks = {name: asyncio.ensure_future(ask(name)) for name in receipts}
        for task in random.sample(list(tasks.values()), 5):
            await asyncio.sleep(random.uniform(0, 0.003))
            task.cancel()
        await asyncio.wait(tasks.values())
        return {
            name: task.result() for name, task in tasks.items() if not task.cancelled()
        }

    for _ in range(20):
        for name, page in async_to_sync(ask_and_leave)().items():
            found = re.findall(r"/r/(\w+)/", page)
            assert set(found) == {receipts[name]}
        # Whoever left took no connection away.
        assert handler.reader.is_open


def test_the_rounds_of_a_ranked_poll_are_counted_in_a_thread(handler, ask):
    question = ask("Which?", "Red", "Blue", kind="ranked")
    red, blue = question.choice_set.order_by("pk")
    rank(question, "ann", red, blue)
    wait_for_connection(handler, question)
    json = lambda: visit(question, "{}/results.json", "ann")
    assert look(handler, json()) == [200]
    with no_thread_free(handler):
        # Counted by now.
        assert look(handler, json()) == [200]
    rank(question, "bob", blue, red)
    asked = [json() for _ in range(3)]
    assert look(handler, *asked) == [200] * 3
    assert all('"ballots": 2, ' in one.text for one in asked)
    assert all('"rounds": [{' in one.text for one in asked)


def rank(question: Question, voter: str, *choices: Choice) -> None:
    cast(question, voter_key(question, voter), [choice.pk for choice in choices])


def test_a_code_is_looked_up_in_a_thread(handler, ask):
    """It may have been made void."""
    question = ask("Which?", "Red", "Blue", voters="codes")
    ((_, code),) = make_codes(question, 1)
    response = HttpResponse()
    remember_identity(response, question, f"code:{code}")
    ((name, morsel),) = response.cookies.items()
    cookies = {"cookie": f"{name}={morsel.value}"}
    wait_for_connection(handler, ask("Another?", "Red", "Blue"))
    for is_valid in (True, False):
        for _ in range(3):
            ballot = Visit(f"/polls/{question.pk}/", headers=cookies)
            assert look(handler, ballot) == [200]
            assert ('name="choice"' in ballot.text) == is_valid
        question.invitation_set.void()


@pytest.mark.postgresql
def test_it_goes_on_when_the_database_is_back(handler, looked):
    results = lambda: visit(looked, "{}/results/", "ann")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert look(handler, *(results() for _ in range(5))) == [200] * 5
    wait_for_connection(handler, looked)
    with no_thread_free(handler):
        assert look(handler, results()) == [200]


@pytest.mark.postgresql
def test_whoever_waits_too_long_waits_in_a_thread(handler, looked):
    """All who asked at that moment, and none brings the process down."""
    parameters = connection.get_connection_params() | {"autocommit": False}
    with psycopg.connect(**parameters) as other:
        other.execute("LOCK TABLE polls_ballot")
        end = threading.Timer(loop_connection.PATIENCE + 2, other.rollback)
        end.start()
        visits = [visit(looked, "{}/results/", "ann") for _ in range(5)]
        assert look(handler, *visits) == [200] * 5
        end.join()
    assert not handler.reader.is_open
    assert all("Your vote is counted" in one.text for one in visits)
    wait_for_connection(handler, looked)


@pytest.mark.sqlite
@pytest.mark.parametrize("happens", [disks.moved_away, disks.replaced])
def test_nothing_is_shown_of_a_file_that_is_gone(handler, looked, happens):
    results = lambda: visit(looked, "{}/results/", "ann")
    with happens(Path(connection.settings_dict["NAME"])):
        assert look(handler, results()) == [503]
    with no_thread_free(handler):
        assert look(handler, results()) == [200]
