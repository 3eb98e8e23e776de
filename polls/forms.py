from typing import NoReturn

from django import forms
from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import FileUploadHandler

from .models import Question


class BallotForm(forms.Form):
    """What a voter sends: `choice`, the id of one choice of the question."""

    choice = forms.MultipleChoiceField(
        error_messages={
            "required": "You didn't select a choice.",
            "invalid_choice": "That is not a choice of this poll. Select one of the choices below.",
        }
    )

    def __init__(self, question: Question, data: object = None) -> None:
        super().__init__(data)
        choices = question.choice_set.order_by("id")
        self.fields["choice"].choices = [(c.pk, c.choice_text) for c in choices]

    def clean_choice(self) -> set[int]:
        chosen = {int(pk) for pk in self.cleaned_data["choice"]}
        if len(chosen) > 1:
            raise forms.ValidationError("Select only one choice.")
        return chosen

    @property
    def error_message(self) -> str:
        """The one sentence that says what is wrong; empty if nothing is."""
        return next(iter(self.errors.get("choice", [])), "")


class RefuseFiles(FileUploadHandler):
    """The site takes no files: refuse one before it is read."""

    def new_file(self, *args: object, **kwargs: object) -> NoReturn:
        raise BadRequest("This site takes no files.")
