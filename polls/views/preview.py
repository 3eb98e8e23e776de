"""Ballot, results and wall of a poll that has not opened, as a voter is to see them; for organisers alone.

They are the pages of the public views, made for a visitor without a cookie or an account, of the question as it is
once it opens. Nothing of it is kept: no cookie is set, and no cache has a place for it. The public addresses answer
404 all the while.
"""

import copy
import re
from collections.abc import Callable

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from ..audience import sees_all_results
from ..models import Question
from ..serving.decorators import allow
from .ballot import ballot_context
from .results import results_page, wall_page

# The public pages that have a preview, by their names in urls.py. Whoever votes there is told on the ballot.
PREVIEWS = {
    "polls:detail": "preview",
    "polls:vote": "preview",
    "polls:results": "preview_results",
    "polls:share": "preview_wall",
}


# Its form has no security token, and its POST changes nothing.
@allow("GET", "HEAD", "POST")
@csrf_exempt
def ballot_preview(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _scheduled(request, question_id)
    if not question:
        return redirect("polls:detail", question_id)
    visitor = _visitor(request)
    # Voters type their code first; what they are asked then is what is to be seen.
    context = ballot_context(visitor, question, own=None, needs_code=False)
    context["csrf_token"] = "preview"
    if request.method == "POST":
        context["error_message"] = _("A preview takes no votes.")
    page = render_to_string("polls/detail.html", context, visitor)
    return _answer(request, question, page)


@allow("GET", "HEAD")
def results_preview(request: HttpRequest, question_id: int) -> HttpResponse:
    return _preview(request, question_id, "polls:results", results_page)


@allow("GET", "HEAD")
def wall_preview(request: HttpRequest, question_id: int) -> HttpResponse:
    return _preview(request, question_id, "polls:share", wall_page)


def _preview(
    request: HttpRequest,
    question_id: int,
    public: str,
    page: Callable[[HttpRequest, Question], HttpResponse],
) -> HttpResponse:
    question = _scheduled(request, question_id)
    if not question:
        return redirect(public, question_id)
    return _answer(request, question, page(_visitor(request), question).text)


def _scheduled(request: HttpRequest, question_id: int) -> Question | None:
    """Return the question as it is once it opens; None if it has opened already, and has its own pages."""
    if not sees_all_results(request.user):
        raise PermissionDenied
    question = get_object_or_404(Question, pk=question_id)
    if question.state() != "scheduled":
        return None
    question.pub_date, question.closed_at = timezone.now(), None
    return question


def _visitor(request: HttpRequest) -> HttpRequest:
    """Return the request as somebody would send it who has never been here."""
    visitor = copy.copy(request)
    known = {"HTTP_COOKIE", "CSRF_COOKIE"}
    visitor.META = {k: v for k, v in request.META.items() if k not in known}
    visitor.COOKIES, visitor.GET, visitor.POST = {}, QueryDict(), QueryDict()
    visitor.method, visitor.user = "GET", AnonymousUser()
    # The organiser's own messages are for the next page of the admin.
    vars(visitor).pop("_messages", None)
    return visitor


def _answer(request: HttpRequest, question: Question, page: str) -> HttpResponse:
    """Mark the page as a preview, lead its links to the other previews, and take out those to files, which are not there
    yet, and what would ask for live numbers.
    """
    page = re.sub(rf' href="{question.get_absolute_url()}[\w.]+"', "", page)
    for public, preview in PREVIEWS.items():
        own = reverse(preview, args=[question.pk])
        page = page.replace(f'"{reverse(public, args=[question.pk])}"', f'"{own}"')
    live = '<script type="module" src="{}"></script>'
    page = page.replace(format_html(live, static("polls/live.js")), "")
    context = {"question": question, "path": request.path}
    mark = render_to_string("polls/_preview.html", context)
    return HttpResponse(page.replace("<main ", f"{mark}<main ", 1))
