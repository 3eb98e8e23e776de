"""The polls and their rules: what a question is, when it is open, and how a ballot is counted.

The ballots are the truth. Choice.votes is their running total, moved only in
the transaction that writes the ballot, so that a recount finds no difference.
"""

import datetime
import itertools
from collections.abc import Collection, Iterator
from typing import TypedDict

from django.contrib import admin
from django.db import IntegrityError, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string


class NotOpen(Exception):
    """The question takes no ballots at this moment: it has closed, or has not opened yet."""


class ChoiceTally(TypedDict):
    id: int
    text: str
    votes: int
    percent: float


class Tally(TypedDict):
    """The state of a question, as every page, file and program gets it.

    A later version has counted all that an earlier one has. Percentages are of
    ballots, from 0.0 to 100.0 with one decimal.
    """

    question: dict[str, object]
    version: int
    ballots: int
    choices: list[ChoiceTally]


def _state(
    pub_date: datetime.datetime,
    closes_at: datetime.datetime | None,
    now: datetime.datetime,
) -> str:
    if pub_date > now:
        return "scheduled"
    if closes_at is not None and closes_at <= now:
        return "closed"
    return "open"


def _tally(
    question: tuple[int, str, datetime.datetime, datetime.datetime | None],
    choices: list[tuple[int, str, int, int]],
) -> Tally:
    pk, text, pub_date, closes_at = question
    ballots = sum(votes for _, _, votes, _ in choices)
    return {
        "question": {
            "id": pk,
            "text": text,
            "state": _state(pub_date, closes_at, timezone.now()),
            "pub_date": pub_date.isoformat(),
            "closes_at": closes_at and closes_at.isoformat(),
        },
        "version": sum(moves for _, _, _, moves in choices),
        "ballots": ballots,
        "choices": [
            {
                "id": choice,
                "text": choice_text,
                "votes": votes,
                "percent": round(100 * votes / ballots, 1) if ballots else 0.0,
            }
            for choice, choice_text, votes, _ in choices
        ],
    }


