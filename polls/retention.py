"""Forgetting what has had its time: which polls are due, and how voters, ballots and log-ins are erased.

What an order could tell is erased too: of ids, of rows in a table, of who
changed a row last. PostgreSQL keeps the last beside each row.
"""

import datetime
import secrets
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from .counting.ballots_csv import fix_fingerprint
from .counting.recount import wrong_ballots, wrong_totals
from .models import (
    Ballot,
    BallotQuerySet,
    Choice,
    Invitation,
    Mark,
    Question,
    QuestionQuerySet,
    RankingTotal,
)
from .promises import Voters

# Ballots that one transaction deletes or writes anew: a fraction of a second.
DELETED_AT_ONCE = 2000
REWRITTEN_AT_ONCE = 1000

# By who votes, and by whether they get receipts.
KEPT = {
    (Voters.ANYONE, True): _("This poll keeps your choice, the time, a receipt code and a key made of a random cookie in your browser: no name, no address."),
    (Voters.ANYONE, False): _("This poll keeps your choice, the time, a random code that nobody is given and a key made of a random cookie in your browser: no name, no address."),
    (Voters.ACCOUNTS, True): _("This poll keeps your choice, the time, a receipt code and a key made of your account: no name, no address."),
    (Voters.ACCOUNTS, False): _("This poll keeps your choice, the time, a random code that nobody is given and a key made of your account: no name, no address."),
    (Voters.CODES, True): _("This poll keeps your choice, the time, a receipt code and a key made of your invitation code: no name, no address."),
    (Voters.CODES, False): _("This poll keeps your choice, the time, a random code that nobody is given and a key made of your invitation code: no name, no address."),
}  # fmt: skip


def what_is_kept(question: Question) -> str:
    """Say in one line what this poll keeps about a voter, and until when."""
    if not question.voter_salt:
        return gettext(
            "What tied voters to their ballots has been erased: nobody can tell any more who cast which."
        )
    kept = KEPT[Voters(question.voters), question.receipts]
    return f"{kept} {_until_when()}"


def _until_when() -> str:
    days = (
        settings.FORGET_VOTERS_DAYS,
        settings.DELETE_BALLOTS_DAYS,
        settings.DELETE_POLLS_DAYS,
    )
    first = min(filter(None, days), default=None)
    if not first:
        return gettext(
            "Until the operator erases it, whoever runs this site could tie a ballot to its voter."
        )
    sentence = ngettext(
        "Until %(number)s day after the poll has closed, whoever runs this site could tie a ballot to its voter.",
        "Until %(number)s days after the poll has closed, whoever runs this site could tie a ballot to its voter.",
        first,
    )
    return sentence % {"number": first}


class Due(NamedTuple):
    """The questions whose time is over; each is in one list, that of what takes most away."""

    delete_polls: list[Question]
    delete_ballots: list[Question]
    forget_voters: list[Question]


def due(
    delete_polls: int | None, delete_ballots: int | None, forget_voters: int | None
) -> Due:
    """Find what is due so many days after the close; None is never."""
    polls = _closed(delete_polls)
    ballots = _with_ballots(_closed(delete_ballots)).exclude(pk__in=polls)
    voters = _with_voters(_closed(forget_voters))
    voters = voters.exclude(Q(pk__in=polls) | Q(pk__in=ballots))
    return Due(list(polls), list(ballots), list(voters))


def _closed(days: int | None) -> QuestionQuerySet:
    if days is None:
        return Question.objects.none()
    now = timezone.now()
    before = now - datetime.timedelta(days=days)
    return Question.objects.closed(now).filter(closes_at__lte=before).order_by("pk")


def _with_ballots(questions: QuestionQuerySet) -> QuestionQuerySet:
    return questions.filter(Exists(Ballot.objects.filter(question=OuterRef("pk"))))


def _with_voters(questions: QuestionQuerySet) -> QuestionQuerySet:
    codes = Invitation.objects.filter(question=OuterRef("pk"))
    # One without votes ties nobody to anything, and may be opened again.
    return questions.voted_on().filter(~Q(voter_salt="") | Exists(codes))


def last_recount(question: Question) -> list[str]:
    """Fix the fingerprint, and say what is wrong with the count: later nobody can look again."""
    if question.ballots_deleted_at:
        # An earlier run was broken off, after its recount.
        return []
    fix_fingerprint(question)
    return [*wrong_totals(question), *wrong_ballots(question)]


def forget_log_ins(questions: list[Question]) -> None:
    """Delete the sessions that began before the last of these closed questions did: they tell who came when."""
    ends = [question.closes_at for question in questions if question.closes_at]
    if not ends:
        return
    lasts = datetime.timedelta(seconds=settings.SESSION_COOKIE_AGE)
    Session.objects.filter(expire_date__lte=max(ends) + lasts).delete()
    # All rows in one statement, also those that are empty: nobody is the one who was changed last.
    User.objects.update(last_login=None)


# Is told how many of how many are done.
Report = Callable[[int, int], object]


def _tell_nobody(done: int, total: int) -> None:
    pass


