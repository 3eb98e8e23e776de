"""Voters who send their vote again until it is accepted: each is to have one ballot then, no more and no less."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from tests.support.crowd import CUT_OFF
from tests.support.people import Voter
from tests.support.waiting import wait_until

# Seconds until a browser is reloaded, or its vote sent again.
PAUSE = 0.05


class PatientCrowd:
    """So many at a time vote, each time as somebody new, until they are stopped."""

    def __init__(self, base: str, question: int, number: int, **headers: str) -> None:
        self.base, self.question, self.headers = base, question, headers
        # When votes were accepted, and what was said instead of that.
        self.accepted: list[float] = []
        self.refused: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(number)
        self._voters = [self._threads.submit(self._vote_on) for _ in range(number)]

    def wait_for_votes(self, number: int, seconds: float = 60) -> None:
        """Wait until so many more are accepted."""
        enough = len(self.accepted) + number
        wait_until(lambda: len(self.accepted) >= enough, seconds)

    @property
    def silence(self) -> float:
        """The longest time without an accepted vote, in seconds."""
        times = sorted(self.accepted)
        return max(later - earlier for earlier, later in pairwise(times))

    def _vote_on(self) -> None:
        while not self._stopped.is_set():
            voter = Voter(self.base, headers=self.headers)
            choices = self._choices(voter)
            # Whoever has sent a vote stays until it is accepted.
            while choices and not self._is_accepted(voter, choices[0]):
                time.sleep(PAUSE)

    def _choices(self, voter: Voter) -> list[str]:
        """Load the ballot page; none are on the page of a 503."""
        try:
            return voter.open_ballot(self.question)
        except CUT_OFF:
            time.sleep(PAUSE)
            return []

    def _is_accepted(self, voter: Voter, choice: str) -> bool:
        try:
            said = str(voter.vote(choice, self.question).status)
        except CUT_OFF as error:
            said = type(error).__name__
        if said == "302":
            self.accepted.append(time.monotonic())
        else:
            self.refused[said] += 1
        return said == "302"

    def stop(self) -> None:
        """Wait for the last of them. Raises what went wrong."""
        self._stopped.set()
        self._threads.shutdown()
        for voter in self._voters:
            voter.result()
