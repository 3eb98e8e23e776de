import base64
import csv
import hashlib

import segno
from csp.decorators import csp_replace
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import get_conditional_response
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_protect

from .errors import allow, require_utf8
from .forms import BallotForm
from .live import EventStream
from .models import Choice, NotOpen, Question
from .voters import new_voter, read_voter, remember_voter, voter_key

PAGE_SIZE = 20


@allow("GET", "HEAD")
@cache_control(no_cache=True)
def index(request: HttpRequest) -> HttpResponse:
    page = _page_number(request)
    start = (page - 1) * PAGE_SIZE
    # One more than a page tells whether another follows, without counting them all.
    questions = Question.objects.published().newest_first()
    questions = list(questions[start : start + PAGE_SIZE + 1])
    if page > 1 and not questions:
        raise Http404
    context = {
        "latest_question_list": questions[:PAGE_SIZE],
        "newer_page": page - 1,
        "older_page": page + 1 if len(questions) > PAGE_SIZE else None,
    }
    return render(request, "polls/index.html", context)


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "1")
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text)):
        raise Http404
    return int(text)


def _published_or_404(question_id: int) -> Question:
    return get_object_or_404(Question.objects.published(), pk=question_id)


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def detail(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    return _ballot_page(request, question, BallotForm(question))


def _chosen(question: Question, voter: str | None) -> set[int]:
    return question.chosen_by(voter_key(question, voter)) if voter else set()


def _ballot_page(
    request: HttpRequest, question: Question, form: BallotForm, error_message: str = ""
) -> HttpResponse:
    voter = read_voter(request)
    context = {
        "question": question,
        "form": form,
        "chosen": _chosen(question, voter),
        "error_message": error_message,
    }
    response = render(request, "polls/detail.html", context)
    # The voter is known before the first vote, so that a double click is one voter.
    if question.is_open and not voter:
        remember_voter(response, new_voter())
    return response


@allow("POST")
@require_utf8
@csrf_protect
@cache_control(private=True, no_cache=True)
def vote(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    form = BallotForm(question, request.POST)
    if not question.is_open:
        return _not_counted(request, question_id, "Your vote was not counted.")
    if not form.is_valid():
        return _ballot_page(request, question, form, form.error_message)
    voter = read_voter(request) or new_voter()
    try:
        question.cast(voter_key(question, voter), form.cleaned_data["choice"])
    except NotOpen:
        return _not_counted(request, question_id, "Your vote was not counted.")
    except Choice.DoesNotExist:
        sentence = "The choices have just changed. Select one of the choices below."
        return _not_counted(request, question_id, sentence)
    response = redirect("polls:results", question.pk)
    remember_voter(response, voter)
    return response


def _not_counted(request: HttpRequest, question_id: int, sentence: str) -> HttpResponse:
    """Show the ballot page as it is now; 404 if the question is gone or not yet there again."""
    question = _published_or_404(question_id)
    return _ballot_page(request, question, BallotForm(question), sentence)


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    context = {
        "question": question,
        "tally": question.tally(),
        "chosen": _chosen(question, read_voter(request)),
        "streams": _streams(request),
    }
    return render(request, "polls/results.html", context)


def _validated(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Answer 304 to whoever has this content already."""
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    return get_conditional_response(request, response["ETag"], None, response)


@allow("GET", "HEAD")
@cache_control(no_cache=True)
def results_json(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = _published_or_404(question_id).tally()
    return _validated(request, JsonResponse(tally))


# The one inline style of the site, allowed by its hash: the picture has to carry its colours along.
PICTURE_STYLE = (
    "text{font:16px system-ui,sans-serif;fill:#1c2126}.head{font-weight:bold}.bar{fill:#1d5fa8}.line{fill:#d5d9dd}"
    ".paper{fill:#fbfbf9}@media(prefers-color-scheme:dark){text{fill:#e8ebee}"
    ".bar{fill:#7db4ef}.line{fill:#37404a}.paper{fill:#14181c}}"
)
PICTURE_HASH = base64.b64encode(
    hashlib.sha256(PICTURE_STYLE.encode()).digest()
).decode()


@allow("GET", "HEAD")
@cache_control(no_cache=True)
@csp_replace({"style-src": [f"'sha256-{PICTURE_HASH}'"]})
def results_svg(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = _published_or_404(question_id).tally()
    rows = [(64 + 56 * n, choice) for n, choice in enumerate(tally["choices"])]
    context = {
        "tally": tally,
        "rows": rows,
        "height": 80 + 56 * len(rows),
        "style": PICTURE_STYLE,
    }
    content_type = "image/svg+xml; charset=utf-8"
    picture = render(request, "polls/results.svg", context, content_type)
    return _validated(request, picture)


def _streams(request: HttpRequest) -> bool:
    """Tell whether this server can hold a stream open: WSGI cannot without a worker for each."""
    return isinstance(request, ASGIRequest)


@allow("GET")
def live(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    if not _streams(request):
        return HttpResponse(status=204)
    return EventStream(question.pk, request.headers.get("Last-Event-ID", ""))


@allow("GET", "HEAD")
@cache_control(no_cache=True)
def share(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    path = question.get_absolute_url()
    link = (
        settings.SITE_URL + path
        if settings.SITE_URL
        else request.build_absolute_uri(path)
    )
    code = segno.make_qr(link, error="m")
    squares = [
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(code.matrix_iter(border=4))
        for x, dark in enumerate(row)
        if dark
    ]
    context = {
        "question": question,
        "tally": question.tally(),
        "streams": _streams(request),
        "link": link,
        "code_size": code.symbol_size(border=4)[0],
        "code_path": "".join(squares),
    }
    return render(request, "polls/share.html", context)


@allow("GET", "HEAD")
@cache_control(no_cache=True)
def results_csv(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = _published_or_404(question_id).tally()
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"poll-{question_id}-results.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    rows = csv.writer(response)
    rows.writerow(["choice_id", "choice", "votes", "percent"])
    for choice in tally["choices"]:
        text = _harmless(choice["text"])
        rows.writerow([choice["id"], text, choice["votes"], choice["percent"]])
    return response


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running this text as a formula."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


@allow("GET", "HEAD")
@cache_control(no_store=True)
def healthz(request: HttpRequest) -> HttpResponse:
    # A real read; a database that is away answers 503 as on every other page.
    Question.objects.exists()
    return HttpResponse("ok\n", content_type="text/plain")
