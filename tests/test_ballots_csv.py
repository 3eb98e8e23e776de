"""The public count: the ballots of a closed poll as a file, and its fingerprint on the results page."""

import contextlib
import csv
import datetime
import hashlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction
from django.utils import timezone

from polls.background import after_close
from polls.counting import ballots_csv
from polls.counting.tally import tallies_of
from polls.kinds import Kind
from polls.models import Ballot, Choice, Mark, Question
from polls.retention import delete_ballots
from polls.voting import ballot_sql
from polls.voting.cast import NotOpen, cast
from tests.support.ballots import fetch_ballots, voted
from tests.support.races import elsewhere, outcome, race
from tests.support.waiting import wait_until

SHA256 = re.compile(">([0-9a-f]{64})<")


def rows(client, question: Question) -> list[list[str]]:
    text = fetch_ballots(client, question).content.decode()
    return list(csv.reader(text.splitlines()))


def test_it_works(client, question):
    voted(question, "1", "2", "1").close()
    heading, *ballots = rows(client, question)
    assert heading == ["receipt", "choice 1"]
    assert sorted(choice for _, choice in ballots) == ["1. Red", "1. Red", "2. Blue"]


def test_it_has_the_choices_in_rank_order_and_empty_fields_for_the_rest(client, ask):
    question = ask("Lunch?", "Soup", "Rice", "Cake", kind=Kind.RANKED)
    voted(question, "31").close()
    heading, ballot = rows(client, question)
    assert heading == ["receipt", "rank 1", "rank 2", "rank 3"]
    assert ballot[1:] == ["3. Cake", "1. Soup", ""]


def test_it_is_sorted_by_receipt(client, question):
    voted(question, *"1" * 40).close()
    receipts = [receipt for receipt, _ in rows(client, question)[1:]]
    assert receipts == sorted(receipts)
    assert len(set(receipts)) == 40


def test_the_results_page_has_its_fingerprint(client, question):
    voted(question, "1", "2").close()
    page = client.get(f"/polls/{question.pk}/results/").text
    file = fetch_ballots(client, question).content
    assert hashlib.sha256(file).hexdigest() in page


def test_the_fingerprint_stays_when_the_ballots_change(client, question):
    voted(question, "1", "2").close()
    before = client.get(f"/polls/{question.pk}/results/").context["fingerprint"]
    Ballot.objects.first().mark_set.update(choice=question.choice_set.last())
    Ballot.objects.last().mark_set.update(choice=question.choice_set.last())
    assert client.get(f"/polls/{question.pk}/results/").context["fingerprint"] == before
    file = fetch_ballots(client, question).content
    assert hashlib.sha256(file).hexdigest() != before


def test_it_has_a_line_for_a_mark_of_another_question(client, question, ask):
    voted(question, "1").close()
    Mark.objects.update(choice=ask("Which number?", "One").choice_set.get())
    assert rows(client, question)[1][1] == "not a choice of this question"
    assert client.get(f"/polls/{question.pk}/results/").status_code == 200


def test_it_is_not_there_before_the_close(client, question):
    page = fetch_ballots(client, voted(question, "1"))
    assert (page.status_code, "after the poll has closed" in page.text) == (403, True)
    assert not Question.objects.get().ballots_sha256


def test_it_is_for_those_who_see_the_results(client, admin_client, question):
    Question.objects.update(results="organisers")
    voted(question, "1").close()
    assert fetch_ballots(client, question).status_code == 403
    assert fetch_ballots(admin_client, question).status_code == 200


def test_it_answers_304_to_who_has_it(client, question):
    voted(question, "1").close()
    headers = {"If-None-Match": fetch_ballots(client, question)["ETag"]}
    assert fetch_ballots(client, question, **headers).status_code == 304


def test_it_says_that_the_ballots_were_deleted(client, question):
    voted(question, "1").close()
    shown = client.get(f"/polls/{question.pk}/results/").context["fingerprint"]
    delete_ballots(question)
    page = fetch_ballots(client, question)
    assert (page.status_code, "were deleted" in page.text) == (404, True)
    assert shown in client.get(f"/polls/{question.pk}/results/").text


