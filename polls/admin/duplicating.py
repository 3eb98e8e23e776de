"""Copies of polls, with the same choices and promises and without the votes."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Question
from .pages import ModelAdmin


def may_duplicate(modeladmin: ModelAdmin, request: HttpRequest) -> bool:
    """Ask for both: a copy that its maker cannot edit would be left lying about."""
    may_add = modeladmin.has_add_permission(request)
    return may_add and modeladmin.has_change_permission(request)


def duplicate_one(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    question = get_object_or_404(Question, pk=question_id)
    if not may_duplicate(modeladmin, request):
        raise PermissionDenied
    copy = question.duplicate()
    modeladmin.log_addition(request, copy, f"Duplicated from question {question.pk}.")
    # A poll that was closed at once has a copy that hardly opens.
    until = copy.closes_at and date_format(
        timezone.localtime(copy.closes_at), "DATETIME_FORMAT"
    )
    sentence = _(
        "This is the copy. It opens in a week and stays open; edit it, then set its dates. "
        "Without a day under “Opens” it opens at once, when you save."
    )
    if until:
        sentence = _(
            "This is the copy. It opens in a week and closes %(until)s; edit it, then set its dates. "
            "Without a day under “Opens” it opens at once, when you save."
        ) % {"until": until}
    modeladmin.message_user(request, sentence, messages.SUCCESS)
    return redirect("admin:polls_question_change", copy.pk)


@admin.action(
    description=gettext_lazy("Duplicate selected polls"),
    permissions=["duplicate"],
)
def duplicate(
    modeladmin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Question]
) -> None:
    copies = [question.duplicate() for question in queryset]
    sentence = _(
        "Duplicated without their votes: %(number)s. "
        "The copies open in a week, for as long as the originals; edit them, then set their dates."
    ) % {"number": len(copies)}
    modeladmin.message_user(request, sentence, messages.SUCCESS)
