"""Ballots that wait together are written in one transaction, each with its own outcome."""

import asyncio
import contextlib
import datetime
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone

from polls.locks import file_lock
from polls.models import Ballot, Choice, Question
from polls.voting.cast import NotOpen, QuestionChanged, Refused, cast, new_ballots
from polls.voting.group_commit import GroupCommit
from tests.support.races import outcome
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def ask(**fields: object) -> tuple[Question, int]:
    question = Question.objects.create(question_text="Yes or no?", **fields)
    yes = Choice.objects.create(question=question, choice_text="Yes")
    return question, yes.pk


def cast_in_one_batch(*casts):
    """Run all in threads of their own, so that they wait for one another; return what each returned or raised."""
    with ThreadPoolExecutor(len(casts)) as threads:
        with new_ballots.write_lock:
            runs = [threads.submit(outcome, cast) for cast in casts]
            wait_until(lambda: len(new_ballots.pending) == len(casts))
        return [run.result() for run in runs]


def voters(question, choice, names):
    return [lambda name=name: cast(question, name, [choice]) for name in names]


@pytest.mark.postgresql
def test_they_share_a_commit(transactional_db):
    question, yes = ask()
    cast_in_one_batch(*voters(question, yes, "abcdef"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT xmin::text) FROM polls_ballot")
        assert cursor.fetchone() == (6, 1)


def test_each_has_its_own_outcome(transactional_db):
    question, yes = ask()
    over, too_late = ask()
    over.close()
    _, foreign = ask()
    cast(question, "again", [yes])
    outcomes = cast_in_one_batch(
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
    first, second = cast_in_one_batch(*voters(question, yes, ["same", "same"]))
    assert first == second == Ballot.objects.get()
    assert first.receipt == second.receipt


def test_a_ballot_alone_waits_for_nobody(transactional_db):
    question, yes = ask()
    assert cast(question, "a", [yes]) == Ballot.objects.get()


def test_it_goes_with_the_transaction_that_it_was_cast_in(transactional_db):
    question, yes = ask()
    with transaction.atomic():
        cast(question, "mine", [yes])
        assert not new_ballots.pending
        transaction.set_rollback(True)
    assert not Ballot.objects.exists()


@pytest.mark.parametrize(
    "opens, closes", [(-2, None), (-2, -1), (-1, 0), (-1, 1), (1, None), (1, 2)]
)
def test_open_means_the_same_as_elsewhere(transactional_db, opens, closes):
    now, hour = timezone.now(), datetime.timedelta(hours=1)
    until = None if closes is None else now + closes * hour
    question, yes = ask(pub_date=now + opens * hour, closes_at=until)
    outcome = cast_in_one_batch(*voters(question, yes, ["a"]))[0]
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
    with file_lock(f"{connection.settings_dict['NAME']}.queue", timeout=0):
        began = time.monotonic()
        outcomes = cast_in_one_batch(*voters(question, yes, "abcd"))
    assert all(isinstance(outcome, OperationalError) for outcome in outcomes)
    assert time.monotonic() - began < 2
    assert cast_in_one_batch(*voters(question, yes, "a"))[0] == Ballot.objects.get()


@pytest.mark.sqlite
def test_no_time_to_wait_is_enough_where_nobody_waits(transactional_db, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0)
    question, yes = ask()
    assert cast(question, "a", [yes]) == Ballot.objects.get()


REFUSE_COMMITS = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON polls_ballot
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"""


@pytest.mark.postgresql
def test_what_the_commit_refuses_is_not_taken_for_written(transactional_db):
    question, yes = ask()
    with connection.cursor() as cursor:
        cursor.execute(REFUSE_COMMITS)
    try:
        with pytest.raises(DatabaseError, match="no room"):
            cast(question, "a", [yes])
        # As the next request does.
        connection.close_if_unusable_or_obsolete()
        assert not Ballot.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse CASCADE")
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
    write, tries = new_ballots.write, []
    noting = lambda ballots: tries.append(ballots) or write(ballots)
    monkeypatch.setattr(new_ballots, "write", noting)
    assert isinstance(outcome(lambda: cast(question, "a", [yes])), Ballot | Refused)
    assert len(tries) <= 2


def squares(numbers):
    """Write numbers as a database would: one that is negative spoils the transaction, and zero the connection."""
    if 0 in numbers:
        raise OperationalError("The connection was lost.")
    if min(numbers) < 0:
        raise ValueError(min(numbers))
    return [number**2 for number in numbers]


def submit_together(group, *numbers):
    runs = [lambda number=number: group.submit(number) for number in numbers]
    with ThreadPoolExecutor(len(runs)) as threads:
        with group.write_lock:
            tasks = [threads.submit(outcome, run) for run in runs]
            wait_until(lambda: len(group.pending) == len(runs))
        return [task.result() for task in tasks]


def test_what_spoils_a_transaction_harms_none_of_its_neighbours(transactional_db):
    two, bad, three = submit_together(GroupCommit(squares), 2, -1, 3)
    assert (two, three) == (4, 9)
    assert repr(bad) == "ValueError(-1)"


def test_a_database_that_is_away_is_asked_once_for_all(transactional_db):
    tries = []
    group = GroupCommit(lambda numbers: tries.append(numbers) or squares(numbers))
    outcomes = submit_together(group, 0, 1, 2)
    assert all(isinstance(outcome, OperationalError) for outcome in outcomes)
    assert len(tries) == 1


@pytest.mark.parametrize("numbers", [[1], [1, 2, 3]])
def test_those_of_a_thread_that_is_told_to_end_are_not_taken_for_written(
    transactional_db, numbers
):
    def stop(numbers):
        raise SystemExit

    group = GroupCommit(stop)

    def submit(number):
        try:
            return group.submit(number)
        except SystemExit:
            return None

    with ThreadPoolExecutor(3) as threads:
        with group.write_lock:
            runs = [
                threads.submit(outcome, lambda number=number: submit(number))
                for number in numbers
            ]
            wait_until(lambda: len(group.pending) == len(numbers))
        outcomes = [run.result() for run in runs]
    assert outcomes.count(None) == 1
    others = [outcome for outcome in outcomes if outcome is not None]
    assert {type(other) for other in others} <= {OperationalError}
    assert not group.pending


async def submit_from_loop(group, threads, *numbers):
    pending = [group.submit_from_loop(number, threads) for number in numbers]
    for one in pending:
        await one.future
    return [one.result() for one in pending]


def test_one_thread_at_a_time_writes_for_the_loop(transactional_db):
    busy, most, batches = [], [], []

    def write(numbers):
        busy.append(1)
        most.append(len(busy))
        batches.append(len(numbers))
        time.sleep(0.001)
        busy.pop()
        return squares(numbers)

    async def come_in_threes(group, threads):
        threes = (range(n, n + 3) for n in range(1, 100, 3))
        tasks = [submit_from_loop(group, threads, *three) for three in threes]
        return sum(await asyncio.gather(*tasks), [])

    with ThreadPoolExecutor(4) as threads:
        results = asyncio.run(come_in_threes(GroupCommit(write), threads))
    assert results == squares(range(1, 100))
    assert set(most) == {1} and len(batches) < 50


def test_what_was_submitted_is_written_though_nobody_waits_for_it(transactional_db):
    written = []
    group = GroupCommit(lambda numbers: written.extend(numbers) or numbers)

    async def leave(threads):
        with group.write_lock:
            waiting = asyncio.ensure_future(submit_from_loop(group, threads, 3))
            await until(lambda: group.pending)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        return await submit_from_loop(group, threads, 4)

    with ThreadPoolExecutor(1) as threads:
        assert asyncio.run(leave(threads)) == [4]
    assert sorted(written) == [3, 4]


def test_nobody_waits_for_threads_that_have_ended(transactional_db):
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        asyncio.run(submit_from_loop(GroupCommit(squares), threads, 3))
