"""One voter against himself, an organiser against the voters: changes, withdrawals, closes and void codes at once."""

import time
from contextlib import suppress

import pytest
from django.db import IntegrityError, OperationalError

from polls.kinds import Kind
from polls.models import Ballot, Question
from polls.voting.cast import (
    NotChangeable,
    NotInvited,
    NotOpen,
    QuestionChanged,
    cast,
    withdraw,
)
from polls.voting.identity import make_codes, voter_key
from tests.support.ballots import assert_count_adds_up
from tests.support.races import race
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ANN = "a" * 32


@pytest.fixture(params=Kind.values)
def question(request, ask):
    return ask("Which?", "Red", "Blue", "Green", kind=request.param)


@pytest.fixture
def ballots(question):
    """Return what voters of this kind of question send, over and over."""
    red, blue, green = question.choice_set.order_by("id").values_list("pk", flat=True)
    if question.kind == Kind.ONE:
        return [[red], [blue], [green]]
    return [[red, blue], [blue], [green, blue, red]]


def faults(outcomes):
    """Return what must never come out: a deadlock, a lock that was not had, a second row."""
    flat = [
        one for each in outcomes for one in (each if isinstance(each, list) else [each])
    ]
    return [
        one
        for one in flat
        if isinstance(one, OperationalError | IntegrityError | AssertionError)
    ]


def test_a_vote_that_changes_while_another_tab_withdraws_it(question, ballots):
    outcomes = []
    for _ in range(15):
        cast(question, ANN, ballots[0])
        outcomes += race(
            lambda: cast(question, ANN, ballots[1]),
            lambda: withdraw(question, ANN),
            lambda: cast(question, ANN, ballots[2]),
        )
        assert assert_count_adds_up(question) in (0, 1)
    assert all(isinstance(one, Ballot | bool) for one in outcomes), outcomes


def test_casting_and_withdrawing_by_four_threads_of_one_voter(question, ballots):
    def ping_pong(n):
        for turn in range(25):
            if (turn + n) % 2:
                cast(question, ANN, ballots[turn % 3])
            else:
                withdraw(question, ANN)

    outcomes = race(*(lambda n=n: ping_pong(n) for n in range(4)))
    assert outcomes == [None] * 4
    assert assert_count_adds_up(question) in (0, 1)
    cast(question, ANN, ballots[0])
    assert assert_count_adds_up(question) == 1


def test_nothing_changes_after_the_close(question, ballots):
    """Three voters change and withdraw while the poll closes: each ballot stays as its last success left it."""

    def keep_changing(n):
        voter, last = f"{n:032}", []
        for turn in range(200):
            # SQLite's lock is not fair: who never pauses starves the others.
            time.sleep(0.002)
            try:
                if turn % 3 == 2:
                    withdraw(question, voter)
                    last = []
                else:
                    cast(question, voter, ballots[turn % 3])
                    last = ballots[turn % 3]
            except NotOpen:
                break
        return last

    def close():
        wait_until(Ballot.objects.filter(changed_at__isnull=False).exists)
        return Question.objects.get().close()

    closed, *kept = race(close, *(lambda n=n: keep_changing(n) for n in range(3)))
    assert closed is True and not faults(kept)
    for n, last in enumerate(kept):
        own = question.own_ballot(f"{n:032}")
        assert (own.choices if own else []) == question_order(question, last)
    assert assert_count_adds_up(question) == sum(map(bool, kept))
    closes_at = Question.objects.get().closes_at
    for ballot in Ballot.objects.all():
        assert max(ballot.cast_at, ballot.changed_at or ballot.cast_at) <= closes_at


def question_order(question, choices):
    return choices if question.kind == Kind.RANKED else sorted(choices)


def test_a_double_click_where_votes_are_final(question, ballots):
    """The same choice: both are answered yes. Different ones: the first to come stays."""
    Question.objects.update(may_change=False)
    question.refresh_from_db()
    for n in range(8):
        same = race(*[lambda n=n: cast(question, f"{n:032}", ballots[0])] * 2)
        assert all(isinstance(ballot, Ballot) for ballot in same), same
    for n in range(8, 16):
        runs = [lambda n=n, b=b: cast(question, f"{n:032}", b) for b in ballots[:2]]
        outcomes = race(*runs)
        kinds = {type(outcome) for outcome in outcomes}
        assert kinds == {Ballot, NotChangeable}, outcomes
        won = ballots[[isinstance(one, Ballot) for one in outcomes].index(True)]
        assert question.own_ballot(f"{n:032}").choices == question_order(question, won)
    assert assert_count_adds_up(question) == 16


