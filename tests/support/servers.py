"""The site as a real server process."""

import atexit
import contextlib
import datetime
import functools
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.support.people import Voter
from tests.support.postgres import new_database
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# The README's, and those that differ from them in one word.
COMMANDS = [
    "gunicorn polls.wsgi",
    "gunicorn -c gunicorn.conf.py polls.wsgi",
    "gunicorn polls.wsgi -k gthread --threads 4",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "gunicorn polls.wsgi -k uvicorn.workers.UvicornWorker",
    "gunicorn polls.asgi -k uvicorn_worker.UvicornWorker",
    "gunicorn polls.wsgi -k uvicorn_worker.UvicornWorker",
    "gunicorn polls.asgi -k asgi",
    "gunicorn polls.wsgi -k asgi",
    "uvicorn polls.asgi:application",
    "uvicorn polls.asgi:application --lifespan off",
    "uvicorn polls.wsgi:application",
]


@functools.cache
def made_data() -> Path:
    """Return a data folder as the first start leaves it, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="polls-made-"))
    atexit.register(shutil.rmtree, folder)
    environment = {"DATA_DIR": str(folder), "PATH": os.environ["PATH"]}
    words = [sys.executable, "-c", "import polls.wsgi"]
    subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True)
    return folder


def load_site(**environment: str) -> subprocess.CompletedProcess[str]:
    """Load the site as a server does, which waits a second for its database."""
    return subprocess.run(
        [sys.executable, "-c", "import polls.wsgi"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_WAIT": "1"} | environment,
        text=True,
        capture_output=True,
        timeout=60,
    )


def free_port() -> int:
    """Return one below those that the system gives to clients: none of them takes it before the server does."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def children(pid: int) -> list[int]:
    """Return its child processes; none of one that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in found.split()]
    return []


@functools.cache
def _hashed(password: str) -> str:
    """Hash it as the site does, which takes its time."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    return PBKDF2PasswordHasher().encode(password, "salt" * 6)


def _rows(cursor: sqlite3.Cursor | psycopg.Cursor) -> list[Any]:
    return cursor.fetchall() if cursor.description else []


