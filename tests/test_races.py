"""Two at once, on a real database, with threads that really race."""

import threading
import time
from contextlib import suppress

import pytest
from django.db import transaction

from polls.counting.recount import repair
from polls.models import Ballot, Choice, Question
from polls.voting.cast import NotInvited, NotOpen, cast
from polls.voting.identity import make_codes, voter_key
from tests.support.admin_forms import form
from tests.support.ballots import assert_count_adds_up
from tests.support.races import race
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def question(ask):
    return ask("Which colour?", "Red", "Blue", "Green")


def test_one_voter_in_eight_tabs_has_one_ballot(question):
    ids = list(question.choice_set.values_list("pk", flat=True))
    for n in range(10):
        voter = f"{n:032}"
        done = race(
            *(lambda i=i: cast(question, voter, [ids[i % 3]]) for i in range(8))
        )
        assert all(isinstance(ballot, Ballot) for ballot in done), done
    assert assert_count_adds_up(question) == 10


def test_voters_who_change_crosswise_do_not_block_each_other(question):
    """Red to blue and blue to red at the same moment: the rows are locked in one order."""
    red, blue, _ = question.choice_set.order_by("id").values_list("pk", flat=True)
    for n in range(4):
        cast(question, f"{n:032}", [red if n % 2 else blue])
    for turn in range(10):
        first, second = (red, blue) if turn % 2 else (blue, red)
        runs = [
            lambda n=n: cast(question, f"{n:032}", [first if n % 2 else second])
            for n in range(4)
        ]
        assert all(isinstance(ballot, Ballot) for ballot in race(*runs))
    assert assert_count_adds_up(question) == 4


def test_no_ballot_comes_after_the_close(question):
    red = question.choice_set.first().pk
    late = []

    def close():
        wait_until(lambda: late)
        question.close()

    def keep_voting(n):
        for turn in range(200):
            try:
                ballot = cast(Question.objects.get(), f"{n}-{turn}", [red])
            except NotOpen:
                return
            late.append(ballot.cast_at)

    assert race(close, *(lambda n=n: keep_voting(n) for n in range(3))) == [None] * 4
    assert assert_count_adds_up(question) == len(late)
    question.refresh_from_db()
    assert max(late) <= question.closes_at


def test_a_deleted_question_takes_the_votes_under_way_along(question):
    red = question.choice_set.first().pk

    def keep_voting(n):
        for turn in range(100):
            try:
                cast(question, f"{n}-{turn}", [red])
            except (Question.DoesNotExist, Choice.DoesNotExist):
                return "gone"

    def delete():
        wait_until(Ballot.objects.exists)
        return Question.objects.filter(pk=question.pk).delete()

    results = race(delete, *(lambda n=n: keep_voting(n) for n in range(3)))
    assert not [result for result in results if isinstance(result, Exception)]
    assert Ballot.objects.count() == Choice.objects.count() == 0


def test_voters_who_change_while_their_question_is_deleted_block_nobody(question):
    red, blue, _ = question.choice_set.order_by("id").values_list("pk", flat=True)
    for n in range(3):
        cast(question, f"{n:032}", [red])

    def keep_changing(n):
        for turn in range(100):
            try:
                cast(question, f"{n:032}", [blue if turn % 2 else red])
            except Choice.DoesNotExist:
                return "gone"

    def delete():
        wait_until(Ballot.objects.filter(changed_at__isnull=False).exists)
        return Question.objects.filter(pk=question.pk).delete()

    results = race(delete, *(lambda n=n: keep_changing(n) for n in range(3)))
    assert not [result for result in results if isinstance(result, Exception)]
    assert Ballot.objects.count() == Choice.objects.count() == 0


def test_an_organiser_who_renames_a_choice_loses_no_vote(question, admin_client):
    """The rename is before the first ballot, or refused: never under it."""
    choices = list(question.choice_set.order_by("id"))
    path = f"/admin/polls/question/{question.pk}/change/"
    first = threading.Event()

    def wording():
        return list(question.choice_set.order_by("id").values_list("choice_text"))

    def vote(n):
        first.wait(10)
        voters = [f"{n}-{turn}" for turn in range(20)]
        while voters:
            shown = Question.objects.get(pk=question.pk)
            # Renamed since then: the voter is told so, and votes again.
            with suppress(Choice.DoesNotExist):
                cast(shown, voters[-1], [choices[0].pk])
                voters.pop()

    def rename():
        done = []
        for turn in range(20):
            data = form(str(question), [f"{turn} {c}" for c in choices])
            data["pub_date_0"] = question.pub_date.strftime("%Y-%m-%d")
            data["pub_date_1"] = question.pub_date.strftime("%H:%M")
            before = wording()
            done.append(admin_client.post(path, data).status_code)
            if done[-1] == 200:
                assert question.ballot_set.exists() and wording() == before
            if turn >= 2:
                first.set()
                wait_until(Ballot.objects.exists)
        return done

    results = race(rename, *(lambda n=n: vote(n) for n in range(3)))
    assert results[1:] == [None] * 3
    assert results[0] == sorted(results[0], reverse=True), "saved after a refusal"
    assert set(results[0]) == {302, 200}
    assert assert_count_adds_up(question) == 60


def test_an_organiser_waits_for_the_first_ballot(question, admin_client):
    """A page that is saved while the first ballot is being written comes too late."""
    choices = list(question.choice_set.order_by("id"))
    under_way = threading.Event()

    def vote():
        with transaction.atomic():
            cast(question, "first", [choices[0].pk])
            under_way.set()
            time.sleep(0.5)

    def rename():
        data = form(str(question), ["Crimson", "Blue", "Green"])
        data["pub_date_0"] = question.pub_date.strftime("%Y-%m-%d")
        data["pub_date_1"] = question.pub_date.strftime("%H:%M")
        under_way.wait(10)
        return admin_client.post(f"/admin/polls/question/{question.pk}/change/", data)

    page = race(vote, rename)[1]
    assert "The choices cannot change any more." in page.text
    assert question.choice_set.filter(choice_text="Red").exists()


def test_codes_voided_while_people_vote_lose_no_vote(ask):
    question = ask("Which colour?", "Red", "Blue", "Green", voters="codes")
    codes = make_codes(question, 60)
    voters = [voter_key(question, f"code:{code}") for _, code in codes]
    green = question.choice_set.last().pk

    def vote(n):
        voted = 0
        for voter in voters[n::3]:
            try:
                cast(question, voter, [green])
                voted += 1
            except NotInvited:
                pass
        return voted

    def void():
        return [
            question.invitation_set.filter(number=n).void() for n in range(60, 0, -1)
        ]

    voided, *voted = race(void, *(lambda n=n: vote(n) for n in range(3)))
    assert sum(voided) + sum(voted) == 60
    assert assert_count_adds_up(question) == sum(voted)


def test_a_repair_loses_no_vote_cast_meanwhile(question):
    red = question.choice_set.first().pk
    Choice.objects.filter(pk=red).update(votes=1000, revision=1)

    def vote(n):
        for turn in range(20):
            cast(question, f"{n}-{turn}", [red])

    results = race(lambda: repair(question), *(lambda n=n: vote(n) for n in range(3)))
    assert results == [None] * 4
    assert assert_count_adds_up(question) == 60
