"""What makes `gunicorn polls.wsgi` on an empty folder a working site.

On SQLite the database is made and migrated, the first organiser gets an
account, and there is a sample poll to try. On a server database nothing is
changed unasked: the start is refused with the command to run.
"""

import fcntl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils.crypto import get_random_string

from .models import Choice, Question
from .settings import refuse

ORGANISER = "organiser"


def prepare() -> None:
    """Make the database ready, or stop the start with one sentence.

    In a thread of its own: uvicorn imports the site inside its loop, where
    Django refuses to talk to a database.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_prepare).result()


def _prepare() -> None:
    try:
        if connection.vendor == "sqlite":
            with _one_at_a_time():
                if _unmigrated():
                    call_command("migrate", verbosity=0)
                _add_organiser()
        elif _unmigrated():
            refuse("The database is not up to date. Run: python manage.py migrate")
    except OperationalError as error:
        reason = " ".join(str(error).split())
        refuse(f"The database cannot be used ({reason}). Check DATABASE_URL.")
    finally:
        connection.close()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one of the workers that start together prepare, while the others wait."""
    with open(f"{connection.settings_dict['NAME']}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unmigrated() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _add_organiser() -> None:
    """Make the first account and the sample poll, on a site that has no account yet."""
    users = get_user_model().objects
    with transaction.atomic():
        if users.exists():
            return
        password = get_random_string(16)
        users.create_superuser(ORGANISER, password=password)
        if not Question.objects.exists():
            _add_sample()
        # Shown before the commit: a password that is never shown must not be in force.
        print(
            f"\nThe first organiser is {ORGANISER!r}, password {password!r}. It is shown this once.\n"
            "Log in at /admin/ and change it there. If it is lost: "
            f"python manage.py changepassword {ORGANISER}\n",
            file=sys.stderr,
            flush=True,
        )


def _add_sample() -> None:
    question = Question.objects.create(question_text="What shall we do first?")
    for text in ("Vote on this sample", "Write a question", "Look at the results"):
        Choice.objects.create(question=question, choice_text=text)
