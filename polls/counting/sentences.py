"""Sentences about the numbers: who is ahead, has won or is elected, which votes the rounds lack, where a tie decided."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.utils.translation import gettext, ngettext

from .. import phrases
from ..kinds import KINDS
from .numbers import Numbers, in_play, lacks_votes

# Of choices that are level: more than these are counted, not named.
_MOST_NAMED = 3


class _Tie(NamedTuple):
    """Choices that were tied for last, and the words to say it with: the round, all of them, who went out."""

    ids: Sequence[int]
    words: dict[str, object]


def _tied(numbers: Numbers) -> Iterator[_Tie]:
    texts = {choice["id"]: choice["text"] for choice in numbers["choices"]}
    for n, round_ in enumerate(numbers["rounds"], 1):
        if round_["tied"] and round_["eliminated"]:
            choices = phrases.list_of([texts[pk] for pk in round_["tied"]])
            choice = phrases.isolated(texts[round_["eliminated"]])
            words = {"number": n, "choices": choices, "choice": choice}
            yield _Tie(round_["tied"], words)


def _first_places(count: int, is_closed: bool) -> str:
    if count == 1 and is_closed:
        return gettext("%(choices)s won with %(share)s")
    if count == 1:
        return gettext("%(choices)s leads with %(share)s")
    if count > _MOST_NAMED and is_closed:
        return ngettext(
            "Tie: %(number)s choice has %(share)s",
            "Tie: %(number)s choices have %(share)s each",
            count,
        )
    if count > _MOST_NAMED:
        return ngettext(
            "%(number)s choice is level with %(share)s",
            "%(number)s choices are level with %(share)s",
            count,
        )
    if is_closed:
        # Translators: two or three choices.
        return gettext("Tie: %(choices)s have %(share)s each")
    # Translators: two or three choices.
    return gettext("%(choices)s are level with %(share)s")


def _elected(ballots: int, is_open: bool) -> str:
    if is_open:
        return ngettext(
            "%(choice)s would be elected now, with %(votes)s of %(ballots)s ballot in round %(round)s.",
            "%(choice)s would be elected now, with %(votes)s of %(ballots)s ballots in round %(round)s.",
            ballots,
        )
    return ngettext(
        "Elected: %(choice)s, with %(votes)s of %(ballots)s ballot in round %(round)s.",
        "Elected: %(choice)s, with %(votes)s of %(ballots)s ballots in round %(round)s.",
        ballots,
    )


def _run_off_outcome(numbers: Numbers) -> str:
    """Say who is elected, or would be now."""
    is_open = numbers["question"]["state"] == "open"
    if not numbers["rounds"] or is_open and not numbers["elected"]:
        return ""
    if not numbers["elected"]:
        return gettext("No choice is elected: there are no ballots.")
    last = numbers["rounds"][-1]
    n = [choice["id"] for choice in numbers["choices"]].index(numbers["elected"])
    count = in_play(last)
    return _elected(count, is_open) % {
        "choice": phrases.isolated(numbers["choices"][n]["text"]),
        "votes": phrases.number(last["votes"][n] or 0),
        "ballots": phrases.number(count),
        "round": len(numbers["rounds"]),
    }


def _narrowly(numbers: Numbers) -> str:
    """Say where the elected one would have gone out but for the rule for ties; empty where they never would have."""
    sentence = gettext(
        "In round %(number)s %(choices)s were tied, and the rule for ties decided."
    )
    told = [
        sentence % tie.words for tie in _tied(numbers) if numbers["elected"] in tie.ids
    ]
    return told[-1] if told else ""


def outcome(numbers: Numbers) -> str:
    """Say who is ahead or has won, or that it is a tie."""
    if KINDS[numbers["question"]["kind"]].has_rounds:
        return f"{_run_off_outcome(numbers)} {_narrowly(numbers)}".strip()
    leaders = numbers["leaders"]
    first = [choice for choice in numbers["choices"] if choice["id"] in leaders]
    if not first:
        return ""
    words = {
        "choices": phrases.list_of([choice["text"] for choice in first[:_MOST_NAMED]]),
        "number": phrases.number(len(first)),
        "share": phrases.share(first[0]["percent"]),
    }
    is_closed = numbers["question"]["state"] == "closed"
    return _first_places(len(first), is_closed) % words


def behind(numbers: Numbers) -> str:
    if not lacks_votes(numbers):
        return ""
    if numbers["rounds"]:
        return gettext("Newer votes are still being counted into the rounds.")
    return gettext("The rounds are being counted. They will be here in a few seconds.")


def ties(numbers: Numbers) -> list[str]:
    sentence = gettext(
        "Round %(number)s: %(choices)s were tied; %(choice)s goes out by the rule below."
    )
    return [sentence % tie.words for tie in _tied(numbers)]
