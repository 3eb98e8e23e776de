"""An attacker who has the database and the secret after manage.py purge, and wants to know who cast which ballot.

People log in and vote one after the other. For each of them the attacker has facts with an order: when they came, their
account, their session, their ballot on a poll that is kept. For each ballot of the purged polls there are such facts too:
all columns of its rows and what databases keep beside them. If any two go in the same order, the n-th of one
is the n-th of the other, and people are tied to ballots.
"""

import datetime
import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from polls.kinds import Kind, ranking_text
from polls.models import Ballot, Question
from polls.voting.identity import voter_key
from tests.support.races import outcome
from tests.support.waiting import wait_until

# What is for good cannot be part of a transaction.
pytestmark = pytest.mark.django_db(transaction=True)

# As many as there are orders of four choices: each has a ranking of their own.
PEOPLE = 24
# By chance one person is tied, whatever their number; twelve are once in two thousand million times.
BY_CHANCE = 11

# What a database keeps beside the columns of a row.
HIDDEN = {
    "sqlite": "rowid AS hidden_rowid",
    "postgresql": "ctid::text AS hidden_ctid, xmin::text::bigint AS hidden_xmin, xmax::text::bigint AS hidden_xmax",
}

Facts = dict[str, list[object]]


def rows(table: str) -> list[dict[str, object]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT *, {HIDDEN[connection.vendor]} FROM {table}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def sortable(value: object) -> tuple[bool, object]:
    if isinstance(value, str) and value.startswith("("):
        # A place in a table: (page,row).
        value = tuple(map(int, value.strip("()").split(",")))
    return value is not None, value


def places(values: list[object]) -> list[int]:
    """Return who is where in their order; those who are equal are in any."""
    keys = [(sortable(value), random.random()) for value in values]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [order.index(n) for n in range(len(keys))]


def tied(people: list[object], ballots: list[object]) -> int:
    """Return for how many the n-th of one is the n-th of the other, or the n-th from the end."""
    pairs = list(zip(places(people), places(ballots)))
    forward = sum(a == b for a, b in pairs)
    backward = sum(a + b == len(pairs) - 1 for a, b in pairs)
    return max(forward, backward)


class Poll:
    """What people voted on, and what the attacker finds of it. The test knows by the receipt whose ballot is whose."""

    def __init__(self, kind: Kind, choices: int, name: str) -> None:
        self.kind, self.name = kind, name
        self.question = Question.objects.create(
            question_text=name, kind=kind, voters="accounts", pub_date=ago(2)
        )
        for n in range(choices):
            self.question.choice_set.create(choice_text=f"Choice {n}")
        self.ids = list(self.question.choice_set.values_list("pk", flat=True))
        self.receipts: list[str] = []

    def take(self, client: Client, user: User, chosen: list[int]) -> None:
        data = {"choice": chosen}
        if self.kind == Kind.RANKED:
            data = {f"rank{n}": pk for n, pk in enumerate(chosen, 1)}
        assert client.post(f"/polls/{self.question.pk}/vote/", data).status_code == 302
        key = voter_key(self.question, f"account:{user.pk}")
        self.receipts.append(self.question.own_ballot(key).receipt)

    def facts(self) -> Facts:
        """Return what there is to each ballot, in the order in which they were cast."""
        ballots = {row["receipt"]: row for row in rows("polls_ballot")}
        marks = group(rows("polls_mark"), "ballot_id")
        choices = {row["id"]: row for row in rows("polls_choice")}
        rankings = {row["choices"]: row for row in rows("polls_ranking")}
        data = database_file()
        facts: Facts = {}
        for receipt in self.receipts:
            ballot = ballots[receipt]
            own = sorted(marks[ballot["id"]], key=lambda mark: mark["rank"])
            found = {f"ballot.{name}": value for name, value in ballot.items()}
            found |= {f"mark.{name}": value for name, value in own[0].items()}
            found["marks"] = len(own)
            found["file"] = data.find(receipt.encode())
            if self.kind == Kind.ONE:
                row = choices[own[0]["choice_id"]]
                found |= {f"choice.{name}": value for name, value in row.items()}
            if self.kind == Kind.RANKED:
                row = rankings[ranking_text(mark["choice_id"] for mark in own)]
                found |= {f"ranking.{name}": value for name, value in row.items()}
            for name, value in found.items():
                facts.setdefault(f"{self.name}: {name}", []).append(value)
        return facts


def ago(days: int) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(days=days)


def group(found: list[dict[str, object]], name: str) -> dict[object, list]:
    key = lambda row: row[name]
    return {k: list(g) for k, g in itertools.groupby(sorted(found, key=key), key)}


def database_file() -> bytes:
    if connection.vendor != "sqlite":
        return b""
    return Path(connection.settings_dict["NAME"]).read_bytes()


# The tables, the indexes and the catalog of the database, dead rows included.
PG_FILES = """
SELECT pg_read_binary_file(folder || '/' || name) FROM (
    SELECT 'base/' || oid AS folder FROM pg_database WHERE datname = current_database()
) AS here, pg_ls_dir(folder) AS name WHERE name ~ '^[0-9._]+$'
"""


def all_files() -> bytes:
    if connection.vendor == "sqlite":
        log = Path(f"{connection.settings_dict['NAME']}-wal")
        return database_file() + log.read_bytes()
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute(PG_FILES)
        return b"".join(bytes(file) for (file,) in cursor.fetchall())


def found_in(words: list[str], data: bytes) -> int:
    return sum(word.encode() in data for word in words)


def planner_statistics() -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(concat(most_common_vals, histogram_bounds), ' ') FROM pg_stats"
        )
        return (cursor.fetchone()[0] or "").encode()


