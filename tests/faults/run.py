"""One fault on one server and database, while people vote."""

from dataclasses import replace

from tests.faults.faults import SERVERS, Fault
from tests.faults.ledger import Verdict
from tests.faults.scene import setting

# Accepted votes before the fault, and after it.
VOTES = 20


def run(fault: Fault, server: str, database: str, seconds: float = 3) -> Verdict:
    with setting(fault.place, SERVERS[server], database, seconds) as scene:
        voters = scene.voters
        assert voters.wait_for(VOTES), scene.site.output()
        fault.strike(scene)
        recovers = voters.wait_for(VOTES)
        voters.stop()
        verdict = voters.ledger.verdict(scene.site, scene.question)
        if recovers:
            return verdict
        return replace(verdict, wrong=f"No votes after it. {verdict.wrong}")
