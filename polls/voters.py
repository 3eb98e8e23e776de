"""Who is voting: a browser, an account or an invitation code, turned into one opaque key for each question.

No IP address, no user agent and no account is kept beside a ballot. The key of
a voter on one question says nothing about the same voter on another.
"""

import functools
import hashlib
import hmac
import itertools
import operator
import secrets
from collections.abc import Collection, Iterator
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import on_loop
from .models import (
    Ballot,
    Invitation,
    NotInvited,
    NotOpen,
    Question,
    Role,
    Voters,
    new_code,
    read_code,
)

COOKIE = "voter"
# Browsers keep no cookie longer than 400 days.
COOKIE_AGE = 400 * 24 * 3600
# Whoever may see questions in the admin, with any of these, sees all results.
SEES_ALL = ["polls.view_question", "polls.change_question"]
_signer = Signer(salt="polls.voters")


def new_voter() -> str:
    attempt = on_loop.attempt.get()
    if not attempt:
        return secrets.token_urlsafe(16)
    # One request is one voter, though its answer is begun anew in a thread.
    attempt.new_voter = attempt.new_voter or secrets.token_urlsafe(16)
    return attempt.new_voter


def _read_cookie(request: HttpRequest, name: str) -> str | None:
    """Return what was put there; None for nothing, or what is forged or damaged."""
    try:
        return _signer.unsign(request.COOKIES.get(name, ""))
    except BadSignature:
        return None


def _set_cookie(
    response: HttpResponse,
    name: str,
    value: str,
    path: str = "/",
    age: int = COOKIE_AGE,
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age,
        path=path,
        httponly=True,
        samesite="Lax",
        secure=settings.VOTER_COOKIE_SECURE,
    )


def read_voter(request: HttpRequest, question: Question) -> str | None:
    """Return who this is to the question, for voter_key(); None for who cannot vote yet, or when voters are forgotten."""
    if not question.voter_salt:
        return None
    if question.voters == Voters.ACCOUNTS:
        user = request.user
        return f"account:{user.pk}" if user.is_authenticated else None
    if question.voters == Voters.CODES:
        code = _read_cookie(request, f"code{question.pk}")
        return code and f"code:{code}"
    return _read_cookie(request, COOKIE)


def remember_voter(response: HttpResponse, question: Question, voter: str) -> None:
    """Let the browser show who it is next time. An account is known without."""
    if question.voters == Voters.ANYONE:
        _set_cookie(response, COOKIE, _signer.sign(voter))
    elif question.voters == Voters.CODES:
        code = _signer.sign(voter.removeprefix("code:"))
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


def voter_key(question: Question, voter: str) -> str:
    """Return the voter's key on this question: 32 hexadecimal digits. Raises NotOpen if its salt has been erased."""
    if not question.voter_salt:
        # A voter would have the same key on another question.
        raise NotOpen("Your vote was not counted: this poll has forgotten its voters.")
    key = f"{settings.SECRET_KEY}{question.voter_salt}".encode()
    return hmac.digest(key, voter.encode(), "sha256").hex()[:32]


def voter_with_code(question: Question, typed: str) -> str:
    """Return the voter who has this code. Raises NotInvited if it is none of the question's, or void."""
    voter = f"code:{read_code(typed)}"
    # The codes of a poll that has forgotten its voters are gone.
    invitation = None
    if question.voter_salt:
        own = question.invitation_set.filter(voter=voter_key(question, voter))
        invitation = own.first()
    if not invitation:
        raise NotInvited(
            "That is not a code of this poll. Check each character, and whether it was given for another poll."
        )
    if invitation.voided_at:
        raise NotInvited("This code was made void. Ask the organiser for another one.")
    return voter


def make_codes(question: Question, number: int) -> list[tuple[int, str]]:
    """Make invitation codes; return their numbers and the codes, which nothing shows again."""
    codes = [new_code() for _ in range(number)]
    with transaction.atomic():
        # Two organisers who make codes at once do not give the same numbers.
        question.choice_set.lock()
        first = question.invitation_set.last_number() + 1
        numbered = list(enumerate(codes, first))
        Invitation.objects.bulk_create(
            (
                Invitation(
                    question=question,
                    number=n,
                    voter=voter_key(question, f"code:{code}"),
                )
                for n, code in numbered
            ),
            batch_size=1000,
        )
    return numbered


