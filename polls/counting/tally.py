"""The tally: the state of a question as every page, file, stream and program gets it."""

import datetime
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from django.db import connection
from django.utils.text import get_text_list

from ..kinds import KINDS
from ..models import Question, QuestionQuerySet
from . import rounds
from .instant_runoff import Round


class ChoiceTally(TypedDict):
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


class Tally(TypedDict):
    """The state of a question, as every page, file and program gets it.

    A later version has counted all that an earlier one has. Percentages are of
    voters (ballots), from 0.0 to 100.0 with one decimal. On a ranked question
    `votes` are first preferences; `rounds` and `elected` are the run-off, and
    on the others an empty list and None. `rounds_version` is the version that
    they have counted: less than `version` while so many different rankings are
    counted that no page waits for it, and None where there are no rounds.
    """

    question: dict[str, object]
    version: int
    ballots: int
    choices: list[ChoiceTally]
    rounds: list[RoundTally]
    elected: int | None
    rounds_version: int | None


class _TallyRow(NamedTuple):
    """One choice of a question, or a question without choices."""

    question: int
    question_text: str
    pub_date: datetime.datetime
    closes_at: datetime.datetime | None
    closed_at: datetime.datetime | None
    kind: str
    results: str
    choice: int | None
    choice_text: str | None
    votes: int | None
    first_marks: int | None
    revision: int | None

    def state(self) -> str:
        question = Question(
            pk=self.question,
            pub_date=self.pub_date,
            closes_at=self.closes_at,
            closed_at=self.closed_at,
            voter_salt="",
        )
        return question.state()


_TALLY_FIELDS = [
    "pk",
    "question_text",
    "pub_date",
    "closes_at",
    "closed_at",
    "kind",
    "results",
    "choice__pk",
    "choice__choice_text",
    "choice__votes",
    "choice__first_marks",
    "choice__revision",
]


def _revisions(rows: list[_TallyRow]) -> rounds.Revisions:
    return tuple((row.choice, row.revision) for row in rows if row.choice)


def _tally(rows: list[_TallyRow], state: str, count: rounds.Count | None) -> Tally:
    """Make the tally of a question's rows and, if it is a ranked one, its last count."""
    question, rows = rows[0], [row for row in rows if row.choice]
    if state == "closed":
        count = _final(rows, count)
    version, votes, ballots = _totals(rows, count)
    counted = count.rounds if count else []
    return {
        "question": _question(question, state),
        "version": version,
        "ballots": ballots,
        "choices": [
            {
                "id": row.choice,
                "text": row.choice_text,
                "votes": votes[row.choice],
                "percent": _percent(votes[row.choice], ballots),
            }
            for row in rows
        ],
        "rounds": [_round(round_, votes) for round_ in counted],
        "elected": count.elected if count else None,
        "rounds_version": count.version if count and counted else None,
    }


def _question(row: _TallyRow, state: str) -> dict[str, object]:
    return {
        "id": row.question,
        "text": row.question_text,
        "kind": row.kind,
        "results": row.results,
        "state": state,
        "pub_date": row.pub_date.isoformat(),
        "closes_at": row.closes_at and row.closes_at.isoformat(),
    }


def _final(rows: list[_TallyRow], count: rounds.Count | None) -> rounds.Count | None:
    """Return the count of a closed question if it has counted all: nobody is elected by some of the ballots."""
    is_final = count and count.version >= sum(row.revision for row in rows)
    return count if is_final else None


def _totals(
    rows: list[_TallyRow], count: rounds.Count | None
) -> tuple[int, dict[int, int], int]:
    """Return version, votes by choice, and ballots: of the count, if it is not older, so that a page adds up in itself."""
    version = sum(row.revision for row in rows)
    if count and count.rounds and count.version >= version:
        first = count.rounds[0]
        votes = {row.choice: first["votes"].get(row.choice, 0) for row in rows}
        return count.version, votes, sum(votes.values()) + first["exhausted"]
    votes = {row.choice: row.votes for row in rows}
    return version, votes, sum(row.first_marks for row in rows)


