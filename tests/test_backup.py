"""manage.py backup, restore and copyto: all is there again, on either database, or nothing is."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from polls.backup import archive
from polls.counting.ballots_csv import fix_fingerprint
from polls.models import Ballot, Choice, Mark, Question
from polls.retention import forget_voters
from polls.voting.cast import cast
from polls.voting.identity import make_codes, voter_key
from tests.support.ballots import voted
from tests.support.disks import small_disk
from tests.support.postgres import empty_database
from tests.support.races import outcome, race
from tests.support.servers import ROOT
from tests.support.waiting import wait_until

# A snapshot is a transaction of its own.
pytestmark = pytest.mark.django_db(transaction=True)

ON_SERVER = "DATABASE_URL" in os.environ


def run(*words: object) -> str:
    out = io.StringIO()
    call_command(*map(str, words), stdout=out, stderr=out)
    return out.getvalue()


def sums(said: str) -> list[str]:
    """Return what was said of each table."""
    return [line.split(", the same")[0] for line in said.splitlines() if "SHA" in line]


@contextmanager
def using(name: str) -> Iterator[None]:
    """Let the site have this database."""
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Where nothing is yet: the name of a file, or of an empty database."""
    if not ON_SERVER:
        return str(tmp_path / "polls.sqlite3")
    name = f"place_{os.getpid()}_{tmp_path.name}"
    empty_database(name)
    return name


def url_of(name: str) -> str:
    return os.environ["DATABASE_URL"].replace("/postgres?", f"/{name}?")


@pytest.fixture
def kept(ask, tmp_path: Path) -> Path:
    """A backup of a poll by code, a ranking, a poll that is closed, and one that has forgotten; some are deleted."""
    lunch = ask("Lunch “today”?", "Suppe", "Éclair", voters="codes")
    (_, code), _ = make_codes(lunch, 2)
    cast(lunch, voter_key(lunch, f"code:{code}"), [lunch.choice_set.first().pk])
    voted(ask("Order?", "A", "B", kind="ranked"), "12", "21", "2")
    for text in ("Closed?", "Forgotten?"):
        closed = voted(ask(text, "Yes", "No"), "1", "2")
        closed.close()
        fix_fingerprint(Question.objects.get(pk=closed.pk))
    forget_voters(Question.objects.get(question_text="Forgotten?"))
    ask("Gone?", "Yes").delete()
    User.objects.create_superuser("olga", password="secret")
    Session.objects.create(session_key="in", expire_date=timezone.now())
    run("backup", tmp_path / "kept")
    return tmp_path / "kept"


def test_it_works(kept, place, tmp_path):
    salts = dict(Question.objects.values_list("question_text", "voter_salt"))
    last = Question.objects.order_by("pk").last().pk
    with using(place):
        said = run("restore", kept)
        assert "Questions: 4. Ballots: 8. Totals that differ: 0." in said
        assert sums(run("backup", tmp_path / "again")) == sums(said)
        # Byte by byte: the same rows, in the same order.
        first, second = (gzip.open(tmp_path / n).read() for n in ("kept", "again"))
        assert first == second
        there = dict(Question.objects.values_list("question_text", "voter_salt"))
        assert there == salts and salts["Forgotten?"] == ""
        assert User.objects.get().check_password("secret")
        assert not Session.objects.exists()
        # No link to a poll that was deleted leads to another.
        assert Question.objects.create(question_text="New?").pk > last + 1
        # Who has voted changes a ballot.
        order = Question.objects.get(question_text="Order?")
        cast(order, f"{0:032}", [order.choice_set.last().pk])
        assert order.ballot_set.count() == 3


def test_it_names_the_secret_and_leaves_it_out(kept, tmp_path, settings):
    said = run("backup", tmp_path / "again")
    assert "The secret is not in it. Keep " in said
    assert settings.SECRET_KEY not in gzip.decompress(kept.read_bytes()).decode()


def test_it_is_for_its_owner_alone_and_takes_no_others_place(kept, tmp_path):
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.read_bytes()
    with pytest.raises(CommandError, match="is there already, and stays"):
        run("backup", kept)
    with pytest.raises(CommandError, match="cannot be written .No such file"):
        run("backup", tmp_path / "none" / "kept")
    assert kept.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_it_is_of_one_moment_and_holds_up_no_vote(question):
    numbers, red = iter(range(1000)), question.choice_set.first().pk
    vote = lambda: cast(question, f"{next(numbers):032}", [red])
    file = io.BytesIO()
    for _table in archive.write(file, lambda *words: None):
        (ballot,) = race(vote)
        assert ballot.pk
    lines = gzip.decompress(file.getvalue()).decode().splitlines()
    assert any('"Red",0,0,0]' in line for line in lines)
    assert any('"name": "polls_ballot"' in n and '"rows": 0' in n for n in lines)
    assert Ballot.objects.count() > 5


