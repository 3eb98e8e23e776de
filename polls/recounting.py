"""What a recount finds: where the totals, the rankings, the ballots and the fingerprint of a question disagree."""

from collections.abc import Iterator

from django.db import transaction
from django.db.models import F

from .models import Ballot, Kind, Question, Ranking
from .public_count import file_sha256


def wrong_totals(question: Question) -> Iterator[str]:
    """Say what a repair would set right, a sentence each."""
    for choice in question.choice_set.miscounted():
        name = f"Question {question.pk}, choice {choice.pk} {choice.choice_text!r}"
        if choice.votes != choice.counted:
            yield f"{name}: the total says {choice.votes}, the ballots say {choice.counted}."
        else:
            yield (
                f"{name}: the number of ballots that begin with it says {choice.ballots}, "
                f"the ballots say {choice.counted_ballots}."
            )
    if question.kind == Kind.RANKED and not question.ballots_deleted_at:
        for choices, total, counted in Ranking.objects.miscounted(question):
            ranking = ", ".join(map(str, choices))
            yield (
                f"Question {question.pk}, ranking {ranking}: "
                f"the total says {total}, the ballots say {counted}."
            )


def wrong_ballots(question: Question) -> Iterator[str]:
    """Say what no repair can set right, a sentence each."""
    unsound = Ballot.objects.filter(question=question).unsound().count()
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
        question.choice_set.all().repair()
        if question.kind == Kind.RANKED:
            Ranking.objects.repair(question)
            # What was counted from the old ones is counted anew. A question that nobody has voted on promises nothing.
            voted = question.choice_set.filter(moves__gt=0)
            voted.update(moves=F("moves") + 1)
