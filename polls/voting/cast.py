"""The one way in which a ballot is written, changed or withdrawn."""

import random
import time
from collections.abc import Sequence
from functools import partial

from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from .. import metrics
from ..models import Ballot, Choice, Mark, Question, RankingTotal
from ..promises import Voters
from .ballot_sql import CHECKED_COLUMNS, TIMES, NewBallot, Row, insert_ballots
from .group_commit import GroupCommit
from .loop_attempt import LoopBallot, current_attempt

new_ballots = GroupCommit(metrics.measure_commits(insert_ballots))


class Refused(Exception):
    """The ballot is not written, and nothing else is. Its text says why, to the voter."""


class NotOpen(Refused):
    """The question takes no ballots at this moment: it has closed, or has not opened yet."""


class NotChangeable(Refused):
    """The voter has a ballot, and the question lets nobody change or withdraw one."""


class NotInvited(Refused):
    """The question is for invitation codes, and this voter's is unknown or void."""


class SecretLost(OperationalError):
    """The site has not the secret any more that this question's keys are made with: who has voted cannot be known."""

    def __init__(self, question: Question) -> None:
        super().__init__(
            f"Question {question.pk} knows its voters by a secret that is gone. Add it to SECRET_KEY_FALLBACKS; if it is "
            "lost, close the poll. Machines that serve one site share one SECRET_KEY."
        )


class QuestionChanged(Refused):
    """The organiser has changed what a ballot is while the voter had the page before them."""

    def __init__(self) -> None:
        super().__init__(
            gettext("The poll has just changed. Read it again, then vote.")
        )


def require_key(question: Question, voter_key: str) -> None:
    if not voter_key:
        raise SecretLost(question)


def cast(question: Question, voter_key: str, choices: Sequence[int]) -> Ballot:
    """Write this voter's one ballot for these choices (ids, best first), or change it.

    The one way in which a vote is written, and the totals change with it. A race
    of one voter (a double click, two tabs): nobody looks first whether a ballot
    is there. Both insert, the database refuses the second one, and that one
    becomes a change of the first, if it has not been withdrawn meanwhile.

    The ballot is written when this returns; on the event loop, where nothing
    may wait, when the answer is sent. Raises InvalidBallot, Refused, or
    Choice.DoesNotExist for what is no choice of the question, or no longer;
    then nothing is written.
    """
    require_key(question, voter_key)
    choices = question.valid_choices(choices)
    for attempt in range(1, 21):
        ballot = Ballot(question=question, voter_key=voter_key, cast_at=timezone.now())
        written = _insert(ballot, choices) or _change(question, voter_key, choices)
        if written:
            return written
        # A random time, or tabs that cast and withdraw would collide again.
        time.sleep(random.uniform(0, 0.005 * attempt))
    raise OperationalError("This ballot was cast and withdrawn all the time.")


def _insert(ballot: Ballot, choices: list[int]) -> Ballot | None:
    """Write a new ballot; None if it cannot be: the voter has one already, say."""
    attempt = current_attempt.get()
    if attempt and attempt.is_on_loop:
        pending = new_ballots.submit_from_loop(_rows(ballot, choices), attempt.writer)
        attempt.ballots.append(LoopBallot(ballot, pending))
        return ballot
    earlier = attempt.take_over(ballot) if attempt else None
    if earlier:
        return earlier.written()
    ballot.pk = new_ballots.submit(_rows(ballot, choices))
    return ballot if ballot.pk is not None else None


def _rows(ballot: Ballot, choices: list[int]) -> NewBallot:
    question = ballot.question
    row = {name: getattr(question, name) for name in (*CHECKED_COLUMNS, *TIMES)} | {
        "receipt": ballot.receipt,
        "question_id": question.pk,
        "voter_key": ballot.voter_key,
        "cast_at": ballot.cast_at,
        "ranking": question.rules.ranking(choices),
    }
    increments, texts = question.rules.increments(choices), question.choice_texts
    marks: list[Row] = [
        {
            "receipt": ballot.receipt,
            "choice_id": choice,
            "choice_text": texts.get(choice),
            "rank": rank,
            "votes": increments[choice][0],
            "first_marks": increments[choice][1],
        }
        for rank, choice in enumerate(choices, 1)
    ]
    return NewBallot(row, marks)


