import functools
import secrets
from collections.abc import Hashable
from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_protect

from .. import phrases
from ..counting.tally import tally_of
from ..metrics import refused
from ..models import Choice, Question
from ..page_sql import ChoiceRow, OwnBallot, choices_with_own
from ..promises import Audience, Voters
from ..retention import what_is_kept
from ..serving import spectator_cache, throttle
from ..serving.decorators import allow, require_utf8
from ..serving.errors import error_page
from ..serving.on_loop import may_run_on_loop
from ..serving.own_pages import Texts, own_page
from ..serving.spectator_cache import PersonalResponse, cache_for_spectators
from ..voting import cast as voting
from ..voting.cast import NotInvited, Refused
from ..voting.identity import (
    forget_draft,
    identify,
    identity_with_code,
    knows_voters,
    new_identity,
    read_draft,
    remember_draft,
    remember_identity,
    voter_key,
)
from ..voting.loop_attempt import is_counted
from .forms import BallotForm
from .lookups import own_ballot, published_or_404
from .open_graph import open_graph

# Sets the CSRF cookie of a token; views have no other way to it.
_csrf = CsrfViewMiddleware(lambda request: HttpResponse())


# What other sites show of a link to it names the host.
@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def detail(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    read = functools.partial(_look, question)
    look = read(request)
    if not look:
        return _ballot_page(request, question)
    return own_page(request, look, read, functools.partial(_render, request))


@dataclass
class _Look:
    """What somebody whom the site knows sees on the ballot page at this moment."""

    question: Question
    choices: list[ChoiceRow]
    own: OwnBallot | None
    needs_code: bool
    token: str
    version = None

    def shape(self) -> Hashable:
        choices = tuple((choice.pk, choice.choice_text) for choice in self.choices)
        own = tuple(self.own.choices) if self.own else None
        return choices, own, self.needs_code

    def texts(self) -> dict[str, str]:
        ballots = sum(choice.first_marks for choice in self.choices)
        return {"token": self.token, "ballots": _ballots(ballots)}


def _look(question: Question, request: HttpRequest) -> _Look | None:
    """Return None where the page is another one: the poll has closed, a choice was kept, or nobody is known yet."""
    if not question.is_open or read_draft(request):
        return None
    voter = identify(request, question)
    if not voter and question.voters == Voters.ANYONE:
        return None
    key = voter_key(question, voter) if voter else ""
    choices, own = choices_with_own(question.pk, key)
    needs_code = _needs_code(question, voter)
    return _Look(question, choices, own, needs_code, _token(request))


def _render(request: HttpRequest, look: _Look, texts: Texts) -> str:
    context = ballot_context(request, look.question, look.own, look.needs_code)
    context |= {"csrf_token": texts["token"], "ballots": texts["ballots"]}
    return render_to_string("polls/detail.html", context, request)


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
    wrong_code: bool = False,
) -> HttpResponse:
    if not question.is_open:
        return _closed_page(request, question, error_message)
    voter = identify(request, question)
    own = question.own_ballot(voter_key(question, voter)) if voter else None
    needs_code = _needs_code(question, voter)
    context = ballot_context(request, question, own, needs_code, sent)
    context |= {"error_message": error_message, "wrong_code": wrong_code}
    context["csrf_token"] = token = _token(request)
    page = render_to_string("polls/detail.html", context, request)
    personalise = functools.partial(_personalise, question)
    response = PersonalResponse(page, token, personalise)
    # A browser is known before its first vote, so that a double click is one voter. Where none can be known, it keeps what
    # it has.
    is_new = not voter and knows_voters(question)
    if is_new and question.voters == Voters.ANYONE:
        remember_identity(response, question, new_identity())
    return response


def _token(request: HttpRequest) -> str:
    """Return the token of the visitor's cookie, or of a new one."""
    if "CSRF_COOKIE" in request.META:
        return get_token(request)
    # As long as Django's own and of its letters, in a fiftieth of the time. A secret that is in this one answer needs no
    # mask: Django takes it as a token, as it does from scripts that read the cookie.
    token = secrets.token_hex(16)
    request.META |= {"CSRF_COOKIE": token, "CSRF_COOKIE_NEEDS_UPDATE": True}
    return token


