"""Instant run-off: the count of a ranked poll, from how often each ranking was given.

Each ballot counts for the highest ranked choice that is still in. Who has more
than half of the ballots still in play is elected; until somebody has, the
choice with the fewest goes out and its ballots move on. A ballot whose choices
are all out is exhausted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict

# What organisers, voters and recounts read; _last() is what it says.
TIE_RULE = (
    "Of choices tied for last, the one that had fewer votes in the round before goes out, and so on back to the "
    "first round; if they were equal in every round, the one that stands lowest on the ballot page."
)


class Round(TypedDict):
    """Votes by choice id, in the order of the ballot page, of the choices that are still in.

    `tied` are the choices of which TIE_RULE has let one go out; mostly none.
    """

    votes: dict[int, int]
    exhausted: int
    eliminated: int | None
    tied: list[int]


def run_off(
    rankings: Mapping[tuple[int, ...], int], order: Sequence[int]
) -> tuple[list[Round], int | None]:
    """Return the rounds and the elected choice, which is None while there is no ballot.

    `rankings` says how many ballots rank these choice ids, best first; `order`
    has all choice ids as they stand on the ballot page.
    """
    remaining, rounds = list(order), []
    while True:
        # What went out does not come back: ballots that have become equal are counted together from here on.
        rankings = _without(rankings, set(remaining))
        firsts: Counter[int] = Counter()
        for ranking, ballots in rankings.items():
            if ranking:
                firsts[ranking[0]] += ballots
        votes = {choice: firsts[choice] for choice in remaining}
        in_play, exhausted = sum(votes.values()), rankings.get((), 0)
        rounds.append(Round(votes=votes, exhausted=exhausted, eliminated=None, tied=[]))
        if not in_play:
            return rounds, None
        leader = max(votes, key=votes.__getitem__)
        if 2 * votes[leader] > in_play:
            return rounds, leader
        lowest = _fewest(remaining, votes)
        rounds[-1]["eliminated"] = _last(lowest, rounds)
        rounds[-1]["tied"] = lowest if len(lowest) > 1 else []
        remaining.remove(rounds[-1]["eliminated"])


def _without(
    rankings: Mapping[tuple[int, ...], int], remaining: set[int]
) -> Counter[tuple[int, ...]]:
    reduced: Counter[tuple[int, ...]] = Counter()
    for ranking, ballots in rankings.items():
        reduced[tuple(choice for choice in ranking if choice in remaining)] += ballots
    return reduced


def _fewest(choices: list[int], votes: Mapping[int, int]) -> list[int]:
    fewest = min(votes[choice] for choice in choices)
    return [choice for choice in choices if votes[choice] == fewest]


def _last(tied: list[int], rounds: list[Round]) -> int:
    for earlier in reversed(rounds):
        tied = _fewest(tied, earlier["votes"])
    return tied[-1]
