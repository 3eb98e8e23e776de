"""Cached pages: for visitors without a cookie, and never older than a second."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from polls import process_memory
from polls.counting.tally import tally_of
from polls.models import Ballot, Question
from polls.serving import spectator_cache
from polls.serving.spectator_cache import Cache
from polls.voting.cast import cast

pytestmark = pytest.mark.usefixtures("keeping")
ANN = "a" * 32


@pytest.fixture
def clock() -> SimpleNamespace:
    """It stands still: a slow machine forgets nothing in the middle of a test."""
    return SimpleNamespace(now=100.0)


@pytest.fixture(autouse=True)
def cache(monkeypatch, clock) -> Cache:
    cache = Cache(max_entries=3, clock=lambda: clock.now)
    monkeypatch.setattr(spectator_cache, "pages", cache)
    return cache


@pytest.fixture
def red(question) -> int:
    return question.choice_set.get(choice_text="Red").pk


def results(client: Client, question: Question) -> str:
    return client.get(f"/polls/{question.pk}/results/").text


def test_it_works(question, django_assert_num_queries):
    first = results(Client(), question)
    with django_assert_num_queries(0):
        assert results(Client(), question) == first


def test_a_server_keeps_and_a_test_does_not(question, cache, monkeypatch):
    monkeypatch.setattr(process_memory, "KEPT_IN_TESTS", False)
    assert results(Client(), question) and not len(cache)
    monkeypatch.delattr(mail, "outbox")
    assert results(Client(), question) and len(cache)


def test_it_is_forgotten_after_a_second(question, red, clock):
    assert "0 ballots" in results(Client(), question)
    cast(question, ANN, [red])
    clock.now = 100.49
    assert "0 ballots" in results(Client(), question)
    clock.now = 101.0
    assert "1 ballot" in results(Client(), question)


def test_what_was_kept_together_does_not_end_together(clock):
    cache = Cache(clock=lambda: clock.now)
    for n in range(200):
        cache.put(n, "page", clock.now)
    clock.now += 0.75
    assert 50 < sum(cache.get(n) is not None for n in range(200)) < 150


def test_who_has_voted_sees_it_at_once(client, question, red):
    results(Client(), question)
    client.get(f"/polls/{question.pk}/")
    client.post(f"/polls/{question.pk}/vote/", {"choice": red})
    assert "1 ballot" in results(client, question)


def test_each_visitor_has_a_token_and_a_voter_of_their_own(
    question, red, django_assert_num_queries
):
    visitors = [Client(enforce_csrf_checks=True) for _ in range(3)]
    visitors[0].get(f"/polls/{question.pk}/")
    with django_assert_num_queries(0):
        pages = [v.get(f"/polls/{question.pk}/") for v in visitors[1:]]
    assert len({page.cookies["csrftoken"].value for page in pages}) == 2
    assert len({page.cookies["voter"].value for page in pages}) == 2
    for visitor, page in zip(visitors[1:], pages):
        token = page.text.split('csrfmiddlewaretoken" value="')[1].split('"')[0]
        vote = {"choice": red, "csrfmiddlewaretoken": token}
        assert visitor.post(f"/polls/{question.pk}/vote/", vote).status_code == 302
    assert Ballot.objects.count() == 2


def test_what_an_organiser_sees_is_kept_for_nobody(admin_client, question, red):
    Question.objects.update(results="organisers")
    cast(question, ANN, [red])
    assert "100.0%" in results(admin_client, question)
    assert "100.0%" not in results(Client(), question)


def test_another_name_of_the_site_is_another_page(question):
    path = f"/polls/{question.pk}/share/"
    assert "http://localhost/" in Client().get(path, HTTP_HOST="localhost").text
    assert "http://127.0.0.1/" in Client().get(path, HTTP_HOST="127.0.0.1").text


def test_names_that_strangers_make_up_push_nothing_out(question, settings, cache):
    """Any name under .localhost is allowed, and any port; with SITE_URL all of them get one page."""
    settings.SITE_URL = "https://polls.example.org"
    for name in ("", "results/", "share/"):
        cache.clear()
        for n in range(3):
            host = f"a{n}.localhost:{n + 1}"
            page = Client().get(f"/polls/{question.pk}/{name}", HTTP_HOST=host)
            assert "https://polls.example.org/" in page.text and host not in page.text
        assert len(cache) == 1


def test_it_keeps_no_error_and_answers_no_post(client, ask):
    later = ask("Later?", opens=1)
    assert client.get(f"/polls/{later.pk}/").status_code == 404
    Question.objects.update(pub_date=timezone.now())
    assert client.get(f"/polls/{later.pk}/").status_code == 200
    assert Client().post(f"/polls/{later.pk}/").status_code == 405


def test_what_strangers_make_up_is_no_other_page(
    question, cache, django_assert_num_queries
):
    """Nobody pushes pages out of memory with queries, ports, zeros and methods, nor has any made anew."""
    path = f"/polls/{question.pk}/results.json"
    assert Client().head(path).status_code == 200
    with django_assert_num_queries(0):
        known = Client().get(path).content
        assert json.loads(known)["ballots"] == 0
        for n in range(20):
            assert Client().get(f"{path}?{n}&page={n}").content == known
        longest = "&".join(map(str, range(2000)))
        assert Client().get(f"{path}?{longest}").content == known
        assert Client().get(f"/polls/00{question.pk}/results.json").content == known
        assert Client().get(path, HTTP_HOST="LocalHost:999").content == known
    assert len(cache) == 1


def test_a_name_that_is_not_ours_gets_nothing_from_memory(question):
    path = f"/polls/{question.pk}/results.json"
    assert Client().get(path).status_code == 200
    assert Client().get(path, HTTP_HOST="evil.example").status_code == 400
    assert Client().get(path, HTTP_HOST="localhost,evil.example").status_code == 400


def test_a_parameter_that_is_read_makes_another_page(
    ask, cache, django_assert_num_queries
):
    for n in range(21):
        ask(f"Question {n}?", opens=n - 21)
    first, second = (Client().get(f"/polls/?page={n}").text for n in (1, 2))
    assert "Question 20?" in first and "Question 0?" in second
    with django_assert_num_queries(0):
        assert Client().get("/polls/?x=1&page=2&y").text == second
        assert Client().get("/polls/?p%61ge=1&page=%32").text == second
        assert Client().get("/polls/?page=2&page=1").text == first
    assert len(cache) == 2


@pytest.mark.parametrize(
    "query, status",
    [("page=", 404), ("page", 404), ("page=%FF", 404), ("a&" * 1001, 400)],
)
def test_what_the_index_refuses_it_refuses_out_of_memory_too(question, query, status):
    assert Client().get("/polls/").status_code == 200
    assert Client().get(f"/polls/?{query}").status_code == status


def test_when_it_is_full_the_oldest_goes(ask, cache, django_assert_num_queries):
    questions = [ask(f"Question {n}?", "Yes") for n in range(4)]
    for question in questions:
        results(Client(), question)
    with django_assert_num_queries(0):
        for question in questions[1:]:
            results(Client(), question)
    assert len(cache) == 3


WITH_A_TALLY = [
    ("always", "results/"),
    ("always", "results.json"),
    ("always", "results.svg"),
    ("always", "share/"),
    ("organisers", "results/"),
    ("organisers", "share/"),
]


@pytest.fixture
def workers(monkeypatch, clock) -> Callable[[str], Client]:
    """Ask one of several workers, each with a cache of its own, as a visitor without a cookie."""
    caches: dict[str, Cache] = {}

    def on(name: str) -> Client:
        cache = caches.setdefault(name, Cache(clock=lambda: clock.now))
        monkeypatch.setattr(spectator_cache, "pages", cache)
        return Client()

    return on


@pytest.mark.parametrize("results, name", WITH_A_TALLY)
def test_nobody_is_shown_an_older_tally_than_they_have_seen(
    question, red, workers, results, name, django_assert_num_queries
):
    Question.objects.update(results=results)
    path = f"/polls/{question.pk}/{name}"
    old = workers("A").get(path)
    cast(question, ANN, [red])
    new = workers("B").get(path)
    assert new.content != old.content
    seen = {"If-None-Match": new.headers["ETag"]}
    # The tally is the same there; then it is in memory there too.
    assert workers("A").get(path, headers=seen).status_code == 304
    with django_assert_num_queries(0):
        assert workers("A").get(path, headers=seen).status_code == 304
        assert workers("A").get(path).content == new.content
        older = {"If-None-Match": old.headers["ETag"]}
        assert workers("A").get(path, headers=older).content == new.content


@pytest.mark.parametrize(
    "named",
    [
        {"headers": {"If-None-Match": '"1-"'}},
        {"headers": {"If-None-Match": 'W/"0-ab", W/"1-cd"'}},
        {"query_params": {"version": "1"}},
    ],
)
def test_a_version_alone_says_what_was_seen(question, red, workers, named):
    """As live.js and the pictures of a page name it."""
    path = f"/polls/{question.pk}/results.json"
    assert workers("A").get(path).json()["ballots"] == 0
    cast(question, ANN, [red])
    assert workers("A").get(path, **named).json()["ballots"] == 1


@pytest.mark.parametrize("version", ["", "x", "-1", "1.5", "\u0663", "9" * 90])
def test_it_handles_versions_that_are_none(
    question, version, django_assert_num_queries
):
    path = f"/polls/{question.pk}/results.json"
    known = Client().get(path).content
    named = {"If-None-Match": f'"{version}-"'.encode().decode("latin1")}
    with django_assert_num_queries(0):
        answer = Client().get(path, {"version": version}, headers=named)
    assert answer.content == known


def test_a_hidden_tally_tells_no_version(question, red):
    """It would tell how often votes were changed."""
    Question.objects.update(results="organisers")
    cast(question, ANN, [red])
    cast(question, ANN, [question.choice_set.exclude(pk=red).get().pk])
    path = f"/polls/{question.pk}/results/"
    assert tally_of(question)["version"] == 3
    assert Client().get(path).headers["ETag"].startswith('"1-')


def test_a_known_answer_is_304_too(question, django_assert_num_queries):
    path = f"/polls/{question.pk}/results.json"
    etag = Client().get(path).headers["ETag"]
    with django_assert_num_queries(0):
        again = Client().get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
