"""A SQLite file that is deleted, replaced, read by others, or out of room: whoever votes is told the truth."""

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.test import Client

from polls.models import Ballot, Choice, Question
from tests.support import disks
from tests.support.ballots import vote
from tests.support.servers import ROOT

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]


def own_file(suffix: str = "") -> Path:
    """Return where one of the database's files is."""
    return Path(f"{connection.settings_dict['NAME']}{suffix}")


@pytest.fixture
def voter(client, question) -> Client:
    """Somebody who has voted."""
    client.raise_request_exception = False
    connection.ensure_connection()
    assert vote(client, question).status_code == 302
    return client


def posts(question: Question) -> dict[str, tuple[str, dict[str, object]]]:
    """What writes: address and form."""
    blue = question.choice_set.get(choice_text="Blue")
    account = {"username": "olga", "password": "secret"}
    form = {"username": "new", "usable_password": "false"}
    return {
        "vote": (f"/polls/{question.pk}/vote/", {"choice": blue.pk}),
        "withdraw": (f"/polls/{question.pk}/withdraw/", {}),
        "log in": ("/accounts/login/", account),
        "admin": ("/admin/auth/user/add/", form),
    }


def dump() -> list[str]:
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as database:
        return list(database.iterdump())


@pytest.mark.parametrize("what", ["vote", "withdraw", "log in", "admin"])
@pytest.mark.parametrize("happens", [disks.moved_away, disks.replaced])
def test_nothing_is_written_to_a_file_that_nobody_can_open(
    voter, question, happens, what
):
    organiser = User.objects.create_superuser("olga", password="secret")
    if what == "admin":
        voter.force_login(organiser)
    path, form = posts(question)[what]
    before = dump()
    with happens(own_file()):
        answer = voter.post(path, form)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert voter.get("/healthz").status_code == 503
        assert voter.get("/polls/").status_code == 503
    # The same file is back.
    assert dump() == before
    assert voter.get("/healthz").status_code == 200
    assert voter.post(path, form).status_code == 302
    assert dump() != before


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("happens", [disks.moved_away, disks.replaced])
def test_the_log_and_its_index_are_a_part_of_it(voter, question, happens, suffix):
    path, form = posts(question)["vote"]
    other = Client(raise_request_exception=False)
    with happens(own_file(suffix)):
        assert other.post(path, form).status_code == 503
        assert other.get("/healthz").status_code == 503
    assert other.post(path, form).status_code == 302
    assert Ballot.objects.count() == 2


def test_a_transaction_that_has_begun_is_not_committed_to_a_file_that_is_gone(
    voter, question
):
    with disks.moved_away(own_file()):
        with pytest.raises(OperationalError, match="was deleted or replaced"):
            with transaction.atomic():
                Choice.objects.update(choice_text="Green")
    assert not Choice.objects.filter(choice_text="Green").exists()


def test_another_thread_does_not_open_the_file_that_came_in_its_place(voter, question):
    path, form = posts(question)["vote"]
    statuses = []

    def vote_elsewhere() -> None:
        other = Client(raise_request_exception=False)
        statuses.append(other.post(path, form).status_code)
        connection.close()

    with disks.replaced(own_file()):
        thread = threading.Thread(target=vote_elsewhere)
        thread.start()
        thread.join()
    assert statuses == [503]
    assert Ballot.objects.count() == 1


@pytest.mark.server
@pytest.mark.parametrize("end", ["connection.close()", "del connection"])
def test_the_last_connection_does_not_end_while_another_is_opened(folder, end):
    """The log goes with it, and whoever opens the next one would take that log for a false one."""
    out = run_site(
        folder,
        f"""
        import gc, threading
        from django.db import connections
        from polls.sqlite.base import base
        connection.close()
        opened, go = threading.Event(), threading.Event()

        def last():
            connection = connections["default"]
            connection.check_health()
            opened.set()
            go.wait(10)
            {end}

        def open_slowly(wrapper, params):
            go.set()
            thread.join(0.5)
            # A connection that nobody can reach is closed as this is collected.
            gc.collect()
            # So that the next log does not get the number of this one.
            others.extend(open(path + suffix, "w") for suffix in (".other", ".another"))
            return really(wrapper, params)

        others = []
        really = base.DatabaseWrapper.get_new_connection
        thread = threading.Thread(target=last)
        thread.start()
        opened.wait(10)
        base.DatabaseWrapper.get_new_connection = open_slowly
        print(json.dumps([vote() for n in range(3)]))
        """,
    )
    assert json.loads(out) == [302] * 3


