"""Instant run-off: the count of a ranked poll, from how often each ranking was given.

Each ballot counts for the highest ranked choice that is still in. Who has more
than half of the ballots still in play is elected; until somebody has, the
choice with the fewest goes out and its ballots move on. A ballot whose choices
are all out is exhausted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypedDict

from django.utils.translation import gettext_lazy as _

# What organisers, voters and recounts read; _eliminated() is what it says.
TIE_RULE = _(
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


class Outcome(NamedTuple):
    """All rounds, and the choice that is elected: None while there is no ballot."""

    rounds: list[Round]
    elected: int | None


# By choice: what is left of each ranking whose ballots count for it, and how many they are.
Piles = dict[int, list[tuple[Iterator[int], int]]]


def instant_runoff(
    rankings: Iterable[tuple[Iterable[int], int]], order: Sequence[int]
) -> Outcome:
    """Count rankings (choice ids, best first), each with the number of its ballots; each is read as far as it counts.

    `order` has all choice ids as they stand on the ballot page.
    """
    piles: Piles = {choice: [] for choice in order}
    votes = dict.fromkeys(order, 0)
    exhausted = _deal(((iter(r), ballots) for r, ballots in rankings), piles, votes)
    rounds: list[Round] = []
    while True:
        rounds.append(_round(votes, exhausted))
        in_play = sum(votes.values())
        if not in_play:
            return Outcome(rounds, None)
        leader = max(votes, key=votes.__getitem__)
        if 2 * votes[leader] > in_play:
            return Outcome(rounds, leader)
        lowest = _fewest(list(votes), votes)
        out = rounds[-1]["eliminated"] = _eliminated(lowest, rounds)
        rounds[-1]["tied"] = lowest if len(lowest) > 1 else []
        del votes[out]
        exhausted += _deal(piles.pop(out), piles, votes)


def _round(votes: dict[int, int], exhausted: int) -> Round:
    return Round(votes=dict(votes), exhausted=exhausted, eliminated=None, tied=[])


def _deal(
    ballots: Iterable[tuple[Iterator[int], int]], piles: Piles, votes: dict[int, int]
) -> int:
    """Lay each on the pile of its next choice that is still in; return how many ballots have none.

    What was passed over is out and does not come back: no ranking is read twice.
    """
    exhausted = 0
    for choices, number in ballots:
        for choice in choices:
            if choice in piles:
                piles[choice].append((choices, number))
                votes[choice] += number
                break
        else:
            exhausted += number
    return exhausted


def _fewest(choices: list[int], votes: Mapping[int, int]) -> list[int]:
    fewest = min(votes[choice] for choice in choices)
    return [choice for choice in choices if votes[choice] == fewest]


def _eliminated(tied: list[int], rounds: list[Round]) -> int:
    for earlier in reversed(rounds):
        tied = _fewest(tied, earlier["votes"])
    return tied[-1]
