"""The first run: any server command on an empty folder starts a working site.

On SQLite the database is made and migrated, the first organiser gets an account, and there is a sample poll to try.
On a server database nothing is changed unasked: the start is refused with the command to run.
"""

import functools
import os
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import (
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.db.migrations.executor import MigrationExecutor
from django.utils import translation
from django.utils.crypto import get_random_string

from ..database import database
from ..env import is_under_gunicorn, refuse
from ..locks import file_lock
from ..models import Choice, Question
from ..secret import hold_newest
from ..sqlite.file import DatabaseFile, FileLost, file_at

ORGANISER = "organiser"


@functools.cache
def prepare() -> None:
    """Make the database ready, or stop the start with one sentence.

    In a thread: uvicorn imports the site inside its loop, where Django refuses to talk to a database.
    """
    hold_newest()
    # gunicorn.conf.py has done the rest before there are workers. A worker that is replaced while the database is away must
    # not take the whole server down with a refusal.
    if "POLLS_PREPARED" not in os.environ:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_prepare).result()


def _prepare() -> None:
    try:
        if connection.vendor == "sqlite":
            _prepare_file()
        else:
            _wait_for_server()
            _require_prepared()
            _add_named_organiser()
        sentence = lost_secrets()
        if sentence:
            print(sentence, file=sys.stderr, flush=True)
    except DatabaseError as error:
        sentence = why_unusable(error) or _unusable_because(error)
        if not is_under_gunicorn():
            refuse(sentence)
        # A worker of gunicorn starts all the same, and answers 503 until the database is back.
        print(sentence, file=sys.stderr, flush=True)
    finally:
        connection.close()


def _prepare_file() -> None:
    # Race: of the workers that start together one prepares, while the others wait.
    with file_lock(f"{connection.settings_dict['NAME']}.lock", timeout=None):
        if _unmigrated():
            call_command("migrate", verbosity=0)
        _fill()
        _keep_private()
        _file().note_made()


def lost_secrets() -> str:
    """Say that polls want a secret which the site has not; nothing if none does."""
    ids = Question.objects.of_lost_secret().order_by("pk").values_list("pk", flat=True)
    if not ids:
        return ""
    listed = ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
    return (
        f"Questions {listed}: their voters are known by a secret that is not here, and nobody can vote on them. Add the "
        "SECRET_KEY of then to SECRET_KEY_FALLBACKS; if it is lost, close the polls and duplicate them. Machines that serve "
        "one site share one SECRET_KEY."
    )


def _require_prepared() -> None:
    missing = database.missing_limits()
    if missing:
        refuse(
            f"Behind this pooler PostgreSQL has no {', '.join(missing)}. "
            "Let the pooler set them: docs/postgresql.md says how."
        )
    if _unmigrated():
        refuse("The database is not up to date. Run: python manage.py migrate")


def why_unusable(error: DatabaseError) -> str:
    """Say in one sentence why the database cannot be used; nothing if it can, and the error has another cause."""
    if isinstance(error, FileLost):
        return str(error)
    if isinstance(error, OperationalError | ProgrammingError) and _is_unprepared():
        return (
            "The database is not prepared yet. Run: python manage.py migrate, with the settings that the site has "
            "(on SQLite, starting the site once does it too)."
        )
    return "" if _can_be_opened() else _unusable_because(error)


def _unusable_because(error: DatabaseError) -> str:
    reason = database.explain(error)
    return f"The database cannot be used ({reason.said}). {reason.advice}"


def _wait_for_server() -> None:
    """Machines that start together are not ready together."""
    deadline = time.monotonic() + settings.DATABASE_WAIT
    is_told = False
    while True:
        try:
            return connection.ensure_connection()
        except DatabaseError as error:
            ended = time.monotonic() >= deadline or is_under_gunicorn()
            if ended or not database.explain(error).may_pass:
                raise
            if not is_told:
                print(
                    f"{_unusable_because(error)} Waiting {settings.DATABASE_WAIT} s for it.",
                    file=sys.stderr,
                    flush=True,
                )
                is_told = True
        time.sleep(0.5)


