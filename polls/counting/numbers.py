"""The numbers of a question, read and counted once: they are the same in every language."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TypedDict

from ..kinds import KINDS
from ..models import Question, QuestionQuerySet
from ..page_sql import ChoiceRow, OwnBallot, Reading, choices_with_own, read
from . import rounds
from .instant_runoff import Round


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


def in_play(round_: RoundTally) -> int:
    """Return how many ballots count for a choice in this round."""
    return sum(votes or 0 for votes in round_["votes"])


def lacks_votes(numbers: Counted) -> bool:
    """Tell whether there are votes that the rounds have not counted yet."""
    has_rounds = KINDS[numbers["question"]["kind"]].has_rounds
    return has_rounds and numbers["rounds_version"] != numbers["version"]


_QUESTION_FIELDS = [
    "id",
    "question_text",
    "pub_date",
    "closes_at",
    "closed_at",
    "kind",
    "results",
]


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


def _rounds(
    question: Question, revisions: rounds.Revisions, exact: bool
) -> rounds.Count:
    if not question.rules.has_rounds:
        return rounds.NOT_COUNTED
    if exact:
        return rounds.full_count(question.pk)
    return rounds.last_count(question.pk, revisions)


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
    numbers, _ = read(count_with_own(question, "", exact))
    return numbers


def count_with_own(
    question: Question, voter_key: str, exact: bool = False
) -> Reading[tuple[Numbers, OwnBallot | None]]:
    """Count now, and return the ballot of this voter too, if they have one."""
    # Before the choices are read: the numbers of a closed question lack no vote of its last moment.
    state = question.state()
    choices, own = yield from choices_with_own(question.pk, voter_key)
    return _numbers(question, state, choices, exact), own
