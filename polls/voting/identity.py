"""Who is voting: an identity (a browser's cookie, "account:7", "code:...") and its voter key on each question.

No IP address, no user agent and no account is kept beside a ballot. The key of
an identity on one question says nothing about the same one on another.
"""

import functools
import hmac
import secrets
import time

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date
from django.utils.translation import gettext

from .. import secret
from ..codes import code_of, read_code
from ..models import Invitation, Question
from ..promises import Voters
from .cast import NotInvited, NotOpen, SecretLost, require_key
from .loop_attempt import current_attempt

COOKIE = "voter"


def _signer() -> Signer:
    return _signer_with(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@functools.lru_cache(maxsize=1)
def _signer_with(key: str, *fallbacks: str) -> Signer:
    return Signer(key=key, salt="polls.voters", fallback_keys=[*fallbacks])


@functools.lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return http_date(seconds)


def new_identity() -> str:
    attempt = current_attempt.get()
    if not attempt:
        return secrets.token_urlsafe(16)
    # One request is one voter, though its answer may be begun anew in a thread.
    attempt.new_identity = attempt.new_identity or secrets.token_urlsafe(16)
    return attempt.new_identity


def _read_cookie(request: HttpRequest, name: str) -> str | None:
    """Return what was put there; None for nothing, or what is forged or damaged."""
    signed = request.COOKIES.get(name)
    try:
        return _signer().unsign(signed) if signed else None
    except BadSignature:
        return None


def _set_cookie(
    response: HttpResponse,
    name: str,
    value: str,
    path: str = "/",
    age: int = settings.VOTER_COOKIE_AGE,
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age,
        # The same text as Django's, but made once a second, not once a cookie.
        expires=_date(int(time.time()) + age),
        path=path,
        httponly=True,
        samesite="Lax",
        secure=settings.VOTER_COOKIE_SECURE,
    )


def identify(request: HttpRequest, question: Question) -> str | None:
    """Return who this is to the question; None for who cannot vote yet, or where voters are forgotten."""
    if not question.voter_salt:
        return None
    if question.voters == Voters.ACCOUNTS:
        user = request.user
        return f"account:{user.pk}" if user.is_authenticated else None
    if question.voters == Voters.CODES:
        code = _read_cookie(request, f"code{question.pk}")
        return code and f"code:{code}"
    return _read_cookie(request, COOKIE)


def remember_identity(
    response: HttpResponse, question: Question, identity: str
) -> None:
    """Let the browser show who it is next time. An account is known without."""
    if question.voters == Voters.ANYONE:
        _set_cookie(response, COOKIE, _signer().sign(identity))
    elif question.voters == Voters.CODES:
        code = _signer().sign(identity.removeprefix("code:"))
        _set_cookie(response, f"code{question.pk}", code, question.get_absolute_url())


def remember_draft(
    response: HttpResponse, question: Question, choices: list[int]
) -> None:
    """Keep what somebody chose before logging in; in the browser, not in an address that servers write down."""
    ids = "-".join(map(str, choices))
    _set_cookie(response, "draft", ids, question.get_absolute_url(), age=3600)


def read_draft(request: HttpRequest) -> list[int]:
    ids = request.COOKIES.get("draft", "").split("-")
    return [int(pk) for pk in ids if pk.isascii() and pk.isdecimal() and len(pk) < 19]


def forget_draft(response: HttpResponse, question: Question) -> None:
    if question.voters == Voters.ACCOUNTS:
        response.delete_cookie("draft", path=question.get_absolute_url())


def _key_of(question: Question) -> bytes:
    """Return what all keys of this question are made with; nothing where its secret is gone."""
    known = secret.named(question.secret_name)
    return f"{known}{question.voter_salt}".encode() if known else b""


def knows_voters(question: Question) -> bool:
    """Tell whether a voter can be known again: neither is the salt erased nor the secret gone."""
    return bool(question.voter_salt and _key_of(question))


def voter_key(question: Question, identity: str) -> str:
    """Return 32 hexadecimal digits; nothing, which is no ballot's, where the secret of the question is gone.

    Raises NotOpen if its salt has been erased.
    """
    if not question.voter_salt:
        # The key would be the same on every question without one.
        raise NotOpen(
            gettext("Your vote was not counted: this poll has forgotten its voters.")
        )
    key = _key_of(question)
    return hmac.digest(key, identity.encode(), "sha256").hex()[:32] if key else ""


def identity_with_code(question: Question, typed: str) -> str:
    """Return the identity of who has this code. Raises NotInvited if it is none of the question's, or void."""
    identity = f"code:{read_code(typed)}"
    # The codes of a poll that has forgotten its voters are gone.
    invitation = None
    if question.voter_salt:
        require_key(question, key := voter_key(question, identity))
        own = question.invitation_set.filter(voter_key=key)
        invitation = own.first()
    if not invitation:
        raise NotInvited(
            gettext(
                "That is not a code of this poll. Check each character, and whether it was given for another poll."
            )
        )
    if invitation.voided_at:
        raise NotInvited(
            gettext("This code was made void. Ask the organiser for another one.")
        )
    return identity


# Invitation codes with their numbers.
Numbered = list[tuple[int, str]]


def new_seed() -> str:
    return secrets.token_urlsafe(16)


def codes_of(question: Question, seed: str, numbers: range) -> Numbered:
    """Return the codes that are made of this seed. The site keeps no seed: without it nothing tells the codes again."""
    key = _key_of(question)
    if not key:
        raise SecretLost(question)
    digests = (
        (n, hmac.digest(key, f"sheet:{seed}:{n}".encode(), "sha256")) for n in numbers
    )
    return [(n, code_of(int.from_bytes(digest[:8]))) for n, digest in digests]


def make_codes(question: Question, number: int, seed: str = "") -> Numbered:
    """Make invitation codes of a seed, or of one that nobody has; return them with their numbers."""
    seed = seed or new_seed()
    with transaction.atomic():
        # Race: two organisers who make codes at once would give the same numbers.
        question.choice_set.lock()
        first = question.invitation_set.last_number() + 1
        numbered = codes_of(question, seed, range(first, first + number))
        Invitation.objects.bulk_create(
            (
                Invitation(
                    question=question,
                    number=n,
                    voter_key=voter_key(question, f"code:{code}"),
                )
                for n, code in numbered
            ),
            batch_size=1000,
        )
    return numbered