def _can_be_opened() -> bool:
    try:
        connection.close()
        connection.ensure_connection()
    except DatabaseError:
        return False
    return True


def _is_unprepared() -> bool:
    """Tell whether the database can be opened and lacks some of its tables."""
    try:
        connection.close()
        return _unmigrated()
    except DatabaseError:
        return False


def _file() -> DatabaseFile:
    return file_at(str(connection.settings_dict["NAME"]))


def _keep_private() -> None:
    try:
        _file().keep_private()
    except OSError as error:
        print(
            f"Others can read {error.filename}, and that cannot be changed ({error.strerror}). "
            "Give the file to the user who runs the site.",
            file=sys.stderr,
            flush=True,
        )


def _unmigrated() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@transaction.atomic
def _fill() -> None:
    """Make the first account, and the sample poll, on a site that has no account yet."""
    if not User.objects.exists():
        _add_sample()
        if not settings.FIRST_ORGANISER:
            _add_organiser()
    _add_named_organiser()


def _add_organiser() -> None:
    shown = sys.stderr.isatty()
    password = get_random_string(16) if shown else None
    User.objects.create_superuser(ORGANISER, password=password)
    # Before the commit: a password that was never shown must not be in force. Only on a terminal: a log would
    # keep it in clear.
    secret = (
        f"password {password!r}, shown this once" if shown else "without a password yet"
    )
    print(
        f"\nThe first organiser is {ORGANISER!r}, {secret}. Log in at /admin/.\n"
        f"To set a password: {_command('changepassword', ORGANISER)}\n",
        file=sys.stderr,
        flush=True,
    )


def _add_named_organiser() -> None:
    """Make the organiser whom the environment names, unless the site has one who may do everything."""
    name = settings.FIRST_ORGANISER
    organisers = User.objects.filter(is_superuser=True)
    if not name or organisers.exists():
        return
    organiser = User(username=name, is_staff=True, is_superuser=True)
    _refuse_bad(organiser)
    organiser.set_password(settings.FIRST_ORGANISER_PASSWORD)
    try:
        with transaction.atomic():
            organiser.save(force_insert=True)
    except IntegrityError:
        # Race: several machines start together, and another one has just made it.
        if not organisers.exists():
            refuse(
                f"DJANGO_SUPERUSER_USERNAME is {name!r}, the account of somebody who is no superuser. "
                "Choose another name."
            )
    else:
        said = f"The first organiser is {name!r}, with the password of DJANGO_SUPERUSER_PASSWORD. Log in at /admin/."
        print(said, file=sys.stderr, flush=True)


def _refuse_bad(organiser: User) -> None:
    what = "USERNAME"
    try:
        with translation.override("en"):
            organiser.full_clean(exclude=["password"], validate_unique=False)
            what = "PASSWORD"
            validate_password(settings.FIRST_ORGANISER_PASSWORD, organiser)
    except ValidationError as error:
        why = " ".join(error.messages)
        refuse(f"DJANGO_SUPERUSER_{what} cannot be used. {why}")


def _command(*words: str) -> str:
    """Return a command of manage.py with the settings that it needs, for a shell in whatever folder."""
    kept = {"DATA_DIR": str(settings.DATA_DIR)} if "DATA_DIR" in os.environ else {}
    for name in ("DATABASE_URL_FILE", "DATABASE_URL"):
        if name in os.environ:
            kept[name] = os.environ[name]
    variables = [f"{name}={shlex.quote(value)}" for name, value in kept.items()]
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    return " ".join([*variables, shlex.join([*manage, *words])])


def _add_sample() -> None:
    if Question.objects.exists():
        return
    question = Question.objects.create(question_text="What shall we do first?")
    for text in ("Vote on this sample", "Write a question", "Look at the results"):
        Choice.objects.create(question=question, choice_text=text)
