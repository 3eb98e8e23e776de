"""make faults in short: what no other test breaks, and whether the ledger sees what it looks for."""

import pytest

from tests.faults.faults import FAULTS, SERVERS
from tests.faults.ledger import Ledger, Voters
from tests.faults.run import run
from tests.faults.scene import POSTGRESQL, SQLITE
from tests.support.servers import Site

pytestmark = pytest.mark.server

ON_SQLITE = [("resets", "UvicornWorker"), ("clock", "gunicorn sync")]
ON_POSTGRESQL = [("backend", "gunicorn sync"), ("postmaster", "UvicornWorker")]


def check(fault: str, server: str, database: str) -> None:
    verdict = run(FAULTS[fault], server, database, seconds=0.5)
    assert verdict.accepted >= 40 and verdict.is_good, verdict
    assert not {"500", "page without the receipt"} & set(verdict.seen)


@pytest.mark.sqlite
@pytest.mark.parametrize("fault, server", ON_SQLITE)
def test_a_fault_loses_no_accepted_vote(fault, server):
    check(fault, server, SQLITE)


@pytest.mark.postgresql
@pytest.mark.parametrize("fault, server", ON_POSTGRESQL)
def test_a_fault_of_postgresql_loses_no_accepted_vote(fault, server):
    check(fault, server, POSTGRESQL)


@pytest.fixture(scope="module")
def site(share) -> Site:
    return share(SERVERS["UvicornWorker"], WEB_CONCURRENCY="1").ready()


def votes(site: Site, question: int) -> Ledger:
    voters = Voters(site.base, question)
    assert voters.wait_for(10)
    voters.stop()
    return voters.ledger


@pytest.mark.sqlite
def test_the_ledger_sees_votes_that_are_lost_or_doubled(site):
    question, other = site.ask(), site.ask()
    ledger, stray = votes(site, question), votes(site, other)
    verdict = ledger.verdict(site, question)
    assert (verdict.lost, verdict.doubled, verdict.wrong) == (0, 0, "")
    lost, move = ledger.entries[0].receipt, stray.entries[0].receipt
    away = "UPDATE polls_ballot SET question_id = %s WHERE receipt = %s"
    with site.database() as run:
        run(away, other, lost)
        verdict = ledger.verdict(site, question)
        assert (
            verdict.lost == 1 and f"votes for {verdict.accepted - 1}" in verdict.wrong
        )
        run(away, question, move)
    verdict = ledger.verdict(site, question)
    assert (verdict.lost, verdict.doubled) == (1, 1)
