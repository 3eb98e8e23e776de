"""The tally: one dictionary with the state of a question, from which every page, file, stream and program tells it.

Its numbers are read and counted once; its words are said of them in whatever languages there are readers of.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypedDict

from django.utils.translation import gettext, ngettext

from .. import phrases
from ..kinds import KINDS
from ..models import Question, QuestionQuerySet
from ..page_sql import ChoiceRow, OwnBallot, choices_with_own
from . import rounds
from .instant_runoff import Round
from .rounds_table import Row, rounds_table


class QuestionTally(TypedDict):
    """`state` is "scheduled", "open" or "closed"; times are ISO 8601."""

    id: int
    text: str
    kind: str
    results: str
    state: str
    pub_date: str
    closes_at: str | None


class ChoiceNumbers(TypedDict):
    """`percent` is of voters (ballots), from 0.0 to 100.0 with one decimal."""

    id: int
    text: str
    votes: int
    percent: float


class ChoiceTally(ChoiceNumbers):
    """The numbers as its language writes them, such as 1,204 votes and 46.6%."""

    votes_text: str
    percent_text: str


class BarTally(TypedDict):
    """A choice in the last round: `share` is of the ballots in play, and one that went out before has no votes."""

    share: float
    votes_text: str
    percent_text: str


class RoundTally(TypedDict):
    """Votes in the order of the tally's choices, None for those that are out; ids.

    `tied` are those that were last together, of which the rule for ties let one go out.
    """

    votes: list[int | None]
    exhausted: int
    eliminated: int | None
    tied: list[int]


class Counted(TypedDict):
    """A later `version` has counted all that an earlier one has.

    On a question with rounds `votes` are first preferences, and `rounds` and `elected` are the run-off; on others
    they are an empty list and None. `leaders` are the choices with most votes, by id; with rounds, who is elected by
    them. `rounds_version` is the version that the rounds have counted: less than
    `version` while so many different rankings are counted that no page waits for it, and None where there are none.
    """

    question: QuestionTally
    version: int
    ballots: int
    rounds: list[RoundTally]
    elected: int | None
    leaders: list[int]
    rounds_version: int | None


class Numbers(Counted):
    """What is the same in every language."""

    choices: list[ChoiceNumbers]


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


# Of choices that are level: more than these are counted, not named.
_MOST_NAMED = 3

_QUESTION_FIELDS = [
    "id",
    "question_text",
    "pub_date",
    "closes_at",
    "closed_at",
    "kind",
    "results",
]


def count_all(questions: QuestionQuerySet) -> dict[int, Numbers]:
    """Count these questions, by id: one statement, so that the numbers of each are of one moment.

    Each with rounds that has changed takes a statement more, for its rankings.
    """
    choice_fields = [f"choice__{name}" for name in ChoiceRow._fields]
    ordered = questions.order_by("pk", "choice__pk")
    rows = ordered.values_list(*_QUESTION_FIELDS, *choice_fields)
    split = len(_QUESTION_FIELDS)
    counted = {}
    for values, group in itertools.groupby(rows, key=lambda row: row[:split]):
        # Without a salt, which would be made anew for each.
        question = Question(**dict(zip(_QUESTION_FIELDS, values)), voter_salt="")
        # A question without choices has one row, without a choice.
        choices = [ChoiceRow._make(row[split:]) for row in group if row[split]]
        counted[question.pk] = _numbers(question, question.state(), choices)
    return counted


def count(question: Question, exact: bool = False) -> Numbers:
    """Count now, under the question's rules as this object has them; with all rounds, however long it takes, if `exact`."""
    return count_with_own(question, "", exact)[0]


def count_with_own(
    question: Question, voter_key: str, exact: bool = False
) -> tuple[Numbers, OwnBallot | None]:
    """Count now, and return the ballot of this voter too, if they have one."""
    # Before the choices are read: the numbers of a closed question lack no vote of its last moment.
    state = question.state()
    choices, own = choices_with_own(question.pk, voter_key)
    return _numbers(question, state, choices, exact), own


def tallies_of(questions: QuestionQuerySet) -> dict[int, Tally]:
    """Count these questions, and say them in the active language."""
    return {pk: say(numbers) for pk, numbers in count_all(questions).items()}


def tally_of(question: Question, exact: bool = False) -> Tally:
    """Count now, and say it in the active language."""
    return say(count(question, exact))


def say(numbers: Numbers) -> Tally:
    """Say these numbers in the active language."""
    ties = _ties(numbers)
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
        "outcome": _outcome(numbers),
        "behind": _behind(numbers),
        "ties": ties,
        "rounds_table": _rounds_table(numbers, ties),
    }


def _rounds(
    question: Question, revisions: rounds.Revisions, exact: bool
) -> rounds.Count:
    if not question.rules.has_rounds:
        return rounds.NOT_COUNTED
    if exact:
        return rounds.full_count(question.pk)
    return rounds.last_count(question.pk, revisions)


