"""Pages from memory: for visitors without a cookie, and never older than a second."""

from types import SimpleNamespace

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from polls import memory
from polls.models import Ballot, Question

pytestmark = pytest.mark.usefixtures("keeping")
ANN = "a" * 32


@pytest.fixture
def red(colours) -> int:
    return colours.choice_set.get(choice_text="Red").pk


def results(client: Client, question: Question) -> str:
    return client.get(f"/polls/{question.pk}/results/").text


def test_it_works(colours, django_assert_num_queries):
    first = results(Client(), colours)
    with django_assert_num_queries(0):
        assert results(Client(), colours) == first


def test_a_server_keeps_and_a_test_does_not(colours, monkeypatch):
    monkeypatch.setattr(memory, "KEPT_IN_TESTS", False)
    assert results(Client(), colours) and not memory._memory
    monkeypatch.delattr(mail, "outbox")
    assert results(Client(), colours) and memory._memory


def test_it_is_forgotten_after_a_second(colours, red, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr(memory, "time", clock)
    assert "0 ballots" in results(Client(), colours)
    colours.cast(ANN, [red])
    clock.monotonic = lambda: 100.99
    assert "0 ballots" in results(Client(), colours)
    clock.monotonic = lambda: 101.0
    assert "1 ballot" in results(Client(), colours)


def test_who_has_voted_sees_it_at_once(client, colours, red):
    results(Client(), colours)
    client.get(f"/polls/{colours.pk}/")
    client.post(f"/polls/{colours.pk}/vote/", {"choice": red})
    assert "1 ballot" in results(client, colours)


def test_each_visitor_has_a_token_and_a_voter_of_their_own(
    colours, red, django_assert_num_queries
):
    visitors = [Client(enforce_csrf_checks=True) for _ in range(3)]
    visitors[0].get(f"/polls/{colours.pk}/")
    with django_assert_num_queries(0):
        pages = [v.get(f"/polls/{colours.pk}/") for v in visitors[1:]]
    assert len({page.cookies["csrftoken"].value for page in pages}) == 2
    assert len({page.cookies["voter"].value for page in pages}) == 2
    for visitor, page in zip(visitors[1:], pages):
        token = page.text.split('csrfmiddlewaretoken" value="')[1].split('"')[0]
        vote = {"choice": red, "csrfmiddlewaretoken": token}
        assert visitor.post(f"/polls/{colours.pk}/vote/", vote).status_code == 302
    assert Ballot.objects.count() == 2


def test_what_an_organiser_sees_is_kept_for_nobody(admin_client, colours, red):
    Question.objects.update(results="organisers")
    colours.cast(ANN, [red])
    assert "100.0%" in results(admin_client, colours)
    assert "100.0%" not in results(Client(), colours)


def test_another_name_of_the_site_is_another_page(colours):
    path = f"/polls/{colours.pk}/share/"
    assert "http://localhost/" in Client().get(path, HTTP_HOST="localhost").text
    assert "http://127.0.0.1/" in Client().get(path, HTTP_HOST="127.0.0.1").text


def test_it_keeps_no_error_and_answers_no_post(client, ask):
    later = ask("Later?", opens=1)
    assert client.get(f"/polls/{later.pk}/").status_code == 404
    Question.objects.update(pub_date=timezone.now())
    assert client.get(f"/polls/{later.pk}/").status_code == 200
    assert Client().post(f"/polls/{later.pk}/").status_code == 405


def test_it_is_bounded(colours):
    for n in range(memory.MOST + 50):
        Client().get(f"/polls/{colours.pk}/results.json?{n}")
    assert len(memory._memory) <= memory.MOST


def test_a_known_answer_is_304_too(colours, django_assert_num_queries):
    path = f"/polls/{colours.pk}/results.json"
    etag = Client().get(path).headers["ETag"]
    with django_assert_num_queries(0):
        again = Client().get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
