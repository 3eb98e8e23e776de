from argparse import ArgumentParser
from collections.abc import Iterator, Sequence

from django.core.management.base import BaseCommand, CommandError

from ...counting import recount
from ...counting.tally import Tally, tally_of
from ...models import Ballot, Question, QuestionQuerySet
from ..progress import Progress


class Command(BaseCommand):
    help = (
        "Compare totals, rankings and fingerprints with the ballots; exit with 1 if they differ. "
        "A published ballots.csv is counted by docs/recount.py, without the site."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "question", nargs="?", type=int, help="id of one question; all without it"
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="set totals and rankings to what the ballots say",
        )

    def handle(
        self,
        question: int | None,
        repair: bool,
        verbosity: int,
        **options: object,
    ) -> None:
        self.progress = Progress(self.stderr, verbosity)
        questions = Question.objects.order_by("pk")
        if question is not None:
            questions = questions.filter(pk=question)
            if not questions.exists():
                raise CommandError(f"There is no question {question}.")
        adds_up = self._recount(questions, repair)
        if question is not None:
            for line in _count(tally_of(questions[0], exact=True)):
                self.stdout.write(line)
        if not adds_up:
            raise CommandError("The count does not add up.")

    def _recount(self, questions: QuestionQuerySet, repair: bool) -> bool:
        """Say what is found, and repair it if asked to; return whether all adds up now."""
        totals = wrong = 0
        number = questions.count()
        for question in self.progress.of(questions.iterator(), number, "Questions"):
            if question.ballots_deleted_at:
                self.stdout.write(_not_recounted(question))
            found = list(recount.wrong_totals(question))
            if found and repair:
                recount.repair(question)
            bad = list(recount.wrong_ballots(question))
            totals, wrong = totals + len(found), wrong + len(bad)
            if found + bad:
                self.progress.clear()
            for sentence in found + bad:
                self.stdout.write(sentence)
        ballots = Ballot.objects.filter(question__in=questions).count()
        repaired = " (repaired)" if repair and totals else ""
        self.stdout.write(
            f"Questions: {number}. Ballots: {ballots}. "
            f"Totals that differ: {totals}{repaired}. "
            f"Questions with unsound or other ballots: {wrong}."
        )
        return not wrong and (repair or not totals)


def _not_recounted(question: Question) -> str:
    return (
        f"Question {question.pk}: its ballots were deleted on {question.ballots_deleted_at:%Y-%m-%d}. "
        "Its totals stand, and cannot be counted again."
    )


def _count(tally: Tally) -> Iterator[str]:
    """Say the count as docs/recount.py does."""
    names = [f"{n}. {choice['text']}" for n, choice in enumerate(tally["choices"], 1)]
    yield f"Ballots: {tally['ballots']}"
    if not tally["ballots"]:
        return
    if not tally["rounds"]:
        votes = [choice["votes"] for choice in tally["choices"]]
        yield f"Votes: {_listed(names, votes)}"
    for n, round_ in enumerate(tally["rounds"], 1):
        shown = _listed(names, round_["votes"])
        yield f"Round {n}: {shown}; exhausted: {round_['exhausted']}"
    for name, choice in zip(names, tally["choices"]):
        if choice["id"] == tally["elected"]:
            yield f"Elected: {name}"


def _listed(names: Sequence[str], votes: Sequence[int | None]) -> str:
    """List the votes of each choice; None is a choice that is out of the run-off."""
    return "; ".join(f"{name}: {n}" for name, n in zip(names, votes) if n is not None)
