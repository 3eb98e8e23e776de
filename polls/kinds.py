"""The kinds of question, a class each: its limits, the order of its marks, what a ballot adds, its words, its form.

Everybody else asks `question.rules`, and nobody which kind it is. To add a kind: a value of Kind, its class in KINDS,
the template of its ballot, a migration of the field's choices, and a test.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from django.db import models
from django.http import QueryDict
from django.utils.functional import lazy
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from . import phrases

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class InvalidBallot(Exception):
    """These choices are no ballot of the question. Its text says why, to the voter."""


class Kind(models.TextChoices):
    ONE = "one", _("One choice")
    SEVERAL = "several", _("Several choices")
    RANKED = "ranked", _("Ranked choice (instant run-off)")


# The first sentence is what the tutorial says of it.
NO_SUCH_CHOICE = _(
    "You didn't select a choice. The choices may have changed: select one of the choices below."
)

# As many as a ranking has room for.
MOST_RANKS = 50


class Sentences(NamedTuple):
    """What a voter is told to do."""

    at_least: "_StrPromise"
    only_one: "_StrPromise"
    at_most: "_StrPromise"
    exactly: "_StrPromise"
    any_number: "_StrPromise"
    up_to: "_StrPromise"
    from_to: "_StrPromise"


# fmt: off
SELECT = Sentences(
    at_least=ngettext_lazy("Select at least %(number)s choice.", "Select at least %(number)s choices.", "number"),
    only_one=_("Select only one choice."),
    at_most=ngettext_lazy("Select at most %(number)s choice.", "Select at most %(number)s choices.", "number"),
    exactly=ngettext_lazy("Select %(number)s choice.", "Select %(number)s choices.", "number"),
    any_number=_("Select as many as you like, but at least one."),
    up_to=ngettext_lazy("Select up to %(number)s, but at least one.", "Select up to %(number)s, but at least one.", "number"),
    from_to=ngettext_lazy("Select %(least)s to %(most)s choice.", "Select %(least)s to %(most)s choices.", "most"),
)
RANK = Sentences(
    at_least=ngettext_lazy("Rank at least %(number)s choice.", "Rank at least %(number)s choices.", "number"),
    only_one=_("Rank only one choice."),
    at_most=ngettext_lazy("Rank at most %(number)s choice.", "Rank at most %(number)s choices.", "number"),
    exactly=ngettext_lazy("Rank %(number)s choice.", "Rank %(number)s choices.", "number"),
    any_number=_("Rank as many as you like, but at least one."),
    up_to=ngettext_lazy("Rank up to %(number)s, but at least one.", "Rank up to %(number)s, but at least one.", "number"),
    from_to=ngettext_lazy("Rank %(least)s to %(most)s choice.", "Rank %(least)s to %(most)s choices.", "most"),
)
# fmt: on


class Rules:
    """The rules of most kinds; a kind says what it does otherwise.

    `least` and `most` are the question's own limits, min_choices and max_choices; `offered` is how many choices it has.
    """

    # Whether the organiser sets limits; the highest there can be, and why.
    has_limits = True
    most_marks: int | None = None
    most_marks_rule: "str | _StrPromise" = ""
    # Whether the voter's order is that of the marks, or else that of the ballot page.
    is_ordered = False
    # Whether each mark is a vote, or the first one alone.
    every_mark_counts = True
    # Whether rankings are kept, counted in rounds, and shown so.
    has_rounds = False
    sentences = SELECT
    # In the head line of ballots.csv, with a number.
    column = "choice"
    # Over the results.
    caption = _("Votes for each choice, in percent of voters")
    # What organisers read of it.
    help: "str | _StrPromise" = ""
    ballot_template = "polls/_ballot_select.html"

    def max_marks(self, most: int | None, offered: int) -> int:
        """Return how many of the offered choices a ballot can hold."""
        return min(most or offered, self.most_marks or offered, offered)

    def valid_choices(
        self, choices: Sequence[int], least: int, most: int | None
    ) -> list[int]:
        """Return the choices in the order of their marks. Raises InvalidBallot for too few, too many, or one twice."""
        limit = self.max_marks(most, len(choices))
        if len(set(choices)) < len(choices):
            raise InvalidBallot(
                gettext("You selected a choice twice. Select each one once.")
            )
        if not choices:
            raise InvalidBallot(gettext("You didn't select a choice."))
        if len(choices) < least:
            raise InvalidBallot(self.sentences.at_least % {"number": least})
        if len(choices) > limit:
            at_most = self.sentences.at_most % {"number": limit}
            raise InvalidBallot(at_most if limit > 1 else self.sentences.only_one)
        return list(choices) if self.is_ordered else sorted(choices)

    def own_mark(self, place: int) -> str:
        """Return what stands in the results beside the choice at this place of the reader's own ballot, from 1."""
        return gettext("Your vote")

    def increments(self, choices: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Return what a ballot adds to each of its choices: to `votes`, and to `first_marks`."""
        return {
            pk: (int(n == 0 or self.every_mark_counts), int(n == 0))
            for n, pk in enumerate(choices)
        }

    def ranking(self, choices: Iterable[int]) -> str:
        """Return the ranking under which a ballot is counted in rounds; empty where there are none."""
        return ranking_text(choices) if self.has_rounds else ""

    def sent(self, data: QueryDict) -> list[str]:
        """Return what a form sent as choices, in the voter's order, however wrong; empty where a rank is."""
        return data.getlist("choice")

    def read(self, sent: list[str], ids: Mapping[str, int]) -> list[int]:
        """Return which of these ids a form sent. Raises InvalidBallot for what is none of them, and for a gap."""
        sent = self._filled(sent)
        if not ids.keys() >= set(sent):
            raise InvalidBallot(str(NO_SUCH_CHOICE))
        return [ids[text] for text in sent]

    def _filled(self, sent: list[str]) -> list[str]:
        return sent

    def rule(self, least: int, most: int | None, offered: int) -> str:
        """Say how many choices a ballot takes; empty where it is plain to see."""
        most = self.max_marks(most, offered)
        least = min(least, most)
        if most <= 1:
            return ""
        if least == most:
            return self.sentences.exactly % {"number": least}
        if least > 1:
            return self.sentences.from_to % {"least": least, "most": most}
        if most == offered:
            return str(self.sentences.any_number)
        return self.sentences.up_to % {"number": most}


class OneChoice(Rules):
    has_limits = False

    def max_marks(self, most: int | None, offered: int) -> int:
        return 1


class SeveralChoices(Rules):
    caption = _(
        "Votes for each choice, in percent of voters: each could select several"
    )


def _ranks_rule() -> str:
    return gettext("a ranking has room for %(number)s") % {"number": MOST_RANKS}


class RankedChoice(Rules):
    most_marks = MOST_RANKS
    most_marks_rule = lazy(_ranks_rule, str)()
    is_ordered = True
    every_mark_counts = False
    has_rounds = True
    sentences = RANK
    column = "rank"
    caption = _("First preferences, in percent of voters")
    help = _(
        "A ranked poll is decided by instant run-off: the choice with the fewest votes goes out and its "
        "ballots move on to their next choice, until one has more than half."
    )
    ballot_template = "polls/_ballot_rank.html"

    def sent(self, data: QueryDict) -> list[str]:
        # More ranks than the page has: a choice may have gone since it was loaded, and its rank is not to go unread.
        return [data.get(f"rank{n}", "") for n in range(1, MOST_RANKS + 1)]

    def own_mark(self, place: int) -> str:
        mark = gettext("Your choice")
        return f"{mark} {phrases.number(place)}"

    def _filled(self, sent: list[str]) -> list[str]:
        filled = [rank for rank, text in enumerate(sent, 1) if text]
        for n, rank in enumerate(filled, 1):
            if n < rank:
                sentence = gettext(
                    "Rank %(number)s is empty. Fill the ranks from the first one on, without gaps."
                )
                raise InvalidBallot(sentence % {"number": n})
        return sent[: len(filled)]


# By the value in the database, which Kind.ONE and the others equal.
KINDS: dict[str, Rules] = {
    Kind.ONE: OneChoice(),
    Kind.SEVERAL: SeveralChoices(),
    Kind.RANKED: RankedChoice(),
}


def ranking_text(choices: Iterable[int]) -> str:
    """Return how a ranking (ids, best first) is written in the database, such as "3,1,2"."""
    return ",".join(map(str, choices))


def read_ranking(text: str) -> Iterator[int]:
    """Read as far as it is asked for: most rankings count for their first choices only."""
    while text:
        pk, _, text = text.partition(",")
        yield int(pk)
