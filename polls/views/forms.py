import functools
from collections.abc import Sequence

from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext

from ..kinds import InvalidBallot
from ..models import Question
from ..voting.cast import QuestionChanged

# The stylesheet fills it with the number of boxes that are ticked.
COUNTED = SafeString("<b></b>")


@functools.cache
def _rank_words(language: str | None) -> SafeString:
    """Render once a language what rank.js says."""
    return render_to_string("polls/_rank_words.html")


class BallotForm:
    """What a voter sends: ids of choices, under the names that the kind of question reads.

    Valid, it has them in `marks`, in their order. Else `error_message` is the one sentence that says what is wrong.
    """

    def __init__(
        self,
        question: Question,
        data: QueryDict | None = None,
        chosen: Sequence[int] = (),
    ) -> None:
        self.question = question
        self.rules = question.rules
        self.choices = question.choice_texts
        self.most = question.max_marks(len(self.choices))
        # What the page shows as chosen: what was sent, however wrong, or else what is given here.
        self.chosen: list[int | None] = list(chosen)
        self.marks: list[int] = []
        self.error_message = ""
        if data is not None:
            self._read(data)

    def _read(self, data: QueryDict) -> None:
        ids = {str(pk): pk for pk in self.choices}
        sent = self.rules.sent(data)
        self.chosen = [ids.get(text) for text in sent]
        # The page sends it. A program need not, while the question has never been reworded.
        only = "" if self.question.rewordings else self.question.wording_digest
        try:
            if data.get("wording", only) != self.question.wording_digest:
                raise QuestionChanged
            self.marks = self.question.valid_choices(self.rules.read(sent, ids))
        except (InvalidBallot, QuestionChanged) as error:
            self.error_message = str(error)

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        """Return each choice as the page shows it: its id, its text, and whether it is chosen."""
        chosen = set(self.chosen)
        return [(str(pk), text, pk in chosen) for pk, text in self.choices.items()]

    @property
    def input_type(self) -> str:
        return "radio" if self.most == 1 else "checkbox"

    @property
    def is_counted(self) -> bool:
        """Tell whether the page says how many choices are chosen: where there is a limit that a voter may miss."""
        is_limited = self.most < len(self.choices) or self.question.min_choices > 1
        return self.most > 1 and is_limited and not self.rules.is_ordered

    @property
    def counted(self) -> SafeString:
        words = gettext("%(number)s of %(most)s chosen")
        return format_html(words % {"number": "{}", "most": self.most}, COUNTED)

    @property
    def first_field(self) -> str:
        """Return the id of the first control of the ballot."""
        return "rank1" if self.rules.is_ordered else "choice1"

    @property
    def rank_words(self) -> SafeString:
        return _rank_words(get_language())

    @property
    def ranks(self) -> list[tuple[int, str]]:
        """Return each rank with the id of the choice that is shown there; empty for none."""
        shown = [*self.chosen, *[None] * self.most]
        return [(n, str(pk or "")) for n, pk in enumerate(shown[: self.most], 1)]

    @property
    def rule(self) -> str:
        least, most = self.question.min_choices, self.question.max_choices
        return self.rules.rule(least, most, len(self.choices))
