import os
import subprocess
import sys
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ...backup import archive
from ...backup.archive import NotRestored
from ..progress import Progress


class Command(BaseCommand):
    help = (
        "Copy all polls, ballots, codes and accounts into another database, which must be empty or not there yet: "
        "from SQLite to PostgreSQL, say, or back. Stop the site first: what comes later is not in the copy."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "database_url",
            metavar="DATABASE_URL",
            help="the other database, as the setting names one; a password may stand in ~/.pgpass",
        )

    def handle(self, database_url: str, verbosity: int, **options: object) -> None:
        try:
            archive.require_migrated()
        except NotRestored as refusal:
            raise CommandError(str(refusal)) from None
        if _copy(database_url, Progress(self.stderr, verbosity)):
            raise CommandError("The copy is not there, or does not add up: see above.")
        self.stdout.write(
            "The site uses the copy once DATABASE_URL names it. Votes since this began are in the old database alone."
        )


def _copy(database_url: str, progress: Progress) -> int:
    """Return with what status the process ends that has the other database, with all that the settings make of its address."""
    environment = os.environ | {"DATABASE_URL": database_url}
    environment.pop("DATABASE_URL_FILE", None)
    other = subprocess.Popen(
        [sys.executable, settings.BASE_DIR / "manage.py", "restore", "-"],
        env=environment,
        stdin=subprocess.PIPE,
    )
    assert other.stdin
    try:
        with other.stdin:
            for _done in archive.write(other.stdin, progress.said):
                # The other process says so, as soon as it has read it again.
                progress.clear()
    except BrokenPipeError:
        # The other process has said why.
        pass
    finally:
        progress.clear()
        status = other.wait()
    return status
