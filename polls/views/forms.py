from collections.abc import Sequence

from django import forms
from django.http import QueryDict

from ..kinds import InvalidBallot
from ..models import Question
from ..voting.cast import QuestionChanged


class BallotForm(forms.Form):
    """What a voter sends: ids of choices, under the names that the kind of question reads.

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
        self.rules = question.rules
        self.choices = question.choice_texts
        self.most = question.max_marks(len(self.choices))
        self.ids = {str(pk): pk for pk in self.choices}
        self.sent = [] if data is None else self.rules.sent(data)
        # What the page shows as chosen: what was sent, however wrong, or else what is given here.
        self.chosen: list[int | None] = list(chosen)
        if data is not None:
            self.chosen = [self.ids.get(text) for text in self.sent]

    def clean(self) -> dict[str, object]:
        # The page sends it. A program need not, while the question has never been reworded.
        only = "" if self.question.rewordings else self.question.wording_digest
        if self.data.get("wording", only) != self.question.wording_digest:
            raise forms.ValidationError(str(QuestionChanged()))
        try:
            choices = self.rules.read(self.sent, self.ids)
            return {"choices": self.question.valid_choices(choices)}
        except InvalidBallot as error:
            raise forms.ValidationError(str(error)) from None

    @property
    def ranks(self) -> list[tuple[int, int | None]]:
        """Return each rank with the choice that is shown there."""
        shown = [*self.chosen, *[None] * self.most]
        return list(enumerate(shown[: self.most], 1))

    @property
    def rule(self) -> str:
        least, most = self.question.min_choices, self.question.max_choices
        return self.rules.rule(least, most, len(self.choices))

    @property
    def error_message(self) -> str:
        """The one sentence that says what is wrong; empty if nothing is."""
        return str(next(iter(self.non_field_errors()), ""))
