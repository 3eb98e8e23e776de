"""Votes under ASGI, which take no thread of their own: the handler is called as a server would call it."""

import asyncio
import datetime
import itertools
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import messages
from django.contrib.sessions.models import Session
from django.core import signals
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from polls.models import Ballot, Choice, Question
from polls.serving import spectator_cache
from polls.serving.on_loop import may_run_on_loop
from polls.voting.cast import cast, new_ballots
from polls.voting.identity import (
    COOKIE,
    identify,
    new_identity,
    remember_identity,
    voter_key,
)
from tests.support.handler import handling
from tests.support.races import outcome
from tests.support.visits import Visit, send, vote
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def viewed(monkeypatch) -> list[str]:
    """The threads in which votes come to their view's question."""
    threads, recent = [], spectator_cache.questions.get_or_make

    def noting(*arguments):
        threads.append(threading.current_thread().name)
        return recent(*arguments)

    monkeypatch.setattr(spectator_cache.questions, "get_or_make", noting)
    return threads


def test_it_works(handler, red, viewed):
    assert send(handler, *(vote(red) for _ in range(10))) == [302] * 10
    assert Ballot.objects.count() == Choice.objects.get(pk=red.pk).votes == 10
    assert not [name for name in viewed if name.startswith("polls")]
    # One that has its statements ready writes them; those of the pool are free.
    names = {thread.name for thread in threading.enumerate()}
    assert "polls-writer_0" in names and "polls_0" not in names


