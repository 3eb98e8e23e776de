"""What the pages of a question share, which stand in the admin beside its form: the question, a right, the frame."""

from collections.abc import Mapping
from typing import TypeAlias

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from ..models import Question

ModelAdmin: TypeAlias = "admin.ModelAdmin[Question]"


def question_to_view(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> Question:
    question = get_object_or_404(Question, pk=question_id)
    if not modeladmin.has_view_permission(request, question):
        raise PermissionDenied
    return question


def question_to_change(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> Question:
    question = get_object_or_404(Question, pk=question_id)
    if not modeladmin.has_change_permission(request, question):
        raise PermissionDenied
    return question


def page(
    modeladmin: ModelAdmin,
    request: HttpRequest,
    name: str,
    context: Mapping[str, object],
) -> HttpResponse:
    """Render templates/admin/polls/question/<name>.html in the admin's frame."""
    shared = modeladmin.admin_site.each_context(request) | {"opts": modeladmin.opts}
    return render(request, f"admin/polls/question/{name}.html", {**shared, **context})
