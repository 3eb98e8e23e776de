import csv
import functools

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    QueryDict,
)
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import get_conditional_response
from django.utils.text import get_text_list
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_protect

from . import health, memory, picture, throttle
from .errors import allow, error_page, require_utf8, unavailable
from .forms import BallotForm
from .invitations import address
from .live import EventStream
from .memory import for_everyone
from .models import (
    Ballot,
    Choice,
    NotInvited,
    OwnBallot,
    Question,
    Refused,
    Role,
    Tally,
    Voters,
    read_code,
    rounds_are_behind,
    spell,
)
from .public_count import ballots_file, fingerprint
from .on_loop import is_counted, may_run_on_loop, takes_thread_apart
from .runoff import TIE_RULE
from .voters import (
    SPECTATOR,
    Right,
    forget_draft,
    new_voter,
    read_draft,
    read_voter,
    remember_draft,
    remember_voter,
    right_of,
    voter_key,
    voter_with_code,
    what_is_kept,
)

PAGE_SIZE = 20
# It writes the cookie of a token; views have no other way to it.
_csrf = CsrfViewMiddleware(lambda request: HttpResponse())


@for_everyone("page")
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


def _own_ballot(request: HttpRequest, question: Question) -> OwnBallot | None:
    voter = read_voter(request, question)
    return question.own_ballot(voter_key(question, voter)) if voter else None


def _right(request: HttpRequest, question: Question) -> Right:
    """Tell who asks; the wall asks as a spectator, whoever's browser shows it, and can lose by that but not win."""
    if request.GET.get("as") == "spectator":
        return SPECTATOR
    return right_of(request, question)


def _sees_results(request: HttpRequest, question: Question) -> bool:
    # Who asks is looked up only where it makes a difference.
    return question.shows_results_to(Role.SPECTATOR) or question.shows_results_to(
        _right(request, question).role
    )


def _shown_or_403(request: HttpRequest, question_id: int) -> Question:
    """Return a question whose results this visitor may see."""
    question = _published_or_404(question_id)
    if not _sees_results(request, question):
        raise PermissionDenied(question.results_rule)
    return question


@for_everyone()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def detail(request: HttpRequest, question_id: int) -> HttpResponse:
    return _ballot_page(request, _published_or_404(question_id))


def _needs_code(question: Question, voter: str | None) -> bool:
    """Tell whether to ask for a code: also whose code was made void can type another."""
    return question.voters == Voters.CODES and not (
        voter and question.invitation_set.valid(voter_key(question, voter))
    )


def _ballot_page(
    request: HttpRequest,
    question: Question,
    error_message: str = "",
    sent: QueryDict | None = None,
) -> HttpResponse:
    voter, own = read_voter(request, question), _own_ballot(request, question)
    draft = read_draft(request)
    form = BallotForm(question, sent, draft or (own.choices if own else []))
    context = {
        "question": question,
        "form": form,
        "own": own,
        "draft": draft,
        "own_choices": [form.choices.get(pk, "?") for pk in own.choices] if own else [],
        "keeps": what_is_kept(question),
        "needs_code": _needs_code(question, voter),
        "error_message": error_message,
    }
    if not question.is_open:
        return render(request, "polls/detail.html", context)
    context["csrf_token"] = token = get_token(request)
    response = render(request, "polls/detail.html", context)
    # A browser is known before its first vote, so that a double click is one voter.
    if not voter and question.voters == Voters.ANYONE:
        remember_voter(response, question, new_voter())
    response.renew = functools.partial(_renew, question, token.encode())
    return response


def _renew(question: Question, token: bytes, response: HttpResponse) -> None:
    """Make a ballot page out of memory the next visitor's own: a new token, and a new voter."""
    visitor = HttpRequest()
    response.content = response.content.replace(token, get_token(visitor).encode())
    _csrf.process_response(visitor, response)
    if question.voters == Voters.ANYONE:
        remember_voter(response, question, new_voter())


