"""cast(question, ), the one way in which a vote is written."""

import datetime

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, RestrictedError
from django.utils import timezone

from polls.counting.tally import tally_of
from polls.models import Ballot, Choice, Mark, Question
from polls.voting.cast import NotOpen, cast

ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture
def red(question) -> int:
    return question.choice_set.get(choice_text="Red").pk


@pytest.fixture
def blue(question) -> int:
    return question.choice_set.get(choice_text="Blue").pk


def totals(question: Question) -> list[int]:
    return list(question.choice_set.order_by("id").values_list("votes", flat=True))


def test_it_works(question, red):
    ballot = cast(question, ANN, [red])
    assert totals(question) == [1, 0]
    assert question.own_ballot(ANN).choices == [red]
    assert len(ballot.receipt) == 12


def test_a_second_ballot_changes_the_first(question, red, blue):
    first = cast(question, ANN, [red])
    second = cast(question, ANN, [blue])
    assert totals(question) == [0, 1]
    assert Ballot.objects.get() == first == second
    assert second.receipt == first.receipt
    assert second.changed_at > first.cast_at


def test_the_same_ballot_again_changes_nothing(question, red):
    cast(question, ANN, [red])
    cast(question, ANN, [red])
    assert totals(question) == [1, 0]
    assert Ballot.objects.get().changed_at is None


def test_voters_do_not_touch_each_other(question, red, blue):
    cast(question, ANN, [red])
    cast(question, BOB, [blue])
    cast(question, BOB, [red])
    assert totals(question) == [2, 0]
    assert question.own_ballot(ANN).choices == question.own_ballot(BOB).choices == [red]


def test_it_rejects_a_choice_of_another_question(question, ask):
    other = ask("Which number?", "One").choice_set.get().pk
    with pytest.raises(Choice.DoesNotExist):
        cast(question, ANN, [other])
    assert Ballot.objects.count() == Mark.objects.count() == 0


def test_it_rejects_a_change_to_a_choice_that_is_gone_and_keeps_the_ballot(
    question, red
):
    cast(question, ANN, [red])
    with pytest.raises(Choice.DoesNotExist):
        cast(question, ANN, [10**15])
    assert totals(question) == [1, 0]
    assert question.own_ballot(ANN).choices == [red]


@pytest.mark.parametrize("opens, closes", [(1, None), (-2, -1)])
def test_it_rejects_a_question_that_is_not_open(ask, opens, closes):
    question = ask("Early or late?", "Early", opens=opens, closes=closes)
    with pytest.raises(NotOpen):
        cast(question, ANN, [question.choice_set.get().pk])
    assert Ballot.objects.count() == 0


def test_it_asks_the_clock_not_the_object(question, red):
    """The page was loaded while the question was open."""
    stale = Question.objects.get()
    question.close()
    with pytest.raises(NotOpen):
        cast(stale, ANN, [red])


def test_it_rejects_a_change_after_the_close(question, red, blue):
    cast(question, ANN, [red])
    question.close()
    with pytest.raises(NotOpen):
        cast(question, ANN, [blue])
    assert totals(question) == [1, 0]


def test_it_rejects_a_deleted_question(question, red):
    gone = Question.objects.get()
    question.delete()
    with pytest.raises(Choice.DoesNotExist):
        cast(gone, ANN, [red])


@pytest.mark.sqlite
def test_it_costs_the_same_for_the_first_and_the_thousandth(question, red):
    assert red in question.choice_texts
    ran: list[str] = []
    connection.connection.set_trace_callback(ran.append)
    for n in range(50):
        cast(question, f"{n:032}", [red])
    connection.connection.set_trace_callback(None)
    # A savepoint and its release, around choice, ballot, mark and total.
    assert len(ran) == 50 * 6


def test_the_database_refuses_a_second_ballot(question):
    Ballot.objects.create(question=question, voter_key=ANN)
    with pytest.raises(IntegrityError), transaction.atomic():
        Ballot.objects.create(question=question, voter_key=ANN)


def test_the_database_refuses_a_second_mark(question, red):
    ballot = cast(question, ANN, [red])
    with pytest.raises(IntegrityError), transaction.atomic():
        Mark.objects.create(ballot=ballot, choice_id=red)


def test_the_database_refuses_a_negative_total(red):
    with pytest.raises(IntegrityError), transaction.atomic():
        Choice.objects.filter(pk=red).update(votes=-1)


def test_a_total_is_not_for_anyone_to_set(question):
    for total in ("votes", "first_marks", "revision"):
        with pytest.raises(ValueError, match="counted from its ballots"):
            question.choice_set.create(choice_text="Green", **{total: 7})
        with pytest.raises(ValueError, match="counted from its ballots"):
            question.choice_set.first().save(update_fields=[total])
    assert question.choice_set.create(choice_text="Green", votes=0).votes == 0


@pytest.mark.parametrize("votes", [7, F("votes") + 1])
def test_a_total_that_was_changed_is_refused_and_not_dropped(question, red, votes):
    choice = Choice.objects.get(pk=red)
    choice.votes = votes
    with pytest.raises(ValueError, match="counted from its ballots"):
        choice.save()
    cast(question, ANN, [red])
    choice.refresh_from_db()
    choice.save()
    assert Choice.objects.get(pk=red).votes == 1


def test_reading_another_field_again_hides_no_changed_total(red):
    choice = Choice.objects.get(pk=red)
    choice.votes = 7
    choice.refresh_from_db(fields=["choice_text"])
    with pytest.raises(ValueError, match="counted from its ballots"):
        choice.save()


def test_a_copy_of_a_choice_takes_no_votes_along(question, red):
    cast(question, ANN, [red])
    choice = Choice.objects.get(pk=red)
    choice.pk, choice._state.adding = None, True
    with pytest.raises(ValueError, match="counted from its ballots"):
        choice.save()


def test_the_database_refuses_a_total_that_no_ballot_has_moved(question, red):
    for total in ("votes", "first_marks"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Choice.objects.bulk_create([Choice(question=question, **{total: 7})])
        with pytest.raises(IntegrityError), transaction.atomic():
            Choice.objects.filter(pk=red).update(**{total: 7})


def test_saving_a_choice_leaves_the_votes_that_came_meanwhile(question, red):
    old = Choice.objects.get(pk=red)
    cast(question, ANN, [red])
    old.choice_text = "Dark red"
    old.save()
    assert Choice.objects.get(choice_text="Dark red").votes == 1


def test_a_choice_with_votes_cannot_be_deleted_alone(question, red):
    cast(question, ANN, [red])
    with pytest.raises(RestrictedError):
        Choice.objects.get(pk=red).delete()


def test_the_version_never_goes_back(question, red, blue):
    cast(question, ANN, [red])
    cast(question, ANN, [blue])
    before = tally_of(question)["version"]
    Choice.objects.get(pk=red).delete()
    assert tally_of(question)["version"] > before


def test_the_window_ends_at_its_very_moment(question, red):
    Question.objects.update(
        closes_at=timezone.now() + datetime.timedelta(milliseconds=1)
    )
    while timezone.now() < Question.objects.get().closes_at:
        pass
    with pytest.raises(NotOpen):
        cast(question, ANN, [red])