@contextlib.contextmanager
def locked(question: Question) -> Iterator[None]:
    """Hold the lock that every vote on this question needs."""
    # On SQLite a transaction is the only writer as soon as it begins.
    with transaction.atomic():
        question.choice_set.lock()
        yield


@contextlib.contextmanager
def voting(question: Question) -> Iterator[None]:
    """Hold a vote before its commit."""
    with transaction.atomic():
        cast(question, "late", [question.choice_set.first().pk])
        yield


@pytest.mark.django_db(transaction=True)
def test_no_page_waits_for_the_fingerprint_of_many_ballots(
    client, question, monkeypatch
):
    monkeypatch.setattr(ballots_csv, "SMALL", 1)
    voted(question, "1", "2").close()
    with elsewhere(ballots_csv.one_at_a_time(question)):
        assert client.get(f"/polls/{question.pk}/results/").status_code == 200
        page = fetch_ballots(client, question)
        assert (page.status_code, "Try again" in page.text) == (503, True)
    assert wait_for_fingerprint(client, question)
    assert len(rows(client, question)) == 3


def wait_for_fingerprint(client, question: Question) -> str:
    """Return it once the results page has it, and nobody makes a file any more."""
    path = f"/polls/{question.pk}/results/"
    shown = lambda: SHA256.findall(client.get(path).text)
    wait_until(shown)
    wait_until(lambda: after_close.is_idle)
    return shown()[0]


@pytest.mark.django_db(transaction=True)
def test_however_many_look_one_thread_makes_the_fingerprint_of_many_ballots(
    client, question, keeping, monkeypatch
):
    client.cookies["known"] = "1"
    makers, done, read = [], threading.Event(), ballots_csv.file_sha256

    def read_slowly(question: Question) -> str:
        makers.append(threading.get_ident())
        done.wait(10)
        return read(question)

    monkeypatch.setattr(ballots_csv, "SMALL", 1)
    monkeypatch.setattr(ballots_csv, "file_sha256", read_slowly)
    voted(question, "1", "2").close()
    pages = [client.get(f"/polls/{question.pk}/results/") for _ in range(20)]
    assert {page.status_code for page in pages} == {200}
    assert len(makers) <= 1
    done.set()
    assert wait_for_fingerprint(client, question)


@pytest.mark.django_db(transaction=True)
def test_the_ballots_of_a_small_poll_are_read_once_for_all_who_look(
    question, keeping, monkeypatch
):
    reads, read = [], ballots_csv.file_sha256

    def read_slowly(question: Question) -> str:
        reads.append(question.pk)
        time.sleep(0.2)
        return read(question)

    voted(question, "1", "2").close()
    monkeypatch.setattr(ballots_csv, "file_sha256", read_slowly)
    # Also on a slow machine all wait until it is there.
    monkeypatch.setattr(ballots_csv, "TIMEOUT", 20)
    look = lambda: ballots_csv.fingerprint(Question.objects.get())
    fixed = race(*[look] * 6)
    assert len(set(fixed)) == 1 and len(fixed[0]) == 64
    assert len(reads) == 1


@pytest.mark.django_db(transaction=True)
def test_no_page_of_a_poll_that_has_closed_waits_for_a_lock(
    client, question, keeping, monkeypatch
):
    """That it has closed, and its fingerprint, are written when the database can be written."""
    client.cookies["known"] = "1"
    voted(question, "1", "2")
    Question.objects.update(closes_at=timezone.now())
    paths = [
        f"/polls/{question.pk}/{page}" for page in ("", "results/", "results.json")
    ]
    with elsewhere(locked(question)):
        began = time.monotonic()
        pages = [client.get(path) for path in paths * 2]
        waited = time.monotonic() - began
        # Nobody waits again for what somebody has waited for in vain.
        began = time.monotonic()
        pages += [client.get(path) for path in paths * 8]
        waited_again = time.monotonic() - began
        tallies_of(Question.objects.all())
    assert {page.status_code for page in pages} == {200}
    assert waited < 5 and waited_again < 3
    assert "is being prepared" in pages[1].text
    assert wait_for_fingerprint(client, question)
    assert Question.objects.get().closed_at


