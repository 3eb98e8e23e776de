import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import IO

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from ... import secret
from ...backup import restoring
from ...backup.archive import NotRestored
from ...database import NotEmpty
from ...serving.first_run import lost_secrets
from ..progress import Progress


class Command(BaseCommand):
    help = (
        "Write what manage.py backup has kept into the database of the settings, which must not be there yet or be empty; "
        "then recount it. The file is read to its end first, and nothing is kept of one that is not whole."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the file; - reads what is piped in")

    def handle(self, file: str, verbosity: int, **options: object) -> None:
        self.progress = Progress(self.stderr, verbosity)
        try:
            self._read(file)
        except (NotRestored, NotEmpty) as refusal:
            self.progress.clear()
            raise CommandError(str(refusal)) from None
        except OSError as error:
            self.progress.clear()
            raise CommandError(f"{error.filename or file}: {error.strerror}.") from None
        self.stdout.write(
            f"Everybody logs in again. The secret of this place is {secret.place()}."
        )
        self.stdout.write(lost_secrets() or "It knows all voters.")
        try:
            call_command("recount", verbosity=verbosity, stdout=self.stdout)
        except CommandError as error:
            why = "All is restored as it was, so it did not before."
            raise CommandError(f"{error} {why}") from None

    def _read(self, file: str) -> None:
        if file == "-":
            self._restore(sys.stdin.buffer)
            return
        with Path(file).open("rb") as opened:
            restoring.check(opened, self.progress.said)
            opened.seek(0)
            self._restore(opened)

    def _restore(self, file: IO[bytes]) -> None:
        for done in restoring.restore(file, self.progress.said):
            self.progress.clear()
            self.stdout.write(f"{done}, the same on both sides")