class Site:
    """A server started with one of the README's commands, on a data folder and a port of its own."""

    def __init__(
        self,
        command: str,
        folder: Path,
        environment: dict[str, str] | None = None,
        cwd: Path = ROOT,
        terminal: bool = False,
        fresh: bool = True,
        listener: socket.socket | None = None,
    ) -> None:
        if fresh:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            shutil.copytree(made_data(), folder)
        self.folder = folder
        # As systemd has it, which hands it to the server and keeps it while there is none.
        self.listener = listener
        self.port = listener.getsockname()[1] if listener else free_port()
        host = (environment or {}).get("HOST", "127.0.0.1")
        self.base = f"http://{host}:{self.port}"
        self.environment = os.environ | {
            "DATA_DIR": str(folder),
            "HOST": host,
            "PORT": str(self.port),
        }
        self.environment["PATH"] = f"{BIN}:{os.environ['PATH']}"
        if "DATABASE_URL" in os.environ:
            name = f"site_{self.port}_{time.monotonic_ns()}"
            self.environment["DATABASE_URL"] = new_database(name)
        if command.startswith("gunicorn"):
            # Enough to show what one worker does not know of another. (uvicorn reads it too, and is to be one process.)
            self.environment["WEB_CONCURRENCY"] = "2"
        self.environment |= environment or {}
        self.command = command
        self.log = folder / "log"
        self.cwd, self.terminal = cwd, terminal
        self.process = self._start()

    def restart(self, command: str = "") -> "Site":
        """Start the server again after stop(), with another command perhaps, on the same data."""
        self.command = command or self.command
        self.process = self._start()
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        words = shlex.split(self.command)
        # What an earlier start has written is not about this one.
        self.log_begins = self.log.stat().st_size if self.log.exists() else 0
        if "uvicorn" in words:
            words += ["--port", str(self.port)]
        if self.terminal:
            # util-linux's script gives it a terminal, and the signals.
            words = ["script", "-qefc", shlex.join(["exec", *words]), "/dev/null"]
        handed_on = [self.listener.fileno()] if self.listener else []
        for number in handed_on:
            # sd_listen_fds(3): they begin at 3, and are for the process of this number.
            shell = f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{number}'
            words = ["bash", "-c", shell, "bash", *words]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                words,
                cwd=self.cwd,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=handed_on,
            )

    def manage(self, *words: str, check: bool = True) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            check=check,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ).stdout

    def shell(self, code: str) -> str:
        """Run Python on the site's own database and return what it prints."""
        return self.manage("shell", "--no-imports", "-c", code).strip()

    @contextlib.contextmanager
    def database(self) -> Iterator[Callable[..., list[Any]]]:
        """Yield a function that runs one statement, with %s for values, and returns its rows."""
        url = self.environment.get("DATABASE_URL", "")
        if url.startswith("postgres"):
            with psycopg.connect(url, autocommit=True) as connection:
                yield lambda sql, *values: _rows(connection.execute(sql, values))
            return
        path = url.removeprefix("sqlite:///").partition("?")[0]
        path = path or str(self.folder / "polls.sqlite3")
        with contextlib.closing(
            sqlite3.connect(path, isolation_level=None, timeout=20)
        ) as connection:
            yield lambda sql, *values: _rows(
                connection.execute(sql.replace("%s", "?"), values)
            )

    def ask(
        self, text: str = "Which colour?", *choices: str, **promises: object
    ) -> int:
        """Ask a new question, with these columns set, and return its id."""
        now = datetime.datetime.now(datetime.UTC).isoformat(" ")
        columns: dict[str, object] = {
            "question_text": text,
            "pub_date": now,
            "voter_salt": "salt",
        }
        columns |= promises
        places = ", ".join(["%s"] * len(columns))
        question = (
            f"INSERT INTO polls_question ({', '.join(columns)})"
            f" VALUES ({places}) RETURNING id"
        )
        choice = (
            "INSERT INTO polls_choice (question_id, choice_text, votes, revision)"
            " VALUES (%s, %s, 0, 0)"
        )
        with self.database() as run:
            pk = int(run(question, *columns.values())[0][0])
            for choice_text in choices or ("Red", "Blue"):
                run(choice, pk, choice_text)
        return pk

    def add_account(self, name: str, password: str, organiser: bool = False) -> None:
        """Make an account, unless there is one of that name."""
        columns = {"username": name, "password": _hashed(password), "is_active": True}
        columns |= {"is_staff": organiser, "is_superuser": organiser}
        columns |= {"first_name": "", "last_name": "", "email": ""}
        columns |= {"date_joined": datetime.datetime.now(datetime.UTC).isoformat(" ")}
        account = (
            f"INSERT INTO auth_user ({', '.join(columns)})"
            f" VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT DO NOTHING"
        )
        with self.database() as run:
            run(account, *columns.values())

    def close(self, question: int) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(" ")
        with self.database() as run:
            run("UPDATE polls_question SET closes_at = %s WHERE id = %s", now, question)

    def counts(self, question: int) -> tuple[int, int]:
        """Return the sum of the totals and the number of ballots, from the database."""
        votes = "SELECT sum(votes) FROM polls_choice WHERE question_id = %s"
        ballots = "SELECT count(*) FROM polls_ballot WHERE question_id = %s"
        with self.database() as run:
            return run(votes, question)[0][0], run(ballots, question)[0][0]

    @contextlib.contextmanager
    def locked(self, question: int) -> Iterator[Callable[[], bool]]:
        """Hold the lock that every vote on this question needs; yield what tells whether one waits for it."""
        rows = "SELECT id FROM polls_choice WHERE question_id = %s FOR UPDATE"
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
        with self.database() as run:
            if "DATABASE_URL" in os.environ:
                run("BEGIN")
                run(rows, question)
                yield lambda: bool(run(waiting))
            else:
                run("BEGIN IMMEDIATE")
                queue = (self.folder / "polls.sqlite3.queue").stat().st_ino
                yield lambda: f":{queue} " in Path("/proc/locks").read_text()
            run("ROLLBACK")

    def ready(self, seconds: float = 20) -> "Site":
        # To ask more often would slow the start down.
        wait_until(lambda: self._has_ended or self._answers(), seconds, every=0.05)
        wait_until(lambda: self._has_ended or self._all_listen(), seconds)
        assert not self._has_ended, self.output()
        return self

    @property
    def _has_ended(self) -> bool:
        return self.process.poll() is not None

    def _answers(self) -> bool:
        try:
            return Voter(self.base).get("/healthz").status == 200
        except OSError:
            return False

    def _all_listen(self) -> bool:
        """gunicorn's ASGI workers do not hear that they shall stop while they start."""
        if "gunicorn" not in self.command or self.serves_wsgi:
            return True
        output = self.log.read_text()[self.log_begins :]
        up = re.findall("ASGI server listening|Application startup complete", output)
        return len(up) >= len(self.workers())

    @property
    def is_sync(self) -> bool:
        return "gunicorn" in self.command and " -k " not in self.command

    @property
    def serves_wsgi(self) -> bool:
        return self.is_sync or "gthread" in self.command

    def output(self) -> str:
        return self.log.read_text()

    def workers(self) -> list[int]:
        """Return the pids of the server's own children."""
        return children(self.process.pid)

    def kill(self) -> None:
        """End it and its workers at once; a terminal would tell them otherwise."""
        if self.terminal:
            self.stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 35) -> float:
        """Signal the server and return how many seconds it took to end."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return time.monotonic() - began
