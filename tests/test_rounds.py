"""Rounds of many different rankings: counted beside the pages, which say what is not in them yet."""

import csv
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest
from django.core.management import call_command

from polls.counting import rounds
from polls.counting.instant_runoff import instant_runoff
from polls.counting.tally import tally_of
from polls.models import Question
from polls.voting.cast import cast
from tests.support.races import outcome
from tests.support.waiting import wait_until

TEAS = ("Green", "Black", "White", "Herbal")


@pytest.fixture
def client(client):
    """Somebody with a session, who gets no page out of memory."""
    client.cookies["sessionid"] = "1"
    return client


@pytest.fixture
def cups(ask, keeping, monkeypatch, transactional_db) -> Question:
    """A poll with more different rankings than are counted with a page."""
    question = ask("Which tea?", *TEAS, kind="ranked")
    for n, ranking in enumerate(list(permutations(question.choice_texts))[:6]):
        cast(question, f"{n:032}", ranking)
    monkeypatch.setattr(rounds, "FEW", 5)
    return question


@pytest.fixture
def gate(monkeypatch) -> Iterator[threading.Event]:
    """Hold up whoever counts many rankings until it is opened; note how often somebody began."""
    gate, count = threading.Event(), rounds.full_count
    gate.counts = []

    def held_up(question):
        gate.counts.append(threading.current_thread().name)
        assert gate.wait(10)
        return count(question)

    monkeypatch.setattr(rounds, "full_count", held_up)
    yield gate
    gate.set()
    # Who counts rests nine times as long as it was held up.
    wait_until(lambda: rounds.big_counts.is_idle, 60)


def tally(client, question: Question) -> dict:
    return client.get(f"/polls/{question.pk}/results.json").json()


def vote(question: Question, voter: str) -> None:
    """Rank the last one of the list first: nobody had."""
    cast(question, voter, list(question.choice_texts)[::-1])


def counted(client, question: Question) -> Question:
    """Wait until all ballots are in the rounds."""
    wait_until(lambda: rounds.big_counts.is_idle, 60)
    tally(client, question)
    wait_until(lambda: rounds.big_counts.is_idle, 60)
    return question


def test_no_page_waits_for_the_first_count(client, cups, gate):
    page = client.get(f"/polls/{cups.pk}/results/")
    assert "The rounds are being counted." in page.text
    assert (tally(client, cups)["rounds"], tally(client, cups)["ballots"]) == ([], 6)
    assert client.get(f"/polls/{cups.pk}/results.csv").status_code == 503
    assert "are being counted" in client.get(f"/polls/{cups.pk}/results.svg").text
    gate.set()
    wait_until(lambda: tally(client, cups)["elected"] == min(cups.choice_texts))


def test_a_vote_is_in_the_totals_at_once_and_the_page_says_that_the_rounds_follow(
    client, cups, gate
):
    gate.set()
    before = tally(client, counted(client, cups))
    assert before["rounds_version"] == before["version"]
    gate.clear()
    vote(cups, "me")
    now = tally(client, cups)
    assert (now["ballots"], now["choices"][3]["votes"]) == (7, 1)
    assert (now["rounds"], now["rounds_version"]) == (
        before["rounds"],
        before["version"],
    )
    page = client.get(f"/polls/{cups.pk}/results/")
    assert "Newer votes are still being counted into the rounds." in page.text
    assert "Newer votes" in client.get(f"/polls/{cups.pk}/results.svg").text
    lines = list(
        csv.reader(client.get(f"/polls/{cups.pk}/results.csv").text.splitlines())
    )
    assert lines[0][4] == "round 1 of 6 ballots"
    gate.set()
    wait_until(lambda: tally(client, cups)["rounds_version"] == now["version"])
    assert tally(client, cups)["rounds"][0]["votes"] == [6, 0, 0, 1]


def test_a_count_that_began_before_a_vote_is_no_answer_to_its_voter(cups, monkeypatch):
    """Race: it is finished while the voter's own page waits to count."""
    monkeypatch.setattr(rounds, "FEW", 1000)
    began, gate = threading.Event(), threading.Event()

    def held_up(*ballots):
        began.set()
        assert gate.wait(10)
        return instant_runoff(*ballots)

    monkeypatch.setattr(rounds, "instant_runoff", held_up)
    with ThreadPoolExecutor(2) as threads:
        before = threads.submit(outcome, lambda: tally_of(cups))
        assert began.wait(10)
        vote(cups, "me")
        own = threads.submit(outcome, lambda: tally_of(cups))
        gate.set()
    assert before.result()["rounds"][0]["votes"] == [6, 0, 0, 0]
    assert own.result()["rounds"][0]["votes"] == [6, 0, 0, 1]


def test_however_many_ask_one_thread_counts_once(client, cups, gate):
    """And once more for all who voted meanwhile."""
    for n in range(5):
        vote(cups, f"voter {n}")
        assert tally(client, cups)["ballots"] == 7 + n
    wait_until(lambda: gate.counts)
    vote(cups, "the last")
    tally(client, cups)
    gate.set()
    wait_until(
        lambda: tally(client, cups)["rounds_version"] == tally(client, cups)["version"]
    )
    assert gate.counts == ["polls-rounds"] * len(gate.counts)
    assert len(gate.counts) <= 2


def test_nobody_is_elected_by_some_of_the_ballots(client, cups, gate):
    gate.set()
    counted(client, cups)
    gate.clear()
    vote(cups, "the last")
    cups.close()
    assert (tally(client, cups)["elected"], tally(client, cups)["rounds"]) == (None, [])
    page = client.get(f"/polls/{cups.pk}/results/").text
    assert "are being counted" in page and "Elected" not in page
    assert client.get(f"/polls/{cups.pk}/results.csv").status_code == 503
    gate.set()
    wait_until(lambda: tally(client, cups)["elected"])


def test_a_recount_says_all_rounds(cups, capsys):
    call_command("recount", cups.pk)
    assert "Elected: 1. Green" in capsys.readouterr().out


def test_few_rankings_are_never_behind(client, cups, monkeypatch):
    monkeypatch.setattr(rounds, "FEW", 7)
    for n in range(5):
        vote(cups, f"voter {n}")
        now = tally(client, cups)
        assert now["rounds_version"] == now["version"]


def test_the_oldest_goes_when_many_are_kept(
    ask, keeping, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(rounds, "MAX_ENTRIES", 2)
    first, *others = [ask("Which tea?", *TEAS, kind="ranked") for _ in range(3)]
    for question in (first, *others):
        tally_of(question)
    for question in others:
        with django_assert_num_queries(1):
            tally_of(question)
    with django_assert_num_queries(2):
        tally_of(first)
