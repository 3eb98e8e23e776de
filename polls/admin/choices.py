"""The choices on the page of their question: who saves the one saves the others, and what has ballots stays."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from django.http import HttpRequest

from ..audience import sees_all_results
from ..models import Choice, Question


class ChoiceFormSet(forms.BaseInlineFormSet):
    default_error_messages = forms.BaseInlineFormSet.default_error_messages | {
        "too_few_forms": "A question needs at least %(num)d choices."
    }

    def clean(self) -> None:
        if any("id" in errors for errors in self.errors):
            # The field is hidden, and a row without a choice is not even shown.
            raise ValidationError(
                "A choice is not there any more. Open the question anew."
            )
        if self.instance.frozen_fields:
            self._refuse_changes()
        else:
            self._compare_texts()

    def _refuse_changes(self) -> None:
        """Refuse a page that was loaded before the first ballot: a later one shows the choices as text."""
        if self.has_changed():
            raise ValidationError(
                "The choices cannot change any more. They are what people have voted on: "
                "duplicate the question instead."
            )

    def _compare_texts(self) -> None:
        rows = [form.cleaned_data for form in self.forms]
        kept = [row for row in rows if not row.get(DELETION_FIELD_NAME)]
        texts = [row["choice_text"] for row in kept if row.get("choice_text")]
        if len(set(texts)) < len(texts):
            raise ValidationError("Two choices are the same. Change or remove one.")
        least = self.instance.min_choices
        if not any(self.errors) and least > len(texts):
            raise ValidationError(
                f"A ballot needs at least {least} choices, and there are {len(texts)}. "
                "Add choices, or lower “At least”."
            )


class ChoiceInline(admin.TabularInline):
    model = Choice
    formset = ChoiceFormSet
    min_num = 2
    extra = 1
    # The running total is the ballots' business, nobody's to write.
    readonly_fields = ["votes"]

    def get_formset(
        self, request: HttpRequest, obj: Question | None = None, **kwargs: Any
    ) -> type[forms.BaseInlineFormSet]:
        # What has ballots is not counted again: from an older version there may be one choice alone.
        kwargs["validate_min"] = not (obj and obj.frozen_fields)
        return super().get_formset(request, obj, **kwargs)

    # Choices have no permissions of their own: they are part of the question.

    def has_view_permission(
        self, request: HttpRequest, obj: Question | None = None
    ) -> bool:
        return sees_all_results(request.user)

    def has_change_permission(
        self, request: HttpRequest, obj: Question | None = None
    ) -> bool:
        action = "change" if obj else "add"
        return request.user.has_perm(f"polls.{action}_question")

    has_add_permission = has_delete_permission = has_change_permission


class FrozenChoiceInline(ChoiceInline):
    """The choices that people have voted on, as text."""

    def has_change_permission(
        self, request: HttpRequest, obj: Question | None = None
    ) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission
