"""Ballots that wait together are written in one transaction, each with its own outcome."""

import datetime
import fcntl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from polls.models import Ballot, Choice, Question
from polls.voting import ballot_sql, group_commit
from polls.voting.cast import NotOpen, QuestionChanged, Refused, cast
from tests.support.races import outcome

pytestmark = pytest.mark.django_db(transaction=True)


def ask(**fields: object) -> tuple[Question, int]:
    question = Question.objects.create(question_text="Yes or no?", **fields)
    yes = Choice.objects.create(question=question, choice_text="Yes")
    return question, yes.pk


def together(*casts):
    """Run all in threads of their own, so that they wait for one another; return what each returned or raised."""
    with ThreadPoolExecutor(len(casts)) as threads:
        with group_commit._write_lock:
            runs = [threads.submit(outcome, cast) for cast in casts]
            while len(group_commit._pending) < len(casts):
                time.sleep(0.001)
        return [run.result() for run in runs]


def voters(question, choice, names):
    return [lambda name=name: cast(question, name, [choice]) for name in names]


@pytest.mark.postgresql
def test_they_share_a_commit(transactional_db):
    question, yes = ask()
    together(*voters(question, yes, "abcdef"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT xmin::text) FROM polls_ballot")
        assert cursor.fetchone() == (6, 1)


def test_each_has_its_own_outcome(transactional_db):
    question, yes = ask()
    over, too_late = ask()
    over.close()
    _, foreign = ask()
    cast(question, "again", [yes])
    outcomes = together(
        *voters(question, yes, ["one", "two", "again"]),
        *voters(over, too_late, ["late"]),
        *voters(question, foreign, ["lost"]),
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Ballot, Ballot, Ballot, NotOpen, Choice.DoesNotExist]
    assert Ballot.objects.count() == 3
    assert Choice.objects.get(pk=yes).votes == 3


def test_one_voter_twice_in_one_transaction_has_one_ballot(transactional_db):
    question, yes = ask()
    first, second = together(*voters(question, yes, ["same", "same"]))
    assert first == second == Ballot.objects.get()
    assert first.receipt == second.receipt


def test_a_ballot_alone_waits_for_nobody(transactional_db):
    question, yes = ask()
    assert cast(question, "a", [yes]) == Ballot.objects.get()


def test_it_goes_with_the_transaction_that_it_was_cast_in(transactional_db):
    question, yes = ask()
    with transaction.atomic():
        cast(question, "mine", [yes])
        assert not group_commit._pending
        transaction.set_rollback(True)
    assert not Ballot.objects.exists()


@pytest.mark.parametrize(
    "opens, closes", [(-2, None), (-2, -1), (-1, 0), (-1, 1), (1, None), (1, 2)]
)
def test_open_means_the_same_as_elsewhere(transactional_db, opens, closes):
    now, hour = timezone.now(), datetime.timedelta(hours=1)
    until = None if closes is None else now + closes * hour
    question, yes = ask(pub_date=now + opens * hour, closes_at=until)
    outcome = together(*voters(question, yes, ["a"]))[0]
    assert isinstance(outcome, Ballot) == question.is_open
    assert Question.objects.open().exists() == question.is_open


def test_it_refuses_a_ballot_made_under_another_rule(transactional_db):
    """The organiser changed the poll between the look at the page and the vote."""
    question, yes = ask(kind="several")
    Choice.objects.create(question=question, choice_text="No")
    both = list(question.choice_set.values_list("pk", flat=True))
    Question.objects.update(kind="one")
    with pytest.raises(QuestionChanged):
        cast(question, "a", both)
    assert not Ballot.objects.exists()


def test_it_refuses_a_choice_that_was_renamed_under_its_voter(transactional_db):
    question, yes = ask()
    assert question.choice_texts == {yes: "Yes"}
    Choice.objects.update(choice_text="No")
    with pytest.raises(Choice.DoesNotExist):
        cast(question, "a", [yes])
    assert not Ballot.objects.exists()


@pytest.mark.sqlite
def test_a_locked_database_keeps_nobody_longer_than_its_timeout(
    transactional_db, monkeypatch
):
    question, yes = ask()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.3)
    with open(f"{connection.settings_dict['NAME']}.queue", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        began = time.monotonic()
        outcomes = together(*voters(question, yes, "abcd"))
    assert {type(outcome) for outcome in outcomes} == {OperationalError}
    assert time.monotonic() - began < 2
    assert together(*voters(question, yes, "a"))[0] == Ballot.objects.get()


@pytest.mark.sqlite
def test_no_time_to_wait_is_enough_where_nobody_waits(transactional_db, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0)
    question, yes = ask()
    assert cast(question, "a", [yes]) == Ballot.objects.get()


HOUR = datetime.timedelta(hours=1)
CHANGES = {
    "wording": {"question_text": "Yes or not?"},
    "kind": {"kind": "several"},
    "at least": {"kind": "several", "min_choices": 2},
    "at most": {"max_choices": 1},
    "voters": {"voters": "codes"},
    "salt": {"voter_salt": ""},
    "opened earlier": {"pub_date": timezone.now() - 9 * HOUR},
    "opens later": {"pub_date": timezone.now() + 9 * HOUR, "closes_at": None},
    "closed": {"closes_at": timezone.now() - HOUR},
    "stays open": {"closes_at": None},
    "open for longer": {"closes_at": timezone.now() + 9 * HOUR},
    "counted": {"ballots_sha256": "x"},
    "final": {"may_change": False},
    "hidden": {"results": "closed"},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("voted", [False, True])
def test_it_is_written_or_refused_at_once(transactional_db, monkeypatch, change, voted):
    """What the statement refuses has a reason, or is right the second time."""
    question, yes = ask(
        pub_date=timezone.now() - 2 * HOUR, closes_at=timezone.now() + 2 * HOUR
    )
    if voted:
        cast(question, "a", [yes])
    Question.objects.update(**CHANGES[change])
    write, tries = ballot_sql.insert_ballots, []
    noting = lambda ballots: (tries.append(ballots), write(ballots))
    monkeypatch.setattr(ballot_sql, "insert_ballots", noting)
    assert isinstance(outcome(lambda: cast(question, "a", [yes])), Ballot | Refused)
    assert len(tries) <= 2
