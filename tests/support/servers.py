"""The site as a real server process, and the voters who come to it over HTTP."""

import contextlib
import datetime
import functools
import http.client
import os
import re
import shlex
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def new_database(name: str) -> str:
    """Return the address of a new, migrated database on the server of DATABASE_URL."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_template()}"')
    return url.replace("/postgres?", f"/{name}?")


@functools.cache
def _template() -> str:
    """Migrate one database; the others are copies of it."""
    name = f"template_{os.getpid()}"
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    environment = os.environ | {"DATABASE_URL": url.replace("/postgres?", f"/{name}?")}
    words = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(words, cwd=ROOT, env=environment, check=True)
    return name


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Voter:
    """A browser without JavaScript: cookies, pages and forms."""

    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    # All of 127.0.0.0/8 is this machine: two addresses are two networks.
    address: str = "127.0.0.1"

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> Answer:
        url = urllib.parse.urlsplit(self.base)
        if url.scheme == "https":
            # The certificate is made by the test.
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                url.netloc,
                timeout=40,
                context=context,
                source_address=(self.address, 0),
            )
        else:
            connection = http.client.HTTPConnection(url.netloc, timeout=40)
        headers |= self.headers
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(response.status, response.headers, text)

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def open_ballot(self, question: int = 1) -> list[str]:
        """Load the ballot page and return the ids of its choices."""
        page = self.get(f"/polls/{question}/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        self.token = token.group(1) if token else ""
        return re.findall(r'name="choice"[^>]* value="(\d+)"', page)

    def vote(self, choice: str, question: int = 1) -> Answer:
        return self.post(f"/polls/{question}/vote/", choice=choice)

    def post(self, path: str, **fields: str) -> Answer:
        fields |= {"csrfmiddlewaretoken": self.token}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request(
            "POST", path, urllib.parse.urlencode(fields).encode(), **kind
        )

    def send(
        self, path: str, body: bytes, *headers: str, goes_then: bool = False
    ) -> str:
        """Post this body as it stands, and return all that the server says."""
        head = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        head.append(f"Cookie: {'; '.join(f'{k}={v}' for k, v in self.cookies.items())}")
        head += ["Content-Type: application/x-www-form-urlencoded", *headers]
        host, port = self.base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=40) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
            if goes_then:
                connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                return answer.read().decode()

    def open_log_in(self) -> None:
        page = self.get("/accounts/login/").text
        self.token = re.search(r'value="(\w{64})"', page).group(1)

    def log_in(self, name: str, password: str) -> "Voter":
        self.open_log_in()
        answer = self.post("/accounts/login/", username=name, password=password)
        assert answer.status == 302, answer.text
        return self


@functools.cache
def _hashed(password: str) -> str:
    """Hash it as the site does, which takes its time."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    return PBKDF2PasswordHasher().encode(password, "salt" * 6)


def _rows(cursor: sqlite3.Cursor | psycopg.Cursor) -> list:
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
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "DATA_DIR": str(folder),
            "HOST": "127.0.0.1",
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
        with self.log.open("ab") as log:
            return subprocess.Popen(
                words,
                cwd=self.cwd,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
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
    def database(self) -> Iterator[Callable[..., list]]:
        """Yield a function that runs one statement, with %s for values, and returns its rows."""
        url = self.environment.get("DATABASE_URL", "")
        if url.startswith("postgres"):
            with psycopg.connect(url, autocommit=True) as connection:
                yield lambda sql, *values: _rows(connection.execute(sql, values))
            return
        path = url.removeprefix("sqlite:///").partition("?")[0]
        path = path or self.folder / "polls.sqlite3"
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
        columns = {"question_text": text, "pub_date": now, "voter_salt": "salt"}
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
            pk = run(question, *columns.values())[0][0]
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
    def locked(self, question: int) -> Iterator[None]:
        """Hold the lock that every vote on this question needs."""
        rows = "SELECT id FROM polls_choice WHERE question_id = %s FOR UPDATE"
        with self.database() as run:
            if "DATABASE_URL" in os.environ:
                run("BEGIN")
                run(rows, question)
            else:
                run("BEGIN IMMEDIATE")
            yield
            run("ROLLBACK")

    def ready(self, seconds: float = 20) -> "Site":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if (
                    Voter(self.base).get("/healthz").status == 200
                    and self._all_listen()
                ):
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.command} is not ready:\n{self.output()}")

    def _all_listen(self) -> bool:
        """gunicorn's own ASGI worker does not hear that it shall stop while it starts."""
        output = self.log.read_bytes()[self.log_begins :]
        listening = output.count(b"ASGI server listening")
        return "-k asgi" not in self.command or listening >= len(self.workers())

    @property
    def serves_wsgi(self) -> bool:
        words = self.command.split()
        return words[0] == "gunicorn" and ("-k" not in words or "gthread" in words)

    def output(self) -> str:
        return self.log.read_text()

    def workers(self) -> list[int]:
        """Return the pids of the server's own children."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]

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
