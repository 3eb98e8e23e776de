"""Ways in which a site gets new code, and people who vote and read meanwhile, of whom none may notice.

usage: python -m tests.support.restarts SECONDS    goes through all of them, on each kind of server, again and again
"""

import contextlib
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.crowd import CUT_OFF, Visitors
from tests.support.nginx import NAME, Nginx
from tests.support.people import Voter
from tests.support.servers import Site, children
from tests.support.waiting import wait_until

SERVERS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
]
WANTED = {"page", "vote 302", "results 200"}


class Load(Visitors):
    """They open a ballot page, vote and look at the results."""

    def __init__(
        self, question: int, people: int, new_voter: Callable[[], Voter]
    ) -> None:
        self._question, self._new_voter = question, new_voter
        self._lock = threading.Lock()
        # What they got, by its count.
        self.answers: Counter[str] = Counter()
        super().__init__(people)

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def votes(self) -> int:
        return self.answers["vote 302"]

    @property
    def unwanted(self) -> dict[str, int]:
        return {a: n for a, n in self.answers.items() if a not in WANTED}

    def wait_for_votes(self, number: int) -> None:
        """Wait for so many more."""
        enough = self.votes + number
        wait_until(lambda: self.votes >= enough, 30)

    def _visit(self, turn: int) -> None:
        for answer in self._answers(self._new_voter()):
            with self._lock:
                self.answers[answer] += 1

    def _answers(self, voter: Voter) -> Iterator[str]:
        step = "page"
        try:
            choices = voter.open_ballot(self._question)
            yield "page" if choices else "no page"
            for choice in choices[:1]:
                step = "vote"
                yield f"vote {voter.vote(choice, self._question).status}"
                step = "results"
                results = voter.get(f"/polls/{self._question}/results/")
                yield f"results {results.status}"
        except CUT_OFF as error:
            yield f"{step} {error!r}"


def reload(site: Site) -> None:
    """Have the master start workers with the new code, and end the others."""
    before = set(site.workers())
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & set(site.workers()), 40)


def restart(site: Site) -> None:
    """Stop, and start again, as systemd does; whoever comes meanwhile waits in the socket."""
    site.stop()
    site.restart()


def upgrade(site: Site) -> None:
    """Have the master start another one, of a new gunicorn perhaps, and end the old one, which is the site's process."""
    before = set(site.workers())
    site.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: set(site.workers()) - before, 40)
    (master,) = set(site.workers()) - before
    wait_until(lambda: len(children(master)) == len(before), 40)
    site.stop()


@contextlib.contextmanager
def listening(folder: Path, command: str, **environment: str) -> Iterator[Site]:
    """Start a site on a socket that outlives it, answering to nginx."""
    environment |= {"ALLOWED_HOSTS": NAME, "WEB_CONCURRENCY": "2"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = Site(command, folder, environment, fresh=False, listener=listener)
        try:
            yield site.ready()
        finally:
            site.kill()


def go_through(
    folder: Path, command: str, people: int = 3, votes: int = 10
) -> tuple[Load, Load, tuple[int, int]]:
    """Go through all ways; return who came through nginx, who came past it, and what was counted."""
    with listening(folder / "site", command) as site, Nginx(folder, site.port) as nginx:
        question = site.ask()
        with (
            Load(question, people, nginx.voter) as through,
            Load(question, people, lambda: Voter(site.base)) as past,
        ):
            for way in (reload, restart, upgrade):
                through.wait_for_votes(votes)
                past.wait_for_votes(votes)
                way(site)
            through.wait_for_votes(votes)
            past.wait_for_votes(votes)
        return through, past, site.counts(question)


def roll(
    folder: Path, people: int = 3, votes: int = 10
) -> tuple[Load, tuple[int, int]]:
    """Restart two sites, one after the other; return who came through nginx, and what was counted."""
    with contextlib.ExitStack() as held:
        first = held.enter_context(listening(folder / "first", SERVERS[0]))
        data = {"DATA_DIR": str(first.folder)}
        if "DATABASE_URL" in first.environment:
            data["DATABASE_URL"] = first.environment["DATABASE_URL"]
        second = held.enter_context(listening(folder / "second", SERVERS[1], **data))
        nginx = held.enter_context(Nginx(folder, first.port, second.port))
        question = first.ask()
        with Load(question, people, nginx.voter) as load:
            for site in (first, second):
                load.wait_for_votes(votes)
                restart(site)
                site.ready()
            load.wait_for_votes(votes)
        return load, first.counts(question)


def main() -> None:
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        for command in SERVERS:
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                through, past, counts = go_through(Path(folder), command, 8, 300)
            accepted = through.votes + past.votes
            print(
                command,
                f"{time.monotonic() - began:.1f} s, accepted {accepted}, counted {counts}",
            )
            print("  through nginx:", dict(through.answers))
            print("  past it:", dict(past.answers), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            load, counts = roll(Path(folder), 8, 300)
        print("two servers, one after the other, counted", counts, dict(load.answers))


if __name__ == "__main__":
    main()
