"""Load the site under each of its servers, beside stock Django, and write results.md with its charts.

usage: python -m bench.run [--quick] [--anyway] [--only index,vote,sync,...] [--rounds 4] [--seconds 2] [--to bench]

On SQLite, and on a PostgreSQL that is made for it. All servers are up, and one
at a time is loaded: each round takes each page, and each page each server, so
that a slow minute of the machine is everybody's. It refuses to begin while the
machine is at work already, unless it is to measure --anyway.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.live_viewers import memory_kb
from bench.load import (
    CASES,
    CONNECTIONS,
    TUTORIAL,
    Run,
    Target,
    Unexpected,
)
from bench.report import BASE, NAMES, Measured, Row, machine, write, write_docs
from tests.support.people import Voter
from tests.support.postgres import postgresql
from tests.support.servers import Site

BENCH = Path(__file__).resolve().parent
WORKERS = 3
# The load average above which something else is at work.
IDLE = 0.5
SERVERS = {
    "sync": "gunicorn polls.wsgi",
    "gthread": "gunicorn polls.wsgi -k gthread --threads 4",
    "uvicorn-worker": "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "asgi": "gunicorn polls.asgi -k asgi",
    # gunicorn writes no access log unless asked.
    "uvicorn": "uvicorn polls.asgi:application --workers 3 --no-access-log",
    "stock-sync": "gunicorn django.core.wsgi:get_wsgi_application()",
    "stock-uvicorn-worker": "gunicorn django.core.asgi:get_asgi_application() -k uvicorn.workers.UvicornWorker",
    TUTORIAL: "gunicorn -c bench/tutorial/gunicorn.conf.py django.core.wsgi:get_wsgi_application()",
}
# It opens a connection of its own for each request: at times none is left for the others.
LEFT_OUT = ("stock-uvicorn-worker", "postgresql")
SEED = """
from polls.models import Choice, Question
from polls.voting.cast import cast
Question.objects.all().delete()
for number in range(20):
    question = Question.objects.create(question_text=f"Question {number}: which colour?")
    choices = [
        Choice.objects.create(question=question, choice_text=text)
        for text in ("Red", "Green", "Blue", "None of these")
    ]
    for voter in range(8):
        cast(question, f"seed {voter}", [choices[voter * 3 % 4].pk])
    print(question.pk)
"""
SETTINGS = {TUTORIAL: "bench.tutorial.settings"}
TUTORIAL_SEED = """
from bench.tutorial.models import Choice, Question
for number in range(20):
    question = Question.objects.create(question_text=f"Question {number}: which colour?")
    for text in ("Red", "Green", "Blue", "None of these"):
        Choice.objects.create(question=question, choice_text=text, votes=2)
    print(question.pk)
"""


class Tutorial(Site):
    """The app of Django's tutorial, which has totals and no ballots."""

    def manage(self, *words: str, check: bool = True) -> str:
        command = [sys.executable, "-m", "django", *words]
        return subprocess.run(
            command,
            cwd=BENCH.parent,
            env=self.environment,
            check=check,
            capture_output=True,
            text=True,
        ).stdout

    def seed(self) -> str:
        self.manage("migrate", "--run-syncdb", "-v0")
        return self.shell(TUTORIAL_SEED)

    def counts(self, question: int) -> tuple[int, int]:
        votes = "SELECT sum(votes) FROM tutorial_choice WHERE question_id = %s"
        with self.database() as run:
            total = run(votes, question)[0][0]
        return total, total

    def recount(self) -> None:
        """There is nothing to count again."""


class Polls(Site):
    def seed(self) -> str:
        return self.shell(SEED)

    def recount(self) -> None:
        """It exits with 1, and so ends the benchmark, if a total is not what the ballots say."""
        self.manage("recount")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join([*CASES, *SERVERS, *NAMES])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s")
    parser.add_argument("--anyway", action="store_true", help="on a busy machine too")
    parser.add_argument("--only", default="", help=f"some of: {names}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--to", type=Path, default=BENCH, help="folder of the report")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 4)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.only = set(filter(None, options.only.split(",")))
    if unknown := options.only - {*CASES, *SERVERS, *NAMES}:
        parser.error(f"--only has {unknown.pop()!r}. Use some of: {names}.")
    if not shutil.which("wrk"):
        sys.exit("wrk makes the load and is missing. Run: apt-get install wrk")
    return options


def pick(only: set[str], names: dict[str, object]) -> list[str]:
    """Return the names that were asked for; all of this kind if none was."""
    return [name for name in names if name in only] or list(names)


@contextlib.contextmanager
def served(
    server: str, database: str, folder: Path, address: str, slow: bool = False
) -> Iterator[Target]:
    environment = {
        "WEB_CONCURRENCY": str(WORKERS),
        "DJANGO_SETTINGS_MODULE": SETTINGS.get(server, "bench.settings"),
        "BENCH_SLOW": "1" if slow else "",
        "BENCH_STOCK_ASGI": "1" if server == "stock-uvicorn-worker" else "",
    }
    if database == "postgresql":
        # Site makes a database of its own there.
        os.environ["DATABASE_URL"] = address
    try:
        home = folder / f"{server}-{database}{'-slow' if slow else ''}"
        kind = Tutorial if server == TUTORIAL else Polls
        site = kind(SERVERS[server], home, environment)
    finally:
        os.environ.pop("DATABASE_URL", None)
    try:
        yield Target(server, database, site, slow)
    finally:
        site.stop()


