"""Voters who send their vote again until it is accepted: each is to have one ballot then, no more and no less."""

import time
from collections import Counter
from itertools import pairwise

from tests.support.crowd import CUT_OFF, Visitors
from tests.support.people import Voter
from tests.support.servers import Site
from tests.support.waiting import wait_until

# Seconds until a browser is reloaded, or its vote sent again.
PAUSE = 0.05


class PatientCrowd(Visitors):
    """They press the button until the vote is accepted."""

    def __init__(self, base: str, question: int, number: int, **headers: str) -> None:
        self.base, self.question, self.headers = base, question, headers
        # When votes were accepted, and what was said instead of that.
        self.accepted: list[float] = []
        self.refused: Counter[str] = Counter()
        super().__init__(number)

    def wait_for_votes(self, number: int, seconds: float = 60) -> None:
        """Wait until so many more are accepted."""
        enough = len(self.accepted) + number
        wait_until(lambda: len(self.accepted) >= enough, seconds)

    @property
    def silence(self) -> float:
        """The longest time without an accepted vote, in seconds."""
        times = sorted(self.accepted)
        return max(later - earlier for earlier, later in pairwise(times))

    def _visit(self, turn: int) -> None:
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

    def assert_counted_once(self, site: Site) -> None:
        """Stop; each accepted vote is one ballot, and the rest were told to try again."""
        self.stop()
        accepted = len(self.accepted)
        assert site.counts(self.question) == (accepted, accepted)
        assert set(self.refused) <= {"503"}