def rounds_are_behind(tally: Tally) -> bool:
    """Tell whether there are votes that the rounds have not counted yet."""
    has_rounds = KINDS[tally["question"]["kind"]].has_rounds
    return has_rounds and tally["rounds_version"] != tally["version"]


def _percent(votes: int, ballots: int) -> float:
    return round(100 * votes / ballots, 1) if ballots else 0.0


def _round(round_: Round, choices: Iterable[int]) -> RoundTally:
    return {
        "votes": [round_["votes"].get(pk) for pk in choices],
        "exhausted": round_["exhausted"],
        "eliminated": round_["eliminated"],
        "tied": round_["tied"],
    }


def tallies_of(questions: QuestionQuerySet) -> dict[int, Tally]:
    """Count these questions, by id: one statement, so that each tally is of one moment.

    Each ranked one that has moved takes a statement more, for its rankings.
    """
    found = questions.order_by("pk", "choice__pk").values_list(*_TALLY_FIELDS)
    rows = defaultdict(list)
    for row in map(_TallyRow._make, found):
        rows[row.question].append(row)
    counts = {
        pk: rounds.latest(pk, _revisions(rows[pk]))
        for pk in rows
        if KINDS[rows[pk][0].kind].has_rounds
    }
    return {pk: _tally(rows[pk], rows[pk][0].state(), counts.get(pk)) for pk in rows}


def tally_of(question: Question, exact: bool = False) -> Tally:
    """Count now, under the question's rules as this object has them; with all rounds, however long it takes, if `exact`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, choice_text, votes, first_marks, revision FROM polls_choice"
            " WHERE question_id = %s ORDER BY id",
            [question.pk],
        )
        choices = cursor.fetchall()
    rules = (
        question.pk,
        question.question_text,
        question.pub_date,
        question.closes_at,
        question.closed_at,
        question.kind,
        question.results,
    )
    rows = [_TallyRow(*rules, *choice) for choice in choices]
    # As of a question without choices in tallies_of().
    rows = rows or [_TallyRow(*rules, None, None, None, None, None)]
    if not question.rules.has_rounds:
        return _tally(rows, question.state(), None)
    count = (
        rounds.exact(question.pk)
        if exact
        else rounds.latest(question.pk, _revisions(rows))
    )
    return _tally(rows, question.state(), count)


def _behind(tally: Tally) -> str:
    """Say which votes the rounds have not counted yet; live.js has the same words."""
    if not rounds_are_behind(tally):
        return ""
    if tally["rounds"]:
        return "Newer votes are still being counted into the rounds."
    return "The rounds are being counted. They will be here in a few seconds."


def _ties(tally: Tally) -> list[str]:
    """Say where the rule for ties decided; live.js has the same words."""
    texts = {choice["id"]: choice["text"] for choice in tally["choices"]}
    return [
        f"Round {n}: {get_text_list([texts[pk] for pk in round_['tied']], 'and')} were tied; "
        f"{texts[round_['eliminated']]} goes out by the rule below."
        for n, round_ in enumerate(tally["rounds"], 1)
        if round_["tied"]
    ]


def _outcome(tally: Tally) -> str:
    """Say who is elected; live.js has the same words for a poll that is open."""
    is_open = tally["question"]["state"] == "open"
    if not tally["rounds"] or is_open and not tally["elected"]:
        return ""
    if not tally["elected"]:
        return "No choice is elected: there are no ballots."
    last, ids = tally["rounds"][-1]["votes"], [c["id"] for c in tally["choices"]]
    n, in_play = ids.index(tally["elected"]), sum(filter(None, last))
    ballots = f"{last[n]} of {in_play} ballot{'' if in_play == 1 else 's'}"
    text = tally["choices"][n]["text"]
    beginning = f"{text} would be elected now" if is_open else f"Elected: {text}"
    return f"{beginning}, with {ballots} in round {len(tally['rounds'])}."
