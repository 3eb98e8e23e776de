"""Every command of the README as a real server, taking votes."""

import signal
import time

import pytest

from tests.support.crowd import Crowd
from tests.support.people import Voter
from tests.support.servers import COMMANDS, ROOT, Site
from tests.support.waiting import wait_until

# One of each kind of worker on PostgreSQL too; how the others load the site has nothing to do with the database.
KINDS = {
    "gunicorn polls.wsgi",
    "gunicorn polls.wsgi -k gthread --threads 4",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "gunicorn polls.asgi -k asgi",
    "uvicorn polls.asgi:application",
}
ON_EACH_DATABASE = [
    pytest.param(c, marks=[] if c in KINDS else pytest.mark.once) for c in COMMANDS
]
WITHOUT_CONFIGURATION = [c for c in COMMANDS if c in KINDS and "gunicorn" in c]


def check_cut_off(site: Site) -> None:
    """Send a vote of which the end is missing. The number that is left is a choice of the poll, too."""
    question = site.ask("Which number?", *"ABCDEFGHIJK")
    voter = Voter(site.base)
    first = voter.open_ballot(question)[0]
    body = f"csrfmiddlewaretoken={voter.token}&choice={first}".encode()
    path = f"/polls/{question}/vote/"
    length = f"Content-Length: {len(body) + 1}"
    answer = voter.send(path, body, length, goes_then=True)
    assert site.counts(question) == (0, 0)
    # ASGI servers answer nobody: the client has gone.
    assert " 400 " in answer if site.serves_wsgi else not answer


def check_chunked(site: Site) -> None:
    """Vote without naming the length of the form, as some programs do."""
    question = site.ask()
    voter = Voter(site.base)
    choice = voter.open_ballot(question)[0]
    body = f"csrfmiddlewaretoken={voter.token}&choice={choice}".encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    voter.send(f"/polls/{question}/vote/", chunks, "Transfer-Encoding: chunked")
    assert site.counts(question) == (1, 1)


def check_site(site: Site) -> None:
    """Do what a voter does: look, vote, vote again, look at the results."""
    question = site.ask()
    ann = Voter(site.base)
    assert "Which colour?" in ann.get("/polls/").text
    red, blue = ann.open_ballot(question)
    first = ann.vote(red, question)
    assert (first.status, first.headers["Location"]) == (
        302,
        f"/polls/{question}/results/",
    )
    assert ann.vote(blue, question).status == 302
    page = ann.get(f"/polls/{question}/results/").text
    assert "1 ballot<" in page and "Your vote" in page
    assert "The choices may have changed" in ann.vote("nonsense", question).text
    assert ann.get("/polls/999/").status == 404
    assert "--paper" in ann.get("/static/polls/style.css").text
    assert "Log in" in ann.get("/admin/login/").text
    assert site.counts(question) == (1, 1)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
    assert ann.request("GET", "/polls/", **upgrade).status in {200, 403}
    check_cut_off(site)
    check_chunked(site)
    output = site.output()
    assert "unsupported" not in output
    assert "Traceback" not in output
    assert "127.0.0.1:" not in output.replace(f"127.0.0.1:{site.port}", "")
    if site.command.startswith("uvicorn"):
        assert '- - "GET /polls/ HTTP/1.1" 200' in output


@pytest.mark.server
@pytest.mark.once
@pytest.mark.parametrize("command", WITHOUT_CONFIGURATION)
def test_it_takes_votes_without_gunicorn_conf(tmp_path, command):
    (tmp_path / "polls").symlink_to(ROOT / "polls")
    site = Site(command, tmp_path / "site", cwd=tmp_path)
    try:
        check_site(site.ready())
    finally:
        site.stop()


@pytest.mark.parametrize("command", ON_EACH_DATABASE)
def test_it_takes_votes_and_finishes_what_it_has_taken_when_told_to_stop(
    start, command, tmp_path
):
    """The votes in flight provably wait in the server: the test holds the lock that they need."""
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    site = start(command, WEB_CONCURRENCY="2", **home).ready()
    check_site(site)
    # gunicorn would open a socket for its remote control.
    assert not list(tmp_path.rglob("*.ctl"))
    question = site.ask()
    crowd = Crowd(site.base, question, 4)
    crowd.wait_for_answers(20)
    # A sync worker takes one at a time.
    at_work = 2 if site.is_sync else 4
    with site.locked(question) as vote_waits:
        wait_until(lambda: vote_waits() and crowd.in_flight >= at_work)
        # Nothing tells from outside when each worker has taken its vote, or heard that it shall stop.
        time.sleep(0.2)
        site.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        answered = len(crowd.statuses)
    site.process.wait(10)
    crowd.join()
    if "--lifespan off" not in command:
        # SQLite's log has gone into the database: who copies that has all votes.
        assert not (site.folder / "polls.sqlite3-wal").exists()
    assert set(crowd.statuses) == {302}
    assert len(crowd.statuses) - answered >= at_work
    votes, ballots = site.counts(question)
    # A vote can be counted whose answer the closing server no longer sent; none the other way.
    assert len(crowd.statuses) <= votes == ballots <= len(crowd.statuses) + 4


@pytest.mark.once
def test_it_binds_all_interfaces_with_the_agreed_number_of_workers(monkeypatch):
    import multiprocessing
    import runpy

    for name in ("HOST", "PORT", "WEB_CONCURRENCY", "WORKER_CLASS"):
        monkeypatch.delenv(name, raising=False)
    settings = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    assert settings["bind"] == "0.0.0.0:8000"
    assert settings["workers"] == multiprocessing.cpu_count() * 2 - 1
