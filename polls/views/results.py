from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_exempt

from ..audience import SPECTATOR
from ..codes import spell
from ..counting.ballots_csv import fingerprint
from ..counting.instant_runoff import TIE_RULE
from ..counting.shown import Row, longest_first, rows_of
from ..counting.tally import Tally, tally_of
from ..models import Question
from ..page_sql import OwnBallot, Reading, read
from ..promises import Audience
from ..qr import draw
from ..serving.decorators import allow
from ..serving.event_stream import EventStream
from ..serving.own_pages import Texts, fragment, own_page
from ..serving.spectator_cache import cache_for_spectators
from ..serving.versions import tag, version_in
from ..serving.viewer import Subscription, View
from ..site_url import address
from .lookups import look_at, published_or_404, right_of_visitor, visible_or_403
from .oembed import oembed_address
from .open_graph import open_graph

Context = dict[str, Any]
Arrange = Callable[[list[Row]], Context]

NO_FRAMES = _(
    "The organiser of this poll does not let other sites show it. Open the poll itself."
)
# Characters of an outcome that is written smaller.
LONG = 90
# Rows of the wall that a room can read; of more choices it shows the first by votes.
WALL_ROWS = 8
# Characters of a choice that stand beside its bar; a longer one stands above it.
WORDY = 40
# Parts of a row that may be empty: it is not the visitor's choice, or it went out before the last round.
ROW_FRAGMENTS = "percent", "votes", "attributes", "mark"


# On paper it says its address, as it tells it other sites.
@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results(request: HttpRequest, question_id: int) -> HttpResponse:
    return results_page(request, published_or_404(question_id))


def results_page(request: HttpRequest, question: Question) -> HttpResponse:
    find = partial(_look, question)
    look = read(find(request))
    return own_page(request, look, find, partial(_render_results, request))


@dataclass
class _Look:
    """What a visitor sees on the results page at this moment."""

    question: Question
    tally: Tally
    own: OwnBallot | None
    is_visible: bool
    rows: list[Row]
    fingerprint: str

    @property
    def version(self) -> int:
        # Where results are hidden, the version would tell how often votes were changed.
        return self.tally["version" if self.is_visible else "ballots"]

    def shape(self) -> Hashable:
        rows = tuple((row.id, row.text) for row in self.rows)
        is_wordy, has_rounds = _is_long(self.tally), bool(self.tally["rounds"])
        state = self.tally["question"]["state"]
        own = self.own is not None
        return state, self.is_visible, own, rows, is_wordy, has_rounds, self.fingerprint

    def texts(self) -> dict[str, str]:
        has_receipt = self.own and self.question.receipts
        texts = {
            "version": str(self.version),
            "ballots": self.tally["ballots_text"],
            "receipt": self.own.receipt if self.own and has_receipt else "",
            "code": spell(self.own.receipt) if self.own and has_receipt else "",
        }
        if self.is_visible:
            counted = self.tally["rounds_version"]
            texts |= {
                "outcome": self.tally["outcome"],
                "behind": self.tally["behind"],
                "counted": "-1" if counted is None else str(counted),
                "rounds_table": self.tally["rounds_table"],
            }
        for row in self.rows:
            texts[f"{row.id} share"] = str(row.share)
            for name in ROW_FRAGMENTS:
                texts[f"{row.id} {name}"] = fragment(getattr(row, name))
        return texts


def _look(question: Question, request: HttpRequest) -> Reading[_Look]:
    tally, own, is_visible = yield from look_at(request, question)
    rows = rows_of(tally, own.choices if own else ()) if is_visible else []
    rows = [row._replace(mark=_own_mark(question, row.own)) for row in rows]
    fingerprint = _fingerprint(question) if is_visible else ""
    return _Look(question, tally, own, is_visible, rows, fingerprint)


def _own_mark(question: Question, place: int) -> str:
    if not place:
        return ""
    return _mark(question.rules.own_mark(place))


@lru_cache(maxsize=256)
def _mark(text: str) -> str:
    return format_html(' <strong class="mark">{}</strong>', text)


def _render_results(request: HttpRequest, look: _Look, texts: Texts) -> str:
    question = look.question
    context = _context(request, question, look.tally) | {
        "own": look.own and look.own._replace(receipt=texts["receipt"]),
        "open_graph": open_graph(request, question.results_url),
        "oembed": oembed_address(request, question) if question.may_embed else "",
        "receipt": texts["code"],
        "fingerprint": look.fingerprint,
        "tie_rule": TIE_RULE,
        "ballots_text": texts["ballots"],
    }
    if look.is_visible:
        names = "version", "outcome", "behind", "rounds_table"
        live = {name: texts[name] for name in names}
        live["rounds_version"] = texts["counted"]
        rows = [_row(row, texts) for row in look.rows]
        context |= {"tally": look.tally | live, "rows": rows}
    else:
        context |= {"live_query": "?only=ballots", "ballots": texts["version"]}
    return render_to_string("polls/results.html", context, request)


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
    context |= _context(request, question, tally)
    # What must not be seen does not reach the template. The version would tell how often votes were changed.
    if not is_visible:
        context["live_query"] = "?only=ballots"
        return tag(render(request, template, context), tally["ballots"])
    rows = rows_of(tally)
    context |= {"tally": tally, "rows": rows} | (arrange(rows) if arrange else {})
    return tag(render(request, template, context), tally["version"])


def _context(request: HttpRequest, question: Question, tally: Tally) -> Context:
    return {
        "question": question,
        # The addresses of its pages and files begin with it.
        "poll": question.get_absolute_url(),
        "state": tally["question"]["state"],
        "ballots": tally["ballots"],
        "ballots_text": tally["ballots_text"],
        "ballots_number": tally["ballots_number"],
        "is_long": _is_long(tally),
        "streams": _can_stream(request),
    }


def _is_long(tally: Tally) -> bool:
    return len(tally["outcome"]) > LONG


def _row(row: Row, texts: Texts) -> dict[str, object]:
    """Return the row with its texts in place of its numbers."""
    names = "share", *ROW_FRAGMENTS
    return row._asdict() | {name: texts[f"{row.id} {name}"] for name in names}


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