def _with_choices(question_id: int) -> Question:
    question = _published_or_404(question_id)
    # Read now: on the loop nothing more can be.
    question.offered
    return question


@may_run_on_loop
@allow("POST")
@require_utf8
@csrf_protect
@cache_control(private=True, no_cache=True)
def vote(request: HttpRequest, question_id: int) -> HttpResponse:
    question = memory.recent(question_id, lambda: _with_choices(question_id))
    form = BallotForm(question, request.POST)
    if not form.is_valid():
        # The question in memory may be a second old.
        question = _published_or_404(question_id)
        form = BallotForm(question, request.POST)
    # A ballot that was cast on the loop counts, though the poll may have closed since.
    if not question.is_open and not is_counted():
        return _not_counted(request, question_id, "Your vote was not counted.")
    if not form.is_valid():
        return _ballot_page(request, question, form.error_message, request.POST)
    choices = form.cleaned_data["choices"]
    known = read_voter(request, question)
    if not known and question.voters != Voters.ANYONE:
        return _identify_first(request, question, choices)
    voter = known or new_voter()
    try:
        question.cast(voter_key(question, voter), choices)
    except Refused as refusal:
        return _not_counted(request, question_id, str(refusal))
    except Choice.DoesNotExist:
        sentence = "You didn't select a choice. The choices have just changed: select one of the choices below."
        return _not_counted(request, question_id, sentence)
    response = HttpResponseRedirect(question.results_url)
    if voter != known:
        remember_voter(response, question, voter)
    forget_draft(response, question)
    return response


def _not_counted(request: HttpRequest, question_id: int, sentence: str) -> HttpResponse:
    """Show the ballot page as it is now; 404 if the question is gone or not yet there again."""
    return _ballot_page(request, _published_or_404(question_id), sentence)


def _identify_first(
    request: HttpRequest, question: Question, choices: list[int]
) -> HttpResponse:
    """Send to the log-in page, with the choice kept for afterwards; or ask for the code."""
    if question.voters == Voters.CODES:
        what = "counted" if choices else "withdrawn"
        sentence = f"Your vote was not {what}. Type your invitation code first."
        return _not_counted(request, question.pk, sentence)
    response = redirect_to_login(question.get_absolute_url())
    if choices:
        remember_draft(response, question, choices)
    return response


@allow("GET", "HEAD", "POST")
@require_utf8
@csrf_protect
@cache_control(private=True, no_cache=True)
def code(request: HttpRequest, question_id: int, code: str = "") -> HttpResponse:
    """Take an invitation code, from the form or from the link on paper."""
    question = _published_or_404(question_id)
    # Without a code as well, when somebody loads the page again that said that a code was wrong.
    if question.voters != Voters.CODES or request.method != "POST" and not code:
        return redirect(question)
    try:
        voter = voter_with_code(question, code or request.POST.get("code", ""))
    except NotInvited as refusal:
        if throttle.is_throttled(request):
            return error_page(request, 429)
        throttle.count_wrong_code(request)
        return _ballot_page(request, question, str(refusal))
    held = read_voter(request, question)
    if request.method != "POST" and held != voter and not _needs_code(question, held):
        # A link can come from anybody, and a browser may open it unasked: it takes no voter's code away.
        context = {"question": question, "code": code}
        context["own"] = _own_ballot(request, question)
        return render(request, "polls/code.html", context)
    response = redirect(question)
    remember_voter(response, question, voter)
    return response


