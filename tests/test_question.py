import contextlib
import datetime
import itertools

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from polls.counting.tally import tallies_of
from polls.models import Ballot, Question
from polls.voting.cast import NotOpen, cast

NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
MOMENTS = [
    NOW + datetime.timedelta(microseconds=n) for n in (-3600 * 10**6, -1, 0, 1, 10**9)
]


def test_it_was_published_recently(ask):
    assert ask("Now?", opens=-23.9).was_published_recently() is True
    assert ask("Old?", opens=-24.1).was_published_recently() is False
    assert ask("Not yet?", opens=1).was_published_recently() is False


@pytest.fixture
def questions(db):
    """Every pair of dates around one moment, the moment itself included, some seen to have closed."""
    ends = [None, *MOMENTS]
    for opens, closes, closed in itertools.product(MOMENTS, ends, ends):
        if closes is None or closes >= opens:
            dates = {"pub_date": opens, "closes_at": closes, "closed_at": closed}
            Question.objects.create(question_text="?", **dates)
    return list(Question.objects.order_by("pk"))


@pytest.mark.parametrize("state", ["scheduled", "open", "closed"])
def test_queryset_and_method_agree_on_the_state(questions, state):
    found = set(getattr(Question.objects, state)(NOW))
    assert found == {q for q in questions if q.state(NOW) == state}
    assert found


def test_a_ballot_is_written_where_the_state_is_open(questions, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    for question in questions:
        yes = question.choice_set.create(choice_text="Yes")
        with contextlib.suppress(NotOpen):
            cast(question, "a" * 32, [yes.pk])
    written = {ballot.question for ballot in Ballot.objects.select_related("question")}
    assert written == {q for q in questions if q.state(NOW) == "open"}


def view(path):
    return lambda client, question: client.get(path.format(question.pk))


SHOWN = {
    "index": view("/polls/"),
    "ballot page": view("/polls/{}/"),
    "results": view("/polls/{}/results/"),
    "wall": view("/polls/{}/share/"),
    "json": view("/polls/{}/results.json"),
    "ballots": lambda client, question: view("/polls/{}/ballots.csv")(
        client, question
    ).close(),
    "vote": lambda client, question: client.post(f"/polls/{question.pk}/vote/"),
    "admin": view("/admin/polls/question/{}/change/"),
    "admin's list": view("/admin/polls/question/"),
    "stream": lambda client, question: tallies_of(Question.objects.all()),
    "purge": lambda client, question: call_command("purge", forget_voters=0, yes=True),
    "close": lambda client, question: question.close(),
}


@pytest.mark.parametrize("show", SHOWN)
@pytest.mark.django_db(transaction=True)
def test_what_was_shown_as_closed_stays_closed(
    admin_client, ask, monkeypatch, django_assert_num_queries, show
):
    now = timezone.now()
    question = ask("Which way?", "Left", closes=1)
    # A purge leaves alone what nobody has voted on.
    cast(question, "b" * 32, [question.choice_set.get().pk])
    later = now + datetime.timedelta(hours=2 if show != "close" else 0.5)
    monkeypatch.setattr(timezone, "now", lambda: later)
    SHOWN[show](admin_client, question)
    monkeypatch.setattr(timezone, "now", lambda: now)
    question = Question.objects.get()
    with django_assert_num_queries(0):
        assert question.state() == "closed"
    with pytest.raises(NotOpen):
        cast(question, "a" * 32, [question.choice_set.first().pk])
    assert Question.objects.closed().get() == question


def test_what_nobody_has_seen_closed_goes_by_the_clock(ask):
    question = ask("Which way?", "Left", closes=1)
    assert question.state(question.closes_at) == "closed"
    assert Question.objects.open().get().state() == "open"


def test_another_end_opens_what_nobody_has_voted_on(admin_client, ask):
    question = ask("Which way?", "Left", closes=-0.5)
    admin_client.get(f"/polls/{question.pk}/")
    question = Question.objects.get()
    assert question.closed_at == question.closes_at
    question.closes_at = None
    question.full_clean()
    question.save()
    assert Question.objects.open().get().state() == "open"


def test_a_save_takes_nothing_back_that_was_written_meanwhile(ask):
    old = ask("Which way?", "Left", closes=-0.5)
    assert Question.objects.get().state() == "closed"
    Question.objects.update(ballots_sha256="0" * 64, voter_salt="")
    old.results = "organisers"
    old.save()
    kept = Question.objects.values_list("closed_at", "ballots_sha256", "voter_salt")
    assert kept.get() == (old.closes_at, "0" * 64, "")


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


def test_close_ends_an_open_question(question):
    assert question.close() is True
    assert Question.objects.get().state() == "closed"


def test_close_leaves_a_scheduled_and_a_closed_question(ask):
    scheduled = ask("Later?", opens=1)
    closed = ask("Over?", opens=-2, closes=-1)
    assert scheduled.close() is False
    assert closed.close() is False
    assert Question.objects.get(pk=closed.pk).closes_at == closed.closes_at


def test_duplicate_has_the_choices_but_no_votes_and_no_voters(question):
    cast(question, "v" * 32, [question.choice_set.first().pk])
    copy = question.duplicate()
    texts = list(copy.choice_set.order_by("id").values_list("choice_text", "votes"))
    assert texts == [("Red", 0), ("Blue", 0)]
    assert copy.state() == "scheduled"
    assert copy.voter_salt != question.voter_salt
    assert copy.ballot_set.count() == 0


def test_delete_takes_its_ballots_along(question):
    cast(question, "v" * 32, [question.choice_set.first().pk])
    question.delete()
    assert Question.objects.count() == 0


@pytest.mark.parametrize(
    "language, attributes",
    [
        ("", 'dir="auto"'),
        ("ar", 'lang="ar" dir="rtl"'),
        ("tr", 'lang="tr" dir="ltr"'),
        ("zh-hans", 'lang="zh-hans" dir="ltr"'),
    ],
)
def test_its_texts_are_marked_with_its_language(language, attributes):
    question = Question(question_text="?", language=language)
    question.clean_fields()
    assert question.lang_attributes == attributes


def test_it_rejects_a_language_that_there_is_not():
    with pytest.raises(ValidationError, match="xx"):
        Question(question_text="?", language="xx").clean_fields()
