import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ... import tutorial_database
from ...poll_file.draft import Draft, NotImported, save_polls
from ...poll_file.reading import MAX_SIZE, read_polls


class Command(BaseCommand):
    help = (
        "Import polls from a YAML file, all of them or, if anything is wrong with one, none; docs/demo.yaml shows what "
        "it can say. From a SQLite database of the Django tutorial it takes questions and choices, and leaves the votes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the file; - reads what is piped in")
        parser.add_argument(
            "--check",
            action="store_true",
            help="say what is wrong, and import nothing",
        )

    def handle(self, file: str, check: bool, **options: object) -> None:
        try:
            drafts, votes_left = _read(file)
        except NotImported as refusal:
            raise CommandError(
                "\n".join([*refusal.problems, "Nothing was imported."])
            ) from None
        except OSError as error:
            raise CommandError(f"{file} cannot be read ({error.strerror}).") from None
        if not check:
            save_polls(drafts)
        self._say(drafts, check, votes_left)

    def _say(self, drafts: list[Draft], check: bool, votes_left: int) -> None:
        now = timezone.now()
        states = Counter(draft.question.state(now) for draft in drafts)
        counted = ", ".join(f"{number} {state}" for state, number in states.items())
        done = "Nothing is wrong, and nothing was imported" if check else "Imported"
        self.stdout.write(f"{done}. Polls: {len(drafts)} ({counted or 'none'}).")
        few = sum(len(draft.choices) < 2 for draft in drafts)
        if few:
            self.stdout.write(
                f"With fewer than two choices: {few}. Add choices to them in the admin."
            )
        if votes_left:
            self.stdout.write(
                f"Votes left behind: {votes_left}. They have no ballots, so nobody could count them again."
            )


def _read(file: str) -> tuple[list[Draft], int]:
    # One byte more than is read tells that it is too large.
    most = MAX_SIZE + 1
    if file == "-":
        return read_polls(sys.stdin.buffer.read(most)), 0
    path = Path(file)
    with path.open("rb") as opened:
        data = opened.read(most)
    if tutorial_database.is_database(data):
        return tutorial_database.read(path)
    return read_polls(data), 0