@pytest.mark.server
def test_a_file_that_was_written_over_takes_no_more_votes(folder):
    """`cp` of another file: the path leads to the same file, and only SQLite notices."""
    out = run_site(
        folder,
        """
        for n in range(50):
            vote()
        with open(path, "r+b") as file:
            file.write(bytes(os.path.getsize(path)))
        connection.close()
        said = [vote() for n in range(3)]
        print(json.dumps([said, client.get("/healthz").status_code]))
        """,
    )
    assert json.loads(out) == [[503] * 3, 503]


# What a site needs whose limits a test sets, and whose files it spoils.
PRELUDE = """
import json, os, resource, stat, sys
import polls.wsgi
from django.conf import settings
from django.db import connection
from django.test import Client
settings.ALLOWED_HOSTS = ["*"]
path = connection.settings_dict["NAME"]
client = Client(raise_request_exception=False)

# What it loads once is not the matter.
assert client.get("/nowhere/").status_code == 404

def vote():
    client.cookies.clear()
    return client.post("/polls/1/vote/", {"choice": 1}).status_code

def counts():
    from polls.models import Ballot, Choice
    return [Ballot.objects.count(), Choice.objects.get(pk=1).votes]

"""


def start(folder: Path, code: str = "", *words: str) -> subprocess.CompletedProcess:
    """Run this on the site of that folder, as it is after its start."""
    words = words or ("-c", PRELUDE + textwrap.dedent(code))
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={"DATA_DIR": str(folder), "PATH": os.environ["PATH"]},
        text=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the first start leaves it, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "data"
    assert start(folder).returncode == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "data")


def run_site(folder: Path, code: str) -> str:
    done = start(folder, code)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.server
def test_a_full_disk_is_503_until_there_is_room(folder):
    """A limit for the size of files is met as a full disk is: in the middle of a write."""
    out = run_site(
        folder,
        """
        assert vote() == 302
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path + "-wal"), hard))
        full = [vote(), client.get("/healthz").status_code, client.get("/polls/").status_code]
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        again = [client.get("/healthz").status_code, vote()]
        print(json.dumps([full, again, counts()]))
        """,
    )
    assert json.loads(out) == [[503, 503, 200], [200, 302], [2, 2]]


@pytest.mark.server
def test_votes_go_on_where_a_log_of_full_size_has_no_room(folder):
    out = run_site(
        folder,
        """
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
        print(json.dumps([[vote() for n in range(150)], counts()]))
        """,
    )
    statuses, counts = json.loads(out)
    assert set(statuses) == {302, 503}, "the log had room for all"
    # One voter finds the log full; the next one has it written from its beginning again.
    assert statuses.count(503) < 15
    assert counts == [statuses.count(302)] * 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, which a log of SQLite's usual size would fill alone."""
    with disks.small_disk(tmp_path / "disk", "2m") as disk:
        yield disk


@pytest.mark.server
def test_a_small_disk_is_used_to_its_end_and_is_well_with_room(small_disk):
    (small_disk / "other").write_bytes(bytes(1024 * 1024))
    out = run_site(
        small_disk / "data",
        f"""
        statuses = []
        while statuses[-20:] != [503] * 20 and len(statuses) < 3000:
            statuses.append(vote())
        statuses += [client.get("/healthz").status_code, client.get("/polls/").status_code]
        os.unlink({str(small_disk / "other")!r})
        again = [vote() for n in range(50)] + [client.get("/healthz").status_code]
        print(json.dumps([statuses, again, counts()]))
        """,
    )
    statuses, again, counts = json.loads(out)
    # With a long log it was 49, and no more however much room there was.
    assert statuses.count(302) > 500
    assert statuses[-2:] == [503, 200]
    assert again == [302] * 50 + [200]
    assert counts == [statuses.count(302) + 50] * 2


@pytest.mark.server
def test_a_start_on_a_full_disk_is_refused_until_there_is_room(small_disk):
    run_site(small_disk / "data", "assert vote() == 302")
    filler = small_disk / "other"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert start(small_disk / "data").returncode == 1
    filler.unlink()
    assert run_site(small_disk / "data", "print(vote(), counts())") == "302 [2, 2]\n"


