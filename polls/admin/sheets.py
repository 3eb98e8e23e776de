"""The sheet of new codes, which its maker's browser can bring back for some minutes: Back, Forward, a printer that jams.

The site keeps no code and nothing to make one of. The browser has the seed of its sheet in a signed cookie; the
server makes the codes of the seed and its own secret, for the organiser who made the sheet, until the time is over.
"""

import datetime
from collections.abc import Iterator
from typing import NamedTuple

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from ..models import Question
from ..voting.identity import Numbered, codes_of, knows_voters, voter_key

MINUTES = 15


def _signer() -> Signer:
    return Signer(salt="polls.sheets")


class Sheet(NamedTuple):
    """Of these numbers; `until` is the end of its time, in seconds since 1970."""

    question: int
    user: int
    seed: str
    first: int
    last: int
    until: float

    @property
    def moment(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(
            self.until, timezone.get_current_timezone()
        )

    def codes(self, question: Question) -> Numbered:
        """Return its codes; none if they are not those of the question any more."""
        if not knows_voters(question):
            return []
        numbered = codes_of(question, self.seed, range(self.first, self.last + 1))
        number, code = numbered[0]
        key = voter_key(question, f"code:{code}")
        own = question.invitation_set.filter(number=number, voter_key=key)
        return numbered if own.exists() else []


def remember(
    response: HttpResponse,
    request: HttpRequest,
    question: Question,
    seed: str,
    numbered: Numbered,
) -> None:
    first, last = numbered[0][0], numbered[-1][0]
    until = timezone.now() + datetime.timedelta(minutes=MINUTES)
    sheet = Sheet(
        question.pk, request.user.pk or 0, seed, first, last, until.timestamp()
    )
    response.set_cookie(
        _name(question, first),
        _signer().sign_object(list(sheet)),
        max_age=MINUTES * 60,
        path=reverse("admin:polls_question_codes", args=[question.pk]),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def find(request: HttpRequest, question: Question, first: int) -> Sheet | None:
    """Return the sheet that begins with this number, if this browser of this organiser has it still."""
    try:
        cookie = request.COOKIES.get(_name(question, first), "")
        sheet = Sheet(*_signer().unsign_object(cookie))
    except (BadSignature, ValueError, TypeError):
        return None
    asked = question.pk, request.user.pk, first
    is_own = (sheet.question, sheet.user, sheet.first) == asked
    in_time = sheet.until > timezone.now().timestamp()
    return sheet if is_own and in_time else None


def find_all(request: HttpRequest, question: Question) -> Iterator[Sheet]:
    beginning = _name(question, "")
    for name in sorted(request.COOKIES):
        number = name.removeprefix(beginning)
        if name != number and number.isascii() and number.isdecimal():
            sheet = find(request, question, int(number[:9]))
            if sheet:
                yield sheet


def _name(question: Question, first: object) -> str:
    return f"sheet{question.pk}-{first}"