@pytest.mark.django_db(transaction=True)
def test_big_files_are_made_one_at_a_time(client, question, monkeypatch):
    voted(question, "1", "2").close()
    client.get(f"/polls/{question.pk}/results/")
    monkeypatch.setattr(ballots_csv, "SMALL", 1)
    with elsewhere(ballots_csv.one_at_a_time(question)):
        assert fetch_ballots(client, question).status_code == 503
    assert fetch_ballots(client, question).status_code == 200


def test_a_big_file_is_on_disk_and_not_in_memory(question, monkeypatch):
    """Half way through the file: at its end, all of it would have been in memory before."""
    on_disk = []

    def chunks(question):
        for _ in range(3):
            on_disk.append(file._rolled if (file := newest()) else None)
            yield b"x" * 10**6

    made, make = [], tempfile.SpooledTemporaryFile
    newest = lambda: made[-1] if made else None
    keep = lambda **options: made.append(make(**options)) or made[-1]
    monkeypatch.setattr(ballots_csv, "chunks", chunks)
    monkeypatch.setattr(ballots_csv.tempfile, "SpooledTemporaryFile", keep)
    ballots_csv.ballots_file(question).close()
    assert on_disk == [False, False, True]


@pytest.mark.django_db(transaction=True)
def test_a_vote_in_flight_at_the_close_is_in_the_file(client, question):
    """The vote has read the clock and holds its choices; it commits after the close."""
    voted(question, "1")
    with elsewhere(voting(question)) as committed:
        # Straight into the row on PostgreSQL; SQLite has one writer, and the close waits for it.
        threading.Timer(0.3, committed.set).start()
        Question.objects.filter(pk=question.pk).update(closes_at=question.pub_date)
        assert len(rows(client, question)) == 3
    assert sum(Choice.objects.values_list("votes", flat=True)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_vote_that_was_long_on_its_way_does_not_change_the_file(
    question, monkeypatch
):
    """It reads the clock, is held up until after the close, and comes while the file is read."""
    voted(question, "1")
    closes_at = timezone.now() + datetime.timedelta(seconds=0.2)
    Question.objects.update(closes_at=closes_at)
    late, read = Question.objects.get(), ballots_csv.file_sha256
    chosen = min(late.choice_texts)

    class SlowClock:
        def now(self):
            now = timezone.now()
            time.sleep(0.5)
            return now

    def read_slowly(question: Question) -> str:
        digest = read(question)
        time.sleep(0.5)
        return digest

    monkeypatch.setattr(ballot_sql, "timezone", SlowClock())
    monkeypatch.setattr(ballots_csv, "file_sha256", read_slowly)
    vote = lambda: cast(late, "late", [chosen])
    with ThreadPoolExecutor(1) as thread:
        voting = thread.submit(outcome, vote)
        time.sleep(0.3)
        fixed = ballots_csv.fix_fingerprint(Question.objects.get())
    # Refused, or counted before the file was read.
    assert isinstance(voting.result(), Ballot | NotOpen)
    assert read(Question.objects.get()) == fixed


def test_nothing_is_fixed_before_anybody_has_voted(client, question):
    """Closed by mistake and opened again: the file of nobody must not stand for all that come."""
    question.close()
    client.get(f"/polls/{question.pk}/results/")
    Question.objects.update(closes_at=None)
    voted(Question.objects.get(), "1", "2").close()
    client.get(f"/polls/{question.pk}/results/")
    content = fetch_ballots(client, question).content
    fixed = Question.objects.get().ballots_sha256
    assert fixed == hashlib.sha256(content).hexdigest()
