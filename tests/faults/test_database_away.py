"""A database that is locked or gone: a clear 503, nothing half-written, and all is well when it is back."""

import contextlib
import sqlite3
import threading
import time

import psycopg
import pytest

from tests.support.people import Voter

SERVERS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
]


@pytest.mark.sqlite
@pytest.mark.parametrize("command", SERVERS)
def test_a_locked_database_refuses_votes_but_shows_pages(start, tmp_path, command):
    path = tmp_path / "locked.sqlite3"
    site = start(command, DATABASE_URL=f"sqlite:///{path}?timeout=1").ready()
    question = site.ask()
    voter = Voter(site.base)
    red = voter.open_ballot(question)[0]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = voter.vote(red, question)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "a vote that is sent twice counts once" in answer.text
        assert voter.get(f"/polls/{question}/results/").status == 200
        other.execute("ROLLBACK")
    assert site.counts(question) == (0, 0)
    assert voter.vote(red, question).status == 302
    assert site.counts(question) == (1, 1)


@pytest.mark.postgresql
@pytest.mark.parametrize("command", SERVERS)
def test_a_database_that_goes_and_comes_back(start, command):
    site = start(command).ready()
    question = site.ask()
    voter = Voter(site.base)
    red = voter.open_ballot(question)[0]
    with server_of(site) as (server, name):
        server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        hang_up(server, name)
        for _ in range(8):
            assert voter.vote(red, question).status == 503
            assert voter.get("/healthz").status == 503
        server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        for _ in range(8):
            assert voter.vote(red, question).status == 302
        assert site.counts(question) == (1, 1)


@pytest.mark.postgresql
@pytest.mark.parametrize("command", SERVERS)
def test_broken_connections_lose_no_accepted_vote(start, command):
    site = start(command).ready()
    question = site.ask()
    accepted, done = [], threading.Event()

    def keep_voting():
        while not done.is_set():
            voter = Voter(site.base)
            choices = voter.open_ballot(question)
            if choices:
                accepted.append(voter.vote(choices[0], question).status)

    voters = [threading.Thread(target=keep_voting) for _ in range(4)]
    for thread in voters:
        thread.start()
    with server_of(site) as (server, name):
        for _ in range(10):
            time.sleep(0.2)
            hang_up(server, name)
    done.set()
    for thread in voters:
        thread.join()
    assert set(accepted) <= {302, 503}
    votes, ballots = site.counts(question)
    # A commit whose confirmation was cut off is answered 503 and may count; never the other way.
    assert accepted.count(302) <= votes == ballots <= len(accepted)
    assert "Totals that differ: 0." in site.manage("recount")


@contextlib.contextmanager
def server_of(site):
    url = site.environment["DATABASE_URL"]
    name = url.split("@/")[1].split("?")[0]
    with psycopg.connect(
        url.replace(f"/{name}?", "/postgres?"), autocommit=True
    ) as server:
        yield server, name


def hang_up(server, name):
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
        [name],
    )
