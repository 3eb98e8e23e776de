"""An empty folder and one command: what the operator and the first organiser meet."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.people import Voter
from tests.support.postgres import away
from tests.support.servers import ROOT
from tests.support.waiting import wait_until

# On a server database nothing is made unasked.
sqlite_only = pytest.mark.sqlite
server_only = pytest.mark.postgresql


@pytest.fixture(
    scope="module", params=["gunicorn polls.wsgi", "uvicorn polls.asgi:application"]
)
def site(request, share):
    """What the first start has made, where there is no terminal."""
    return share(request.param, fresh=True).ready()


@sqlite_only
def test_it_shows_a_password_once_that_opens_the_admin(start):
    site = start("gunicorn polls.wsgi", terminal=True, fresh=True).ready()
    shown = re.findall(r"organiser is '(\w+)', password '(\w{16})'", site.output())
    assert len(shown) == 1
    organiser = Voter(site.base).log_in(*shown[0])
    assert "Log out" in organiser.get("/admin/").text
    site.stop()
    for file in site.folder.iterdir():
        assert file.name == "log" or shown[0][1].encode() not in file.read_bytes()


@sqlite_only
def test_no_password_goes_into_a_log(site):
    """It says how to set one."""
    assert "without a password yet" in site.output()
    assert "manage.py changepassword organiser" in site.output()
    assert "password '" not in site.output()


@sqlite_only
def test_a_password_may_be_piped_in_where_there_is_no_terminal(start):
    """Where nothing is, a sentence says so."""
    site = start("true")
    for answers, code, said in [
        ("", 1, "\nmanage.py changepassword organiser asks for something, and there"),
        ("drei Könige\n" * 2, 0, "Password changed successfully for user 'organiser'"),
    ]:
        run = subprocess.run(
            [sys.executable, "manage.py", "changepassword", "organiser"],
            cwd=ROOT,
            env=site.environment,
            input=answers,
            text=True,
            capture_output=True,
            # A terminal would be asked before what is piped in.
            start_new_session=True,
        )
        assert run.returncode == code
        assert said in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


@sqlite_only
def test_it_starts_with_a_sample_that_takes_a_vote(site):
    assert Voter(site.base).open_and_vote().status == 302
    assert site.counts(1) == (1, 1)


@sqlite_only
def test_workers_share_the_memory_of_the_standard_library(site):
    """9 of their 13 MB, where each would have copied all but 4. uvicorn alone has nobody to share with."""
    assert bool(site.workers()) == site.command.startswith("gunicorn")
    for pid in site.workers():
        memory = Path(f"/proc/{pid}/smaps_rollup").read_text()
        shared = re.search(r"^Shared_Dirty: +(\d+) kB$", memory, re.M)
        assert int(shared[1]) > 7000


@sqlite_only
def test_a_restart_changes_nothing(start):
    site = start("gunicorn polls.wsgi", fresh=True).ready()
    site.shell("from polls.models import Question; Question.objects.all().delete()")
    site.stop()
    site.restart().ready()
    assert site.output().count("The first organiser") == 1
    assert "No polls are available." in Voter(site.base).get("/polls/").text


@sqlite_only
def test_workers_that_start_together_make_one_organiser(start):
    """Without gunicorn.conf.py, which prepares before there are workers."""
    site = start("gunicorn -c /dev/null -w 6 polls.wsgi", fresh=True).ready()
    site.stop()
    assert site.output().count("Booting worker") == 6
    assert site.output().count("The first organiser") == 1
    with site.database() as run:
        assert run("SELECT count(*) FROM auth_user")[0][0] == 1
    assert "ERROR" not in site.output()


NAMED = {
    "DJANGO_SUPERUSER_USERNAME": "ann",
    "DJANGO_SUPERUSER_PASSWORD": "long and hard to guess",
}


def test_the_environment_names_the_first_organiser_once(start):
    """Workers that start together make one; who is there is never changed."""
    site = start("gunicorn -c /dev/null -w 3 polls.wsgi", fresh=True, **NAMED)
    site.ready()
    organiser = Voter(site.base).log_in(*NAMED.values())
    assert "Log out" in organiser.get("/admin/").text
    site.stop()
    assert site.output().count("The first organiser is 'ann'") == 1
    assert NAMED["DJANGO_SUPERUSER_PASSWORD"] not in site.output()
    accounts = "SELECT username, password FROM auth_user"
    with site.database() as run:
        before = run(accounts)
        site.environment |= dict.fromkeys(NAMED, "bensworth")
        site.restart().ready().stop()
        assert run(accounts) == before


def test_it_makes_no_organiser_of_somebody_who_is_none(start):
    site = start("true", **NAMED)
    site.process.wait(10)
    site.add_account("ann", "word")
    with site.database() as run:
        run("UPDATE auth_user SET is_superuser = %s", False)
    site.restart("gunicorn polls.wsgi")
    assert site.process.wait(20) == 1
    assert "DJANGO_SUPERUSER_USERNAME is 'ann', the account of some" in site.output()


@sqlite_only
def test_a_new_version_migrates_the_database(start):
    site = start("gunicorn polls.wsgi").ready()
    site.stop()
    site.manage("migrate", "-v0", "polls", "zero")
    site.restart().ready()
    assert Voter(site.base).get("/polls/").status == 200


@server_only
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_server_database_is_not_migrated_unasked(start, server):
    commands = {
        "gunicorn": "gunicorn polls.wsgi",
        "uvicorn": "uvicorn polls.asgi:application",
    }
    site = start("true")
    site.stop()
    site.manage("migrate", "-v0", "polls", "zero")
    site.restart(commands[server])
    assert site.process.wait(20) == 1
    assert "Run: python manage.py migrate" in site.output()
    assert "Traceback" not in site.output()


@server_only
@pytest.mark.parametrize(
    "server", ["gunicorn polls.wsgi", "gunicorn -c /dev/null polls.wsgi"]
)
def test_a_worker_that_is_replaced_while_the_database_is_away_stops_nothing(
    start, server
):
    site = start(server).ready()
    question = site.ask()
    killed = site.workers()
    with away(site.environment["DATABASE_URL"]):
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(site.workers()) - set(killed)) == 2)
        wait_until(lambda: Voter(site.base).get("/healthz").status == 503)
        assert site.process.poll() is None
    voter = Voter(site.ready().base)
    assert voter.open_and_vote(question).status == 302
    assert site.counts(question) == (1, 1)


@server_only
def test_a_start_waits_for_a_database_that_is_not_there_yet(start):
    site = start("true")
    site.stop()
    with away(site.environment["DATABASE_URL"]):
        site.restart("gunicorn polls.wsgi")
        wait_until(lambda: "Waiting 30 s for it." in site.output())
    assert Voter(site.ready().base).get("/polls/").status == 200


@server_only
def test_a_server_database_gets_no_unasked_account(site):
    assert "password" not in site.output()


@pytest.mark.server
def test_the_repo_keeps_no_secret():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout.split()
    assert "manage.py" in tracked
    assert not [
        name for name in tracked if name.startswith("var/") or "sqlite3" in name
    ]