@pytest.mark.server
def test_what_the_system_refuses_is_503(folder):
    out = run_site(
        folder,
        """
        os.rename(path + ".lock", path + ".queue")
        os.unlink(path + ".queue")
        os.mkdir(path + ".queue")
        no_queue = vote()
        os.rmdir(path + ".queue")
        connection.close()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        too_many_files = vote()
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = ON")
        read_only = vote()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = OFF")
        print(json.dumps([no_queue, too_many_files, read_only, vote(), counts()]))
        """,
    )
    assert json.loads(out) == [503, 503, 503, 302, [1, 1]]


@pytest.mark.server
def test_nobody_else_can_read_what_the_site_writes(tmp_path):
    tmp_path.chmod(0o755)
    modes = """
        vote()
        print(json.dumps({
            name: stat.S_IMODE(os.stat(os.path.join(os.path.dirname(path), name)).st_mode)
            for name in os.listdir(os.path.dirname(path))
        }))
    """
    found = json.loads(run_site(tmp_path, modes))
    assert {"polls.sqlite3", "polls.sqlite3-wal", "polls.sqlite3.queue"} <= set(found)
    assert set(found.values()) == {0o600}
    # An earlier version made them so.
    for file in tmp_path.iterdir():
        file.chmod(0o644 if file.name != "secret_key" else 0o600)
    found = json.loads(run_site(tmp_path, modes))
    del found["made-polls.sqlite3"]
    assert set(found.values()) == {0o600}


@pytest.mark.server
def test_a_start_without_the_database_that_was_there_is_refused(folder):
    run_site(folder, "vote()")
    for file in folder.glob("polls.sqlite3*"):
        file.unlink()
    for words in (["-c", "import polls.wsgi"], ["manage.py", "recount"]):
        done = start(folder, "", *words)
        assert done.returncode == 1
        assert "Put a backup in its place; or, for a new site, delete" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (folder / "polls.sqlite3").exists()
    (folder / "made-polls.sqlite3").unlink()
    assert "The first organiser" in start(folder).stderr


@pytest.mark.server
def test_a_start_finds_no_log_of_another_file(folder):
    """Whoever puts a backup back after a crash is told what SQLite would do without a word: mix the two."""
    run_site(folder, "vote(); import shutil; print(path); os._exit(0)")
    path = folder / "polls.sqlite3"
    assert Path(f"{path}-wal").stat().st_size
    shutil.copy(path, folder / "backup")
    (folder / "backup").rename(path)
    done = start(folder)
    assert done.returncode == 1
    assert f"Delete {path}-wal and {path}-shm" in done.stderr
    # What loses no vote is said first.
    keep, lose = (done.stderr.index(word) for word in ("delete", "Delete"))
    assert keep < lose
    assert f"delete {folder / 'made-polls.sqlite3'} and nothing else" in done.stderr
    Path(f"{path}-wal").unlink()
    Path(f"{path}-shm").unlink()
    assert start(folder).returncode == 0


@pytest.mark.server
def test_a_log_whose_file_was_only_numbered_anew_loses_no_vote(folder):
    """As some file systems do when they are mounted, after a power cut."""
    run_site(folder, "vote(); os._exit(0)")
    made = folder / "made-polls.sqlite3"
    made.write_text(f"{int(made.read_text()) + 1}\n")
    refused = start(folder)
    assert refused.returncode == 1
    assert f"delete {made} and nothing else" in refused.stderr
    made.unlink()
    assert json.loads(run_site(folder, "print(json.dumps(counts()))")) == [1, 1]


@pytest.mark.server
@pytest.mark.parametrize(
    "words",
    [
        ["createsuperuser", "--noinput", "--username=olga", "--email="],
        ["shell", "-c", "from polls.models import Question; Question.objects.count()"],
    ],
)
def test_a_command_before_the_first_start_says_what_to_do(tmp_path, words):
    done = start(tmp_path, "", "manage.py", *words)
    assert done.returncode == 1
    assert "Run: python manage.py migrate" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    # It has made the secret, and what it has not made is not missed.
    assert "The first organiser" in start(tmp_path).stderr


@pytest.mark.server
def test_a_command_that_is_shown_can_be_pasted(tmp_path):
    folder = tmp_path / "my polls"
    shown = start(folder).stderr.split("To set a password: ")[1].splitlines()[0]
    assert shlex.split(shown)[0] == f"DATA_DIR={folder}"
    manage = str(ROOT / "manage.py")
    assert shlex.split(shown)[-3:] == [manage, "changepassword", "organiser"]