def delete_ballots(question: Question, report: Report = _tell_nobody) -> int:
    """Delete the ballots of a closed question for good, and leave its totals; return how many.

    A run that is broken off can be begun again.
    """
    with transaction.atomic():
        _erase_salt(question)
        first = Question.objects.filter(pk=question.pk, ballots_deleted_at=None)
        first.update(ballots_deleted_at=timezone.now())
    ballots = question.ballot_set.values_list("pk", flat=True)
    return sum(
        Ballot.objects.filter(pk__in=batch).bulk_delete()
        for batch in _batches(ballots, DELETED_AT_ONCE, report)
    )


def forget_voters(question: Question, report: Report = _tell_nobody) -> None:
    """Erase for good what ties voters to the ballots of a closed question.

    The salt goes last: a run that is broken off can be begun again.
    """
    _close_gaps_between_marks(question)
    # By receipt, an order that says nothing of who came when.
    ballots = question.ballot_set.order_by("receipt").values_list("pk", flat=True)
    for batch in _batches(ballots, REWRITTEN_AT_ONCE, report):
        with transaction.atomic():
            question.choice_set.lock()
            _rewrite_ballots(Ballot.objects.filter(pk__in=batch), question.closes_at)
    _erase_salt(question)


def _erase_salt(question: Question) -> None:
    """Erase the salt, the invitation codes and the order of the rankings.

    The codes stand on a sheet in the order of their numbers; the rankings in that of their first ballots.
    """
    with transaction.atomic():
        question.choice_set.lock()
        question.invitation_set.all().delete()
        _rewrite_rankings(question)
        # They stay as they are, but all are changed last by this transaction.
        question.choice_set.update(revision=F("revision"))
        Question.objects.filter(pk=question.pk).update(voter_salt="")


def _close_gaps_between_marks(question: Question) -> None:
    """Give fresh ids to the marks of other questions whose ids lie between those of this one's.

    Secrecy: the voters of the other questions are still known. The ids that are missing between two of their marks
    would tell how many choices each ballot cast between them has marked.
    """
    own = Mark.objects.filter(ballot__question=question)
    span = own.aggregate(first=models.Min("pk"), last=models.Max("pk"))
    between = Mark.objects.filter(pk__range=(span["first"] or 0, span["last"] or 0))
    others = between.exclude(ballot__question=question).exclude(
        ballot__question__voter_salt=""
    )
    ids = others.order_by("pk").values_list("pk", flat=True)
    for batch in _batches(ids, REWRITTEN_AT_ONCE):
        with transaction.atomic():
            _rewrite_marks(Mark.objects.filter(pk__in=batch))


def _batches(
    ids: models.QuerySet[models.Model, int],
    size: int,
    report: Report = _tell_nobody,
) -> Iterator[list[int]]:
    """Yield the ids in batches; in 8 bytes of memory an id.

    The pause lets others write: who waits for SQLite looks every tenth of a second whether it is free.
    """
    left = array("q", ids.iterator())
    for start in range(0, len(left), size):
        report(start, len(left))
        yield list(left[start : start + size])
        if start + size < len(left):
            time.sleep(0.1)


def _rewrite_ballots(
    ballots: BallotQuerySet, cast_at: datetime.datetime | None
) -> None:
    """Write these ballots anew in the order of their receipts: with fresh ids, random keys and one time for all."""
    old = list(ballots.order_by("receipt").values_list("question", "receipt"))
    marks = Mark.objects.filter(ballot__in=ballots).order_by("ballot__receipt", "rank")
    marked = list(marks.values_list("ballot__receipt", "choice", "rank"))
    ballots.bulk_delete()
    moment = connection.ops.adapt_datetimefield_value(cast_at)
    _insert(
        "polls_ballot (question_id, receipt, voter_key, cast_at)",
        [(*row, secrets.token_hex(16), moment) for row in old],
    )
    receipts = [receipt for _, receipt in old]
    fresh = Ballot.objects.filter(receipt__in=receipts)
    ids = dict(fresh.values_list("receipt", "pk"))
    _insert(
        "polls_mark (ballot_id, choice_id, rank)",
        [(ids[receipt], *mark) for receipt, *mark in marked],
    )


def _rewrite_marks(marks: models.QuerySet[Mark]) -> None:
    """Write these marks anew in the order that they have, with fresh ids."""
    questions = marks.values("ballot__question").distinct()
    Choice.objects.filter(question__in=questions).lock()
    # Stale read: only with the lock are they as their voters have left them.
    rows = list(marks.order_by("pk").values_list("ballot_id", "choice_id", "rank"))
    marks.delete()
    _insert("polls_mark (ballot_id, choice_id, rank)", rows)


def _rewrite_rankings(question: Question) -> None:
    """Write the rankings of ballots anew in alphabetical order; the caller has locked the choices."""
    rows = RankingTotal.objects.filter(question=question)
    kept = rows.filter(ballots__gt=0).order_by("choices")
    totals = list(kept.values_list("question", "choices", "ballots"))
    rows.delete()
    _insert("polls_ranking (question_id, choices, ballots)", totals)


def _insert(table: str, rows: Sequence[tuple[int | str | None, ...]]) -> None:
    """Insert rows in this order, without a Django object for each: there may be millions."""
    if not rows:
        return
    values = ", ".join(["%s"] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES ({values})", rows)
