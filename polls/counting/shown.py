"""What pages and streams show of a tally: a row a choice, or the number of ballots alone."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from django.utils.safestring import SafeString

from .. import phrases
from .numbers import Numbers
from .tally import Tally


class QuestionState(TypedDict):
    id: int
    state: str


class BallotsAlone(TypedDict):
    """What everyone may see of a question whose results are hidden. A version would tell how often ballots were changed."""

    question: QuestionState
    ballots: int
    ballots_text: str
    ballots_number: str


class Row(NamedTuple):
    """A choice and its bar, which is that of the last round where there are rounds."""

    id: int
    text: str
    # In percent of 100.
    share: float
    percent: str
    votes: str
    leads: bool
    # Its place on the viewer's own ballot, from 1; 0 for what is not on it.
    own: int
    # What says so beside it, as HTML.
    mark: str = ""

    @property
    def attributes(self) -> str:
        """Those of its line in a table: who leads, and what is out before the last round, which stands in the rounds."""
        lead = ' class="lead"' if self.leads else ""
        is_shown = self.percent or self.own
        return SafeString(lead if is_shown else f"{lead} hidden")


def ballots_alone(numbers: Numbers) -> BallotsAlone:
    question = numbers["question"]
    return {
        "question": {"id": question["id"], "state": question["state"]},
        "ballots": numbers["ballots"],
        "ballots_text": phrases.ballots(numbers["ballots"]),
        "ballots_number": phrases.number(numbers["ballots"]),
    }


def rows_of(tally: Tally, chosen: Sequence[int] = ()) -> list[Row]:
    places = {pk: place for place, pk in enumerate(chosen, 1)}
    rows = []
    for n, choice in enumerate(tally["choices"]):
        pk, share = choice["id"], choice["percent"]
        texts = choice["percent_text"], choice["votes_text"]
        if tally["bars"]:
            bar = tally["bars"][n]
            share, texts = bar["share"], (bar["percent_text"], bar["votes_text"])
        leads, own = pk in tally["leaders"], places.get(pk, 0)
        rows.append(Row(pk, choice["text"], share, *texts, leads, own))
    return rows


def longest_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.share)
