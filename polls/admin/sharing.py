"""What an organiser does with a poll once it is written: hand out its link, put it on a wall, look at it beforehand."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..models import Question
from ..qr import draw
from ..site_url import address, is_local
from .pages import ModelAdmin, page, question_to_view


def share(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    question = question_to_view(modeladmin, request, question_id)
    link = address(request, question.get_absolute_url())
    context = {
        "title": _("Share"),
        "question": question,
        "state": question.state(),
        "link": link,
        "qr": draw(link),
        "embed": _embed(request, question) if question.may_embed else "",
        "is_local": is_local(request),
        "may_change": modeladmin.has_change_permission(request, question),
    }
    return page(modeladmin, request, "share", context)


def _embed(request: HttpRequest, question: Question) -> SafeString:
    frame = '<iframe src="{}" title="{}" width="100%" height="480"></iframe>'
    path = reverse("polls:embed", args=[question.pk])
    return format_html(frame, address(request, path), question)


def qr_file(
    modeladmin: ModelAdmin, request: HttpRequest, question_id: int
) -> HttpResponse:
    """Answer with the QR code alone, as a file for slides and posters."""
    question = question_to_view(modeladmin, request, question_id)
    qr = draw(address(request, question.get_absolute_url()))
    svg = render_to_string("admin/polls/question/qr.svg", {"qr": qr})
    name = f"poll-{question.pk}-qr.svg"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(svg, content_type="image/svg+xml", headers=headers)