def _numbers(
    question: Question, state: str, choices: Sequence[ChoiceRow], exact: bool = False
) -> Numbers:
    revisions = tuple((choice.pk, choice.revision) for choice in choices)
    version = rounds.version(revisions)
    run_off = _rounds(question, revisions, exact)
    if state == "closed" and run_off.version < version:
        # Nobody is elected by some of the ballots.
        run_off = rounds.NOT_COUNTED
    version, votes, ballots = _totals(choices, version, run_off)
    elected = run_off.outcome.elected
    return {
        "question": _question(question, state),
        "version": version,
        "ballots": ballots,
        "choices": [_choice(row, votes[row.pk], ballots) for row in choices],
        "rounds": [_round(round_, votes) for round_ in run_off.outcome.rounds],
        "elected": elected,
        "leaders": [elected] if elected else _with_most_votes(votes),
        "rounds_version": run_off.version if run_off.outcome.rounds else None,
    }


def _totals(
    choices: Sequence[ChoiceRow], version: int, count: rounds.Count
) -> tuple[int, dict[int, int], int]:
    """Return version, votes by choice, and ballots: of the count, if it is not older, so that a page adds up in itself."""
    if count.outcome.rounds and count.version >= version:
        first = count.outcome.rounds[0]
        votes = {row.pk: first["votes"].get(row.pk, 0) for row in choices}
        return count.version, votes, sum(votes.values()) + first["exhausted"]
    votes = {row.pk: row.votes for row in choices}
    return version, votes, sum(row.first_marks for row in choices)


def _with_most_votes(votes: dict[int, int]) -> list[int]:
    most = max(votes.values(), default=0)
    return [pk for pk, number in votes.items() if number == most] if most else []


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


def _question(question: Question, state: str) -> QuestionTally:
    return {
        "id": question.pk,
        "text": question.question_text,
        "kind": question.kind,
        "results": question.results,
        "state": state,
        "pub_date": question.pub_date.isoformat(),
        "closes_at": question.closes_at.isoformat() if question.closes_at else None,
    }


def _choice(row: ChoiceRow, votes: int, ballots: int) -> ChoiceNumbers:
    percent = round(100 * votes / ballots, 1) if ballots else 0.0
    return {"id": row.pk, "text": row.choice_text, "votes": votes, "percent": percent}


def _round(round_: Round, choices: Iterable[int]) -> RoundTally:
    return {
        "votes": [round_["votes"].get(pk) for pk in choices],
        "exhausted": round_["exhausted"],
        "eliminated": round_["eliminated"],
        "tied": round_["tied"],
    }


def in_play(round_: RoundTally) -> int:
    """Return how many ballots count for a choice in this round."""
    return sum(votes or 0 for votes in round_["votes"])


def _outcome(numbers: Numbers) -> str:
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
    if is_open:
        sentence = ngettext(
            "%(choice)s would be elected now, with %(votes)s of %(ballots)s ballot in round %(round)s.",
            "%(choice)s would be elected now, with %(votes)s of %(ballots)s ballots in round %(round)s.",
            count,
        )
    else:
        sentence = ngettext(
            "Elected: %(choice)s, with %(votes)s of %(ballots)s ballot in round %(round)s.",
            "Elected: %(choice)s, with %(votes)s of %(ballots)s ballots in round %(round)s.",
            count,
        )
    return sentence % {
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


def lacks_votes(numbers: Counted) -> bool:
    """Tell whether there are votes that the rounds have not counted yet."""
    has_rounds = KINDS[numbers["question"]["kind"]].has_rounds
    return has_rounds and numbers["rounds_version"] != numbers["version"]


def _behind(numbers: Numbers) -> str:
    if not lacks_votes(numbers):
        return ""
    if numbers["rounds"]:
        return gettext("Newer votes are still being counted into the rounds.")
    return gettext("The rounds are being counted. They will be here in a few seconds.")


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


def _ties(numbers: Numbers) -> list[str]:
    sentence = gettext(
        "Round %(number)s: %(choices)s were tied; %(choice)s goes out by the rule below."
    )
    return [sentence % tie.words for tie in _tied(numbers)]


def _rounds_table(numbers: Numbers, ties: list[str]) -> str:
    by_choice = zip(*(round_["votes"] for round_ in numbers["rounds"]))
    rows = [
        Row(choice["text"], choice["id"] == numbers["elected"], votes)
        for choice, votes in zip(numbers["choices"], by_choice)
    ]
    exhausted = [round_["exhausted"] for round_ in numbers["rounds"]]
    is_open = numbers["question"]["state"] == "open"
    mark = gettext("Ahead") if is_open else gettext("Elected")
    return rounds_table(rows, exhausted, ties, mark)
