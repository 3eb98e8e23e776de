"""What a fail-over of PostgreSQL costs, and how soon a vote on one machine is seen on another.

usage: python -m bench.fail_over [VOTES]   before and after each fail-over, and as often to the stream; prints two tables
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.patient import PatientCrowd
from tests.support.people import Voter
from tests.support.servers import Site
from tests.support.standby import Pair, primary_with_standby

SERVERS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
]
# Seconds. Between two looks of the reader of live results.
TICK = 0.25
# Until somebody promotes the standby.
ASLEEP = 3


def killed(pair: Pair) -> None:
    pair.primary.kill()
    time.sleep(ASLEEP)
    pair.take_over()


def frozen(pair: Pair) -> None:
    """As a machine whose network is gone: nobody is refused, and nobody gets an answer."""
    pair.primary.freeze()
    time.sleep(ASLEEP)
    pair.take_over()


def shut_down(pair: Pair) -> None:
    pair.primary.stop()
    pair.take_over()


def demoted(pair: Pair) -> None:
    """Too soon: what is being committed waits for a standby that is none any more."""
    pair.primary.set("default_transaction_read_only", "on")
    pair.take_over()


WAYS: list[tuple[str, Callable[[Pair], None]]] = [
    ("killed, the standby promoted after 3 s", killed),
    ("frozen, the standby promoted after 3 s", frozen),
    ("shut down, the standby promoted at once", shut_down),
    ("read-only, the standby promoted at once", demoted),
]


@contextmanager
def served(command: str, url: str, **environment: str) -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(
            command, Path(folder) / "site", {"DATABASE_URL": url, **environment}
        )
        try:
            yield site.ready()
        finally:
            site.kill()


def fail_over(
    site: Site, pair: Pair, lose: Callable[[Pair], None], votes: int
) -> list[object]:
    pair.replicate()
    question = site.ask()
    crowd = PatientCrowd(site.base, question, 8)
    crowd.wait_for_votes(votes, 60)
    before = len(crowd.accepted)
    lose(pair)
    crowd.wait_for_votes(votes, 60)
    crowd.stop()
    counted, ballots = site.counts(question)
    assert counted == ballots
    accepted = len(crowd.accepted)
    lost, doubled = max(accepted - ballots, 0), max(ballots - accepted, 0)
    said = ", ".join(f"{status} × {n}" for status, n in crowd.refused.items())
    return [before, accepted - before, lost, doubled, f"{crowd.silence:.1f}", said]


def stream(one: Site, other: Site, votes: int) -> list[float]:
    """Return the milliseconds from the answer of a vote on one machine to the event on the stream of the other."""
    question, delays = one.ask(), []
    with Voter(one.base).watching(f"/polls/{question}/live/") as events:
        next(events)
        for number in range(1, votes + 1):
            # The reader looks every quarter of a second: not always just before the vote.
            time.sleep(random.uniform(0, TICK))
            Voter(other.base).open_and_vote(question)
            answered = time.monotonic()
            while json.loads(next(events))["ballots"] < number:
                pass
            delays.append((time.monotonic() - answered) * 1000)
    return delays


def row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    votes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with primary_with_standby() as pair:
        url = pair.new_database("polls")
        row("server", "the primary is", "votes before", "after", "lost", "doubled", "seconds without", "refused")  # fmt: skip
        row(*["---"] * 8)
        for command in SERVERS:
            with served(command, url) as site:
                for name, lose in WAYS:
                    row(f"`{command}`", name, *fail_over(site, pair, lose, votes))
        keys = {"SECRET_KEY": "the same on both of these machines, and long enough"}
        with served(SERVERS[1], url, **keys) as one, served(SERVERS[1], url, **keys) as other:  # fmt: skip
            delays = stream(one, other, votes)
    median, late = statistics.median(delays), statistics.quantiles(delays, n=20)[-1]
    print(f"\nFrom a vote to the stream of the other machine: {median:.0f} ms, p95 {late:.0f} ms, {len(delays)} votes.")  # fmt: skip


if __name__ == "__main__":
    main()