def rewritten(kept: Path, change: Callable[[list[str]], list[str]]) -> Path:
    """Change the lines of a backup, and make its sums right again."""
    lines, digest = [], hashlib.sha256()
    for line in change(gzip.decompress(kept.read_bytes()).decode().splitlines()):
        if line.startswith('{"name"'):
            digest = hashlib.sha256()
        elif line.startswith("["):
            digest.update(f"{line}\n".encode())
        elif line.startswith('{"sha256"'):
            line = json.dumps({"sha256": digest.hexdigest()})
        lines.append(line)
    path = kept.with_name("rewritten")
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


SPOILED: list[Callable[[bytes], bytes]] = [
    lambda data: b"",
    lambda data: b"no gzip",
    lambda data: gzip.compress(b""),
    lambda data: gzip.compress(b"CREATE TABLE polls;\n"),
    lambda data: gzip.compress(b'{"format": "another"}\n'),
    lambda data: gzip.compress(b"[1]\n"),
    lambda data: data[:1000],
    lambda data: data[:-1],
    lambda data: data + b"more",
    lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
    lambda data: gzip.compress(gzip.decompress(data).replace(b'"user"', b'"usar"')),
    lambda data: gzip.compress(gzip.decompress(data) + b"more\n"),
    lambda data: gzip.compress(gzip.decompress(data).rpartition(b'{"tab')[0]),
    lambda data: gzip.compress(gzip.decompress(data).replace(b'"id", ', b"")),
]


def test_a_file_that_is_damaged_or_something_else_is_refused(place, tmp_path):
    run("backup", tmp_path / "whole")
    spoiled, data = tmp_path / "spoiled", (tmp_path / "whole").read_bytes()
    with using(place):
        for spoil in SPOILED:
            spoiled.write_bytes(spoil(data))
            refused = "is no backup of this site, or is damaged or cut off"
            with pytest.raises(CommandError, match=refused):
                run("restore", spoiled)
        assert not connection.introspection.table_names()


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CommandError, match="none: No such file"):
        run("restore", tmp_path / "none")


def test_a_backup_of_another_version_is_refused(place, tmp_path):
    run("backup", tmp_path / "kept")
    with using(place):
        for old, new, difference in [
            ('"polls.0001', '"polls.9999_later", "polls.0001', "it has polls.9999_"),
            ('"polls.0002_choice_moves", ', "", "it lacks polls.0002_choice_moves"),
        ]:
            change = lambda lines: [lines[0].replace(old, new), *lines[1:]]
            other = rewritten(tmp_path / "kept", change)
            with pytest.raises(CommandError, match=f"another version .*{difference}"):
                run("restore", other)
        assert not connection.introspection.table_names()


@pytest.mark.sqlite
@pytest.mark.server
def test_a_disk_that_is_too_small_gets_nothing(question, tmp_path):
    """Also where all is written, and there is no room to take the log into the file."""
    red = question.choice_set.first()
    numbers = range(10_000)
    ballots = Ballot.objects.bulk_create(
        Ballot(question=question, voter_key=f"{n:032}", receipt=f"{n:012}")
        for n in numbers
    )
    Mark.objects.bulk_create(Mark(ballot=ballot, choice=red) for ballot in ballots)
    run("backup", tmp_path / "kept")
    with small_disk(tmp_path / "disk", "4400k") as disk:
        with using(str(disk / "polls.sqlite3")):
            with pytest.raises(CommandError, match="full.* Nothing is kept"):
                run("restore", tmp_path / "kept")
        assert [path.name for path in disk.iterdir()] == ["polls.sqlite3.lock"]


def test_rows_that_refer_to_none_leave_nothing(kept, place):
    def change(lines: list[str]) -> list[str]:
        first = next(n for n, line in enumerate(lines) if '"polls_mark"' in line) + 1
        pk, ballot, _choice, rank = json.loads(lines[first])
        return [*lines[:first], f"[{pk},{ballot},999,{rank}]", *lines[first + 1 :]]

    with using(place):
        with pytest.raises(CommandError, match="the database refuses them"):
            run("restore", rewritten(kept, change))
        there = connection.introspection.table_names()
        assert not there or not User.objects.exists()


