"""Many voters at once, on 127.0.0.1 only.

usage: python -m tests.support.crowd BASE QUESTION VOTERS [CLICKS]   prints one status or fault a line, by its count
"""

import http.client
import sys
import threading
import urllib.parse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tests.support.people import Voter
from tests.support.waiting import wait_until

CUT_OFF = (OSError, http.client.HTTPException)


class Visitors:
    """So many at a time come, each time as somebody new, until they are stopped."""

    def __init__(self, number: int) -> None:
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(number)
        self._runs = [self._threads.submit(self._come, n) for n in range(number)]

    def _come(self, turn: int) -> None:
        while not self._stopped.is_set():
            self._visit(turn)
            turn += 1

    def _visit(self, turn: int) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Let those who are there finish. Raises what went wrong."""
        self._stopped.set()
        self.join()

    def join(self) -> None:
        """Wait for the last of them. Raises what went wrong."""
        self._threads.shutdown()
        for run in self._runs:
            run.result()


class Crowd(Visitors):
    """They vote, until they are stopped or the server is gone."""

    def __init__(
        self,
        base: str,
        question: int,
        number: int,
        gone: tuple[type[Exception], ...] = (ConnectionError,),
    ) -> None:
        self.base, self.question, self.gone = base, question, gone
        self.statuses: list[int] = []
        self._sent: list[Voter] = []
        super().__init__(number)

    @property
    def in_flight(self) -> int:
        """How many votes were sent and not yet answered."""
        return len(self._sent) - len(self.statuses)

    def wait_for_answers(self, number: int) -> None:
        """Wait for so many more."""
        enough = len(self.statuses) + number
        wait_until(lambda: len(self.statuses) >= enough)

    def _come(self, turn: int) -> None:
        with suppress(*self.gone):
            super()._come(turn)

    def _visit(self, turn: int) -> None:
        voter = Voter(self.base)
        # None is on the page of a 503.
        for choice in voter.open_ballot(self.question)[:1]:
            self._sent.append(voter)
            self.statuses.append(voter.vote(choice, self.question).status)


def click(voter: Voter, choice: str, question: int) -> str:
    try:
        return str(voter.vote(choice, question).status)
    except CUT_OFF as error:
        return type(error).__name__


def send_in(base: str, question: int, voters: int, clicks: int) -> Counter[str]:
    """Let each voter load the ballot page and click: once, or several times at the same moment."""
    outcomes: Counter[str] = Counter()
    with ThreadPoolExecutor(clicks) as threads:
        for n in range(voters):
            voter = Voter(base)
            try:
                choices = voter.open_ballot(question)
            except CUT_OFF as error:
                outcomes[f"page: {type(error).__name__}"] += 1
                continue
            clicked = [
                threads.submit(click, voter, choices[(n + i) % len(choices)], question)
                for i in range(clicks)
            ]
            outcomes.update(each.result() for each in clicked)
    return outcomes


def main() -> None:
    base, question, voters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    clicks = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    assert urllib.parse.urlsplit(base).hostname == "127.0.0.1"
    for outcome, count in send_in(base, question, voters, clicks).items():
        print(outcome, count, sep="\t")


if __name__ == "__main__":
    main()
