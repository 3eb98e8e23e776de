"""question.cast(), the one way in which a vote is written."""

import datetime

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, RestrictedError
from django.utils import timezone

from polls.models import Ballot, Choice, Mark, NotOpen, Question

ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture
def red(colours) -> int:
    return colours.choice_set.get(choice_text="Red").pk


@pytest.fixture
def blue(colours) -> int:
    return colours.choice_set.get(choice_text="Blue").pk


def totals(question: Question) -> list[int]:
    return list(question.choice_set.order_by("id").values_list("votes", flat=True))


def test_it_works(colours, red):
    ballot = colours.cast(ANN, [red])
    assert totals(colours) == [1, 0]
    assert colours.own_ballot(ANN).choices == [red]
    assert len(ballot.receipt) == 12


def test_a_second_ballot_changes_the_first(colours, red, blue):
    first = colours.cast(ANN, [red])
    second = colours.cast(ANN, [blue])
    assert totals(colours) == [0, 1]
    assert Ballot.objects.get() == first == second
    assert second.receipt == first.receipt
    assert second.changed_at > first.cast_at


def test_the_same_ballot_again_changes_nothing(colours, red):
    colours.cast(ANN, [red])
    colours.cast(ANN, [red])
    assert totals(colours) == [1, 0]
    assert Ballot.objects.get().changed_at is None


def test_voters_do_not_touch_each_other(colours, red, blue):
    colours.cast(ANN, [red])
    colours.cast(BOB, [blue])
    colours.cast(BOB, [red])
    assert totals(colours) == [2, 0]
    assert colours.own_ballot(ANN).choices == colours.own_ballot(BOB).choices == [red]


def test_it_rejects_a_choice_of_another_question(colours, ask):
    other = ask("Which number?", "One").choice_set.get().pk
    with pytest.raises(Choice.DoesNotExist):
        colours.cast(ANN, [other])
    assert Ballot.objects.count() == Mark.objects.count() == 0


def test_it_rejects_a_change_to_a_choice_that_is_gone_and_keeps_the_ballot(
    colours, red
):
    colours.cast(ANN, [red])
    with pytest.raises(Choice.DoesNotExist):
        colours.cast(ANN, [10**15])
    assert totals(colours) == [1, 0]
    assert colours.own_ballot(ANN).choices == [red]


@pytest.mark.parametrize("opens, closes", [(1, None), (-2, -1)])
def test_it_rejects_a_question_that_is_not_open(ask, opens, closes):
    question = ask("Early or late?", "Early", opens=opens, closes=closes)
    with pytest.raises(NotOpen):
        question.cast(ANN, [question.choice_set.get().pk])
    assert Ballot.objects.count() == 0


def test_it_asks_the_clock_not_the_object(colours, red):
    """The page was loaded while the question was open."""
    stale = Question.objects.get()
    colours.close()
    with pytest.raises(NotOpen):
        stale.cast(ANN, [red])


def test_it_rejects_a_change_after_the_close(colours, red, blue):
    colours.cast(ANN, [red])
    colours.close()
    with pytest.raises(NotOpen):
        colours.cast(ANN, [blue])
    assert totals(colours) == [1, 0]


def test_it_rejects_a_deleted_question(colours, red):
    gone = Question.objects.get()
    colours.delete()
    with pytest.raises(Choice.DoesNotExist):
        gone.cast(ANN, [red])


@pytest.mark.sqlite
def test_it_costs_the_same_for_the_first_and_the_thousandth(colours, red):
    assert red in colours.offered
    ran: list[str] = []
    connection.connection.set_trace_callback(ran.append)
    for n in range(50):
        colours.cast(f"{n:032}", [red])
    connection.connection.set_trace_callback(None)
    # A savepoint and its release, around ballot, mark and total.
    assert len(ran) == 50 * 5


def test_the_database_refuses_a_second_ballot(colours):
    Ballot.objects.create(question=colours, voter=ANN)
    with pytest.raises(IntegrityError), transaction.atomic():
        Ballot.objects.create(question=colours, voter=ANN)


def test_the_database_refuses_a_second_mark(colours, red):
    ballot = colours.cast(ANN, [red])
    with pytest.raises(IntegrityError), transaction.atomic():
        Mark.objects.create(ballot=ballot, choice_id=red)


def test_the_database_refuses_a_negative_total(red):
    with pytest.raises(IntegrityError), transaction.atomic():
        Choice.objects.filter(pk=red).update(votes=-1)


def test_a_total_is_not_for_anyone_to_set(colours):
    for total in ("votes", "ballots", "moves"):
        with pytest.raises(ValueError, match="counted from its ballots"):
            colours.choice_set.create(choice_text="Green", **{total: 7})
        with pytest.raises(ValueError, match="counted from its ballots"):
            colours.choice_set.first().save(update_fields=[total])
    assert colours.choice_set.create(choice_text="Green", votes=0).votes == 0


@pytest.mark.parametrize("votes", [7, F("votes") + 1])
def test_a_total_that_was_changed_is_refused_and_not_dropped(colours, red, votes):
    choice = Choice.objects.get(pk=red)
    choice.votes = votes
    with pytest.raises(ValueError, match="counted from its ballots"):
        choice.save()
    colours.cast(ANN, [red])
    choice.refresh_from_db()
    choice.save()
    assert Choice.objects.get(pk=red).votes == 1


def test_reading_another_field_again_hides_no_changed_total(red):
    choice = Choice.objects.get(pk=red)
    choice.votes = 7
    choice.refresh_from_db(fields=["choice_text"])
    with pytest.raises(ValueError, match="counted from its ballots"):
        choice.save()


def test_a_copy_of_a_choice_takes_no_votes_along(colours, red):
    colours.cast(ANN, [red])
    choice = Choice.objects.get(pk=red)
    choice.pk, choice._state.adding = None, True
    with pytest.raises(ValueError, match="counted from its ballots"):
        choice.save()


def test_the_database_refuses_a_total_that_no_ballot_has_moved(colours, red):
    for total in ("votes", "ballots"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Choice.objects.bulk_create([Choice(question=colours, **{total: 7})])
        with pytest.raises(IntegrityError), transaction.atomic():
            Choice.objects.filter(pk=red).update(**{total: 7})


def test_saving_a_choice_leaves_the_votes_that_came_meanwhile(colours, red):
    old = Choice.objects.get(pk=red)
    colours.cast(ANN, [red])
    old.choice_text = "Dark red"
    old.save()
    assert Choice.objects.get(choice_text="Dark red").votes == 1


def test_a_choice_with_votes_cannot_be_deleted_alone(colours, red):
    colours.cast(ANN, [red])
    with pytest.raises(RestrictedError):
        Choice.objects.get(pk=red).delete()


def test_the_version_never_goes_back(colours, red, blue):
    colours.cast(ANN, [red])
    colours.cast(ANN, [blue])
    before = colours.tally()["version"]
    Choice.objects.get(pk=red).delete()
    assert colours.tally()["version"] > before


def test_the_window_ends_at_its_very_moment(colours, red):
    Question.objects.update(
        closes_at=timezone.now() + datetime.timedelta(milliseconds=1)
    )
    while timezone.now() < Question.objects.get().closes_at:
        pass
    with pytest.raises(NotOpen):
        colours.cast(ANN, [red])
