"""The tally: one dictionary with the state of a question, from which every page, file, stream and program tells it.

Its numbers are read and counted once; its words are said of them in whatever languages there are readers of.
"""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from django.utils.translation import get_language, gettext

from .. import phrases
from ..models import Question, QuestionQuerySet
from . import sentences
from .numbers import ChoiceNumbers, Counted, Numbers, count, count_all, in_play
from .rounds_table import Row, rounds_table


class ChoiceTally(ChoiceNumbers):
    """The numbers as its language writes them, such as 1,204 votes and 46.6%."""

    votes_text: str
    percent_text: str


class BarTally(TypedDict):
    """A choice in the last round: `share` is of the ballots in play, and one that went out before has no votes."""

    share: float
    votes_text: str
    percent_text: str


class Tally(Counted):
    """The numbers, and what is said of them: who is ahead, has won or is elected, which votes the rounds lack, where the
    rule for ties decided.

    `rounds_table` is HTML, as the results page shows it. `bars` are those of the last round, in the order of the choices.
    All are empty where there is nothing to say.
    """

    choices: list[ChoiceTally]
    bars: list[BarTally]
    ballots_text: str
    ballots_number: str
    outcome: str
    behind: str
    ties: list[str]
    rounds_table: str


def tallies_of(questions: QuestionQuerySet) -> dict[int, Tally]:
    """Count these questions, and say them in the active language."""
    return {pk: say(numbers) for pk, numbers in count_all(questions).items()}


def tally_of(question: Question, exact: bool = False) -> Tally:
    """Count now, and say it in the active language."""
    return say(count(question, exact))


# Of this worker: what was last said of a question in a language, with the numbers that it was said of.
_said: dict[tuple[int, str | None], tuple[Numbers, Tally]] = {}
MAX_SAID = 64


def say(numbers: Numbers) -> Tally:
    """Say these numbers in the active language. The same words may be given to others too: nobody changes them."""
    key = numbers["question"]["id"], get_language()
    known = _said.get(key)
    if known and known[0] == numbers:
        return known[1]
    if len(_said) >= MAX_SAID:
        _said.clear()
    tally = _say(numbers)
    _said[key] = numbers, tally
    return tally


def _say(numbers: Numbers) -> Tally:
    ties = sentences.ties(numbers)
    return {
        **numbers,
        "choices": [
            {
                **choice,
                "votes_text": phrases.votes(choice["votes"]),
                "percent_text": phrases.share(choice["percent"], decimals=1),
            }
            for choice in numbers["choices"]
        ],
        "bars": list(_bars(numbers)),
        "ballots_text": phrases.ballots(numbers["ballots"]),
        "ballots_number": phrases.number(numbers["ballots"]),
        "outcome": sentences.outcome(numbers),
        "behind": sentences.behind(numbers),
        "ties": ties,
        "rounds_table": _rounds_table(numbers, ties),
    }


def _bars(numbers: Numbers) -> Iterator[BarTally]:
    if not numbers["rounds"]:
        return
    last = numbers["rounds"][-1]
    ballots = in_play(last)
    for votes in last["votes"]:
        share = round(100 * (votes or 0) / ballots, 1) if ballots else 0.0
        is_out = votes is None
        yield {
            "share": share,
            "votes_text": gettext("out") if is_out else phrases.votes(votes or 0),
            "percent_text": "" if is_out else phrases.share(share, decimals=1),
        }


def _rounds_table(numbers: Numbers, ties: Sequence[str]) -> str:
    by_choice = zip(*(round_["votes"] for round_ in numbers["rounds"]))
    rows = [
        Row(choice["text"], choice["id"] == numbers["elected"], votes)
        for choice, votes in zip(numbers["choices"], by_choice)
    ]
    exhausted = [round_["exhausted"] for round_ in numbers["rounds"]]
    is_open = numbers["question"]["state"] == "open"
    mark = gettext("Ahead") if is_open else gettext("Elected")
    return rounds_table(rows, exhausted, ties, mark)
