"""The site as a real server process, and the voters who come to it over HTTP."""

import contextlib
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def new_database(name: str) -> str:
    """Return the address of an empty database on the server of DATABASE_URL."""
    import psycopg

    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.replace("/postgres?", f"/{name}?")


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

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> Answer:
        url = urllib.parse.urlsplit(self.base)
        if url.scheme == "https":
            # The certificate is made by the test.
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                url.netloc, timeout=40, context=context
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
        fields = {"csrfmiddlewaretoken": self.token, "choice": choice}
        return self.request(
            "POST",
            f"/polls/{question}/vote/",
            urllib.parse.urlencode(fields).encode(),
            **{"Content-Type": "application/x-www-form-urlencoded"},
        )


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
        self.environment |= environment or {}
        if "DATABASE_URL" in os.environ:
            self.manage("migrate", "-v0")
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
        if words[0] == "uvicorn":
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

    def ask(self, text: str = "Which colour?", *choices: str) -> int:
        """Ask a new question and return its id."""
        code = (
            "from polls.models import Choice, Question\n"
            f"q = Question.objects.create(question_text={text!r})\n"
            f"for c in {choices or ('Red', 'Blue')!r}:\n"
            "    Choice.objects.create(question=q, choice_text=c)\n"
            "print(q.pk)"
        )
        return int(self.shell(code))

    def counts(self, question: int) -> tuple[int, int]:
        """Return the sum of the totals and the number of ballots, from the database."""
        code = (
            "from django.db.models import Sum\n"
            "from polls.models import Ballot, Choice\n"
            f"votes = Choice.objects.filter(question={question}).aggregate(n=Sum('votes'))['n']\n"
            f"print(votes, Ballot.objects.filter(question={question}).count())"
        )
        votes, ballots = self.shell(code).split()
        return int(votes), int(ballots)

    @contextlib.contextmanager
    def locked(self, question: int) -> Iterator[None]:
        """Hold the lock that every vote on this question needs."""
        if url := self.environment.get("DATABASE_URL"):
            import psycopg

            with psycopg.connect(url) as connection:
                rows = "SELECT id FROM polls_choice WHERE question_id = %s FOR UPDATE"
                connection.execute(rows, [question])
                yield
        else:
            path = self.folder / "polls.sqlite3"
            with contextlib.closing(
                sqlite3.connect(path, isolation_level=None)
            ) as other:
                other.execute("BEGIN IMMEDIATE")
                yield
                other.execute("ROLLBACK")

    def ready(self, seconds: float = 20) -> "Site":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if Voter(self.base).get("/healthz").status == 200:
                    return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{self.command} is not ready:\n{self.output()}")

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
