import datetime
import itertools

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from polls.models import Question

NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
MOMENTS = [
    NOW + datetime.timedelta(microseconds=n) for n in (-3600 * 10**6, -1, 0, 1, 10**9)
]


def test_it_was_published_recently(ask):
    assert ask("Now?", opens=-23.9).was_published_recently() is True
    assert ask("Old?", opens=-24.1).was_published_recently() is False
    assert ask("Not yet?", opens=1).was_published_recently() is False


@pytest.mark.parametrize("state", ["scheduled", "open", "closed"])
def test_queryset_and_method_agree_on_the_state(db, state):
    """Every pair of dates around one moment, the moment itself included."""
    for opens, closes in itertools.product(MOMENTS, [None, *MOMENTS]):
        if closes is None or closes >= opens:
            Question.objects.create(question_text="?", pub_date=opens, closes_at=closes)
    found = set(getattr(Question.objects, state)(NOW))
    assert found == {q for q in Question.objects.all() if q.state(NOW) == state}
    assert found


def test_every_question_has_one_state(db):
    now = timezone.now()
    Question.objects.create(question_text="?", pub_date=now, closes_at=now)
    querysets = [
        getattr(Question.objects, s)(now) for s in ("scheduled", "open", "closed")
    ]
    assert [q.count() for q in querysets] == [0, 0, 1]


def test_it_rejects_closing_before_opening(ask):
    with pytest.raises(IntegrityError), transaction.atomic():
        ask("Backwards?", opens=-1, closes=-2)


def test_close_ends_an_open_question(colours):
    assert colours.close() is True
    assert Question.objects.get().state() == "closed"


def test_close_leaves_a_scheduled_and_a_closed_question(ask):
    scheduled = ask("Later?", opens=1)
    closed = ask("Over?", opens=-2, closes=-1)
    assert scheduled.close() is False
    assert closed.close() is False
    assert Question.objects.get(pk=closed.pk).closes_at == closed.closes_at


def test_duplicate_has_the_choices_but_no_votes_and_no_voters(colours):
    colours.cast("v" * 32, [colours.choice_set.first().pk])
    copy = colours.duplicate()
    texts = list(copy.choice_set.order_by("id").values_list("choice_text", "votes"))
    assert texts == [("Red", 0), ("Blue", 0)]
    assert copy.state() == "scheduled"
    assert copy.voter_salt != colours.voter_salt
    assert copy.ballot_set.count() == 0


def test_delete_takes_its_ballots_along(colours):
    colours.cast("v" * 32, [colours.choice_set.first().pk])
    colours.delete()
    assert Question.objects.count() == 0