def prepare(target: Target) -> None:
    """Seed, and show each worker each kind of page: it reads its templates once."""
    target.site.ready(60)
    seeded = target.site.seed().splitlines()[-20:]
    target.questions = [int(pk) for pk in seeded]
    question = target.questions[0]
    paths = ["", f"{question}/", f"{question}/results/", f"{question}/results.json"]
    for path in paths:
        for _ in range(10 * WORKERS):
            Voter(target.site.base).get(f"/polls/{path}")


class Progress:
    """Says before each page how much time is left: by plan at first, then by what it took so far."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self.planned, self.done = steps, steps * seconds, 0
        self.began, self.said = time.monotonic(), ""

    def step(self, what: str) -> None:
        if what != self.said:
            passed = time.monotonic() - self.began
            each = passed / self.done if self.done else self.planned / self.steps
            left = each * (self.steps - self.done) / 60
            print(f"{what}: {left:.1f} minutes left", file=sys.stderr, flush=True)
        self.said = what
        self.done += 1


def measure(plan: list[tuple[Row, Target]], rounds: int, seconds: int) -> None:
    # A run also looks at the page, and reads what it has cost.
    progress = Progress(len(plan) * rounds, seconds + 0.2)
    for number in range(rounds):
        # There and back: who is first in one round is last in the next.
        for row, target in plan if number % 2 == 0 else reversed(plan):
            progress.step(f"round {number + 1} of {rounds}, {row.case}")
            try:
                run = CASES[row.case].load(target, seconds)
            except Unexpected as error:
                run = Run(0, 0, 0, 0, 0, str(error))
            row.runs.append(run)


def closing_line(target: Target) -> list[str]:
    memory = memory_kb(target.pids) / WORKERS / 1000
    target.site.recount()
    votes = [f"{target.accepted:,}", f"{target.counted:,}"]
    return [target.server, NAMES[target.database], f"{memory:.0f}", *votes]


def about(rounds: int, seconds: int, address: str, load: float) -> str:
    trial = " One round is a trial, and not to be quoted." if rounds == 1 else ""
    if load > IDLE:
        trial += " The machine was at work before: not to be quoted."
    return (
        f"{machine(address)}\n\n{WORKERS} workers, {CONNECTIONS} connections (wrk -t2) unless a page says otherwise, on the "
        f"same machine as the server; {rounds} rounds of {seconds} s, interleaved.{trial} Each figure is the median of the "
        f"rounds, with the quartiles. Load average before: {load:.1f}. CPU is that of the server's processes, without a "
        f"PostgreSQL's. Memory is proportional (PSS), of all the server's processes, by its {WORKERS} workers. "
        f"`{BASE}` is Django's own WSGI handler on the same pages under gunicorn sync, `{TUTORIAL}` the app of Django's "
        f"tutorial on the same Django."
    )


@contextlib.contextmanager
def running(only: set[str], address: str) -> Iterator[list[Target]]:
    """Start every server that was asked for; all are gone at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = [
            stack.enter_context(served(server, database, folder, address))
            for database in pick(only, NAMES)
            for server in pick(only, SERVERS)
            if (server, database) != LEFT_OUT
        ]
        if "slow" in pick(only, CASES) and "sqlite" in pick(only, NAMES):
            targets += [
                stack.enter_context(served(server, "sqlite", folder, address, True))
                for server in pick(only, SERVERS)
                if server != TUTORIAL
            ]
        for target in targets:
            print(f"starting {target.server}", file=sys.stderr, flush=True)
            prepare(target)
        yield targets


def plan(only: set[str], targets: list[Target]) -> list[tuple[Row, Target]]:
    return [
        (Row(case, target.server, target.database), target)
        for case in pick(only, CASES)
        for target in targets
        if CASES[case].suits(target)
    ]


def main() -> None:
    asked, before = options(), os.getloadavg()[0]
    if before > IDLE and not asked.anyway:
        sys.exit(
            f"Something else is at work here: the load average is {before:.1f}. "
            f"Wait until it is below {IDLE}, or add --anyway for figures that do not count."
        )
    # The servers get databases of their own, whatever this shell is set up for.
    os.environ.pop("DATABASE_URL", None)
    # An end from outside is an end all the same, not fourteen servers left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    with contextlib.ExitStack() as stack:
        address = ""
        if "postgresql" in pick(asked.only, NAMES):
            # All servers are up at the same time.
            address = stack.enter_context(postgresql(connections=300))
        text = about(asked.rounds, asked.seconds, address, before)
        targets = stack.enter_context(running(asked.only, address))
        planned = plan(asked.only, targets)
        measure(planned, asked.rounds, asked.seconds)
        lines = [closing_line(target) for target in targets if not target.slow]
    rows = [row for row, _ in planned]
    commands = {name: SERVERS[name] for name in pick(asked.only, SERVERS)}
    write(Measured(text, commands, rows, lines), asked.to)
    if asked.to == BENCH and not asked.only:
        write_docs(rows, BENCH.parent / "docs" / "wsgi-or-asgi.md")
    bad = [f"{row.server}, {row.case}: {row.problem}" for row in rows if row.problem]
    sys.exit("\n".join(bad) or None)


if __name__ == "__main__":
    main()
