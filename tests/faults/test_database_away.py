"""A database that is locked or gone: a clear 503, nothing half-written, and all is well when it is back."""

import contextlib
import re
import sqlite3

import pytest

from tests.support.crowd import Crowd
from tests.support.people import Voter
from tests.support.postgres import away, hang_up

SERVERS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
]


@pytest.mark.sqlite
@pytest.mark.parametrize("command", SERVERS)
def test_a_locked_database_refuses_votes_but_shows_pages(start, tmp_path, command):
    path = tmp_path / "locked.sqlite3"
    site = start(command, DATABASE_URL=f"sqlite:///{path}?timeout=1").ready()
    question = site.ask(kind="ranked")
    voter = Voter(site.base)
    red, blue = re.findall(r'<option value="(\d+)"', voter.open_form(question))[:2]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = voter.post(f"/polls/{question}/vote/", rank1=blue, rank2=red)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "Your vote was not counted" in answer.text
        assert voter.get(f"/polls/{question}/results/").status == 200
        other.execute("ROLLBACK")
    assert site.counts(question) == (0, 0)
    assert voter.press(answer.text).status == 302
    assert site.counts(question) == (1, 1)
    assert voter.press(answer.text).status == 302
    assert site.counts(question) == (1, 1)
    with site.database() as run:
        marks = run("SELECT choice_id FROM polls_mark ORDER BY rank")
    assert [pk for (pk,) in marks] == [int(blue), int(red)]


@pytest.fixture(scope="module", params=SERVERS)
def site(request, share):
    return share(request.param).ready()


@pytest.mark.postgresql
def test_a_database_that_goes_and_comes_back(site):
    question = site.ask()
    voter = Voter(site.base)
    red = voter.open_ballot(question)[0]
    with away(site.environment["DATABASE_URL"]):
        for _ in range(8):
            assert voter.vote(red, question).status == 503
            assert voter.get("/healthz").status == 503
    for _ in range(8):
        assert voter.vote(red, question).status == 302
    assert site.counts(question) == (1, 1)


@pytest.mark.postgresql
def test_broken_connections_lose_no_accepted_vote(site):
    question = site.ask()
    crowd = Crowd(site.base, question, 4)
    for _ in range(10):
        crowd.wait_for_answers(8)
        hang_up(site.environment["DATABASE_URL"])
    crowd.stop()
    assert set(crowd.statuses) <= {302, 503}
    votes, ballots = site.counts(question)
    # A commit whose confirmation was cut off is answered 503 and may count; never the other way.
    assert crowd.statuses.count(302) <= votes == ballots <= len(crowd.statuses)
    assert "Totals that differ: 0." in site.manage("recount")
