"""A PostgreSQL with a synchronous standby: what a start says of them, and what a fail-over costs."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.patient import PatientCrowd
from tests.support.people import Voter
from tests.support.servers import load_site
from tests.support.standby import Pair, primary_with_standby
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.server,
    pytest.mark.xdist_group("failover"),
]


@pytest.fixture(scope="module")
def pair():
    with primary_with_standby() as pair:
        pair.primary.ask("CREATE ROLE ann LOGIN PASSWORD 'right'")
        access = pair.primary.data / "pg_hba.conf"
        access.write_text("host all ann all scram-sha-256\n" + access.read_text())
        pair.primary.ask("SELECT pg_reload_conf()")
        yield pair


def wrong_password(pair: Pair) -> str:
    return pair.url().replace("postgres@", "ann:hunter2@")


def unknown_database(pair: Pair) -> str:
    return pair.url("nowhere")


def standby_alone(pair: Pair) -> str:
    return pair.standby.url


def without_tls(pair: Pair) -> str:
    return pair.url(options="&sslmode=verify-full&sslrootcert=/nowhere/ca.pem")


def unmigrated(pair: Pair) -> str:
    return pair.url()


SAID = {
    wrong_password: "Correct the user or the password in DATABASE_URL.",
    unknown_database: "Create that database, or name another one in DATABASE_URL.",
    standby_alone: "That is a standby: promote it, or name in DATABASE_URL the host that takes votes.",
    without_tls: "Correct sslmode and the files of sslrootcert, sslcert and sslkey in DATABASE_URL.",
    unmigrated: "The database is not up to date. Run: python manage.py migrate",
}


@pytest.mark.parametrize("url", SAID)
def test_a_start_says_in_one_sentence_what_is_wrong(pair, url):
    done = load_site(DATABASE_URL=url(pair))
    assert done.returncode == 1
    *waits, said = done.stderr.splitlines()
    assert said.endswith(SAID[url])
    # Another host may be promoted meanwhile; the rest is sure at once.
    assert len(waits) == (url is standby_alone)
    assert "hunter2" not in done.stderr


@pytest.fixture(scope="module")
def database(pair):
    return pair.new_database("polls")


@pytest.fixture(
    scope="module",
    params=[
        "gunicorn polls.wsgi",
        "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    ],
)
def site(request, share, database):
    """One that is never started anew, whatever becomes of the servers."""
    return share(request.param, DATABASE_URL=database).ready()


@pytest.mark.parametrize("lose", [Pair.fail_over, Pair.demote])
def test_votes_go_on_when_the_standby_is_promoted(site, pair, lose):
    """Whoever is told nothing, or to try again, sends the same vote with the same cookie until it is accepted."""
    pair.replicate()
    question = site.ask()
    crowd = PatientCrowd(site.base, question, 4)
    crowd.wait_for_votes(20)
    lose(pair)
    crowd.wait_for_votes(20)
    crowd.assert_counted_once(site)


def test_a_stream_goes_on_with_the_promoted_standby(site, pair):
    """Also while the old primary would still answer."""
    question, viewer = site.ask(), Voter(site.base)
    if site.serves_wsgi:
        assert viewer.get(f"/polls/{question}/live/").status == 204
        return
    pair.replicate()
    with viewer.watching(f"/polls/{question}/live/") as events:
        assert json.loads(next(events))["ballots"] == 0
        pair.demote()
        crowd = PatientCrowd(site.base, question, 1)
        crowd.wait_for_votes(1)
        crowd.stop()
        assert json.loads(next(events))["ballots"] >= 1


# A commit that is written here and waits for the standby.
WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def test_a_vote_whose_confirmation_was_lost_is_counted_once(site, pair):
    pair.replicate()
    question, voter = site.ask(), Voter(site.base)
    red, _ = voter.open_ballot(question)
    pair.standby.freeze()
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(voter.vote, red, question)
        wait_until(
            lambda: pair.primary.ask(f"SELECT pg_terminate_backend(pid) {WAITING}")
        )
        answer = sent.result()
    pair.standby.thaw()
    assert answer.status == 503 and "may not have been counted" in answer.text
    assert site.counts(question) == (1, 1)
    assert voter.press(answer.text).status == 302
    assert site.counts(question) == (1, 1)
