from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_exempt

from ..audience import SPECTATOR
from ..codes import spell
from ..counting.ballots_csv import fingerprint
from ..counting.instant_runoff import TIE_RULE
from ..counting.shown import Row, longest_first, rows_of
from ..counting.tally import tally_of
from ..models import Audience, Question
from ..qr import draw
from ..serving.decorators import allow
from ..serving.event_stream import EventStream
from ..serving.spectator_cache import cache_for_spectators
from ..serving.versions import tag, version_in
from ..serving.viewer import Subscription, View
from ..site_url import address
from .lookups import (
    may_see,
    own_ballot,
    published_or_404,
    right_of_visitor,
    visible_or_403,
)
from .oembed import oembed_address
from .open_graph import open_graph

Context = dict[str, Any]
Arrange = Callable[[list[Row]], Context]

NO_FRAMES = _(
    "The organiser of this poll does not let other sites show it. Open the poll itself."
)
# Rows of the wall that a room can read; of more choices it shows the first by votes.
WALL_ROWS = 8
# Characters of a choice that stand beside its bar; a longer one stands above it.
WORDY = 40


# On paper it says its address, as it tells it other sites.
@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results(request: HttpRequest, question_id: int) -> HttpResponse:
    return results_page(request, published_or_404(question_id))


def results_page(request: HttpRequest, question: Question) -> HttpResponse:
    own, is_visible = own_ballot(request, question), may_see(request, question)
    context: Context = {
        "own": own,
        "chosen": own.choices if own else [],
        "open_graph": open_graph(request, question.results_url),
        "oembed": oembed_address(request, question) if question.may_embed else "",
        "receipt": spell(own.receipt) if own and question.receipts else "",
        "fingerprint": _fingerprint(question) if is_visible else "",
        "tie_rule": TIE_RULE,
    }
    return _render_tally(request, "polls/results.html", question, is_visible, context)


@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def share(request: HttpRequest, question_id: int) -> HttpResponse:
    return wall_page(request, published_or_404(question_id))


def wall_page(request: HttpRequest, question: Question) -> HttpResponse:
    link = address(request, question.get_absolute_url())
    short_link = address(request, reverse("polls:short", args=[question.pk]))
    context: Context = {
        "link": link,
        "short_link": short_link.partition("//")[2],
        "qr": draw(link),
        "next_open": question.next_open(),
        "length": len(question.question_text) // 60,
    }
    return _render_for_everybody(
        request, "polls/share.html", question, context, for_room
    )


def for_room(rows: list[Row]) -> Context:
    """Say how a room can read these rows: of many, the first by votes."""
    more = len(rows) - WALL_ROWS
    return {
        "rows": longest_first(rows) if more > 0 else rows,
        "sorted": more > 0,
        "more": max(more, 0),
        "is_wordy": any(len(row.text) > WORDY for row in rows),
    }


# In a frame no cookie of this site comes along, nor is one set.
@cache_for_spectators()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
@xframe_options_exempt
def embed(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    if not question.may_embed:
        raise PermissionDenied(NO_FRAMES)
    response = _render_for_everybody(request, "polls/embed.html", question, {})
    response["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY.replace(
        "frame-ancestors 'none'", "frame-ancestors *"
    )
    return response


def _render_for_everybody(
    request: HttpRequest,
    template: str,
    question: Question,
    context: Context,
    arrange: Arrange | None = None,
) -> HttpResponse:
    """Render what a spectator may see, whoever's browser it is: a room sees a wall, and a frame stands on another site."""
    is_visible = question.results_visible_to(Audience.SPECTATOR)
    context["live_query"] = "?as=spectator"
    return _render_tally(request, template, question, is_visible, context, arrange)


def _render_tally(
    request: HttpRequest,
    template: str,
    question: Question,
    is_visible: bool,
    context: Context,
    arrange: Arrange | None = None,
) -> HttpResponse:
    """Render a page with the tally, or, where it is hidden, with the number of ballots alone."""
    tally = tally_of(question)
    context |= {
        "question": question,
        # The addresses of its pages and files begin with it.
        "poll": question.get_absolute_url(),
        "state": tally["question"]["state"],
        "ballots": tally["ballots"],
        "ballots_text": tally["ballots_text"],
        "ballots_number": tally["ballots_number"],
        "streams": _can_stream(request),
    }
    # What must not be seen does not reach the template. The version would tell how often votes were changed.
    if not is_visible:
        context["live_query"] = "?only=ballots"
        return tag(render(request, template, context), tally["ballots"])
    rows = rows_of(tally, context.get("chosen", ()))
    context |= {"tally": tally, "rows": rows} | (arrange(rows) if arrange else {})
    return tag(render(request, template, context), tally["version"])


def _fingerprint(question: Question) -> str:
    """Return the SHA-256 of ballots.csv where there is one to compare with."""
    return fingerprint(question) if question.state() == "closed" else ""


def _can_stream(request: HttpRequest) -> bool:
    """Tell whether this server can hold a stream open: WSGI cannot without a worker for each."""
    return isinstance(request, ASGIRequest)


@allow("GET")
def live(request: HttpRequest, question_id: int) -> HttpResponseBase:
    # That everyone may know.
    only_ballots = request.GET.get("only") == "ballots"
    find = published_or_404 if only_ballots else partial(visible_or_403, request)
    question = find(question_id)
    if not _can_stream(request):
        return HttpResponse(status=204)
    # Even where everyone sees them: the organiser may make that stricter while the stream is open.
    right = SPECTATOR if only_ballots else right_of_visitor(request, question)
    # A browser names the first on coming back, and live.js the second on its first visit.
    seen = request.headers.get("Last-Event-ID", ""), request.GET.get("version", "")
    view = View(get_language() or settings.LANGUAGE_CODE, only_ballots)
    return EventStream(
        Subscription(question.pk, right, max(map(version_in, seen)), view)
    )
