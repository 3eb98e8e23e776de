"""What makes `gunicorn polls.wsgi` on an empty folder a working site.

On SQLite the database is made and migrated, the first organiser gets an
account, and there is a sample poll to try. On a server database nothing is
changed unasked: the start is refused with the command to run.
"""

import fcntl
import functools
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils.crypto import get_random_string

from .models import Choice, Question
from .settings import refuse

ORGANISER = "organiser"


@functools.cache
def prepare() -> None:
    """Make the database ready, or stop the start with one sentence.

    In a thread of its own: uvicorn imports the site inside its loop, where
    Django refuses to talk to a database.
    """
    # gunicorn.conf.py has it done before there are workers. One that replaces another, in the middle of
    # a night without a database, must not take the whole server down with a refusal.
    if "POLLS_PREPARED" not in os.environ:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_prepare).result()


def _prepare() -> None:
    try:
        if connection.vendor == "sqlite":
            with _one_at_a_time():
                if _unmigrated():
                    call_command("migrate", verbosity=0)
                if not get_user_model().objects.exists():
                    _add_organiser()
        elif _unmigrated():
            refuse("The database is not up to date. Run: python manage.py migrate")
    except DatabaseError as error:
        reason = " ".join(str(error).split())
        sentence = f"The database cannot be used ({reason}). Check DATABASE_URL."
        if "gunicorn.arbiter" not in sys.modules:
            refuse(sentence)
        # A worker: it starts all the same, and answers 503 until the database is back.
        print(sentence, file=sys.stderr, flush=True)
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
    """Make the first account, and the sample poll, on a site that has no account yet."""
    shown = sys.stderr.isatty()
    password = get_random_string(16) if shown else None
    with transaction.atomic():
        get_user_model().objects.create_superuser(ORGANISER, password=password)
        if not Question.objects.exists():
            _add_sample()
        # Before the commit: a password that was never shown must not be in force. Not into a log or a
        # journal, which would keep it in clear.
        secret = (
            f"password {password!r}, shown this once"
            if shown
            else "without a password yet"
        )
        where = (
            f"DATA_DIR={os.environ['DATA_DIR']} " if "DATA_DIR" in os.environ else ""
        )
        print(
            f"\nThe first organiser is {ORGANISER!r}, {secret}. Log in at /admin/.\n"
            f"To set a password: {where}{sys.executable} manage.py changepassword {ORGANISER}\n",
            file=sys.stderr,
            flush=True,
        )


def _add_sample() -> None:
    question = Question.objects.create(question_text="What shall we do first?")
    for text in ("Vote on this sample", "Write a question", "Look at the results"):
        Choice.objects.create(question=question, choice_text=text)
