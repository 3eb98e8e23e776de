"""Any sequence of ballots, changes, withdrawals and closes leaves a count that adds up: against a model in a few lines."""

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polls.counting.numbers import count
from polls.counting.recount import repair
from polls.counting.tally import say, tallies_of, tally_of
from polls.kinds import InvalidBallot, Kind
from polls.models import Choice, Question
from polls.voting.cast import NotChangeable, NotOpen, cast, withdraw
from tests.support.ballots import assert_count_adds_up

# The same examples on every machine and in every run.
EXAMPLES = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    # An example is a hundred statements, and the machine may be busy.
    suppress_health_check=[HealthCheck.too_slow],
)
VOTERS = st.sampled_from(["ann", "bob", "cid"])
# Five choices; 5 is none of them, and repeats and empty ballots are among the lists.
BALLOTS = st.lists(st.integers(0, 5), max_size=5)
ACTIONS = st.one_of(
    st.tuples(st.just("cast"), VOTERS, BALLOTS),
    st.tuples(st.just("cast"), VOTERS, BALLOTS),
    st.tuples(st.just("cast"), VOTERS, st.permutations(range(5)).map(lambda p: p[:3])),
    st.tuples(st.just("withdraw"), VOTERS, st.none()),
)
LONG = st.lists(ACTIONS, min_size=8, max_size=24)
KINDS = {
    Kind.ONE: {"min_choices": 1, "max_choices": None},
    Kind.SEVERAL: {"min_choices": 2, "max_choices": 3},
    Kind.RANKED: {"min_choices": 1, "max_choices": 4},
}


class Model:
    """What should be so: a dictionary of voters and their choices."""

    def __init__(self, kind, may_change):
        self.ballots, self.kind, self.may_change = {}, kind, may_change
        self.least = KINDS[kind]["min_choices"]
        self.most = KINDS[kind]["max_choices"] or 1
        self.closed = False

    def cast(self, voter, choices):
        """Return what comes of it: an exception's class, or None."""
        if not self.least <= len(choices) <= self.most:
            return InvalidBallot
        if len(set(choices)) < len(choices):
            return InvalidBallot
        marks = choices if self.kind == Kind.RANKED else sorted(choices)
        return self._write(voter, marks)

    def withdraw(self, voter, _):
        return self._write(voter, []) if voter in self.ballots else None

    def _write(self, voter, marks):
        before = self.ballots.get(voter)
        if 5 in marks:
            return Choice.DoesNotExist
        if self.closed:
            return NotOpen
        if before is not None and before != marks and not self.may_change:
            return NotChangeable
        self.ballots[voter] = marks
        if not marks:
            del self.ballots[voter]
        return None

    @property
    def votes(self):
        seen = [b[:1] if self.kind == Kind.RANKED else b for b in self.ballots.values()]
        return [sum(choice in ballot for ballot in seen) for choice in range(5)]


def act(question, ids, verb, voter, choices):
    try:
        if verb == "cast":
            cast(question, voter, [ids[choice] for choice in choices])
        else:
            withdraw(question, voter)
    except Exception as error:
        return type(error)


def compare(question, ids, model):
    """Hold totals and ballots against the model; return the version."""
    fresh = Question.objects.filter(pk=question.pk)
    tally = tally_of(fresh.get())
    # What pages count, and what streams do.
    assert tally == tallies_of(fresh)[question.pk]
    assert [choice["votes"] for choice in tally["choices"]] == model.votes
    assert tally["ballots"] == len(model.ballots)
    return tally["version"]


def own_choices(question, ids):
    owned = {voter: question.own_ballot(voter) for voter in ("ann", "bob", "cid")}
    return {v: [ids.index(pk) for pk in own.choices] for v, own in owned.items() if own}


def play(kind, may_change, actions, last_moment):
    question = Question.objects.create(
        question_text="?", kind=kind, may_change=may_change, **KINDS[kind]
    )
    for n in range(5):
        Choice.objects.create(question=question, choice_text=f"{n}")
    ids = [*question.choice_set.order_by("id").values_list("pk", flat=True), 10**15]
    model, version = Model(kind, may_change), 0
    for n, (verb, voter, choices) in enumerate(actions):
        if n == last_moment:
            model.closed = question.close()
        outcome = act(question, ids, verb, voter, choices)
        assert outcome == getattr(model, verb)(voter, choices), (verb, choices)
        before, version = version, compare(question, ids, model)
        assert version >= before
    assert own_choices(question, ids) == model.ballots
    assert assert_count_adds_up(question) == len(model.ballots)


@pytest.mark.django_db
@pytest.mark.parametrize("may_change", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_it_counts_what_the_model_counts(kind, may_change):
    @EXAMPLES
    @given(actions=LONG, last_moment=st.integers(0, 40))
    def example(actions, last_moment):
        with transaction.atomic():
            play(kind, may_change, actions, last_moment)
            transaction.set_rollback(True)

    example()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_a_repair_agrees_with_the_model_too(kind):
    """Whatever the totals were turned into."""

    @settings(EXAMPLES, max_examples=8)
    @given(actions=LONG, wrong=st.lists(st.integers(0, 99), min_size=5, max_size=5))
    def example(actions, wrong):
        with transaction.atomic():
            question = Question.objects.create(
                question_text="?", kind=kind, **KINDS[kind]
            )
            for n in range(5):
                Choice.objects.create(question=question, choice_text=f"{n}")
            ids = list(question.choice_set.order_by("id").values_list("pk", flat=True))
            model = Model(kind, True)
            for verb, voter, choices in actions:
                act(question, [*ids, 10**15], verb, voter, choices)
                getattr(model, verb)(voter, choices)
            for pk, number in zip(ids, wrong):
                Choice.objects.filter(pk=pk).update(
                    votes=number, first_marks=number, revision=F("revision") + 1
                )
            repair(question)
            compare(question, ids, model)
            transaction.set_rollback(True)

    example()


@pytest.mark.parametrize(
    "votes, while_open, after_the_close",
    [
        ([0, 0], "", ""),
        ([3, 1], "A leads with 75%", "A won with 75%"),
        ([1, 2], "B leads with 66.7%", "B won with 66.7%"),
        ([2, 2, 1], "A and B are level with 40%", "Tie: A and B have 40% each"),
        (
            [1, 1, 1],
            "A, B and C are level with 33.3%",
            "Tie: A, B and C have 33.3% each",
        ),
        (
            [1, 1, 1, 1],
            "4 choices are level with 25%",
            "Tie: 4 choices have 25% each",
        ),
    ],
)
def test_it_says_who_is_ahead_and_who_has_won(ask, votes, while_open, after_the_close):
    question = ask("Which?", *"ABCD"[: len(votes)])
    for choice, number in zip(question.choice_set.order_by("pk"), votes):
        for n in range(number):
            cast(question, f"{choice.pk}-{n}", [choice.pk])
    assert tally_of(question)["outcome"] == while_open
    question.close()
    question.refresh_from_db()
    assert tally_of(question)["outcome"] == after_the_close


def test_numbers_are_said_in_the_language_that_is_named(question):
    red = Choice.objects.filter(choice_text="Red")
    red.update(votes=1204, first_marks=1204, revision=1)
    numbers = count(question)
    said = []
    for code in ("en", "de"):
        with translation.override(code):
            said.append(say(numbers))
    assert [tally["choices"][0]["votes_text"] for tally in said] == [
        "1,204 votes",
        "1.204 Stimmen",
    ]
    assert said[0]["ballots_text"] == "1,204 ballots"
    assert said[0]["choices"][0]["percent_text"] == "100.0%"
    assert translation.get_language() == "en"
