"""Who looks at results: spectators, those who have voted, and organisers; and what that rests on."""

import functools
import hashlib
import itertools
import operator
from collections.abc import Collection, Iterator
from typing import NamedTuple

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest
from django.utils import timezone

from .models import Audience, Ballot, Question, Voters
from .voting.identity import identify, voter_key

# Whoever may see questions in the admin, with any of these, sees all results.
SEES_ALL = ["polls.view_question", "polls.change_question"]


class Account(NamedTuple):
    """A log-in: it ends with its session, and with another password."""

    session: str | None
    user: int | None
    password: bytes

    @classmethod
    def of(cls, request: HttpRequest) -> "Account | None":
        user = request.user
        if not user.is_authenticated:
            return None
        return cls(request.session.session_key, user.pk, _digest(user.password))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Right(NamedTuple):
    """Whose eyes see results, and what that rests on: a stream asks lost_rights() again while it is open."""

    audience: Audience
    question: int = 0
    # The key of the ballot that makes a voter of somebody.
    voter_key: str = ""
    account: Account | None = None


SPECTATOR = Right(Audience.SPECTATOR)


def right_of(request: HttpRequest, question: Question) -> Right:
    if any(map(request.user.has_perm, SEES_ALL)):
        return Right(Audience.ORGANISER, question.pk, account=Account.of(request))
    voter = identify(request, question)
    key = voter and voter_key(question, voter)
    if not (key and question.own_ballot(key)):
        return SPECTATOR
    by_account = question.voters == Voters.ACCOUNTS
    account = Account.of(request) if by_account else None
    return Right(Audience.VOTER, question.pk, key, account)


def lost_rights(rights: Collection[Right]) -> set[Right]:
    """Return those that do not hold any more: the ballot withdrawn, logged out, the permission or the account gone.

    At most three statements for each thousand, and none for spectators.
    """
    voters = [right for right in rights if right.voter_key]
    voters.sort(key=lambda right: right.question)
    logged_in = [right for right in rights if right.account]
    lost: set[Right] = set()
    for piece in _pieces(voters):
        ballots = _ballots(piece)
        lost |= {r for r in piece if (r.question, r.voter_key) not in ballots}
    for piece in _pieces(logged_in):
        accounts = _accounts(piece)
        lost |= {r for r in piece if r.audience not in accounts.get(r.account, ())}
    return lost


def _pieces(rights: list[Right]) -> Iterator[list[Right]]:
    # SQLite takes only so many values in a statement.
    for start in range(0, len(rights), 1000):
        yield rights[start : start + 1000]


def _ballots(rights: list[Right]) -> set[tuple[int, str]]:
    """Return those of these ballots that are there, as question and voter key."""
    wanted = Q()
    for question, group in itertools.groupby(rights, lambda right: right.question):
        wanted |= Q(
            question=question, voter_key__in=[right.voter_key for right in group]
        )
    return set(Ballot.objects.filter(wanted).values_list("question_id", "voter_key"))


def _accounts(rights: list[Right]) -> dict[Account | None, set[Audience]]:
    """Return those of these log-ins that last, and what each may be on a question."""
    accounts = {right.account for right in rights if right.account}
    seeing = functools.reduce(operator.or_, map(User.objects.with_perm, SEES_ALL))
    organisers = seeing.filter(pk=OuterRef("pk"))
    users = User.objects.filter(pk__in={a.user for a in accounts}, is_active=True)
    roles: dict[tuple[int | None, bytes], set[Audience]] = {
        (pk, _digest(password)): {Audience.VOTER}
        | ({Audience.ORGANISER} if sees else set())
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
