"""The first page of the admin: what is open, with numbers that move, what opens or closes next, and what closed lately.

Its cost does not grow with questions that are over, nor with ballots.
"""

import datetime
from collections.abc import Iterator
from typing import NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import phrases
from ..audience import sees_all_results
from ..counting.tally import Tally, tallies_of
from ..models import Ballot, Question
from ..serving.decorators import allow
from .live import Shown, answer

# Open polls on the page, and dates that come next.
OPEN = 8
NEXT = 5
# Days after the close during which a poll is on the page, and how many of them.
LATELY = datetime.timedelta(days=7)
LAST = 5
# Ballots that are looked through for those of today: the newest have the highest ids.
NEWEST = 5000


class OpenPoll(NamedTuple):
    question: Question
    ballots: str
    outcome: str


class Event(NamedTuple):
    """A question that opens or closes at this moment."""

    moment: datetime.datetime
    question: Question
    opens: bool


def index(request: HttpRequest) -> HttpResponse:
    """Show the admin's index, and above it the dashboard to whoever sees results."""
    context = _dashboard() if sees_all_results(request.user) else {}
    context["may_add_polls"] = request.user.has_perm("polls.add_question")
    return admin.site.index(request, context)


@allow("GET", "HEAD")
def numbers(request: HttpRequest) -> HttpResponse:
    if not sees_all_results(request.user):
        raise PermissionDenied
    tallies = _open_tallies()
    shown: Shown = {"today": ballots_today()}
    for pk, tally in tallies.items():
        shown[f"ballots-{pk}"] = tally["ballots_number"]
        shown[f"outcome-{pk}"] = tally["outcome"]
    return answer(request, shown)


def _open_tallies() -> dict[int, Tally]:
    newest = Question.objects.open().newest_first().values_list("pk", flat=True)
    return tallies_of(Question.objects.filter(pk__in=list(newest[:OPEN])))


def _dashboard() -> dict[str, object]:
    now = timezone.now()
    questions = list(Question.objects.open(now).newest_first()[:OPEN])
    tallies = tallies_of(Question.objects.filter(pk__in=[q.pk for q in questions]))
    polls = [
        OpenPoll(
            question,
            tallies[question.pk]["ballots_number"],
            tallies[question.pk]["outcome"],
        )
        for question in questions
        if question.pk in tallies
    ]
    ended = Question.objects.closed(now).filter(closes_at__gte=now - LATELY)
    return {
        "shows_dashboard": True,
        "polls": polls,
        "open_polls": Question.objects.open(now).count(),
        "events": sorted(_events(now), key=lambda event: event.moment)[:NEXT],
        "closed": ended.order_by("-closes_at", "-pk")[:LAST],
        "today": ballots_today(),
    }


def _events(now: datetime.datetime) -> Iterator[Event]:
    opening = Question.objects.scheduled(now).order_by("pub_date", "pk")
    closing = Question.objects.open(now).filter(closes_at__isnull=False)
    for question in opening[:NEXT]:
        yield Event(question.pub_date, question, opens=True)
    for question in closing.order_by("closes_at", "pk")[:NEXT]:
        yield Event(question.closes_at or now, question, opens=False)


def ballots_today() -> str:
    """Say how many ballots were cast since midnight and still stand.

    There is no index of times, which every vote would have to keep: the newest ballots are looked through. If none of
    them is of an earlier day, there may be more. Those whose voters are forgotten were written anew, with the time of
    the close, and tell nothing.
    """
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    newest = Ballot.objects.order_by("-pk").values("cast_at", "question__voter_salt")
    told = ~Q(question__voter_salt="")
    found = newest[:NEWEST].aggregate(
        today=Count("cast_at", filter=told & Q(cast_at__gte=midnight)),
        before=Count("cast_at", filter=told & Q(cast_at__lt=midnight)),
        all=Count("cast_at"),
    )
    number = phrases.number(found["today"])
    if found["before"] or found["all"] < NEWEST:
        return number
    return _("%(number)s or more") % {"number": number}
