from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import cache_control

from .. import metrics as numbers
from ..codes import read_code, spell
from ..models import Ballot, Question
from ..serving import health, throttle
from ..serving.decorators import allow
from ..serving.errors import error_page
from ..serving.on_loop import answers_in_own_thread
from ..serving.spectator_cache import cache_for_spectators
from .lookups import voted_on

PAGE_SIZE = 20


@cache_for_spectators("page")
@allow("GET", "HEAD")
@cache_control(no_cache=True)
def index(request: HttpRequest) -> HttpResponse:
    page = _page_number(request)
    start = (page - 1) * PAGE_SIZE
    # One more than a page tells whether another follows, without counting them all.
    published = Question.objects.published().newest_first().with_ballots()
    questions = list(published[start : start + PAGE_SIZE + 1])
    if page > 1 and not questions:
        raise Http404
    shown = questions[:PAGE_SIZE]
    context = {
        "latest_question_list": shown,
        "sections": _sections(shown),
        "voted": voted_on(request, shown),
        "newer_page": page - 1,
        "older_page": page + 1 if len(questions) > PAGE_SIZE else None,
    }
    return render(request, "polls/index.html", context)


class Section(NamedTuple):
    is_open: bool
    polls: list[Question]


def _sections(questions: list[Question]) -> list[Section]:
    """Part what is open from what has closed, each in the order of the list."""
    parted: dict[bool, list[Question]] = {True: [], False: []}
    for question in questions:
        parted[question.is_open].append(question)
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
