from collections.abc import Iterable
from typing import NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from ..audience import SPECTATOR, Right, has_session, right_of, sees_all_results
from ..counting.numbers import count_with_own
from ..counting.tally import Tally, say
from ..models import Question
from ..page_sql import OwnBallot, Reading
from ..promises import Audience
from ..voting.identity import COOKIE, identify, voter_key


def published_or_404(question_id: int) -> Question:
    return get_object_or_404(Question.objects.published(), pk=question_id)


def own_ballot(request: HttpRequest, question: Question) -> OwnBallot | None:
    voter = identify(request, question)
    return question.own_ballot(voter_key(question, voter)) if voter else None


def may_have_voted(request: HttpRequest) -> bool:
    """Tell, without a query, whether the list may say so: a code is known on the pages of its poll alone."""
    return COOKIE in request.COOKIES or has_session(request)


def own_keys(request: HttpRequest, questions: Iterable[Question]) -> list[str]:
    """Return the visitor's voter keys on these questions."""
    if not may_have_voted(request):
        return []
    # Who somebody is by cookie or account is the same on all of them.
    known: dict[str, str | None] = {}
    keys = []
    for question in questions:
        if question.voter_salt and question.voters not in known:
            known[question.voters] = identify(request, question)
        voter = known.get(question.voters) if question.voter_salt else None
        if voter:
            keys.append(voter_key(question, voter))
    return keys


def _asks_as_spectator(request: HttpRequest) -> bool:
    """The wall does, whoever's browser shows it: it may see less by that, never more."""
    # Hardly anybody else names anything there, and to read that is a thirtieth of a page.
    has_query = request.META.get("QUERY_STRING")
    return bool(has_query) and request.GET.get("as") == "spectator"


def right_of_visitor(request: HttpRequest, question: Question) -> Right:
    if _asks_as_spectator(request):
        return SPECTATOR
    return right_of(request, question)


def may_see(request: HttpRequest, question: Question) -> bool:
    # Who asks is looked up only where it makes a difference.
    return question.results_visible_to(
        Audience.SPECTATOR
    ) or question.results_visible_to(right_of_visitor(request, question).audience)


class Seen(NamedTuple):
    """The tally at this moment, what its visitor has chosen, and whether they may see more than the number of ballots."""

    tally: Tally
    own: OwnBallot | None
    is_visible: bool


def look_at(request: HttpRequest, question: Question) -> Reading[Seen]:
    """Read what may_see() and own_ballot() look up, and the tally, by one statement."""
    voter = identify(request, question)
    key = voter_key(question, voter) if voter else ""
    numbers, own = yield from count_with_own(question, key)
    as_spectator = _asks_as_spectator(request)
    audience = Audience.VOTER if own and not as_spectator else Audience.SPECTATOR
    is_visible = question.results_visible_to(audience)
    # Who else asks is looked up only where it makes a difference.
    if not (is_visible or as_spectator) and has_session(request):
        is_visible = sees_all_results(request.user)
    return Seen(say(numbers), own, is_visible)


def visible_or_403(request: HttpRequest, question_id: int) -> Question:
    """Return a question whose results this visitor may see."""
    question = published_or_404(question_id)
    if not may_see(request, question):
        raise PermissionDenied(question.results_rule)
    return question
