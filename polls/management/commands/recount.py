from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from polls.models import Ballot, Choice, Question


class Command(BaseCommand):
    help = "Compare the running totals with the ballots; exit with 1 if they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "question", nargs="?", type=int, help="id of one question; all without it"
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="set the totals to what the ballots say",
        )

    def handle(self, question: int | None, repair: bool, **options: object) -> None:
        questions, choices = Question.objects.all(), Choice.objects.all()
        ballots = Ballot.objects.all()
        if question is not None:
            questions = questions.filter(pk=question)
            choices = choices.filter(question=question)
            ballots = ballots.filter(question=question)
            if not questions.exists():
                raise CommandError(f"There is no question {question}.")
        wrong = 0
        for choice in choices.miscounted():
            wrong += 1
            self.stdout.write(
                f"Question {choice.question_id}, choice {choice.pk} {choice.choice_text!r}: "
                f"the total says {choice.votes}, the ballots say {choice.counted}."
            )
            if repair:
                Choice.objects.filter(pk=choice.pk).repair()
        unsound = ballots.unsound().count()
        self.stdout.write(
            f"Questions: {questions.count()}. Ballots: {ballots.count()}. "
            f"Totals that differ: {wrong}{' (repaired)' if repair and wrong else ''}. "
            f"Ballots without exactly one choice of their question: {unsound}."
        )
        if unsound or (wrong and not repair):
            raise CommandError("The count does not add up.")