class QuestionQuerySet(models.QuerySet["Question"]):
    def published(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        return self.filter(pub_date__lte=now or timezone.now())

    def scheduled(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        return self.filter(pub_date__gt=now or timezone.now())

    def open(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        now = now or timezone.now()
        return self.published(now).filter(
            Q(closes_at__isnull=True) | Q(closes_at__gt=now)
        )

    def closed(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        now = now or timezone.now()
        return self.published(now).filter(closes_at__lte=now)

    def newest_first(self) -> "QuestionQuerySet":
        return self.order_by("-pub_date", "-id")

    def tallies(self) -> dict[int, Tally]:
        """Count these questions, by id: one statement, so that each tally is of one moment."""
        rows = self.order_by("pk", "choice__pk").values_list(
            "pk",
            "question_text",
            "pub_date",
            "closes_at",
            "choice__pk",
            "choice__choice_text",
            "choice__votes",
            "choice__moves",
        )
        grouped = itertools.groupby(rows, key=lambda row: row[:4])
        return {
            question[0]: _tally(question, [row[4:] for row in choices if row[4]])
            for question, choices in grouped
        }

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the questions with all that was cast on them.

        The choices are locked first: a vote under way is waited for and goes
        too, a later one finds no choice and is refused. Ballots go by statements
        of their own: Django would load each of them into memory.
        """
        with transaction.atomic():
            Choice.objects.filter(question__in=self).lock()
            ballots = Ballot.objects.filter(question__in=self)
            Mark.objects.filter(ballot__in=ballots).delete()
            ballots._raw_delete(self.db)
            return super().delete()

    # As Django marks its own: not a method of managers, not callable from templates.
    delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]


def new_voter_salt() -> str:
    return get_random_string(32)


class Question(models.Model):
    question_text = models.CharField("question", max_length=200)
    pub_date = models.DateTimeField(
        "date published",
        default=timezone.now,
        help_text="The question is visible and open for votes from this moment.",
    )
    closes_at = models.DateTimeField(
        "closes",
        null=True,
        blank=True,
        help_text="No vote counts from this moment on. Leave it empty for a question that stays open.",
    )
    # Part of every voter key of this question. Once it is erased, no ballot can be tied to a browser again.
    voter_salt = models.CharField(
        max_length=32, default=new_voter_salt, editable=False, blank=True
    )

    objects = QuestionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-pub_date", "-id"], name="polls_question_newest")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(closes_at__isnull=True) | Q(closes_at__gte=F("pub_date")),
                name="polls_question_closes_after_opening",
                violation_error_message="A question cannot close before it is published.",
            )
        ]

    def __str__(self) -> str:
        return self.question_text

    def get_absolute_url(self) -> str:
        return reverse("polls:detail", args=[self.pk])

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        return Question.objects.using(using).filter(pk=self.pk).delete()

    @admin.display(boolean=True, ordering="pub_date", description="Published recently?")
    def was_published_recently(self) -> bool:
        now = timezone.now()
        return now - datetime.timedelta(days=1) <= self.pub_date <= now

    def state(self, now: datetime.datetime | None = None) -> str:
        """Return "scheduled", "open" or "closed"; the clock at this moment decides, as in the queryset."""
        return _state(self.pub_date, self.closes_at, now or timezone.now())

    @property
    def is_open(self) -> bool:
        return self.state() == "open"

    def close(self) -> bool:
        """Close the question now; return False if it was not open.

        The choices are locked before the clock is read: votes under way are
        counted and before that moment, those that wait behind it find it closed.
        """
        with transaction.atomic():
            self.choice_set.lock()
            now = timezone.now()
            rows = Question.objects.open(now).filter(pk=self.pk)
            return bool(rows.update(closes_at=now))

    def duplicate(self) -> "Question":
        """Return a new question with the same choices and no votes, open as long, but from a week ahead.

        A copy that opened at once would stand before the public unedited.
        """
        opens = timezone.now() + datetime.timedelta(days=7)
        with transaction.atomic():
            copy = Question.objects.create(
                question_text=self.question_text,
                pub_date=opens,
                closes_at=self.closes_at and opens + (self.closes_at - self.pub_date),
            )
            texts = self.choice_set.order_by("id").values_list("choice_text", flat=True)
            Choice.objects.bulk_create(
                Choice(question=copy, choice_text=text) for text in texts
            )
        return copy

    def cast(self, voter: str, choices: Collection[int]) -> "Ballot":
        """Write this voter's one ballot for these choices (ids), or change it; move the totals with it.

        It is the only way in which a vote is written. Two requests of one voter
        can race (a double click, two tabs): nobody looks first whether a ballot
        is there. Both insert, the database refuses the second one, and that one
        becomes a change of the first.

        Raises NotOpen, or Choice.DoesNotExist for a choice that this question
        does not have, or no longer; then nothing has been written.
        """
        try:
            with transaction.atomic():
                ballot = Ballot.objects.create(question=self, voter=voter)
                ballot._move_marks(set(), set(choices))
                self._require_open()
        except IntegrityError:
            with transaction.atomic():
                # Before the ballot, as whoever closes or deletes the question does: nobody waits in a circle.
                self.choice_set.lock()
                ballot = self._locked_ballot(voter)
                marked = set(ballot.mark_set.values_list("choice_id", flat=True))
                ballot._move_marks(marked, set(choices))
                self._require_open()
        return ballot

    def _require_open(self) -> None:
        """Ask the clock and the database, which may know more than this object.

        To be called when the totals are moved and so locked: a vote may have
        waited there for the question to be closed.
        """
        window = Question.objects.only("pub_date", "closes_at").get(pk=self.pk)
        self.pub_date, self.closes_at = window.pub_date, window.closes_at
        if not self.is_open:
            raise NotOpen

    def _locked_ballot(self, voter: str) -> "Ballot":
        try:
            return Ballot.objects.select_for_update().get(question=self, voter=voter)
        except Ballot.DoesNotExist:
            # Only with its question, and so with its choices, does a ballot go.
            raise Choice.DoesNotExist from None

    def chosen_by(self, voter: str) -> set[int]:
        """Return the ids of the choices on this voter's ballot; empty if there is none."""
        marks = Mark.objects.filter(ballot__question=self, ballot__voter=voter)
        return set(marks.values_list("choice_id", flat=True))

    def tally(self) -> Tally:
        """Count now. Raises Question.DoesNotExist if the question is gone."""
        tallies = Question.objects.filter(pk=self.pk).tallies()
        if not tallies:
            raise Question.DoesNotExist
        return tallies[self.pk]


class ChoiceQuerySet(models.QuerySet["Choice"]):
    def recounted(self) -> "ChoiceQuerySet":
        """Add `counted`: the marks on ballots, which `votes` must equal.

        One statement sees total and ballots at the same moment, so that votes
        cast meanwhile make no difference.
        """
        return self.annotate(counted=models.Count("mark"))

    def miscounted(self) -> Iterator["Choice"]:
        wrong = self.recounted().exclude(votes=F("counted")).order_by("id")
        return wrong.select_related("question").iterator()

    def lock(self) -> None:
        """Lock these choices until the transaction ends, in id order: two that lock cannot wait for each other."""
        list(self.order_by("pk").select_for_update().values_list("pk"))

    def repair(self) -> None:
        """Set every total to what the ballots say, without losing a vote cast meanwhile."""
        marks = Mark.objects.filter(choice=models.OuterRef("pk")).order_by()
        count = marks.values("choice").annotate(n=models.Count("pk")).values("n")
        with transaction.atomic():
            # Only a statement that begins with the lock in hand sees the votes it waited for;
            # those that wait behind it add themselves afterwards.
            self.lock()
            votes = Coalesce(models.Subquery(count), 0)
            self.update(votes=votes, moves=F("moves") + 1)


class Choice(models.Model):
    question = models.ForeignKey(Question, on_delete=models.CASCADE)
    choice_text = models.CharField("choice", max_length=200)
    votes = models.IntegerField(default=0, editable=False)
    # How often `votes` has moved, up or down: their sum is the version of a tally.
    moves = models.BigIntegerField(default=0, editable=False)

    objects = ChoiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(votes__gte=0), name="polls_choice_votes_not_negative"
            )
        ]

    def __str__(self) -> str:
        return self.choice_text

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Delete, and hand the moves on: the version of a tally must not go back."""
        with transaction.atomic(using):
            choices = self.question.choice_set
            choices.lock()
            moves = choices.filter(pk=self.pk).values_list("moves", flat=True).first()
            heir = choices.exclude(pk=self.pk).order_by("pk").first()
            if heir and moves is not None:
                choices.filter(pk=heir.pk).update(moves=F("moves") + moves + 1)
            return super().delete(using, keep_parents)


# Capitals and digits without the ones that are taken for each other: I and 1, O and 0.
RECEIPT_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def new_receipt() -> str:
    """Return 12 characters, 60 bits: nobody hits on another voter's by trying."""
    return get_random_string(12, RECEIPT_ALPHABET)


class BallotQuerySet(models.QuerySet["Ballot"]):
    def unsound(self) -> "BallotQuerySet":
        """Return the ballots that do not have exactly one mark, for a choice of their question."""
        marks = models.Count("mark")
        own = models.Count("mark", filter=Q(mark__choice__question=F("question")))
        return self.annotate(marks=marks, own=own).exclude(marks=1, own=1)


class Ballot(models.Model):
    """One voter's answer to one question. The voter is an opaque key, made in polls.voters."""

    # Its index is the one of the constraint below, which begins with it.
    question = models.ForeignKey(Question, on_delete=models.CASCADE, db_index=False)
    voter = models.CharField(max_length=32)
    receipt = models.CharField(max_length=12, unique=True, default=new_receipt)
    cast_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(null=True)

    objects = BallotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["question", "voter"], name="polls_ballot_one_a_voter"
            )
        ]

    def __str__(self) -> str:
        return self.receipt

    def _move_marks(self, marked: set[int], choices: set[int]) -> None:
        """Move the marks from one set of choices to another; the caller has just made or locked the ballot."""
        # In id order, whatever a voter changes: two ballots cannot wait for each other.
        for choice in sorted(marked ^ choices):
            step = 1 if choice in choices else -1
            rows = Choice.objects.filter(pk=choice, question=self.question_id)
            if not rows.update(votes=F("votes") + step, moves=F("moves") + 1):
                raise Choice.DoesNotExist
        self.mark_set.filter(choice__in=marked - choices).delete()
        added = [Mark(ballot=self, choice_id=choice) for choice in choices - marked]
        Mark.objects.bulk_create(added)
        if marked and marked != choices:
            self.changed_at = timezone.now()
            self.save(update_fields=["changed_at"])


class Mark(models.Model):
    """A choice on a ballot."""

    # Its index is the one of the constraint below, which begins with it.
    ballot = models.ForeignKey(Ballot, on_delete=models.CASCADE, db_index=False)
    # A choice with votes goes only with its whole question.
    choice = models.ForeignKey(Choice, on_delete=models.RESTRICT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ballot", "choice"], name="polls_mark_once_a_choice"
            )
        ]

    def __str__(self) -> str:
        return f"{self.ballot}: {self.choice}"
