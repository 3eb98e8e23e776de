"""Compare a site with many ballots to one with as many questions and hardly any ballots: nothing may grow with them.

usage: python -m bench.growth [--questions 100000] [--ballots 1000000] [--requests 200]
On PostgreSQL: python tests/support/postgres.py python -m bench.growth --ballots 10000000

Two servers, one with a full and one with an empty database, are asked in turn
for each page, as a visitor who carries a cookie: nothing comes from memory.
Half of all ballots are on one question, which is the one that is asked for.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.people import Voter
from tests.support.servers import Site

SERVER = "gunicorn polls.wsgi --workers 1"
PASSWORD = "growth-of-the-polls"
# What the two databases call the same thing. (No percent signs: a placeholder begins with one.)
WORDS = {
    "sqlite": {
        "now": "datetime('now')",
        "voter_key": "lower(hex(randomblob(16)))",
        "receipt": "hex(randomblob(6))",
    },
    "postgresql": {
        "now": "now()",
        # In order: ten million random ones take its indexes half an hour.
        "voter_key": "lpad(to_hex(i), 32, '0')",
        "receipt": "lpad(upper(to_hex(i)), 12, '0')",
    },
}
SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0})"
# Question 1 has every second ballot, the others share the rest; each question has the choices 4 q - 3 to 4 q.
FILL = [
    SERIES.format("{questions}")
    + " INSERT INTO polls_question (id, question_text, pub_date, voter_salt)"
    " SELECT i, 'Question ' || i || '?', {now}, 'salt' FROM n",
    SERIES.format("4 * {questions}")
    + " INSERT INTO polls_choice (id, question_id, choice_text)"
    " SELECT i, (i + 3) / 4, 'Choice ' || i FROM n",
    SERIES.format("{ballots}")
    + " INSERT INTO polls_ballot (id, question_id, voter_key, receipt, cast_at)"
    " SELECT i, CASE i & 1 WHEN 0 THEN 1 ELSE i / 2 - i / 2 / {questions} * {questions} + 1 END, {voter_key}, {receipt}, {now} FROM n",
    "INSERT INTO polls_mark (ballot_id, choice_id, rank)"
    " SELECT id, 4 * question_id - (id / 7 & 3), 1 FROM polls_ballot",
    "UPDATE polls_choice SET votes = t.n, first_marks = t.n, revision = t.n"
    " FROM (SELECT choice_id, count(*) AS n FROM polls_mark GROUP BY choice_id) AS t WHERE t.choice_id = polls_choice.id",
]
SEQUENCES = (
    "SELECT setval(pg_get_serial_sequence('polls_{table}', 'id'),"
    " (SELECT max(id) FROM polls_{table}))"
)
TABLES = ["question", "choice", "ballot", "mark"]


def fill(site: Site, questions: int, ballots: int) -> None:
    vendor = "postgresql" if "DATABASE_URL" in site.environment else "sqlite"
    numbers = {"questions": questions, "ballots": ballots}
    with site.database() as run:
        for table in reversed(TABLES):
            run(f"DELETE FROM polls_{table}")
        if vendor == "postgresql":
            run("SET synchronous_commit = off")
            # Each row is known to refer to one that is there.
            run("SET session_replication_role = replica")
        for statement in FILL:
            began = time.monotonic()
            run(statement.format(**numbers, **WORDS[vendor]))
            print(f"  {time.monotonic() - began:6.1f} s  {statement[-60:]}", flush=True)
        if vendor == "postgresql":
            for table in TABLES:
                run(SEQUENCES.format(table=table))
            run("VACUUM ANALYZE")
        else:
            run("ANALYZE")


class Visitor(Voter):
    """One who carries a cookie, and logs in to the admin."""

    def log_in(self) -> None:
        page = self.get("/admin/login/").text
        self.token = page.split('csrfmiddlewaretoken" value="')[1].split('"')[0]
        fields = f"username=organiser&password={PASSWORD}&csrfmiddlewaretoken={self.token}&next=/admin/"
        answer = self.request(
            "POST",
            "/admin/login/",
            fields.encode(),
            **{"Content-Type": "application/x-www-form-urlencoded"},
        )
        if answer.status != 302:
            raise RuntimeError(f"The log-in answered {answer.status}.")


def page(path: str) -> Callable[[Visitor], None]:
    def ask(visitor: Visitor) -> None:
        answer = visitor.get(path)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}.")

    return ask


def vote(visitor: Visitor) -> None:
    """Vote as somebody new."""
    visitor.cookies.pop("voter", None)
    if visitor.vote("1").status != 302:
        raise RuntimeError("A vote was not accepted.")


def change(visitor: Visitor) -> None:
    visitor.turn = 3 - getattr(visitor, "turn", 1)
    if visitor.vote(str(visitor.turn)).status != 302:
        raise RuntimeError("A vote was not changed.")


CASES = {
    "index": page("/polls/"),
    "index, page 900": page("/polls/?page=900"),
    "ballot page": page("/polls/1/"),
    "results": page("/polls/1/results/"),
    "results.json": page("/polls/1/results.json"),
    "vote": vote,
    "changed vote": change,
    "admin: questions": page("/admin/polls/question/"),
    "admin: page 50": page("/admin/polls/question/?p=50"),
    "admin: search": page("/admin/polls/question/?q=Question+77"),
    "admin: one question": page("/admin/polls/question/1/change/"),
    "admin: before deleting": page("/admin/polls/question/2/delete/"),
}


def start(folder: Path, questions: int, ballots: int) -> Visitor:
    site = Site(SERVER, folder)
    site.ready(60)
    site.manage("migrate", "-v0")
    print(f"{questions:,} questions, {ballots:,} ballots:", flush=True)
    fill(site, questions, ballots)
    site.shell(
        "from django.contrib.auth.models import User\n"
        "user, _ = User.objects.get_or_create(username='organiser', is_staff=True, is_superuser=True)\n"
        f"user.set_password({PASSWORD!r}); user.save()"
    )
    visitor = Visitor(site.base)
    visitor.site = site
    visitor.log_in()
    visitor.open_ballot()
    return visitor


def compare(name: str, visitors: list[Visitor], requests: int) -> str:
    """Ask both in turn and return a line of the table: milliseconds, medians, and their ratio."""
    times: list[list[float]] = [[], []]
    try:
        for _ in range(requests):
            for visitor, taken in zip(visitors, times):
                began = time.perf_counter()
                CASES[name](visitor)
                taken.append((time.perf_counter() - began) * 1e3)
    except RuntimeError as error:
        return f"| {name} | - | - | {error} |"
    full, empty = map(statistics.median, times)
    return f"| {name} | {empty:.2f} | {full:.2f} | {full / empty:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--ballots", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        visitors = []
        try:
            full = (options.questions, options.ballots)
            for name, size in {"full": full, "empty": (options.questions, 20)}.items():
                visitors.append(start(Path(folder) / name, *size))
            print("| page | empty, ms | full, ms | times |\n|---|---|---|---|")
            for name in CASES:
                print(compare(name, visitors, options.requests), flush=True)
        finally:
            for visitor in visitors:
                visitor.site.stop()


if __name__ == "__main__":
    main()
