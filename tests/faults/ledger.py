"""Voters under a fault, and the ledger of what each was told, to be held against the database."""

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.support.crowd import CUT_OFF, Visitors
from tests.support.people import Answer, Voter
from tests.support.servers import Site

T = TypeVar("T")

RECEIPT = re.compile(r'href="/r/(\w{12})/"')
# So many vote at a time, and wait so many seconds before they press the button again.
VOTERS, PAUSE = 6, 0.1
# Seconds until whoever still has no answer gives up, after the load has ended.
PATIENCE = 60


@dataclass
class Entry:
    """One voter who has sent a vote."""

    accepted: bool = False
    receipt: str = ""


@dataclass(frozen=True)
class Verdict:
    """Voters who were told that their vote is accepted, and what became of it; seconds without any accepted vote."""

    accepted: int
    lost: int
    doubled: int
    silence: float
    seen: dict[str, int]
    # Totals that differ from the ballots, and voters who never had an answer.
    wrong: str = ""

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


@dataclass
class Ledger:
    began: float = field(default_factory=time.monotonic)
    entries: list[Entry] = field(default_factory=list)
    # When votes were accepted.
    moments: list[float] = field(default_factory=list)
    # What clients saw beside pages and accepted votes.
    seen: list[str] = field(default_factory=list)

    def accept(self, entry: Entry) -> None:
        entry.accepted = True
        self.moments.append(time.monotonic())

    @property
    def silence(self) -> float:
        ends = [self.began, *self.moments]
        return max((after - before for before, after in zip(ends, ends[1:])), default=0)

    def verdict(self, site: Site, question: int) -> Verdict:
        """Compare it with the database, once nothing is under way any more."""
        with site.database() as run:
            ballots = "SELECT receipt FROM polls_ballot WHERE question_id = %s"
            kept = {receipt for (receipt,) in run(ballots, question)}
        accepted = [entry for entry in self.entries if entry.accepted]
        shown = {entry.receipt for entry in accepted if entry.receipt}
        # Ballots of voters who know no receipt: each may have one.
        others, unread = len(kept - shown), len(accepted) - len(shown)
        unsure = len(self.entries) - len(accepted)
        return Verdict(
            accepted=len(accepted),
            lost=len(shown - kept) + max(0, unread - others),
            doubled=max(0, others - unread - unsure),
            silence=self.silence,
            seen=Counter(self.seen),
            wrong="; ".join(self._wrong(site, question, len(kept), unsure)),
        )

    def _wrong(self, site: Site, question: int, kept: int, unsure: int) -> list[str]:
        votes, ballots = site.counts(question)
        recount = site.manage("recount", check=False)
        wrong = {
            f"{votes} votes for {ballots} ballots": votes != ballots or ballots != kept,
            recount.strip(): "Totals that differ: 0." not in recount,
            f"{unsure} voters gave up": unsure,
        }
        return [words for words, is_so in wrong.items() if is_so]


class Voters(Visitors):
    """Each presses the button until the vote is accepted, and reads the receipt."""

    def __init__(self, base: str, question: int) -> None:
        self.base, self.question = base, question
        self.ledger = Ledger()
        self._until = float("inf")
        super().__init__(VOTERS)

    def wait_for(self, number: int, seconds: float = PATIENCE) -> bool:
        """Wait for so many more accepted votes; tell whether they came in time."""
        enough = len(self.ledger.moments) + number
        deadline = time.monotonic() + seconds
        while len(self.ledger.moments) < enough and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(self.ledger.moments) >= enough

    def stop(self) -> None:
        """Let those who have sent a vote have their answer."""
        self._until = time.monotonic() + PATIENCE
        super().stop()

    def _visit(self, turn: int) -> None:
        voter = Voter(self.base)
        choices = self._insist(lambda: self._choices(voter), self._stopped.is_set)
        if not choices:
            return
        entry = Entry()
        self.ledger.entries.append(entry)
        choice = choices[turn % len(choices)]
        if self._insist(lambda: self._votes(voter, choice)):
            self.ledger.accept(entry)
            entry.receipt = self._insist(lambda: self._reads_receipt(voter)) or ""

    def _insist(
        self, ask: Callable[[], T | None], is_enough: Callable[[], bool] = bool
    ) -> T | None:
        """Ask again and again until there is an answer; stop once it is enough, or patience ends."""
        while not (answer := ask()):
            if is_enough() or time.monotonic() > self._until:
                return None
            time.sleep(PAUSE)
        return answer

    def _ask(self, request: Callable[[], Answer], expected: int) -> Answer | None:
        try:
            answer = request()
        except ConnectionRefusedError:
            self.ledger.seen.append("refused")
        except TimeoutError:
            self.ledger.seen.append("no answer")
        except CUT_OFF:
            self.ledger.seen.append("cut off")
        else:
            if answer.status == expected:
                return answer
            self.ledger.seen.append(str(answer.status))
        return None

    def _choices(self, voter: Voter) -> list[str]:
        page = self._ask(lambda: voter.get(f"/polls/{self.question}/"), 200)
        return voter.read_form(page.text) if page else []

    def _votes(self, voter: Voter, choice: str) -> Answer | None:
        return self._ask(lambda: voter.vote(choice, self.question), 302)

    def _reads_receipt(self, voter: Voter) -> str:
        path = f"/polls/{self.question}/results/"
        page = self._ask(lambda: voter.get(path), 200)
        if not page:
            return ""
        if found := RECEIPT.search(page.text):
            return found[1]
        # Stale: an accepted vote is on the voter's next page.
        self.ledger.seen.append("page without the receipt")
        return ""
