"""Who is voting: a browser, by a signed random cookie, turned into one opaque key for each question.

No IP address, no user agent and no account is kept beside a ballot. The key of
a voter on one question says nothing about the same voter on another.
"""

import hmac
import secrets

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse

from .models import Question

COOKIE = "voter"
# Browsers keep no cookie longer than 400 days.
COOKIE_AGE = 400 * 24 * 3600
_signer = Signer(salt="polls.voters")


def new_voter() -> str:
    return secrets.token_urlsafe(16)


def read_voter(request: HttpRequest) -> str | None:
    """Return who this browser is; None for a new one, or a cookie that is forged or damaged."""
    try:
        return _signer.unsign(request.COOKIES.get(COOKIE, ""))
    except BadSignature:
        return None


def remember_voter(response: HttpResponse, voter: str) -> None:
    response.set_cookie(
        COOKIE,
        _signer.sign(voter),
        max_age=COOKIE_AGE,
        httponly=True,
        samesite="Lax",
        secure=settings.VOTER_COOKIE_SECURE,
    )


def voter_key(question: Question, voter: str) -> str:
    """Return the voter's key on this question: 32 hexadecimal digits."""
    key = f"{settings.SECRET_KEY}{question.voter_salt}".encode()
    return hmac.digest(key, voter.encode(), "sha256").hex()[:32]
