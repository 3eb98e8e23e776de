"""What the admin's own pages share, beside its lists and forms: the question, the right to it, the frame."""

from collections.abc import Mapping
from typing import Any, TypeAlias

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
    modeladmin: "admin.ModelAdmin[Any]",
    request: HttpRequest,
    name: str,
    context: Mapping[str, object],
) -> HttpResponse:
    """Render the template of this name, among those of the model, in the admin's frame."""
    opts = modeladmin.opts
    template = f"admin/{opts.app_label}/{opts.model_name}/{name}.html"
    shared = modeladmin.admin_site.each_context(request) | {"opts": opts}
    return render(request, template, {**shared, **context})
