from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from ... import secret
from ...backup import archive
from ...backup.archive import NotRestored
from ...backup.new_file import new_file
from ..progress import Progress


class Command(BaseCommand):
    help = (
        "Write all polls, ballots, codes and accounts to a new file, as they are at one moment, while people vote. "
        "manage.py restore reads it, on SQLite and on PostgreSQL. The secret is not in it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to be made")

    def handle(self, file: Path, verbosity: int, **options: object) -> None:
        progress = Progress(self.stderr, verbosity)
        try:
            with new_file(file) as opened:
                for done in archive.write(opened, progress.said):
                    progress.clear()
                    self.stdout.write(str(done))
        except NotRestored as refusal:
            raise CommandError(str(refusal)) from None
        except FileExistsError:
            raise CommandError(
                f"{file} is there already, and stays. Name a new file."
            ) from None
        except OSError as error:
            raise CommandError(
                f"{file} cannot be written ({error.strerror}). Nothing is kept of it."
            ) from None
        self.stdout.write(
            f"{file}: {file.stat().st_size:,} bytes, for your eyes alone: it has the hashes of passwords, and who has it "
            "and the secret can tie ballots to voters.\n"
            f"The secret is not in it. Keep {secret.place()} too, and elsewhere: without it nobody who has voted is known "
            "again, and codes that were printed are no codes any more."
        )
