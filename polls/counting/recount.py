"""What a recount finds: where the totals, the rankings, the ballots and the fingerprint of a question disagree."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from django.db import models, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Cast

from ..kinds import ranking_text, read_ranking
from ..models import Ballot, Choice, Mark, Question, RankingTotal
from .ballots_csv import file_sha256

# Ballots by choice ids, best first.
Rankings = dict[tuple[int, ...], int]


class ChoiceCount(NamedTuple):
    """The totals of a choice, and what the ballots say."""

    pk: int
    choice_text: str
    votes: int
    first_marks: int
    counted_votes: int
    counted_first_marks: int


def _wrong_choices(question: Question) -> list[ChoiceCount]:
    """Return the choices whose totals differ.

    One statement sees totals and ballots at the same moment, so that votes
    cast meanwhile make no difference.
    """
    first_marks = Count("mark", filter=Q(mark__rank=1))
    votes = Count("mark") if question.rules.every_mark_counts else first_marks
    kept = question.choice_set.filter(question__ballots_deleted_at=None)
    wrong = kept.annotate(counted_votes=votes, counted_first_marks=first_marks).exclude(
        votes=F("counted_votes"), first_marks=F("counted_first_marks")
    )
    rows = wrong.order_by("id").values_list(*ChoiceCount._fields)
    return [ChoiceCount._make(row) for row in rows]


def _totals_and_marks(
    question: Question,
) -> models.QuerySet[RankingTotal, tuple[int, int, str]]:
    """Return rows: 0, ballots, ranking; then, ballot by ballot: its id, rank, choice."""
    columns = ["ballot_id", "number", "text"]
    totals = RankingTotal.objects.filter(question=question).annotate(
        ballot_id=models.Value(0, models.BigIntegerField()),
        number=F("ballots"),
        text=F("choices"),
    )
    marks = Mark.objects.filter(ballot__question=question).annotate(
        number=F("rank"), text=Cast("choice_id", models.CharField())
    )
    both = totals.values_list(*columns).union(marks.values_list(*columns), all=True)
    return both.order_by("ballot_id", "number")


def _rankings(question: Question) -> tuple[Rankings, Rankings]:
    """Return the totals of the rankings, and what the ballots say.

    One statement sees both at the same moment, as with choices. In memory are the rankings, not the ballots.
    """
    totals: Rankings = {}
    counted: Rankings = defaultdict(int)
    rows = _totals_and_marks(question).iterator()
    for ballot, group in itertools.groupby(rows, key=lambda row: row[0]):
        if ballot:
            counted[tuple(int(choice) for _, _, choice in group)] += 1
        else:
            totals = {
                tuple(read_ranking(text)): ballots
                for _, ballots, text in group
                if ballots
            }
    return totals, dict(counted)


def _wrong_rankings(question: Question) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Yield each ranking whose total differs, with the total and what the ballots say."""
    totals, counted = _rankings(question)
    for choices in sorted(totals.keys() | counted.keys()):
        numbers = totals.get(choices, 0), counted.get(choices, 0)
        if numbers[0] != numbers[1]:
            yield choices, *numbers


def wrong_totals(question: Question) -> Iterator[str]:
    """Say what a repair would set right, a sentence each."""
    for choice in _wrong_choices(question):
        name = f"Question {question.pk}, choice {choice.pk} {choice.choice_text!r}"
        if choice.votes != choice.counted_votes:
            yield f"{name}: the total says {choice.votes}, the ballots say {choice.counted_votes}."
        else:
            yield (
                f"{name}: the number of ballots that begin with it says {choice.first_marks}, "
                f"the ballots say {choice.counted_first_marks}."
            )
    if question.rules.has_rounds and not question.ballots_deleted_at:
        for choices, total, counted in _wrong_rankings(question):
            ranking = ", ".join(map(str, choices))
            yield (
                f"Question {question.pk}, ranking {ranking}: "
                f"the total says {total}, the ballots say {counted}."
            )


def _invalid_ballots(question: Question) -> models.QuerySet[Ballot]:
    """Return the ballots whose marks are not as the question asks: how many, numbered from 1, for its choices."""
    counted = Ballot.objects.filter(question=question).annotate(
        marks=Count("mark"),
        own=Count("mark", filter=Q(mark__choice__question=question)),
        first=models.Min("mark__rank"),
        last=models.Max("mark__rank"),
    )
    most = question.max_marks(len(question.choice_texts))
    # No two marks of a ballot have the same rank, so that these leave no room for a gap.
    numbered = Q(first=1, last=F("marks"))
    enough = Q(marks__range=(question.min_choices, most))
    return counted.exclude(enough & numbered & Q(own=F("marks")))


def wrong_ballots(question: Question) -> Iterator[str]:
    """Say what no repair can set right, a sentence each."""
    invalid = _invalid_ballots(question).count()
    if invalid and not question.ballots_deleted_at:
        yield (
            f"Question {question.pk}: unsound ballots, with too few or too many choices, gaps between ranks, "
            f"or a choice of another question: {invalid}."
        )
    if question.ballots_sha256 and not question.ballots_deleted_at:
        if file_sha256(question) != question.ballots_sha256:
            yield (
                f"Question {question.pk}: the ballots are not those of the fingerprint fixed after the close, "
                f"{question.ballots_sha256}."
            )


def repair(question: Question) -> None:
    """Set totals and rankings to what the ballots say, without losing a vote cast meanwhile.

    In one transaction: whoever sees that the totals have changed finds the rankings repaired too.
    """
    with transaction.atomic():
        # Only a statement that begins with the lock in hand sees the votes it waited for;
        # those that wait behind it add themselves afterwards.
        question.choice_set.lock()
        _repair_choices(question)
        if question.rules.has_rounds:
            _repair_rankings(question)


def _repair_choices(question: Question) -> None:
    for choice in _wrong_choices(question):
        Choice.objects.filter(pk=choice.pk).update(
            votes=choice.counted_votes,
            first_marks=choice.counted_first_marks,
            revision=F("revision") + 1,
        )


def _repair_rankings(question: Question) -> None:
    _, counted = _rankings(question)
    RankingTotal.objects.filter(question=question).delete()
    RankingTotal.objects.bulk_create(
        RankingTotal(question=question, choices=ranking_text(choices), ballots=ballots)
        for choices, ballots in counted.items()
    )
    # The rounds are counted anew from these. A question that nobody has voted on promises nothing.
    voted = question.choice_set.filter(revision__gt=0)
    voted.update(revision=F("revision") + 1)
