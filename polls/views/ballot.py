"""The page of a poll: its ballot while it is open, and what is left to say once it has closed."""

import functools
import secrets
from collections.abc import Hashable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control

from .. import phrases
from ..counting.tally import tally_of
from ..models import Question
from ..page_sql import ChoiceRow, OwnBallot, Reading, choices_with_own, read
from ..promises import Audience, Voters
from ..retention import what_is_kept
from ..serving.decorators import allow
from ..serving.own_pages import Texts, own_page
from ..serving.spectator_cache import PersonalResponse, cache_for_spectators
from ..voting.identity import (
    identify,
    knows_voters,
    new_identity,
    read_draft,
    remember_identity,
    voter_key,
)
from .forms import BallotForm
from .lookups import published_or_404
from .open_graph import open_graph

# Sets the CSRF cookie of a token; views have no other way to it.
_csrf = CsrfViewMiddleware(lambda request: HttpResponse())


# What other sites show of a link to it names the host.
@cache_for_spectators(names_host=True)
@allow("GET", "HEAD")
@cache_control(private=True, no_cache=True)
def detail(request: HttpRequest, question_id: int) -> HttpResponse:
    question = published_or_404(question_id)
    find = functools.partial(_look, question)
    look = read(find(request))
    if not look:
        return ballot_page(request, question)
    return own_page(request, look, find, functools.partial(_render, request))


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


def _look(question: Question, request: HttpRequest) -> Reading[_Look | None]:
    """Return None where the page is another one: the poll has closed, a choice was kept, or nobody is known yet."""
    if not question.is_open or read_draft(request):
        return None
    voter = identify(request, question)
    if not voter and question.voters == Voters.ANYONE:
        return None
    key = voter_key(question, voter) if voter else ""
    choices, own = yield from choices_with_own(question.pk, key)
    needs_code = lacks_code(question, voter)
    return _Look(question, choices, own, needs_code, _token(request))


def _render(request: HttpRequest, look: _Look, texts: Texts) -> str:
    context = ballot_context(request, look.question, look.own, look.needs_code)
    context |= {"csrf_token": texts["token"], "ballots": texts["ballots"]}
    return render_to_string("polls/detail.html", context, request)


def lacks_code(question: Question, voter: str | None) -> bool:
    """Tell whether to ask for a code: also whose code was made void can type another."""
    return question.voters == Voters.CODES and not (
        voter and question.invitation_set.valid(voter_key(question, voter))
    )


def ballot_page(
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
    needs_code = lacks_code(question, voter)
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
