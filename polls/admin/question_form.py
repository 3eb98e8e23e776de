"""The form of a question's page: its rules, and what it says when another organiser was faster."""

import copy
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.admin.utils import display_for_field
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst, format_lazy

from ..kinds import KINDS
from ..models import Question, Results

LIMITS = ("min_choices", "max_choices")
_RULES = [r.most_marks_rule for r in KINDS.values() if r.most_marks_rule]
ROOM = format_lazy("; ".join(["{}"] * len(_RULES)), *_RULES)


class KindSelect(forms.Select):
    """Marks the kinds without limits, for which admin.css hides the fields of the limits."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        option = super().create_option(name, value, *args, **kwargs)
        if not KINDS[value].has_limits:
            option["attrs"]["data-without-limits"] = True
        return option


class QuestionForm(forms.ModelForm):
    class Meta:
        # They begin with what the model says, and add what this form does.
        help_texts = {
            "min_choices": "A ballot with fewer choices is refused. Empty is 1.",
            "max_choices": format_lazy(
                "A ballot with more choices is refused. Leave it empty for as many as there are; {}.",
                ROOM,
            ),
        }
        widgets = {"kind": KindSelect}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A form that is refused has left in its instance what was typed.
        self.stored = copy.copy(self.instance)
        # Optimistic lock: the page carries it, so that nobody undoes unseen what another has saved.
        self.version = _version(self.stored) if self.stored.pk else ""
        if "pub_date" in self.fields:
            # What it was before is in the database: the page does not get to say.
            self.fields["pub_date"].show_hidden_initial = False
        if "min_choices" in self.fields:
            self.fields["min_choices"].required = False
        if "results" in self.fields and self.stored.frozen_fields:
            # What is looser is not offered; the model refuses it.
            order = Results.values
            widget = self.fields["results"].widget
            allowed = order[order.index(self.stored.results) :]
            widget.choices = [c for c in widget.choices if c[0] in allowed]

    def clean(self) -> None:
        super().clean()
        # Widgets have no microseconds: a date that stays must stay to the last of them.
        for name in {"pub_date", "closes_at"}.difference(self.changed_data):
            if name in self.cleaned_data:
                self.cleaned_data[name] = getattr(self.stored, name)
        if "min_choices" in self.fields:
            self._clean_limits()
        loaded = self.data.get("loaded")
        if loaded and self._has_other_choices():
            self._refuse_other_choices()
        elif loaded and loaded != self.version:
            told = f"{CHANGED}: save again to have it so, or load the page anew to begin with what is stored now."
            self.add_error(None, ValidationError([told, *self._stored_now()]))

    def _clean_limits(self) -> None:
        rules = KINDS[self.cleaned_data.get("kind", self.stored.kind)]
        least, most = LIMITS
        if not rules.has_limits:
            for name in LIMITS:
                # They are hidden.
                self.errors.pop(name, None)
            self.cleaned_data |= {least: 1, most: None}
            return
        if least not in self.errors:
            self.cleaned_data[least] = self.cleaned_data[least] or 1
        for name in LIMITS:
            limit = self.cleaned_data.get(name)
            if limit and rules.most_marks and limit > rules.most_marks:
                self.add_error(name, f"{capfirst(rules.most_marks_rule)}.")

    def _has_other_choices(self) -> bool:
        """Tell whether choices were added or removed since the page was loaded: it has rows for those of then."""
        stored = self.stored.choice_set.values_list("pk", flat=True)
        return set(self._sent("id")) != set(map(str, stored))

    def _sent(self, name: str) -> list[str]:
        """Return what was sent of the choices under this name, where it is not empty."""
        key = re.compile(rf"choice_set-\d+-{name}")
        return [value for k, value in self.data.items() if value and key.fullmatch(k)]

    def _refuse_other_choices(self) -> None:
        told = format_html(
            "{}, to copy it: choices were added or removed, so this page cannot be saved. To change the poll, "
            '<a href="{}" target="_blank">open it anew</a>.',
            CHANGED,
            reverse("admin:polls_question_change", args=[self.stored.pk]),
        )
        typed = f"You typed as choices: {', '.join(self._sent('choice_text'))}"
        self.add_error(None, ValidationError([told, typed, *self._stored_now()]))

    def _stored_now(self) -> Iterator[str]:
        """Say what another organiser has stored meanwhile, where it is not what was typed."""
        changed = [f for f in Question._meta.fields if f.name in self.changed_data]
        for field in changed:
            value = self.initial[field.name]
            # Django shows a picture.
            shown = "yes" if value is True else "no" if value is False else ""
            shown = shown or display_for_field(value, field, "empty")
            yield f"Stored now as “{str(field.verbose_name).capitalize()}”: {shown}"
        choices = self.stored.choice_set.order_by("pk")
        yield f"Stored now as choices: {', '.join(map(str, choices))}"


CHANGED = (
    "Another organiser has changed this poll since you loaded it, so nothing was saved. "
    "Below is what you typed"
)


def _version(question: Question) -> str:
    """Return a digest of all that the page of a question shows and saves."""
    values = [getattr(question, f.name) for f in question._meta.fields if f.editable]
    choices = question.choice_set.order_by("pk").values_list("pk", "choice_text")
    return hashlib.sha256(repr([values, *choices]).encode()).hexdigest()[:16]