def test_a_vote_does_not_change_once_it_was_made_final(question, ballots):
    """The organiser makes votes final while voters change theirs."""
    for n in range(3):
        cast(question, f"{n:032}", ballots[0])

    def keep_changing(n):
        last = 0
        for turn in range(1, 200):
            time.sleep(0.002)
            try:
                cast(question, f"{n:032}", ballots[turn % 3])
                last = turn % 3
            except NotChangeable:
                break
        return last

    def make_final():
        wait_until(Ballot.objects.filter(changed_at__isnull=False).exists)
        mine = Question.objects.get()
        mine.may_change = False
        mine.full_clean()
        mine.save(update_fields=["may_change"])

    outcomes = race(make_final, *(lambda n=n: keep_changing(n) for n in range(3)))
    assert not faults(outcomes)
    for n, last in enumerate(outcomes[1:]):
        own = question.own_ballot(f"{n:032}").choices
        assert own == question_order(question, ballots[last])
    assert assert_count_adds_up(question) == 3


@pytest.fixture
def codes(question):
    """40 codes, as the voters that they stand for."""
    Question.objects.update(voters="codes")
    question.refresh_from_db()
    made = make_codes(question, 40)
    return [voter_key(question, f"code:{code}") for _, code in made]


def test_a_code_is_used_or_void_and_never_both(question, ballots, codes):
    def vote(mine):
        keys = []
        for voter in mine:
            with suppress(NotInvited):
                keys.append(cast(question, voter, ballots[0]).voter_key)
        return keys

    def void():
        voided = 0
        for number in range(40, 0, -4):
            some = range(number - 3, number + 1)
            voided += question.invitation_set.filter(number__in=some).void()
        return voided

    voided, *keys = race(void, lambda: vote(codes[::2]), lambda: vote(codes[1::2]))
    assert not faults([voided, *keys])
    used = set(question.ballot_set.values_list("voter_key", flat=True))
    void = set(
        question.invitation_set.exclude(voided_at=None).values_list(
            "voter_key", flat=True
        )
    )
    assert used == {*keys[0], *keys[1]} and len(void) == voided
    assert not used & void and used | void == set(codes)
    assert assert_count_adds_up(question) == len(used)


def test_a_code_that_was_withdrawn_can_be_voided_and_votes_no_more(
    question, ballots, codes
):
    voter = codes[0]
    cast(question, voter, ballots[0])
    first = question.invitation_set.filter(voter_key=voter)
    assert first.void() == 0

    outcomes = race(
        lambda: (withdraw(question, voter), first.void()),
        lambda: [
            cast(question, codes[1], ballots[0]),
            cast(question, codes[1], ballots[1]),
        ],
    )
    assert outcomes[0] == (True, 1)
    with pytest.raises(NotInvited):
        cast(question, voter, ballots[0])
    assert assert_count_adds_up(question) == 1


def test_codes_made_at_once_have_numbers_of_their_own(question):
    made = race(*[lambda: make_codes(question, 25)] * 4)
    assert not faults(made)
    numbers = [number for codes in made for number, _ in codes]
    assert sorted(numbers) == list(range(1, 101))


def test_a_rule_that_changes_before_the_first_ballot_refuses_it(question, ballots):
    """The page was loaded before the organiser saved; what it sends fits the old rule alone."""
    stale = Question.objects.get()
    Question.objects.update(kind=Kind.ONE if question.kind != Kind.ONE else Kind.RANKED)
    with pytest.raises(QuestionChanged):
        cast(stale, ANN, ballots[0])
    Question.objects.update(kind=question.kind, voters="accounts")
    with pytest.raises(QuestionChanged):
        cast(stale, ANN, ballots[0])
    assert assert_count_adds_up(Question.objects.get()) == 0
