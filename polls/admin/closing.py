"""Closing polls at once, after a page that asks."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Question, QuestionQuerySet
from .pages import ModelAdmin, page


def _close_page(
    modeladmin: ModelAdmin, request: HttpRequest, questions: list[Question], left: int
) -> HttpResponse:
    context = {"title": _("Close now?"), "questions": questions, "left": left}
    return page(modeladmin, request, "close", context)


def close_one(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    """Ask whether to close this question; the page's button is the action of the list."""
    question = get_object_or_404(Question.objects.with_ballots(), pk=question_id)
    if not modeladmin.has_change_permission(request, question):
        raise PermissionDenied
    if question.is_open:
        return _close_page(modeladmin, request, [question], 0)
    modeladmin.message_user(request, _("This poll is not open."), messages.WARNING)
    return redirect("admin:polls_question_change", question.pk)


@admin.action(
    description=gettext_lazy("Close selected polls now"), permissions=["change"]
)
def close_now(
    modeladmin: ModelAdmin, request: HttpRequest, queryset: QuestionQuerySet
) -> HttpResponse | None:
    """Close what is open, after a page that asks: once people have voted, it cannot be undone."""
    selected = list(queryset.with_ballots())
    to_close = [question for question in selected if question.is_open]
    left = len(selected) - len(to_close)
    if to_close and "sure" not in request.POST:
        return _close_page(modeladmin, request, to_close, left)
    closed = [question for question in to_close if question.close()]
    for question in closed:
        modeladmin.log_change(request, question, "Closed now.")
    if closed:
        sentence = _("Closed: %(number)s. No more votes are taken.")
        closed_now = sentence % {"number": len(closed)}
        links = format_html_join(
            " ", '<a href="{}">{}</a>', ((q.results_url, q) for q in closed)
        )
        told = format_html("{} {}: {}", closed_now, _("Results"), links)
        modeladmin.message_user(request, told, messages.SUCCESS)
    left += len(to_close) - len(closed)
    if left:
        sentence = _("Not open, and left as they were: %(number)s.")
        modeladmin.message_user(request, sentence % {"number": left}, messages.WARNING)
    return None