class Scene:
    """People who log in and vote on three polls that are purged, and on one that is kept."""

    def __init__(self) -> None:
        self.one = Poll(Kind.ONE, PEOPLE, "one")
        self.several = Poll(Kind.SEVERAL, PEOPLE, "several")
        self.ranked = Poll(Kind.RANKED, 4, "ranked")
        self.kept = Poll(Kind.ONE, 2, "kept")
        self.purged = [self.one, self.several, self.ranked]
        for n in range(PEOPLE):
            User.objects.create_user(f"person{n}", password="the words of each")
        # Neither in the order of their accounts nor of their choices.
        self.people = random.sample(list(User.objects.all()), PEOPLE)
        self.vote()

    def vote(self) -> None:
        orders = list(itertools.permutations(self.ranked.ids))
        sizes = random.sample(range(1, PEOPLE + 1), PEOPLE)
        ones = random.sample(self.one.ids, PEOPLE)
        for user, one, size, order in zip(
            self.people, ones, sizes, random.sample(orders, PEOPLE)
        ):
            client = Client()
            words = {"username": user.username, "password": "the words of each"}
            assert client.post("/accounts/login/", words).status_code == 302
            self.one.take(client, user, [one])
            self.several.take(client, user, random.sample(self.several.ids, size))
            self.ranked.take(client, user, list(order))
            self.kept.take(client, user, [self.kept.ids[0]])
        for poll in self.purged:
            poll.question.close()

    def purge(self, option: str) -> None:
        call_command("purge", f"--{option}", "0", "--yes", verbosity=0)

    def people_facts(self) -> Iterator[tuple[str, list[object]]]:
        yield "when they came", list(range(PEOPLE))
        users = {row["id"]: row for row in rows("auth_user")}
        sessions = {row["session_key"]: row for row in rows("django_session")}
        whose = {
            int(session.get_decoded()["_auth_user_id"]): sessions[session.session_key]
            for session in Session.objects.all()
        }
        for table, found in (("auth_user", users), ("django_session", whose)):
            for name in rows_columns(found):
                values = [found.get(user.pk, {}).get(name) for user in self.people]
                yield f"{table}.{name}", values
        # Its salt is still there: the attacker makes the keys of the accounts, and finds whose ballot is whose.
        yield from self.kept.facts().items()
        yield "kept: gap between marks", self.gaps()

    def gaps(self) -> list[object]:
        """Return how many ids lie between each mark of the poll that is kept and the one before."""
        receipts = dict(
            Ballot.objects.filter(question=self.kept.question).values_list(
                "mark__pk", "receipt"
            )
        )
        ids = sorted(receipts)
        gap = {receipts[b]: b - a for a, b in zip([0, *ids], ids)}
        return [gap[receipt] for receipt in self.kept.receipts]


def rows_columns(found: dict[object, dict[str, object]]) -> list[str]:
    return list(next(iter(found.values()), {}))


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    return Scene()


def most_tied(people: Facts, ballots: Facts) -> dict[str, int]:
    """Return which pairs of facts tie more people to ballots than chance does, and how many."""
    found = {
        f"{one} ~ {other}": tied(people[one], ballots[other])
        for one in people
        for other in ballots
    }
    return {pair: number for pair, number in found.items() if number > BY_CHANCE}