def _change(question: Question, voter_key: str, choices: list[int]) -> Ballot | None:
    """Change, or withdraw if there are no choices; return None if there is no ballot."""
    with transaction.atomic():
        # Lock order: the choices before the ballot, as in closing and deleting a question, or they deadlock.
        question.choice_set.lock()
        ballots = Ballot.objects.select_for_update()
        ballot = ballots.filter(question=question, voter_key=voter_key).first()
        if not (ballot or choices):
            # Nothing to withdraw, be the question open or not.
            return None
        now = _require_as_shown(question, choices)
        _require_invited(question, voter_key)
        if not ballot:
            # A new ballot has nothing against it by now.
            return None
        marks = ballot.mark_set.order_by("rank").values_list("choice_id", flat=True)
        marked = list(marks)
        if marked != choices:
            if not now.may_change:
                raise NotChangeable(
                    gettext("You have voted already, and votes on this poll are final.")
                )
            _change_marks(question, ballot, marked, choices)
    return ballot


def _require_as_shown(question: Question, choices: list[int]) -> Question:
    """Return the question as it is now, if a ballot for the question as its voter was shown it is still valid.

    Read with the choices locked: the question may have been closed while this
    waited for them. Raises Refused or Choice.DoesNotExist.
    """
    now = Question.objects.filter(pk=question.pk).first()
    offered = now.choice_texts if now else {}
    if not now or any(
        pk not in offered or offered[pk] != question.choice_texts.get(pk)
        for pk in choices
    ):
        raise Choice.DoesNotExist
    if not now.is_open or now.ballots_sha256 or not now.voter_salt:
        raise NotOpen(gettext("Your vote was not counted."))
    if any(getattr(question, name) != getattr(now, name) for name in CHECKED_COLUMNS):
        raise QuestionChanged
    # Open for longer or shorter is no other poll: the next try to insert is checked against these.
    question.pub_date, question.closes_at = now.pub_date, now.closes_at
    return now


def withdraw(question: Question, voter_key: str) -> bool:
    """Take this voter's ballot out of the count and delete it; False if there is none.

    Raises NotOpen or NotChangeable; then nothing has changed.
    """
    require_key(question, voter_key)
    with transaction.atomic():
        ballot = _change(question, voter_key, [])
        if ballot:
            ballot.delete()
    return bool(ballot)


def _change_totals(question: Question, marked: list[int], choices: list[int]) -> None:
    before = question.rules.increments(marked)
    after = question.rules.increments(choices)
    # Update in id order, so that two who change their votes cannot deadlock.
    for pk in sorted(before | after):
        rows = Choice.objects.filter(pk=pk, question=question)
        old, new = before.get(pk, (0, 0)), after.get(pk, (0, 0))
        if not rows.update(
            votes=F("votes") + new[0] - old[0],
            first_marks=F("first_marks") + new[1] - old[1],
            revision=F("revision") + 1,
        ):
            raise Choice.DoesNotExist


def _change_marks(
    question: Question, ballot: Ballot, marked: list[int], choices: list[int]
) -> None:
    """Change the marks of a ballot, which the caller has locked, and the totals with them."""
    _change_totals(question, marked, choices)
    _change_ranking(question, marked, choices)
    ballot.mark_set.all().delete()
    ballot.changed_at = timezone.now()
    ballot.save(update_fields=["changed_at"])
    Mark.objects.bulk_create(
        Mark(ballot=ballot, choice_id=choice, rank=rank)
        for rank, choice in enumerate(choices, 1)
    )
    what = "changed" if choices else "withdrawn"
    transaction.on_commit(partial(metrics.count_vote, what))


def _require_invited(question: Question, voter_key: str) -> None:
    if question.voters == Voters.CODES and not question.invitation_set.valid(voter_key):
        raise NotInvited(
            gettext("Your vote was not counted: this invitation code is void.")
        )


def _change_ranking(question: Question, before: list[int], after: list[int]) -> None:
    """Take a ballot from one ranking to another; its choices are locked, so no other ballot makes the same row."""
    for choices, step in ((before, -1), (after, 1)):
        ranking = question.rules.ranking(choices)
        rows = RankingTotal.objects.filter(question=question, choices=ranking)
        if ranking and not rows.update(ballots=F("ballots") + step):
            rows.create(question=question, choices=ranking, ballots=step)
