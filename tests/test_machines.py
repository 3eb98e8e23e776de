"""Two machines behind nginx that share PostgreSQL and the secret, and nothing else."""

import json
import time

import pytest

from tests.support.nginx import NAME, Nginx
from tests.support.patient import PatientCrowd
from tests.support.people import Voter
from tests.support.postgres import new_database
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgresql, pytest.mark.server]

# All of 127.0.0.0/8 is this machine, and each address is another one to nginx.
ADDRESSES = ["127.0.0.2", "127.0.0.3"]
SHARED = {
    "SITE_URL": f"https://{NAME}",
    "SECRET_KEY": "the same on each of the machines, and long enough",
    "FORWARDED_ALLOW_IPS": "127.0.0.1",
    "WEB_CONCURRENCY": "1",
}


@pytest.fixture(scope="module")
def machines(share):
    """Each has a data folder of its own."""
    shared = SHARED | {"DATABASE_URL": new_database(f"shared_{time.monotonic_ns()}")}
    command = "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker"
    begun = [
        share(command, HOST=host, ALLOWED_HOSTS=host, **shared) for host in ADDRESSES
    ]
    return [site.ready() for site in begun]


@pytest.fixture(scope="module")
def nginx(machines, tmp_path_factory):
    ports = [site.port for site in machines]
    pairs = zip(ADDRESSES, ports, strict=True)
    elsewhere = {f"127.0.0.1:{port}": f"{host}:{port}" for host, port in pairs}
    with Nginx(tmp_path_factory.mktemp("nginx"), *ports, changes=elsewhere) as nginx:
        yield nginx


def at(site) -> Voter:
    """Somebody whom nginx has sent to this machine."""
    return Voter(
        site.base,
        headers={
            "Host": NAME,
            "X-Forwarded-Proto": "https",
            "Origin": f"https://{NAME}",
        },
    )


def ballots(events) -> int:
    return json.loads(next(events))["ballots"]


def test_a_vote_on_one_is_on_the_stream_of_the_other(machines):
    one, other = machines
    question = one.ask()
    viewer = at(one)
    with viewer.watching(f"/polls/{question}/live/") as events:
        assert ballots(events) == 0
        assert at(other).open_and_vote(question).status == 302
        assert ballots(events) == 1


def test_who_votes_on_one_is_known_on_the_other(machines):
    """Token, cookie, choice and account are good on both."""
    one, other = machines
    question = one.ask()
    voter = at(one)
    red, blue = voter.open_ballot(question)
    voter.base = other.base
    assert voter.vote(red, question).status == 302
    voter.base = one.base
    assert "Your vote" in voter.get(f"/polls/{question}/results/").text
    assert voter.vote(blue, question).status == 302
    assert one.counts(question) == (1, 1)


def test_a_machine_that_dies_takes_no_accepted_vote_along(machines, nginx):
    """Its viewers come back by nginx, to the other one."""
    one, other = machines
    question = one.ask()
    stream = f"/polls/{question}/live/"
    crowd = PatientCrowd(nginx.base, question, 4, Host=NAME, Origin=f"https://{NAME}")
    with at(one).watching(stream) as events, at(other).watching(stream) as others:
        seen = ballots(events)
        crowd.wait_for_votes(20)
        one.kill()
        seen = max([seen, *(json.loads(event)["ballots"] for event in events)])
        crowd.wait_for_votes(20)
        wait_until(lambda: ballots(others) >= 40)
    with nginx.voter().watching(stream) as events:
        assert ballots(events) >= max(seen, 40)
    crowd.assert_counted_once(other)
    one.restart().ready()