class Account(NamedTuple):
    """A log-in: it ends with its session, and with another password."""

    session: str
    user: int
    password: bytes

    @classmethod
    def of(cls, request: HttpRequest) -> "Account":
        user = request.user
        password = _digest(user.password)
        return cls(request.session.session_key, user.pk, password)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Right(NamedTuple):
    """Whose eyes see results, and what that rests on: a stream asks lost_rights() again while it is open."""

    role: Role
    question: int = 0
    # The key of the ballot that makes a voter of somebody.
    voter: str = ""
    account: Account | None = None


SPECTATOR = Right(Role.SPECTATOR)


def right_of(request: HttpRequest, question: Question) -> Right:
    if any(map(request.user.has_perm, SEES_ALL)):
        return Right(Role.ORGANISER, question.pk, account=Account.of(request))
    voter = read_voter(request, question)
    key = voter and voter_key(question, voter)
    if not (key and question.own_ballot(key)):
        return SPECTATOR
    by_account = question.voters == Voters.ACCOUNTS
    account = Account.of(request) if by_account else None
    return Right(Role.VOTER, question.pk, key, account)


def lost_rights(rights: Collection[Right]) -> set[Right]:
    """Return those that do not hold any more: the ballot withdrawn, logged out, the permission or the account gone.

    At most three statements for each thousand, and none for spectators.
    """
    voters = [right for right in rights if right.voter]
    voters.sort(key=lambda right: right.question)
    logged_in = [right for right in rights if right.account]
    lost: set[Right] = set()
    for piece in _pieces(voters):
        ballots = _ballots(piece)
        lost |= {r for r in piece if (r.question, r.voter) not in ballots}
    for piece in _pieces(logged_in):
        accounts = _accounts([right.account for right in piece])
        lost |= {r for r in piece if r.role not in accounts.get(r.account, ())}
    return lost


def _pieces(rights: list[Right]) -> Iterator[list[Right]]:
    # SQLite takes only so many values in a statement.
    for start in range(0, len(rights), 1000):
        yield rights[start : start + 1000]


def _ballots(rights: list[Right]) -> set[tuple[int, str]]:
    """Return those of these ballots that are there, as question and voter key."""
    wanted = Q()
    for question, group in itertools.groupby(rights, lambda right: right.question):
        wanted |= Q(question=question, voter__in=[right.voter for right in group])
    return set(Ballot.objects.filter(wanted).values_list("question_id", "voter"))


def _accounts(accounts: list[Account]) -> dict[Account, set[Role]]:
    """Return those of these log-ins that last, and what each may be on a question."""
    User = get_user_model()
    seeing = functools.reduce(operator.or_, map(User.objects.with_perm, SEES_ALL))
    organisers = seeing.filter(pk=OuterRef("pk"))
    users = User.objects.filter(pk__in={a.user for a in accounts}, is_active=True)
    roles = {
        (pk, _digest(password)): {Role.VOTER} | ({Role.ORGANISER} if sees else set())
        for pk, password, sees in users.annotate(sees=Exists(organisers)).values_list(
            "pk", "password", "sees"
        )
    }
    sessions = Session.objects.filter(
        pk__in={a.session for a in accounts}, expire_date__gt=timezone.now()
    )
    lasting = set(sessions.values_list("pk", flat=True))
    return {
        account: roles.get((account.user, account.password), set())
        for account in accounts
        if account.session in lasting
    }


KEPT = {
    Voters.ANYONE: "a key made of a random cookie in your browser",
    Voters.ACCOUNTS: "a key made of your account",
    Voters.CODES: "a key made of your invitation code",
}


def what_is_kept(question: Question) -> str:
    """Say in one line what this poll keeps about a voter, and until when."""
    days = (
        settings.FORGET_VOTERS_DAYS,
        settings.DELETE_BALLOTS_DAYS,
        settings.DELETE_POLLS_DAYS,
    )
    first = min(filter(None, days), default=None)
    until = "the operator erases it"
    if first:
        until = f"{first} days after the poll has closed"
    if not question.voter_salt:
        return "What tied voters to their ballots has been erased: nobody can tell any more who cast which."
    receipt = (
        "a receipt code" if question.receipts else "a random code that nobody is given"
    )
    return (
        f"This poll keeps your choice, the time, {receipt} and {KEPT[question.voters]}: no name, no address. "
        f"Until {until}, whoever runs this site could tie a ballot to its voter."
    )
