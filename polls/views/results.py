from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control

from ..codes import spell
from ..counting.ballots_csv import fingerprint
from ..counting.instant_runoff import TIE_RULE
from ..counting.tally import Tally, _behind, _outcome, _ties, tally_of
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


@cache_for_spectators()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    tally, own = tally_of(question), own_ballot(request, question)
    shown = may_see(request, question)
    context = {
        "question": question,
        "own": own,
        "chosen": own.choices if own else [],
        "receipt": spell(own.receipt) if own and question.receipts else "",
        "fingerprint": _fingerprint(question) if shown else "",
        "ballots": tally["ballots"],
        "streams": _streams(request),
    }
    # What must not be seen does not reach the template.
    context |= present(tally) if shown else {}
    response = render(request, "polls/results.html", context)
    return tag(response, _shown_version(tally, shown))


def _shown_version(tally: Tally, shown: bool) -> int:
    """Return what tells an older page from a newer one.

    Where results are hidden that is the number of ballots: the version would
    tell how often votes were changed.
    """
    return tally["version"] if shown else tally["ballots"]


def present(tally: Tally) -> dict[str, object]:
    """Return what a page needs to show results: the tally, and its rounds by choice."""
    by_choice = zip(*(round_["votes"] for round_ in tally["rounds"]))
    rounds = [
        {"choice": choice, "votes": votes}
        for choice, votes in zip(tally["choices"], by_choice)
    ]
    return {
        "tally": tally,
        "rounds": rounds,
        "behind": _behind(tally),
        "ties": _ties(tally),
        "outcome": _outcome(tally),
        "tie_rule": TIE_RULE,
    }


def _fingerprint(question: Question) -> str:
    """Return the SHA-256 of ballots.csv where there is one to compare with."""
    return fingerprint(question) if question.state() == "closed" else ""


def _streams(request: HttpRequest) -> bool:
    """Tell whether this server can hold a stream open: WSGI cannot without a worker for each."""
    return isinstance(request, ASGIRequest)


@allow("GET")
def live(request: HttpRequest, question_id: int) -> HttpResponse:
    question = visible_or_403(request, question_id)
    if not _streams(request):
        return HttpResponse(status=204)
    # Even where everyone sees them: the organiser may make that stricter while the stream is open.
    right = right_of_visitor(request, question)
    # A browser names the first on coming back, and live.js the second on its first visit.
    seen = request.headers.get("Last-Event-ID", ""), request.GET.get("version", "")
    return EventStream(question.pk, right, max(map(version_in, seen)))


@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def share(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    tally = tally_of(question)
    link = address(request, question.get_absolute_url())
    context = {
        "question": question,
        "ballots": tally["ballots"],
        "streams": _streams(request),
        "link": link,
        "qr": draw(link),
    }
    # A wall is seen by everybody in the room.
    shown = question.results_visible_to(Audience.SPECTATOR)
    context |= present(tally) if shown else {}
    response = render(request, "polls/share.html", context)
    return tag(response, _shown_version(tally, shown))
