"""A crowd at the door: many voters from several processes, bounded in number, on 127.0.0.1 only.

usage: python -m tests.support.crowd BASE QUESTION VOTERS [CLICKS]   prints one status or fault a line, by its count
"""

import http.client
import sys
import threading
import urllib.parse
from collections import Counter

from tests.support.people import Voter

CUT_OFF = (OSError, http.client.HTTPException)


def click(voter: Voter, choice: str, question: int, outcomes: list[str]) -> None:
    try:
        outcomes.append(str(voter.vote(choice, question).status))
    except CUT_OFF as error:
        outcomes.append(type(error).__name__)


def send_in(base: str, question: int, voters: int, clicks: int) -> Counter[str]:
    """Let each voter load the ballot page and click: once, or several times at the same moment."""
    outcomes: list[str] = []
    for n in range(voters):
        voter = Voter(base)
        try:
            choices = voter.open_ballot(question)
        except CUT_OFF as error:
            outcomes.append(f"page: {type(error).__name__}")
            continue
        threads = [
            threading.Thread(
                target=click,
                args=(voter, choices[(n + i) % len(choices)], question, outcomes),
            )
            for i in range(clicks)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return Counter(outcomes)


def main() -> None:
    base, question, voters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    clicks = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    assert urllib.parse.urlsplit(base).hostname == "127.0.0.1"
    for outcome, count in send_in(base, question, voters, clicks).items():
        print(outcome, count, sep="\t")


if __name__ == "__main__":
    main()