@pytest.mark.postgresql
def test_they_share_a_commit(handler, red):
    send(handler, *(vote(red) for _ in range(10)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM polls_ballot")
        assert cursor.fetchone()[0] <= 2


def test_no_answer_leaves_before_the_ballot_is_written(handler, red):
    with new_ballots.write_lock:
        release = threading.Timer(0.3, new_ballots.write_lock.release)
        release.start()
        visit = vote(red)

        async def look_before_and_after():
            task = asyncio.ensure_future(visit.to(handler))
            await asyncio.sleep(0.15)
            before = list(visit.sent)
            await task
            return before

        assert async_to_sync(look_before_and_after)() == []
        new_ballots.write_lock.acquire()
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


def test_a_question_that_closes_while_people_vote_stays_closed(
    handler, red, monkeypatch
):
    """Though the clock is set back, and the worker has it in memory as it was."""
    now = timezone.now()
    Question.objects.update(closes_at=now + datetime.timedelta(hours=1))
    spectator_cache.questions.clear()
    spectator_cache.questions.get_or_make(
        red.question_id, Question.objects.get
    ).choice_texts
    later = now + datetime.timedelta(hours=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert send(handler, vote(red)) == [200]
    # Another thread writes that down.
    wait_until(Question.objects.exclude(closed_at=None).exists)
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert send(handler, vote(red)) == [200]
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
    spectator_cache.questions.clear()
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
    spectator_cache.questions.clear()
    question = Question.objects.get()
    assert spectator_cache.questions.get_or_make(
        question.pk, lambda: question
    ).choice_texts
    viewed.clear()
    client.force_login(admin_user)
    visit = vote(red)
    visit.headers["cookie"] += f"; sessionid={client.cookies['sessionid'].value}"
    assert send(handler, visit) == [302]
    assert Ballot.objects.count() == 1 and not quiet
    assert [name.startswith("polls") for name in viewed] == [False, True]


def held_up(monkeypatch):
    """Hold up whoever writes; return what says that somebody does, and what lets go."""
    begun, go_on, write = threading.Event(), threading.Event(), new_ballots.write

    def slowly(ballots):
        begun.set()
        go_on.wait(10)
        return write(ballots)

    monkeypatch.setattr(new_ballots, "write", slowly)
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

    async_to_sync(ann_then_bob)()
    wait_until(lambda: Ballot.objects.count() == 2)


def test_a_ballot_that_failed_is_not_tried_again(handler, red, monkeypatch):
    """Its commit may have been one: whoever has no cookie yet would be two voters."""
    write, tried = new_ballots.write, []

    def lose_the_answer(ballots):
        tried.append(ballots)
        write(ballots)
        raise OperationalError("The connection was lost.")

    with monkeypatch.context() as broken:
        broken.setattr(new_ballots, "write", lose_the_answer)
        assert send(handler, vote(red)) == [503]
    assert Ballot.objects.count() == len(tried) == 1
    assert send(handler, vote(red)) == [302]


@pytest.mark.postgresql
def test_a_connection_that_broke_is_made_anew(handler, red):
    assert send(handler, vote(red)) == [302]
    mine = "pid <> pg_backend_pid() AND datname = current_database()"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}"
        )
    assert [send(handler, vote(red)) for _ in range(3)] == [[302]] * 3
    assert Ballot.objects.count() == 4


def identity(question: Question, visit: Visit) -> str | None:
    """Whom an answer makes of its browser."""
    (value,) = (v for _, v in visit.headers_sent if v[:6] == b"voter=")
    request = HttpRequest()
    request.COOKIES[COOKIE] = value[6:].partition(b";")[0].decode()
    return identify(request, question)


def one_each(question: Question, *visits: Visit) -> bool:
    """Tell whether each of these clicks is one ballot, whose voter its browser is from now on."""
    keys = sorted(voter_key(question, identity(question, visit)) for visit in visits)
    voters = sorted(Ballot.objects.values_list("voter_key", flat=True))
    return keys == voters and Choice.objects.get(choice_text="Red").votes == len(keys)


def asks_after(get_response):
    def middleware(request):
        response = get_response(request)
        response["X-Ballots"] = Ballot.objects.count()
        return response

    return middleware


def swallows_after(get_response):
    def middleware(request):
        response = get_response(request)
        with suppress(BaseException):
            response["X-Ballots"] = Ballot.objects.count()
        return response

    return middleware


def uses_session(get_response):
    def middleware(request):
        response = get_response(request)
        request.session["last"] = request.path
        return response

    return middleware


def leaves_message(get_response):
    def middleware(request):
        response = get_response(request)
        messages.success(request, "Thank you.")
        return response

    return middleware


def on_commit_after(get_response):
    def middleware(request):
        response = get_response(request)
        transaction.on_commit(lambda: response.headers.setdefault("X-Done", "1"))
        return response

    return middleware


AFTER = [asks_after, swallows_after, uses_session, leaves_message, on_commit_after]


@pytest.mark.parametrize("middleware", AFTER)
def test_what_asks_the_database_after_the_ballot_makes_no_second_one(
    red, settings, middleware
):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{middleware.__name__}"]
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    with handling(settings) as handler:
        clicks = [vote(red) for _ in range(5)]
        assert send(handler, *clicks) == [302] * 5
    assert one_each(red.question, *clicks)
    if middleware in (uses_session, leaves_message):
        assert Session.objects.count() == 5
    else:
        assert {b"X-Ballots", b"X-Done"} & dict(clicks[0].headers_sent).keys()


def closes_before_its_second_look(get_response):
    looks = itertools.count()

    def middleware(request):
        if next(looks):
            Question.objects.get().close()
            spectator_cache.questions.clear()
        response = get_response(request)
        Ballot.objects.count()
        return response

    return middleware


def test_a_ballot_written_before_the_close_is_not_denied(red, settings):
    """The loop wrote it, and the poll closed before a thread could make the answer."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        f"{__name__}.closes_before_its_second_look",
    ]
    with handling(settings) as handler:
        click = vote(red)
        assert send(handler, click) == [302]
    assert one_each(red.question, click)


@may_run_on_loop
@csrf_exempt
def cast_then_ask(request, question_id):
    question = spectator_cache.questions.get_or_make(
        question_id, lambda: Question.objects.get(pk=question_id)
    )
    voter = new_identity()
    choice = int(request.POST["choice"])
    cast(question, voter_key(question, voter), [choice])
    cast(Question.objects.get(pk=question_id), voter_key(question, voter), [choice])
    response = HttpResponse(str(Ballot.objects.count()))
    remember_identity(response, question, voter)
    return response


@may_run_on_loop
@csrf_exempt
def cast_then_break(request, question_id):
    question = spectator_cache.questions.get_or_make(
        question_id, lambda: Question.objects.get(pk=question_id)
    )
    cast(question, voter_key(question, new_identity()), [int(request.POST["choice"])])
    raise ValueError("on purpose")


urlpatterns = [
    path("polls/<int:question_id>/vote/", cast_then_ask),
    path("polls/<int:question_id>/break/", cast_then_break),
]


def test_a_view_that_asks_after_its_ballot_has_cast_one(red, settings):
    settings.ROOT_URLCONF = __name__
    with handling(settings) as handler:
        clicks = [vote(red) for _ in range(3)]
        assert send(handler, *clicks) == [200] * 3
    assert one_each(red.question, *clicks)


def test_a_view_that_breaks_after_its_ballot_is_not_run_again(red, settings, quiet):
    settings.ROOT_URLCONF = __name__
    click = vote(red)
    click.path = click.path.replace("vote", "break")
    with handling(settings) as handler:
        assert send(handler, click) == [500]
    assert Ballot.objects.count() == 1
    assert len([error for error in quiet if isinstance(error, dict)]) == 1


def test_a_ballot_that_a_thread_took_along_is_waited_for(handler, red, monkeypatch):
    """Whoever writes takes all of the moment along, be they cast on the loop or in a thread."""
    batches, write = [], new_ballots.write
    noting = lambda ballots: batches.append(len(ballots)) or write(ballots)
    monkeypatch.setattr(new_ballots, "write", noting)

    async def ann_beside_bob():
        with new_ballots.write_lock:
            cast_bob = lambda: cast(red.question, "bob", [red.pk])
            bob = sync_to_async(outcome, thread_sensitive=False)(cast_bob)
            bob = asyncio.ensure_future(bob)
            await until(lambda: new_ballots.pending)
            ann = asyncio.ensure_future(vote(red, "ann").to(handler))
            await until(lambda: len(new_ballots.pending) == 2)
        await asyncio.gather(ann, bob)

    async_to_sync(ann_beside_bob)()
    assert batches == [2] and Ballot.objects.count() == 2


def test_a_vote_whose_client_left_while_it_waited_for_a_thread_counts(handler, red):
    """The pool is busy, and the question is not in memory."""
    spectator_cache.questions.clear()
    free = threading.Event()
    busy = handler.threads.submit(free.wait, 10)

    async def leave():
        ann = asyncio.ensure_future(vote(red, "ann").to(handler))
        await asyncio.sleep(0.05)
        ann.cancel()
        with suppress(asyncio.CancelledError):
            await ann

    async_to_sync(leave)()
    assert not busy.done() and not Ballot.objects.exists()
    free.set()
    wait_until(Ballot.objects.exists)


heard = []


def sync_receiver(**kwargs):
    heard.append((threading.current_thread().name, Question.objects.count()))


async def async_receiver(**kwargs):
    heard.append((threading.current_thread().name, await Question.objects.acount()))


@pytest.mark.parametrize("receiver", [sync_receiver, async_receiver])
@pytest.mark.parametrize("name", ["request_started", "request_finished"])
def test_whoever_hears_of_requests_hears_once_of_each(handler, red, receiver, name):
    """A receiver may ask the database, and may be asynchronous: on the loop, in a thread and from memory."""
    signal = getattr(signals, name)
    clicks, page = [vote(red) for _ in range(2)], Visit("/polls/")
    send(handler, page)
    heard.clear()
    signal.connect(receiver)
    try:
        assert send(handler, *clicks) == [302, 302]
        assert send(handler, Visit("/polls/"), Visit("/r/")) == [200, 200]
    finally:
        signal.disconnect(receiver)
    assert [number for _, number in heard] == [1] * 4
    assert one_each(red.question, *clicks)


def test_where_nobody_else_listens_pages_and_votes_stay_on_the_loop(
    handler, red, monkeypatch
):
    send(handler, Visit("/polls/"))
    threads, get_response = [], handler.get_response
    noting = lambda request: threads.append(threading.current_thread().name) or (
        get_response(request)
    )
    monkeypatch.setattr(handler, "get_response", noting)
    assert send(handler, Visit("/polls/"), vote(red)) == [200, 302]
    assert len(threads) == 1 and not threads[0].startswith("polls")
