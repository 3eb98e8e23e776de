from collections.abc import Sequence
from typing import NoReturn

from django import forms
from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import FileUploadHandler
from django.http import QueryDict

from ..kinds import MOST_RANKS, InvalidBallot, Kind
from ..models import Question
from ..voting.cast import QuestionChanged, valid_choices

UNKNOWN = (
    "You didn't select a choice. "
    "What was sent is not a choice of this poll: select one of the choices below."
)


class BallotForm(forms.Form):
    """What a voter sends: `choice`, ids of choices; on a ranked question `rank1`, `rank2` and so on, an id each.

    Valid, it has them in `cleaned_data["choices"]`, in the order of the marks.
    """

    def __init__(
        self,
        question: Question,
        data: QueryDict | None = None,
        chosen: Sequence[int] = (),
    ) -> None:
        super().__init__(data)
        self.question = question
        self.choices = question.choice_texts
        self.most = question.max_marks(len(self.choices))
        self.is_ranked = question.kind == Kind.RANKED
        # What the page shows as chosen: what was sent, however wrong, or else what is given here.
        self.chosen = list(chosen) if data is None else self._known(self._sent(data))

    def _sent(self, data: QueryDict) -> list[str]:
        if not self.is_ranked:
            return data.getlist("choice")
        # More ranks than the page has: a choice may have gone since it was loaded, and its rank is not to go unread.
        return [data.get(f"rank{n}", "") for n in range(1, MOST_RANKS + 1)]

    def _known(self, sent: list[str]) -> list[int | None]:
        """Return the ids, with None for a rank that is empty and for what is no choice of the question."""
        ids = {str(pk): pk for pk in self.choices}
        return [ids.get(text) for text in sent]

    def clean(self) -> dict[str, object]:
        # The page has it; a program that votes need not, while nothing else can have been read.
        only = "" if self.question.rewordings else self.question.wording_digest
        if self.data.get("wording", only) != self.question.wording_digest:
            raise forms.ValidationError(str(QuestionChanged()))
        sent = self._sent(self.data)
        while self.is_ranked and sent and not sent[-1]:
            sent.pop()
        if "" in sent:
            raise forms.ValidationError(
                f"Rank {sent.index('') + 1} is empty. Fill the ranks from the first one on, without gaps."
            )
        choices = self._known(sent)
        if None in choices:
            raise forms.ValidationError(UNKNOWN)
        try:
            return {"choices": valid_choices(self.question, choices)}
        except InvalidBallot as error:
            raise forms.ValidationError(str(error)) from None

    @property
    def ranks(self) -> list[tuple[int, int | None]]:
        """Return each rank with the choice that is shown there."""
        shown = [*self.chosen, *[None] * self.most]
        return list(enumerate(shown[: self.most], 1))

    @property
    def rule(self) -> str:
        """Say how many choices a ballot takes; empty where it is plain to see."""
        least = min(self.question.min_choices, self.most)
        verb = "Rank" if self.is_ranked else "Select"
        if self.most == 1:
            return ""
        if least == self.most:
            return f"{verb} {least} choices."
        if least == 1:
            everything = self.most == len(self.choices)
            many = "as many as you like" if everything else f"up to {self.most}"
            return f"{verb} {many}, but at least one."
        return f"{verb} {least} to {self.most} choices."

    @property
    def error_message(self) -> str:
        """The one sentence that says what is wrong; empty if nothing is."""
        return next(iter(self.non_field_errors()), "")


class RefuseFiles(FileUploadHandler):
    """The site takes no files: refuse one before it is read."""

    def new_file(self, *args: object, **kwargs: object) -> NoReturn:
        raise BadRequest("This site takes no files.")