def test_a_restore_says_what_was_amiss_before(question, place, tmp_path, settings):
    voted(question, "1", "2")
    Choice.objects.filter(choice_text="Red").update(votes=7, revision=7)
    run("backup", tmp_path / "kept")
    settings.SECRET_KEY = "another" * 8
    out = io.StringIO()
    with using(place):
        with pytest.raises(CommandError, match="not add up. All is restored as it was"):
            call_command("restore", tmp_path / "kept", stdout=out)
        assert Choice.objects.get(choice_text="Red").votes == 7
    lost = f"Questions {question.pk}: their voters are known by a secret that is not"
    assert lost in out.getvalue()
    assert "Machines that serve one site share one SECRET_KEY." in out.getvalue()


def test_a_database_with_polls_is_refused_and_stays(kept):
    Choice.objects.filter(choice_text="A").update(choice_text="Other")
    with pytest.raises(
        CommandError, match="before a site starts on it|is there. Stop the site"
    ):
        run("restore", kept)
    assert Choice.objects.filter(choice_text="Other").exists()


@pytest.mark.sqlite
def test_no_file_of_another_database_is_mixed_with_it(place, tmp_path):
    run("backup", tmp_path / "kept")
    for suffix in ("", "-wal", "-shm"):
        other = Path(f"{place}{suffix}")
        other.write_bytes(b"votes")
        with using(place):
            with pytest.raises(CommandError, match=f"{other} is there. Stop the site"):
                run("restore", tmp_path / "kept")
        assert other.read_bytes() == b"votes"
        other.unlink()


class Piped(io.BytesIO):
    """A backup that is piped in; something happens when it is read."""

    def __init__(self, kept: Path, happens: Callable[[], object]) -> None:
        super().__init__(kept.read_bytes())
        self.happens = happens

    def read(self, *words: int) -> bytes:
        if self.happens:
            happens, self.happens = self.happens, None
            happens()
        return super().read(*words)


@pytest.mark.sqlite
def test_a_database_that_is_made_meanwhile_stays(kept, place, monkeypatch):
    make = lambda: Path(place).write_bytes(b"votes")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Piped(kept, make)))
    with using(place):
        with pytest.raises(CommandError, match="Somebody has made .* meanwhile"):
            run("restore", "-")
    assert Path(place).read_bytes() == b"votes"
    assert not list(Path(place).parent.glob("*restoring*"))


@pytest.mark.postgresql
def test_a_poll_that_is_made_meanwhile_stays(kept, place):
    with using(place):
        call_command("migrate", verbosity=0)
        with ThreadPoolExecutor(1) as thread, psycopg.connect(url_of(place)) as other:
            other.execute(
                "INSERT INTO polls_question (question_text, pub_date, voter_salt) VALUES ('Meanwhile?', now(), 's')"
            )
            restored = thread.submit(outcome, lambda: run("restore", kept))
            waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            with connection.cursor() as cursor:
                wait_until(lambda: cursor.execute(waits).fetchone()[0])
            other.commit()
        said = str(restored.result())
        assert "is not empty: there are rows in polls_question" in said
        assert Question.objects.get().question_text == "Meanwhile?"


def manage(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"DATABASE_URL": url, "DATA_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.server
def test_it_copies_to_another_database_and_back(kept, place, tmp_path, capfd):
    file = f"sqlite:///{tmp_path / 'file' / 'polls.sqlite3'}"
    back = f"sqlite:///{tmp_path / 'back' / 'polls.sqlite3'}"
    if ON_SERVER:
        back = url_of(place)
    call_command("copyto", file)
    there = capfd.readouterr().out
    assert "Questions: 4. Ballots: 8. Totals that differ: 0." in there
    done = manage(file, tmp_path, "copyto", back)
    assert done.returncode == 0, done.stderr
    assert sums(done.stdout) == sums(there) == sums(run("backup", tmp_path / "now"))


@pytest.mark.server
@pytest.mark.once
def test_it_copies_to_no_address_that_is_none(db, tmp_path, capfd):
    with pytest.raises(CommandError, match="The copy is not there"):
        call_command("copyto", "mysql://polls")
    assert "DATABASE_URL begins with 'mysql'" in capfd.readouterr().err