@allow("POST")
@csrf_protect
@cache_control(private=True, no_cache=True)
def withdraw(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    voter = read_voter(request, question)
    if not voter and question.voters != Voters.ANYONE:
        return _identify_first(request, question, [])
    try:
        withdrawn = voter and question.withdraw(voter_key(question, voter))
    except Refused as refusal:
        sentence = f"Your vote was not withdrawn. {refusal}"
        return _not_counted(request, question_id, sentence)
    if not withdrawn:
        return _not_counted(request, question_id, "You have no vote on this poll.")
    messages.success(request, "Your vote was withdrawn. It is not counted any more.")
    return redirect(question)


@for_everyone()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    tally, own = question.tally(), _own_ballot(request, question)
    shown = _sees_results(request, question)
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
    context |= _shown(tally) if shown else {}
    response = render(request, "polls/results.html", context)
    return _tagged(response, _shown_version(tally, shown))


def _shown_version(tally: Tally, shown: bool) -> int:
    """Return what tells an older page from a newer one.

    Where results are hidden that is the number of ballots: the version would
    tell how often votes were changed.
    """
    return tally["version"] if shown else tally["ballots"]


def _tagged(response: HttpResponse, version: int) -> HttpResponse:
    """Name version and content, so that whoever comes again is shown nothing older: see memory.py."""
    response["ETag"] = memory.etag(response.content, version)
    return response


def _shown(tally: Tally) -> dict[str, object]:
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


def _behind(tally: Tally) -> str:
    """Say which votes the rounds have not counted yet; live.js has the same words."""
    if not rounds_are_behind(tally):
        return ""
    if tally["rounds"]:
        return "Newer votes are still being counted into the rounds."
    return "The rounds are being counted. They will be here in a few seconds."


def _ties(tally: Tally) -> list[str]:
    """Say where the rule for ties decided; live.js has the same words."""
    texts = {choice["id"]: choice["text"] for choice in tally["choices"]}
    return [
        f"Round {n}: {get_text_list([texts[pk] for pk in round_['tied']], 'and')} were tied; "
        f"{texts[round_['eliminated']]} goes out by the rule below."
        for n, round_ in enumerate(tally["rounds"], 1)
        if round_["tied"]
    ]


def _outcome(tally: Tally) -> str:
    """Say who is elected; live.js has the same words for a poll that is open."""
    is_open = tally["question"]["state"] == "open"
    if not tally["rounds"] or is_open and not tally["elected"]:
        return ""
    if not tally["elected"]:
        return "No choice is elected: there are no ballots."
    last, ids = tally["rounds"][-1]["votes"], [c["id"] for c in tally["choices"]]
    n, in_play = ids.index(tally["elected"]), sum(filter(None, last))
    ballots = f"{last[n]} of {in_play} ballot{'' if in_play == 1 else 's'}"
    text = tally["choices"][n]["text"]
    beginning = f"{text} would be elected now" if is_open else f"Elected: {text}"
    return f"{beginning}, with {ballots} in round {len(tally['rounds'])}."


def _fingerprint(question: Question) -> str:
    """Return the SHA-256 of ballots.csv where there is one to compare with."""
    return fingerprint(question) if question.state() == "closed" else ""


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def receipt(request: HttpRequest, code: str) -> HttpResponse:
    ballots = Ballot.objects.filter(question__receipts=True)
    ballots = ballots.select_related("question")
    ballot = ballots.filter(receipt=read_code(code)).first()
    if not ballot:
        if throttle.is_throttled(request):
            return error_page(request, 429)
        throttle.count_wrong_code(request)
    context = {"code": spell(read_code(code)), "ballot": ballot}
    return render(request, "polls/receipt.html", context, status=200 if ballot else 404)


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def find_receipt(request: HttpRequest) -> HttpResponse:
    typed = read_code(request.GET.get("code", ""))
    if typed:
        return redirect("polls:receipt", typed)
    return render(request, "polls/receipt.html")


@for_everyone()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results_json(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = _shown_or_403(request, question_id).tally()
    return _tagged(JsonResponse(tally), tally["version"])


@for_everyone()
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results_svg(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = _shown_or_403(request, question_id).tally()
    template, places = picture.draw(tally)
    words = {"outcome": _outcome(tally), "behind": _behind(tally)}
    context = {"tally": tally, **words, **places}
    content_type = "image/svg+xml; charset=utf-8"
    response = render(request, template, context, content_type)
    response["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY.replace(
        "style-src 'self'", f"style-src 'sha256-{picture.STYLE_HASH}'"
    )
    return _tagged(response, tally["version"])


def _streams(request: HttpRequest) -> bool:
    """Tell whether this server can hold a stream open: WSGI cannot without a worker for each."""
    return isinstance(request, ASGIRequest)


@allow("GET")
def live(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _shown_or_403(request, question_id)
    if not _streams(request):
        return HttpResponse(status=204)
    # Even where everyone sees them: the organiser may make that stricter while the stream is open.
    right = _right(request, question)
    # A browser names the first on coming back, and live.js the second on its first visit.
    seen = request.headers.get("Last-Event-ID", ""), request.GET.get("version", "")
    return EventStream(question.pk, right, max(map(memory.version_in, seen)))


@for_everyone(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def share(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _published_or_404(question_id)
    tally = question.tally()
    link = address(request, question.get_absolute_url())
    code = segno.make_qr(link, error="m")
    squares = [
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(code.matrix_iter(border=4))
        for x, dark in enumerate(row)
        if dark
    ]
    context = {
        "question": question,
        "ballots": tally["ballots"],
        "streams": _streams(request),
        "link": link,
        "code_size": code.symbol_size(border=4)[0],
        "code_path": "".join(squares),
    }
    # A wall is seen by everybody in the room.
    shown = question.shows_results_to(Role.SPECTATOR)
    context |= _shown(tally) if shown else {}
    response = render(request, "polls/share.html", context)
    return _tagged(response, _shown_version(tally, shown))


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def results_csv(request: HttpRequest, question_id: int) -> HttpResponse:
    tally = _shown_or_403(request, question_id).tally()
    if rounds_are_behind(tally) and not tally["rounds"]:
        sentence = "The rounds are being counted. Try again in a few seconds."
        return unavailable(request, sentence)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"poll-{question_id}-results.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    rows = csv.writer(response)
    rows.writerow(["choice_id", "choice", "votes", "percent", *_round_names(tally)])
    for n, choice in enumerate(tally["choices"]):
        text = _harmless(choice["text"])
        # None, once the choice is out, is written as an empty field.
        by_round = [round_["votes"][n] for round_ in tally["rounds"]]
        numbers = [choice["votes"], choice["percent"], *by_round]
        rows.writerow([choice["id"], text, *numbers])
    return response


def _round_names(tally: Tally) -> list[str]:
    """Name the rounds, with the number of ballots where newer ones are not in them."""
    of = ""
    if rounds_are_behind(tally):
        first = tally["rounds"][0]
        of = f" of {sum(filter(None, first['votes'])) + first['exhausted']} ballots"
    return [f"round {n}{of}" for n in range(1, len(tally["rounds"]) + 1)]


def _harmless(text: str) -> str:
    """Keep a spreadsheet from running this text as a formula."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def ballots_csv(request: HttpRequest, question_id: int) -> HttpResponse:
    question = _shown_or_403(request, question_id)
    if question.state() != "closed":
        raise PermissionDenied("The ballots are published after the poll has closed.")
    if question.ballots_deleted_at:
        sentence = "The ballots of this poll were deleted when its time was over. Its totals remain."
        return error_page(request, 404, sentence)
    fixed = fingerprint(question)
    unchanged = fixed and get_conditional_response(request, f'"{fixed}"')
    if unchanged:
        return unchanged
    # Before the fingerprint is fixed, a vote of the last moment may still be on its way.
    file = ballots_file(question) if fixed else None
    if not file:
        sentence = "The ballots are being sorted. Try again in a few seconds."
        return unavailable(request, sentence)
    name = f"poll-{question_id}-ballots.csv"
    response = FileResponse(file, as_attachment=True, filename=name)
    response["ETag"] = f'"{fixed}"'
    return response


@takes_thread_apart
@allow("GET", "HEAD")
@cache_control(no_store=True)
def healthz(request: HttpRequest) -> HttpResponse:
    # A database that is away, lost or full answers 503 as on every other page.
    health.check()
    # So that a worker whose pages are broken does not pass for sound.
    error_page(request, 404)
    return HttpResponse("ok\n", content_type="text/plain")
