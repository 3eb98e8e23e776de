from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from ...models import Question
from ...poll_file.writing import write_polls


class Command(BaseCommand):
    help = (
        "Write polls as a YAML file that importpolls reads: their words and promises, without ballots, codes and "
        "accounts. exportpolls > polls.yaml writes all of them, exportpolls 3 4 these two."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "questions", nargs="*", type=int, help="ids of questions; all without them"
        )

    def handle(self, questions: list[int], **options: object) -> None:
        chosen = Question.objects.all()
        if questions:
            chosen = chosen.filter(pk__in=questions)
            missing = set(questions) - set(chosen.values_list("pk", flat=True))
            if missing:
                raise CommandError(f"There is no question {min(missing)}.")
        for part in write_polls(chosen):
            self.stdout.write(part, ending="")
