"""What voters send: a ballot, its withdrawal, or an invitation code."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control

from ..kinds import NO_SUCH_CHOICE
from ..metrics import refused
from ..models import Choice, Question
from ..promises import Voters
from ..serving import spectator_cache, throttle
from ..serving.decorators import allow, require_utf8
from ..serving.errors import error_page
from ..serving.on_loop import may_run_on_loop
from ..voting import cast as voting
from ..voting.cast import NotInvited, Refused
from ..voting.identity import (
    forget_draft,
    identify,
    identity_with_code,
    new_identity,
    remember_draft,
    remember_identity,
    voter_key,
)
from ..voting.loop_attempt import is_counted
from .ballot import ballot_page, lacks_code
from .forms import BallotForm
from .lookups import own_ballot, published_or_404


def _not_counted(request: HttpRequest, question_id: int, sentence: str) -> HttpResponse:
    """Show the ballot page as it is now; 404 if the question is gone or not yet there again."""
    return ballot_page(request, published_or_404(question_id), sentence)


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


@may_run_on_loop
@allow("POST")
@require_utf8
@cache_control(private=True, no_cache=True)
def vote(request: HttpRequest, question_id: int) -> HttpResponse:
    question, form = _read_ballot(request, question_id)
    # A ballot that was cast on the loop counts, though the poll may have closed since.
    if not question.is_open and not is_counted():
        sentence = gettext("Your vote was not counted.")
        return refused("NotOpen", _not_counted(request, question_id, sentence))
    if form.error_message:
        page = ballot_page(request, question, form.error_message, request.POST)
        return refused("Invalid", page)
    voter = identify(request, question)
    if not voter and question.voters != Voters.ANYONE:
        return refused("Unidentified", _identify_first(request, question, form.marks))
    return _cast(request, question, voter, form.marks)


def _read_ballot(request: HttpRequest, question_id: int) -> tuple[Question, BallotForm]:
    """Return the question, which may be a second old, and what was sent; what does not fit is read with a new one."""
    question = spectator_cache.questions.get_or_make(
        question_id, lambda: _with_choices(question_id)
    )
    form = BallotForm(question, request.POST)
    if form.error_message:
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
        page = _not_counted(request, question.pk, str(NO_SUCH_CHOICE))
        return refused("ChoiceGone", page)
    response = HttpResponseRedirect(question.results_url)
    # Signed anew while there are older secrets, so that those can go one day.
    if not known or settings.SECRET_KEY_FALLBACKS:
        remember_identity(response, question, voter)
    forget_draft(response, question)
    return response


@allow("POST")
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


@allow("GET", "HEAD", "POST")
@require_utf8
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
    return ballot_page(request, question, why, wrong_code=True)


def _doubts(request: HttpRequest, question: Question, voter: str) -> dict[str, object]:
    """Return why to ask before a code is taken: the browser has another one, or this one has voted already."""
    held = identify(request, question)
    if held == voter:
        return {}
    # A link can come from anybody, and a browser may open it unasked: it takes no voter's code away.
    is_link = request.method != "POST"
    has_another = is_link and not lacks_code(question, held)
    # A slip lies about after the vote: who finds it is not shown what its holder has chosen.
    was_asked = "has_voted" in request.POST
    ballot = question.own_ballot(voter_key(question, voter))
    return {
        "own": has_another and own_ballot(request, question),
        "has_another": has_another,
        "has_voted": ballot is not None and not was_asked,
    }
