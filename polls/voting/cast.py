"""The one way in which a ballot is written, changed or withdrawn."""

import random
import time
from collections.abc import Sequence

from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from ..kinds import InvalidBallot, Kind, ballot_increments, ranking_text
from ..models import Ballot, Choice, Mark, Question, RankingTotal, Voters
from . import group_commit
from .ballot_sql import CHECKED_COLUMNS


class Refused(Exception):
    """The ballot is not written, and nothing else is. Its text says why, to the voter."""


class NotOpen(Refused):
    """The question takes no ballots at this moment: it has closed, or has not opened yet."""


class NotChangeable(Refused):
    """The voter has a ballot, and the question lets nobody change or withdraw one."""


class NotInvited(Refused):
    """The question is for invitation codes, and this voter's is unknown or void."""


class QuestionChanged(Refused):
    """The organiser has changed what a ballot is while the voter had the page before them."""

    def __init__(self) -> None:
        super().__init__("The poll has just changed. Read it again, then vote.")


def cast(question: Question, voter_key: str, choices: Sequence[int]) -> Ballot:
    """Write this voter's one ballot for these choices (ids, best first), or change it.

    It is the only way in which a vote is written, and it moves the totals
    with it. Two requests of one voter can race (a double click, two tabs):
    nobody looks first whether a ballot is there. Both insert, the database
    refuses the second one, and that one becomes a change of the first, if
    it has not been withdrawn meanwhile.

    Raises Refused, or Choice.DoesNotExist for a choice that this question
    does not have, or no longer; then nothing has been written. On the loop
    (see group_commit) the ballot is returned before it is written.
    """
    choices = valid_choices(question, choices)
    for attempt in range(1, 21):
        ballot = Ballot(question=question, voter_key=voter_key, cast_at=timezone.now())
        if group_commit.submit(ballot, choices):
            return ballot
        ballot = _change(question, voter_key, choices)
        if ballot:
            return ballot
        # Other tabs that cast and withdraw would do so in step with this one.
        time.sleep(random.uniform(0, 0.005 * attempt))
    raise OperationalError("This ballot was cast and withdrawn all the time.")


def valid_choices(question: Question, choices: Sequence[int]) -> list[int]:
    """Return the choices in the order of their marks: the voter's, or on unranked questions the page's.

    Raises InvalidBallot for too few, too many, or one twice.
    """
    most = question.max_marks(len(choices))
    verb = "Rank" if question.kind == Kind.RANKED else "Select"
    if len(set(choices)) < len(choices):
        raise InvalidBallot("You selected a choice twice. Select each one once.")
    if not choices:
        raise InvalidBallot("You didn't select a choice.")
    if len(choices) < question.min_choices:
        raise InvalidBallot(f"{verb} at least {question.min_choices} choices.")
    if len(choices) > most:
        several = f"at most {most} choices" if most > 1 else "only one choice"
        raise InvalidBallot(f"{verb} {several}.")
    return list(choices) if question.kind == Kind.RANKED else sorted(choices)


def _change(question: Question, voter_key: str, choices: list[int]) -> Ballot | None:
    """Change, or withdraw if there are no choices; return None if there is no ballot."""
    with transaction.atomic():
        # Before the ballot, as whoever closes or deletes the question does: nobody waits in a circle.
        question.choice_set.lock()
        ballots = Ballot.objects.select_for_update()
        ballot = ballots.filter(question=question, voter_key=voter_key).first()
        if not (ballot or choices):
            # Nothing to withdraw, be the question open or not.
            return None
        now = _require_as_shown(question, choices)
        require_invited(question, voter_key)
        if not ballot:
            # A new ballot has nothing against it by now.
            return None
        marks = ballot.mark_set.order_by("rank")
        marked = list(marks.values_list("choice_id", flat=True))
        if marked != choices:
            if not now.may_change:
                raise NotChangeable(
                    "You have voted already, and votes on this poll are final."
                )
            _move_marks(question, ballot, marked, choices)
    return ballot


def _require_as_shown(question: Question, choices: list[int]) -> Question:
    """Return the question as it is now, if a ballot of this one, which its voter was shown, can count on it.

    The totals are locked: a vote may have waited there for the question to
    be closed. Raises Refused or Choice.DoesNotExist.
    """
    now = Question.objects.filter(pk=question.pk).first()
    offered = now.choice_texts if now else {}
    if not now or any(
        pk not in offered or offered[pk] != question.choice_texts.get(pk)
        for pk in choices
    ):
        raise Choice.DoesNotExist
    if not now.is_open or now.ballots_sha256 or not now.voter_salt:
        raise NotOpen("Your vote was not counted.")
    if any(getattr(question, name) != getattr(now, name) for name in CHECKED_COLUMNS):
        raise QuestionChanged
    # Longer or shorter, it is open: a new ballot of this voter is written under these.
    question.pub_date, question.closes_at = now.pub_date, now.closes_at
    return now


def withdraw(question: Question, voter_key: str) -> bool:
    """Take this voter's ballot out of the count and delete it; False if there is none.

    Raises NotOpen or NotChangeable; then nothing has changed.
    """
    with transaction.atomic():
        ballot = _change(question, voter_key, [])
        if ballot:
            ballot.delete()
    return bool(ballot)


def _move_marks(
    question: Question, ballot: Ballot, marked: list[int], choices: list[int]
) -> None:
    """Move the marks of a ballot, which the caller has locked, and the totals with them."""
    before, after = ballot_increments(question.kind, marked), ballot_increments(
        question.kind, choices
    )
    # In id order, whatever a voter changes: two ballots cannot wait for each other.
    for pk in sorted(before | after):
        rows = Choice.objects.filter(pk=pk, question=question)
        votes, ballots = after.get(pk, (0, 0)), before.get(pk, (0, 0))
        if not rows.update(
            votes=F("votes") + votes[0] - ballots[0],
            first_marks=F("first_marks") + votes[1] - ballots[1],
            revision=F("revision") + 1,
        ):
            raise Choice.DoesNotExist
    if question.kind == Kind.RANKED:
        _move_ranking(question, marked, choices)
    ballot.mark_set.all().delete()
    ballot.changed_at = timezone.now()
    ballot.save(update_fields=["changed_at"])
    Mark.objects.bulk_create(
        Mark(ballot=ballot, choice_id=choice, rank=rank)
        for rank, choice in enumerate(choices, 1)
    )


def require_invited(question: Question, voter_key: str) -> None:
    if question.voters == Voters.CODES and not question.invitation_set.valid(voter_key):
        raise NotInvited("Your vote was not counted: this invitation code is void.")


def _move_ranking(question: Question, before: list[int], after: list[int]) -> None:
    """Take a ballot from one ranking to another; its choices are locked, so no other ballot makes the same row."""
    for choices, step in ((before, -1), (after, 1)):
        text = ranking_text(choices)
        rows = RankingTotal.objects.filter(question=question, choices=text)
        if choices and not rows.update(ballots=F("ballots") + step):
            RankingTotal.objects.create(question=question, choices=text, ballots=step)