def ballot_context(
    request: HttpRequest,
    question: Question,
    own: OwnBallot | None,
    needs_code: bool,
    sent: QueryDict | None = None,
) -> dict[str, object]:
    draft = read_draft(request)
    form = BallotForm(question, sent, draft or (own.choices if own else []))
    return _shared_context(request, question) | {
        "is_open": True,
        "form": form,
        "is_wrong": sent is not None,
        "own": own,
        "draft": draft,
        "own_choices": [form.choices.get(pk, "?") for pk in own.choices] if own else [],
        "needs_code": needs_code,
        "shows_results": _shows_results(question, own),
    }


def _shared_context(request: HttpRequest, question: Question) -> dict[str, object]:
    """Return what the page of a poll says whether it is open or has closed."""
    return {
        "question": question,
        "open_graph": open_graph(request, question.get_absolute_url()),
        "description": _description(question),
        "ballots": _ballots(question.ballots_so_far),
        "keeps": what_is_kept(question),
    }


def _description(question: Question) -> str:
    """Say for other sites what is true as long as they keep it: no number, and no time from now."""
    if not question.is_open:
        return gettext("This poll has closed.")
    if not question.closes_at:
        return gettext("Open for votes.")
    time = {"time": phrases.moment(question.closes_at)}
    return gettext("Open for votes until %(time)s.") % time


def _ballots(number: int) -> str:
    return phrases.ballots(number) if number else ""


def _shows_results(question: Question, own: OwnBallot | None) -> bool:
    """Tell whether the results page has numbers for this voter; an organiser's browser is shown what a voter's is."""
    audience = Audience.VOTER if own else Audience.SPECTATOR
    return question.results_visible_to(audience)


def _closed_page(
    request: HttpRequest, question: Question, error_message: str
) -> HttpResponse:
    shows_results = _shows_results(question, None)
    context = _shared_context(request, question) | {
        "is_open": False,
        "error_message": error_message,
        "shows_results": shows_results,
        "outcome": tally_of(question)["outcome"] if shows_results else "",
    }
    return render(request, "polls/closed.html", context)


def _personalise(question: Question, response: HttpResponse) -> str:
    """Give the next visitor of a cached ballot page an identity and a token of their own; return the token."""
    visitor = HttpRequest()
    token = _token(visitor)
    _csrf.process_response(visitor, response)
    if question.voters == Voters.ANYONE:
        remember_identity(response, question, new_identity())
    return token


@may_run_on_loop
@allow("POST")
@require_utf8
@csrf_protect
@cache_control(private=True, no_cache=True)
def vote(request: HttpRequest, question_id: int) -> HttpResponse:
    question, form = _read_ballot(request, question_id)
    # A ballot that was cast on the loop counts, though the poll may have closed since.
    if not question.is_open and not is_counted():
        sentence = gettext("Your vote was not counted.")
        return refused("NotOpen", _not_counted(request, question_id, sentence))
    if not form.is_valid():
        page = _ballot_page(request, question, form.error_message, request.POST)
        return refused("Invalid", page)
    choices = form.cleaned_data["choices"]
    voter = identify(request, question)
    if not voter and question.voters != Voters.ANYONE:
        return refused("Unidentified", _identify_first(request, question, choices))
    return _cast(request, question, voter, choices)


def _read_ballot(request: HttpRequest, question_id: int) -> tuple[Question, BallotForm]:
    """Return the question, which may be a second old, and what was sent; what does not fit is read with a new one."""
    question = spectator_cache.questions.get_or_make(
        question_id, lambda: _with_choices(question_id)
    )
    form = BallotForm(question, request.POST)
    if not form.is_valid():
        question = published_or_404(question_id)
        form = BallotForm(question, request.POST)
    return question, form