def test_an_attacker_ties_everybody_to_their_ballot_before(scene):
    """What this file finds, it finds: nobody is anonymous until the purge."""
    found = most_tied(dict(scene.people_facts()), scene.one.facts())
    assert found["when they came ~ one: ballot.id"] == PEOPLE


def test_an_attacker_ties_nobody_to_their_ballot_after(scene):
    scene.purge("forget-voters")
    people = dict(scene.people_facts())
    for poll in scene.purged:
        assert most_tied(people, poll.facts()) == {}


def erased(scene: Scene) -> list[str]:
    """Return what the purge is to erase: salts, keys and sessions."""
    questions = [poll.question for poll in scene.purged]
    keys = Ballot.objects.filter(question__in=questions).values_list(
        "voter_key", flat=True
    )
    sessions = Session.objects.values_list("session_key", flat=True)
    return [*[question.voter_salt for question in questions], *keys, *sessions]


TARGETS = """
SELECT relname, attname, attstattarget FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND attstattarget >= 0 AND attnum > 0
"""


def sample_all_columns() -> None:
    """Let the planner keep what it kept of every column before a migration told it otherwise."""
    with connection.cursor() as cursor:
        cursor.execute(TARGETS)
        columns = [(f"{table} ALTER {name}", n) for table, name, n in cursor.fetchall()]
        for column, _ in columns:
            cursor.execute(f"ALTER TABLE {column} SET STATISTICS -1")
        cursor.execute("ANALYZE")
        for column, target in columns:
            cursor.execute(f"ALTER TABLE {column} SET STATISTICS {target}")


def test_an_attacker_finds_nothing_erased_in_the_files(scene):
    words = erased(scene)
    if connection.vendor == "postgresql":
        sample_all_columns()
    assert found_in(words, all_files()) == len(words)
    scene.purge("forget-voters")
    assert found_in(words, all_files()) == 0


def other_connection() -> psycopg.Connection:
    known = connection.get_connection_params()
    names = known.keys() & {"dbname", "user", "password", "host", "port"}
    return psycopg.connect(**{name: known[name] for name in names})


# Whether another connection of this database has asked this last, and is in this state.
HAS_ASKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE %s AND state = %s
"""


@pytest.mark.postgresql
def test_who_begins_to_read_under_the_purge_leaves_nothing_erased_in_the_files(scene):
    """The samples of the planner are dropped after the purge has waited for those who read before."""
    words = erased(scene)
    sample_all_columns()
    with (
        other_connection() as holder,
        other_connection() as reader,
        other_connection() as watcher,
        ThreadPoolExecutor(1) as thread,
    ):
        watcher.autocommit = True

        def has_asked(query: str, state: str) -> bool:
            return bool(watcher.execute(HAS_ASKED, [f"%{query}%", state]).fetchone()[0])

        holder.execute("LOCK TABLE polls_question IN ACCESS SHARE MODE")
        purge = lambda: scene.purge("forget-voters")
        purging = thread.submit(outcome, purge)
        wait_until(lambda: has_asked("ALTER TABLE polls_question", "active"))
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        holder.rollback()
        wait_until(lambda: purging.done() or has_asked("pg_snapshot_xmin", "idle"), 30)
        reader.rollback()
        assert purging.result() is None
    assert found_in(words, all_files()) == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("option", ["forget-voters", "delete-ballots"])
def test_an_attacker_finds_nothing_erased_in_the_statistics(scene, option):
    words = erased(scene)
    sample_all_columns()
    assert found_in(words, planner_statistics()) == len(words)
    scene.purge(option)
    assert found_in(words, planner_statistics()) == 0


@pytest.mark.postgresql
def test_the_planner_keeps_no_salt_and_no_time(db):
    salts = [
        Question.objects.create(question_text=f"Question {n}?").voter_salt
        for n in range(73)
    ]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE polls_question")
    assert found_in(salts, planner_statistics()) == 0


@pytest.mark.parametrize("option", ["forget-voters", "delete-ballots"])
def test_rankings_do_not_stand_in_the_order_of_their_first_use(scene, option):
    used = {row["choices"]: n for n, row in enumerate(rows("polls_ranking"))}
    scene.purge(option)
    after = [
        used[row["choices"]]
        for row in sorted(rows("polls_ranking"), key=lambda row: row["id"])
    ]
    assert tied(after, list(range(PEOPLE))) <= BY_CHANCE
