"""Who looks at results: spectators, those who have voted, and organisers; and what their right rests on."""

import functools
import hashlib
import itertools
import operator
from collections.abc import Collection, Iterator
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest
from django.utils import timezone

from .models import Ballot, Question
from .promises import Audience, Voters
from .voting.identity import identify, voter_key

# Whoever may see questions in the admin, with any of these permissions, sees all results.
SEES_ALL = ["polls.view_question", "polls.change_question"]

# SQLite takes only so many values in a statement.
BATCH = 1000


def has_session(request: HttpRequest) -> bool:
    """Tell whether this may be somebody who has logged in, without a query."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES


def sees_all_results(user: User | AnonymousUser) -> bool:
    return any(map(user.has_perm, SEES_ALL))


class LogIn(NamedTuple):
    """A log-in of an account: it ends with its session, and with the password."""

    session: str | None
    user: int | None
    password_digest: bytes

    @classmethod
    def of(cls, request: HttpRequest) -> "LogIn | None":
        user = request.user
        if not user.is_authenticated:
            return None
        return cls(request.session.session_key, user.pk, _digest(user.password))


def _digest(password: str) -> bytes:
    """Streams keep this for long: not the hash that the database keeps."""
    return hashlib.sha256(password.encode()).digest()


class Right(NamedTuple):
    """The audience that somebody belongs to, and what proves it: a stream asks lost_rights() again while it is open."""

    audience: Audience
    question: int = 0
    # Of the ballot that makes somebody a voter.
    voter_key: str = ""
    log_in: LogIn | None = None


SPECTATOR = Right(Audience.SPECTATOR)


def right_of(request: HttpRequest, question: Question) -> Right:
    if sees_all_results(request.user):
        return Right(Audience.ORGANISER, question.pk, log_in=LogIn.of(request))
    voter = identify(request, question)
    key = voter and voter_key(question, voter)
    if not (key and question.own_ballot(key)):
        return SPECTATOR
    by_account = question.voters == Voters.ACCOUNTS
    log_in = LogIn.of(request) if by_account else None
    return Right(Audience.VOTER, question.pk, key, log_in)


def lost_rights(rights: Collection[Right]) -> set[Right]:
    """Return those that do not hold any more: ballot withdrawn, logged out, permission or account gone.

    At most three statements for each thousand, and none for spectators.
    """
    lost: set[Right] = set()
    for batch in _batches([right for right in rights if right.voter_key]):
        ballots = _ballots(batch)
        lost |= {r for r in batch if (r.question, r.voter_key) not in ballots}
    for batch in _batches([right for right in rights if right.log_in]):
        audiences = _audiences({right.log_in for right in batch if right.log_in})
        lost |= {r for r in batch if r.audience not in audiences.get(r.log_in, ())}
    return lost


def _batches(rights: list[Right]) -> Iterator[list[Right]]:
    rights.sort(key=lambda right: right.question)
    for start in range(0, len(rights), BATCH):
        yield rights[start : start + BATCH]


def _ballots(rights: list[Right]) -> set[tuple[int, str]]:
    """Return those of these ballots that are there, as question and voter key."""
    wanted = Q()
    for question, group in itertools.groupby(rights, lambda right: right.question):
        keys = [right.voter_key for right in group]
        wanted |= Q(question=question, voter_key__in=keys)
    return set(Ballot.objects.filter(wanted).values_list("question_id", "voter_key"))


def _audiences(log_ins: set[LogIn]) -> dict[LogIn | None, set[Audience]]:
    """Return those of these log-ins that hold, and as what each may see results."""
    ids = {log_in.session for log_in in log_ins}
    sessions = Session.objects.filter(pk__in=ids, expire_date__gt=timezone.now())
    lasting = set(sessions.values_list("pk", flat=True))
    by_permission = map(User.objects.with_perm, SEES_ALL)
    organisers = functools.reduce(operator.or_, by_permission).filter(pk=OuterRef("pk"))
    users = User.objects.filter(pk__in={log_in.user for log_in in log_ins})
    active = users.filter(is_active=True).annotate(sees_all=Exists(organisers))
    found: dict[tuple[int | None, bytes], set[Audience]] = {}
    for pk, password, sees_all in active.values_list("pk", "password", "sees_all"):
        also = {Audience.ORGANISER} if sees_all else set()
        found[pk, _digest(password)] = {Audience.VOTER} | also
    return {
        log_in: found.get((log_in.user, log_in.password_digest), set())
        for log_in in log_ins
        if log_in.session in lasting
    }
