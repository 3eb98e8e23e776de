"""The choices on the page of their question: one a line, so that a list is pasted, put in order and filled in as text."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from ..models import MAX_CHOICES, Choice, Question

MAX_LENGTH: int = Choice._meta.get_field("choice_text").max_length or 0


class ChoicesField(forms.CharField):
    """A list of texts. Lines without a character are no choices."""

    widget = forms.Textarea
    default_error_messages = {
        "required": _("A poll needs at least 2 choices."),
        "too_many": _("A poll has room for %(most)d choices."),
        "too_long": _(
            "Line %(line)d is too long. A choice has room for %(most)d characters."
        ),
        "twice": _("Two choices are the same. Change or remove one: “%(text)s”"),
    }

    def clean(self, value: Any) -> list[str]:
        texts = _lines(super().clean(value))
        if len(texts) < 2:
            raise ValidationError(self.error_messages["required"], code="required")
        if len(texts) > MAX_CHOICES:
            self._refuse("too_many", most=MAX_CHOICES)
        for line, text in enumerate(texts, 1):
            if len(text) > MAX_LENGTH:
                self._refuse("too_long", line=line, most=MAX_LENGTH)
            if text in texts[: line - 1]:
                self._refuse("twice", text=text)
        return texts

    def _refuse(self, code: str, **params: object) -> None:
        raise ValidationError(self.error_messages[code], code=code, params=params)

    def has_changed(self, initial: Any, data: Any) -> bool:
        # A browser sends other line ends than it was given.
        return _lines(initial or "") != _lines(data or "")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_choices(question: Question) -> list[str]:
    """Return the texts of a question in their order, each on one line."""
    texts = question.choice_set.order_by("pk").values_list("choice_text", flat=True)
    return [" ".join(text.split()) for text in texts]


def write_choices(question: Question, texts: list[str]) -> None:
    """Make these the choices of a question on which nobody has voted.

    The order of choices is the order of their ids. Nothing refers to them before the first ballot, so the rows stay, and
    take the texts from first to last: those of a list in another order, or with a line in between.
    """
    with transaction.atomic():
        question.choice_set.lock()
        rows = list(question.choice_set.order_by("pk"))
        changed = [row for row, text in zip(rows, texts) if row.choice_text != text]
        for row, text in zip(rows, texts):
            row.choice_text = text
        gone = [row.pk for row in rows[len(texts) :]]
        added = [
            Choice(question=question, choice_text=text) for text in texts[len(rows) :]
        ]
        Choice.objects.bulk_update(changed, ["choice_text"])
        question.choice_set.filter(pk__in=gone).delete()
        Choice.objects.bulk_create(added)
        if rows and (changed or gone or added):
            question.note_rewording()
