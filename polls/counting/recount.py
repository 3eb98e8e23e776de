"""What a recount finds: where the totals, the rankings, the ballots and the fingerprint of a question disagree."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Cast

from ..kinds import Kind, ranking_text, read_ranking
from ..models import Ballot, Choice, ChoiceQuerySet, Mark, Question, RankingTotal
from .ballots_csv import file_sha256


def recounted_choices(choices: ChoiceQuerySet) -> ChoiceQuerySet:
    """Add `counted` and `counted_ballots`: what the ballots say, which `votes` and `ballots` must equal.

    One statement sees total and ballots at the same moment, so that votes
    cast meanwhile make no difference.
    """
    first = Q(mark__rank=1)
    return choices.annotate(
        counted=models.Count("mark", filter=first | ~Q(question__kind=Kind.RANKED)),
        counted_ballots=models.Count("mark", filter=first),
    )


def miscounted_choices(choices: ChoiceQuerySet) -> ChoiceQuerySet:
    kept = recounted_choices(choices.filter(question__ballots_deleted_at=None))
    wrong = kept.exclude(votes=F("counted"), first_marks=F("counted_ballots"))
    return wrong.order_by("id").select_related("question")


def _totals_and_marks(question: Question) -> models.QuerySet[RankingTotal]:
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


def _recounted_rankings(question: Question) -> dict[tuple[int, ...], int]:
    """Return what the ballots say; in the memory of the rankings, not of the ballots."""
    marks = Mark.objects.filter(ballot__question=question)
    rows = marks.order_by("ballot", "rank").values_list("ballot", "choice")
    counted: dict[tuple[int, ...], int] = defaultdict(int)
    for _, ballot in itertools.groupby(rows.iterator(), key=lambda row: row[0]):
        counted[tuple(choice for _, choice in ballot)] += 1
    return dict(counted)


def miscounted_rankings(
    question: Question,
) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Yield each ranking whose total differs, with the total and what the ballots say.

    One statement sees totals and ballots at the same moment, as with recounted_choices(Choice.objects.all()).
    """
    totals: dict[tuple[int, ...], int] = {}
    counted: dict[tuple[int, ...], int] = defaultdict(int)
    rows = _totals_and_marks(question).iterator()
    for ballot, group in itertools.groupby(rows, key=lambda row: row[0]):
        if ballot:
            counted[tuple(int(choice) for _, _, choice in group)] += 1
        else:
            totals = {
                read_ranking(text): ballots for _, ballots, text in group if ballots
            }
    for choices in sorted(totals.keys() | counted.keys()):
        numbers = totals.get(choices, 0), counted.get(choices, 0)
        if numbers[0] != numbers[1]:
            yield choices, *numbers


def wrong_totals(question: Question) -> Iterator[str]:
    """Say what a repair would set right, a sentence each."""
    for choice in miscounted_choices(question.choice_set.all()):
        name = f"Question {question.pk}, choice {choice.pk} {choice.choice_text!r}"
        if choice.votes != choice.counted:
            yield f"{name}: the total says {choice.votes}, the ballots say {choice.counted}."
        else:
            yield (
                f"{name}: the number of ballots that begin with it says {choice.first_marks}, "
                f"the ballots say {choice.counted_ballots}."
            )
    if question.kind == Kind.RANKED and not question.ballots_deleted_at:
        for choices, total, counted in miscounted_rankings(question):
            ranking = ", ".join(map(str, choices))
            yield (
                f"Question {question.pk}, ranking {ranking}: "
                f"the total says {total}, the ballots say {counted}."
            )


def wrong_ballots(question: Question) -> Iterator[str]:
    """Say what no repair can set right, a sentence each."""
    unsound = Ballot.objects.filter(question=question).invalid().count()
    if unsound and not question.ballots_deleted_at:
        yield (
            f"Question {question.pk}: unsound ballots, with too few or too many choices, gaps between ranks, "
            f"or a choice of another question: {unsound}."
        )
    if question.ballots_sha256 and not question.ballots_deleted_at:
        if file_sha256(question) != question.ballots_sha256:
            yield (
                f"Question {question.pk}: the ballots are not those of the fingerprint fixed after the close, "
                f"{question.ballots_sha256}."
            )


def repair(question: Question) -> None:
    # Together: whoever sees that the totals have moved must find the rankings repaired too.
    with transaction.atomic():
        _repair_choices(question.choice_set.all())
        if question.kind == Kind.RANKED:
            _repair_rankings(question)
            # What was counted from the old ones is counted anew. A question that nobody has voted on promises nothing.
            voted = question.choice_set.filter(revision__gt=0)
            voted.update(revision=F("revision") + 1)


def _repair_choices(choices: ChoiceQuerySet) -> None:
    """Set each total that differs to what the ballots say, without losing a vote cast meanwhile."""
    with transaction.atomic():
        # Only a statement that begins with the lock in hand sees the votes it waited for;
        # those that wait behind it add themselves afterwards.
        choices.lock()
        for choice in miscounted_choices(choices):
            Choice.objects.filter(pk=choice.pk).update(
                votes=choice.counted,
                first_marks=choice.counted_ballots,
                revision=F("revision") + 1,
            )


def _repair_rankings(question: Question) -> None:
    with transaction.atomic():
        question.choice_set.lock()
        RankingTotal.objects.filter(question=question).delete()
        RankingTotal.objects.bulk_create(
            RankingTotal(
                question=question, choices=ranking_text(choices), ballots=ballots
            )
            for choices, ballots in _recounted_rankings(question).items()
        )