def _with_choices(question_id: int) -> Question:
    question = published_or_404(question_id)
    # Read now: on the loop nothing more can be.
    question.choice_texts
    return question


def _cast(
    request: HttpRequest, question: Question, known: str | None, choices: list[int]
) -> HttpResponse:
    voter = known or new_identity()
    try:
        voting.cast(question, voter_key(question, voter), choices)
    except Refused as refusal:
        page = _not_counted(request, question.pk, str(refusal))
        return refused(type(refusal).__name__, page)
    except Choice.DoesNotExist:
        sentence = gettext(
            "You didn't select a choice. The choices have just changed: select one of the choices below."
        )
        return refused("ChoiceGone", _not_counted(request, question.pk, sentence))
    response = HttpResponseRedirect(question.results_url)
    # Signed anew while there are older secrets, so that those can go one day.
    if not known or settings.SECRET_KEY_FALLBACKS:
        remember_identity(response, question, voter)
    forget_draft(response, question)
    return response


def _not_counted(request: HttpRequest, question_id: int, sentence: str) -> HttpResponse:
    """Show the ballot page as it is now; 404 if the question is gone or not yet there again."""
    return _ballot_page(request, published_or_404(question_id), sentence)


def _identify_first(
    request: HttpRequest, question: Question, choices: list[int]
) -> HttpResponse:
    """Send to the log-in page, with the choice kept for afterwards; or ask for the code."""
    if question.voters == Voters.CODES:
        sentence = gettext(
            "Your vote was not withdrawn. Type your invitation code first."
        )
        if choices:
            sentence = gettext(
                "Your vote was not counted. Type your invitation code first."
            )
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
    question = published_or_404(question_id)
    # Without a code as well, when somebody loads the page again that said that a code was wrong.
    if question.voters != Voters.CODES or request.method != "POST" and not code:
        return redirect(question)
    try:
        voter = identity_with_code(question, code or request.POST.get("code", ""))
    except NotInvited as refusal:
        return _wrong_code(request, question, str(refusal))
    doubts = _doubts(request, question, voter)
    if any(doubts.values()):
        context = {"question": question, "code": code or request.POST["code"]}
        context |= doubts
        return render(request, "polls/code.html", context)
    response = redirect(question)
    remember_identity(response, question, voter)
    return response


def _wrong_code(request: HttpRequest, question: Question, why: str) -> HttpResponse:
    if not throttle.takes_wrong_code(request):
        return error_page(request, 429)
    return _ballot_page(request, question, why, wrong_code=True)


def _doubts(request: HttpRequest, question: Question, voter: str) -> dict[str, object]:
    """Return why to ask before a code is taken: the browser has another one, or this one has voted already."""
    held = identify(request, question)
    if held == voter:
        return {}
    # A link can come from anybody, and a browser may open it unasked: it takes no voter's code away.
    is_link = request.method != "POST"
    has_another = is_link and not _needs_code(question, held)
    # A slip lies about after the vote: who finds it is not shown what its holder has chosen.
    was_asked = "has_voted" in request.POST
    ballot = question.own_ballot(voter_key(question, voter))
    return {
        "own": has_another and own_ballot(request, question),
        "has_another": has_another,
        "has_voted": ballot is not None and not was_asked,
    }


@allow("POST")
@csrf_protect
@cache_control(private=True, no_cache=True)
def withdraw(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    voter = identify(request, question)
    if not voter and question.voters != Voters.ANYONE:
        return _identify_first(request, question, [])
    try:
        withdrawn = voter and voting.withdraw(question, voter_key(question, voter))
    except Refused as refusal:
        sentence = f"{gettext('Your vote was not withdrawn.')} {refusal}"
        return _not_counted(request, question_id, sentence)
    if not withdrawn:
        sentence = gettext("You have no vote on this poll.")
        return _not_counted(request, question_id, sentence)
    sentence = gettext("Your vote was withdrawn. It is not counted any more.")
    messages.success(request, sentence)
    return redirect(question)
