"""The site behind PgBouncer, over TLS: votes, changes, streams and files are as without it."""

import json
import re
import time

import pytest

from tests.support.patient import PatientCrowd
from tests.support.people import Voter
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import hang_up, new_database
from tests.support.servers import ROOT, load_site

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.server,
    pytest.mark.xdist_group("pgbouncer"),
]

# Each with the server that asks more of it: one worker keeps what it has prepared, or many threads share.
MODES = {
    "session": "gunicorn polls.wsgi",
    "transaction": "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
}


def shipped_setup() -> str:
    """Return what docs/postgresql.md has each connection begin with."""
    text = (ROOT / "docs" / "postgresql.md").read_text()
    return re.search("connect_query='(.+)'", text)[1].replace("''", "'")


@pytest.fixture(scope="module")
def database():
    return new_database(f"pooled_{time.monotonic_ns()}")


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def pooled(database, mode):
    with pgbouncer(database, mode, shipped_setup()) as url:
        yield url


@pytest.fixture(scope="module")
def site(share, pooled, mode):
    return share(MODES[mode], DATABASE_URL=pooled, DATABASE_POOLER=mode).ready()


def test_votes_through_a_pooler_are_counted_once(site, database):
    """Also those whose connection breaks."""
    question = site.ask()
    crowd = PatientCrowd(site.base, question, 8)
    for _ in range(3):
        crowd.wait_for_votes(20)
        hang_up(database)
    crowd.wait_for_votes(20)
    crowd.assert_counted_once(site)


def test_a_vote_through_a_pooler_is_changed_and_published(site):
    question = site.ask()
    voter = Voter(site.base)
    red, blue = voter.open_ballot(question)
    assert voter.vote(red, question).status == voter.vote(blue, question).status == 302
    told = json.loads(voter.get(f"/polls/{question}/results.json").text)
    assert [choice["votes"] for choice in told["choices"]] == [0, 1]
    site.close(question)
    assert "2. Blue" in voter.get(f"/polls/{question}/ballots.csv").text


@pytest.mark.parametrize("mode", ["session"], indirect=True)
@pytest.mark.parametrize("root", ["/nowhere", "/etc/ssl/certs/ca-certificates.crt"])
def test_a_start_does_not_trust_just_any_certificate(pooled, root):
    done = load_site(
        DATABASE_URL=f"{pooled.partition('&sslrootcert')[0]}&sslrootcert={root}"
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "certificate" in said and "sslrootcert" in said


def test_a_pooler_that_sets_no_limits_is_refused(database):
    with pgbouncer(database, "transaction") as url:
        done = load_site(DATABASE_URL=url, DATABASE_POOLER="transaction")
    assert done.returncode == 1
    assert "lock_timeout, statement_timeout" in done.stderr
