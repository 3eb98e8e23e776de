"""The form of a question's page: its rules, and what it says when another organiser was faster."""

import copy
import datetime
import hashlib
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.admin.utils import display_for_field
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..kinds import KINDS
from ..models import Question
from ..promises import as_strict
from .choices import ChoicesField, read_choices
from .moments import END_OF_DAY, MomentField, MomentWidget

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
    choices = ChoicesField(
        label=gettext_lazy("Choices"),
        widget=forms.Textarea(attrs={"rows": 6, "dir": "auto"}),
        help_text=gettext_lazy(
            "One a line, in the order in which voters read them. You can paste a list."
        ),
    )

    class Meta:
        # They begin with what the model says, and add what this form does.
        help_texts = {
            "min_choices": gettext_lazy(
                "A ballot with fewer choices is refused. Empty is 1."
            ),
            "max_choices": format_lazy(
                gettext_lazy(
                    "A ballot with more choices is refused. Empty: as many as there are; {room}."
                ),
                room=ROOM,
            ),
        }
        widgets = {"kind": KindSelect}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A form that is refused has left in its instance what was typed.
        self.stored = copy.copy(self.instance)
        # Optimistic lock: the page carries it, so that nobody undoes unseen what another has saved.
        self.version = _version(self.stored) if self.stored.pk else ""
        if "choices" in self.fields and self.stored.pk:
            self.initial["choices"] = "\n".join(read_choices(self.stored))
        self._prepare_moments()
        if "min_choices" in self.fields:
            self.fields["min_choices"].required = False
        if "language" in self.fields:
            # Django's own name for none is a row of dashes.
            widget = self.fields["language"].widget
            widget.choices = [("", _("Not said")), *list(widget.choices)[1:]]
        if "results" in self.fields and self.stored.frozen_fields:
            # What is looser is not offered; the model refuses it.
            widget = self.fields["results"].widget
            allowed = as_strict(self.stored.results)
            widget.choices = [c for c in widget.choices if c[0] in allowed]

    def _prepare_moments(self) -> None:
        opens, closes = self.fields.get("pub_date"), self.fields.get("closes_at")
        for field in (opens, closes):
            if field and isinstance(field.widget, MomentWidget):
                field.widget.name(capfirst(str(field.label)))
        if opens:
            # What it was before is in the database: the page does not get to say.
            opens.show_hidden_initial = False
            # Empty is at once.
            opens.required = False
            if not self.stored.pk:
                self.initial["pub_date"] = None
        if isinstance(closes, MomentField):
            closes.time_of_day = END_OF_DAY
            closes.widget.empty = _("No end")

    def clean_pub_date(self) -> datetime.datetime:
        return self.cleaned_data["pub_date"] or timezone.now()

    def clean(self) -> None:
        super().clean()
        # Widgets have no seconds: a date that stays must stay to the last of them.
        for name in {"pub_date", "closes_at"}.difference(self.changed_data):
            if name in self.cleaned_data:
                self.cleaned_data[name] = getattr(self.stored, name)
        if "min_choices" in self.fields:
            self._clean_limits()
        if "choices" in self.cleaned_data:
            self._compare_choices()
        loaded = self.data.get("loaded")
        if loaded and loaded != self.version:
            told = _(
                "Another organiser has changed this poll since you loaded it, so nothing was saved. Below is what "
                "you typed: save again to have it so, or load the page anew to begin with what is stored now."
            )
            self.add_error(None, ValidationError([told, *self._stored_now()]))

    def _compare_choices(self) -> None:
        """Refuse what comes after the first ballot, and too few for a ballot."""
        if self.stored.frozen_fields:
            # Of a page that was loaded before it: a later one shows the choices as text.
            if "choices" in self.changed_data:
                told = _(
                    "The choices cannot change any more. They are what people have voted on: "
                    "duplicate the poll instead."
                )
                self.add_error("choices", told)
            return
        least, number = (
            self.cleaned_data.get("min_choices") or 1,
            self.number_of_choices,
        )
        if least > number:
            told = _(
                "A ballot needs at least %(least)d choices, and there are %(number)d. "
                "Add choices, or lower “At least”."
            )
            self.add_error("choices", told % {"least": least, "number": number})

    @property
    def number_of_choices(self) -> int:
        return len(self.cleaned_data["choices"])

    @property
    def warning(self) -> str:
        """What is saved as it was typed, and hardly meant so; empty if nothing is."""
        most = self.cleaned_data.get("max_choices")
        if not most or "choices" not in self.cleaned_data:
            return ""
        if most <= self.number_of_choices:
            return ""
        told = ngettext(
            "“At most” is %(most)d, and there is %(number)d choice: voters can take all of them.",
            "“At most” is %(most)d, and there are %(number)d choices: voters can take all of them.",
            self.number_of_choices,
        )
        return told % {"most": most, "number": self.number_of_choices}

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

    def _stored_now(self) -> Iterator[str]:
        """Say what another organiser has stored meanwhile, where it is not what was typed."""
        changed = [f for f in Question._meta.fields if f.name in self.changed_data]
        for field in changed:
            told = _("Stored now as “%(field)s”: %(value)s")
            label, value = capfirst(field.verbose_name), self.initial[field.name]
            yield told % {"field": label, "value": _shown(value, field)}
        choices = ", ".join(read_choices(self.stored))
        yield _("Stored now as choices: %(choices)s") % {"choices": choices}


def _shown(value: object, field: models.Field) -> str:
    if isinstance(value, bool):
        # Django shows a picture.
        return _("yes") if value else _("no")
    return display_for_field(value, field, _("empty"))


def _version(question: Question) -> str:
    """Return a digest of all that the page of a question shows and saves."""
    values = [getattr(question, f.name) for f in question._meta.fields if f.editable]
    choices = question.choice_set.order_by("pk").values_list("pk", "choice_text")
    return hashlib.sha256(repr([values, *choices]).encode()).hexdigest()[:16]
