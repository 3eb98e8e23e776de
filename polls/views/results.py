from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import cache_control

from ..codes import spell
from ..counting.ballots_csv import fingerprint
from ..counting.instant_runoff import TIE_RULE
from ..counting.tally import tally_of
from ..models import Audience, Question
from ..qr import draw
from ..serving.decorators import allow
from ..serving.event_stream import EventStream
from ..serving.spectator_cache import cache_for_spectators
from ..serving.versions import tag, version_in
from ..site_url import address
from .lookups import (
    may_see,
    own_ballot,
    published_or_404,
    right_of_visitor,
    visible_or_403,
)

Context = dict[str, object]


@cache_for_spectators()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    own, is_visible = own_ballot(request, question), may_see(request, question)
    context: Context = {
        "own": own,
        "chosen": own.choices if own else [],
        "receipt": spell(own.receipt) if own and question.receipts else "",
        "fingerprint": _fingerprint(question) if is_visible else "",
        "tie_rule": TIE_RULE,
    }
    return _render_tally(request, "polls/results.html", question, is_visible, context)


@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def share(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    link = address(request, question.get_absolute_url())
    # A wall is seen by everybody in the room.
    is_visible = question.results_visible_to(Audience.SPECTATOR)
    context: Context = {"link": link, "qr": draw(link)}
    return _render_tally(request, "polls/share.html", question, is_visible, context)


def _render_tally(
    request: HttpRequest,
    template: str,
    question: Question,
    is_visible: bool,
    context: Context,
) -> HttpResponse:
    """Render a page with the tally, or, where it is hidden, with the number of ballots alone."""
    tally = tally_of(question)
    context |= {
        "question": question,
        "ballots": tally["ballots"],
        "streams": _can_stream(request),
    }
    # What must not be seen does not reach the template. The version would tell how often votes were changed.
    context |= {"tally": tally} if is_visible else {}
    response = render(request, template, context)
    return tag(response, tally["version"] if is_visible else tally["ballots"])


def _fingerprint(question: Question) -> str:
    """Return the SHA-256 of ballots.csv where there is one to compare with."""
    return fingerprint(question) if question.state() == "closed" else ""


def _can_stream(request: HttpRequest) -> bool:
    """Tell whether this server can hold a stream open: WSGI cannot without a worker for each."""
    return isinstance(request, ASGIRequest)


@allow("GET")
def live(request: HttpRequest, question_id: int) -> HttpResponseBase:
    question = visible_or_403(request, question_id)
    if not _can_stream(request):
        return HttpResponse(status=204)
    # Even where everyone sees them: the organiser may make that stricter while the stream is open.
    right = right_of_visitor(request, question)
    # A browser names the first on coming back, and live.js the second on its first visit.
    seen = request.headers.get("Last-Event-ID", ""), request.GET.get("version", "")
    return EventStream(question.pk, right, max(map(version_in, seen)))
