from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import cache_control

from .. import metrics as numbers
from .. import phrases
from ..codes import read_code, spell
from ..models import Ballot, Question
from ..page_sql import Reading, ballots_with_own, read
from ..serving import health, throttle
from ..serving.decorators import allow
from ..serving.errors import error_page
from ..serving.on_loop import answers_in_own_thread
from ..serving.own_pages import Texts, own_page
from ..serving.spectator_cache import cache_for_spectators
from .lookups import may_have_voted, own_keys

PAGE_SIZE = 20


@cache_for_spectators("page")
@allow("GET", "HEAD")
@cache_control(no_cache=True)
def index(request: HttpRequest) -> HttpResponse:
    page = _page_number(request)
    start = (page - 1) * PAGE_SIZE
    # One more than a page tells whether another follows, without counting them all.
    stop = start + PAGE_SIZE + 1
    published = Question.objects.published().newest_first()
    # Before the first page there is nothing to skip.
    first = published.with_ballots()[:stop]
    questions = published[start:stop].page_with_ballots() if start else list(first)
    if page > 1 and not questions:
        raise Http404
    shown = questions[:PAGE_SIZE]
    find = partial(_look, shown)
    # Who cannot have voted gets the numbers that came with the list.
    counted = dict(map(attrgetter("pk", "ballots"), shown))
    knows_all = not may_have_voted(request)
    look = _Look(shown, counted, set()) if knows_all else read(find(request))
    pages: dict[str, object] = {
        "newer_page": page - 1,
        "older_page": page + 1 if len(questions) > PAGE_SIZE else None,
    }
    return own_page(request, look, find, partial(_render, request, pages))


@dataclass
class _Look:
    """What a visitor sees of these questions in the list at this moment."""

    questions: list[Question]
    ballots: dict[int, int]
    voted: set[int]
    version = None

    def shape(self) -> Hashable:
        return tuple((q.pk, q.is_open, q.pk in self.voted) for q in self.questions)

    def texts(self) -> dict[str, str]:
        return {str(pk): phrases.ballots(n) for pk, n in self.ballots.items()}


def _look(questions: list[Question], request: HttpRequest) -> Reading[_Look]:
    keys = own_keys(request, questions)
    ballots, voted = yield from ballots_with_own([q.pk for q in questions], keys)
    return _Look(questions, ballots, voted)


def _render(
    request: HttpRequest, pages: dict[str, object], look: _Look, texts: Texts
) -> str:
    context = pages | {
        "latest_question_list": look.questions,
        "sections": _sections(look.questions, texts),
        "voted": look.voted,
    }
    return render_to_string("polls/index.html", context, request)


class Section(NamedTuple):
    """Its polls are each a question, and how many ballots it has."""

    is_open: bool
    polls: list[tuple[Question, str]]


def _sections(questions: list[Question], ballots: Texts) -> list[Section]:
    """Part what is open from what has closed, each in the order of the list."""
    parted: dict[bool, list[tuple[Question, str]]] = {True: [], False: []}
    for question in questions:
        parted[question.is_open].append((question, ballots[str(question.pk)]))
    return [Section(is_open, polls) for is_open, polls in parted.items() if polls]


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "1")
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text)):
        raise Http404
    return int(text)


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def receipt(request: HttpRequest, code: str) -> HttpResponse:
    ballots = Ballot.objects.filter(question__receipts=True)
    ballots = ballots.select_related("question")
    ballot = ballots.filter(receipt=read_code(code)).first()
    if not ballot and not throttle.takes_wrong_code(request):
        return error_page(request, 429)
    context = {"code": spell(read_code(code)), "ballot": ballot}
    return render(request, "polls/receipt.html", context, status=200 if ballot else 404)


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def find_receipt(request: HttpRequest) -> HttpResponse:
    typed = read_code(request.GET.get("code", ""))
    if typed:
        return redirect("polls:receipt", typed)
    return render(request, "polls/receipt.html")


@answers_in_own_thread
@allow("GET", "HEAD")
@cache_control(no_store=True)
def healthz(request: HttpRequest) -> HttpResponse:
    # A database that is away, lost or full answers 503 as on every other page.
    health.is_well()
    # So that a worker whose pages are broken does not pass for sound.
    render_to_string("polls/error.html")
    return HttpResponse("ok\n", content_type="text/plain")


@answers_in_own_thread
@allow("GET", "HEAD")
@cache_control(no_store=True)
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether visitors may be sent here: the site is well, and its database as new as the code."""
    health.is_well()
    health.is_migrated()
    return HttpResponse("ok\n", content_type="text/plain")


@answers_in_own_thread
@allow("GET", "HEAD")
@cache_control(no_store=True)
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell Prometheus, if it has the token; whoever has none does not even learn that it is here."""
    token = f"Bearer {settings.METRICS_TOKEN}"
    told = request.headers.get("Authorization", "")
    text = settings.METRICS_TOKEN and constant_time_compare(told, token)
    counted = numbers.text() if text else None
    if counted is None:
        raise Http404
    return HttpResponse(counted, content_type=numbers.CONTENT_TYPE)
