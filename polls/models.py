"""The polls and their rules: what a question is, who may vote and see, and how a ballot is counted.

The ballots are the truth. Choice.votes is their running total, moved only in
the transaction that writes the ballot, so that a recount finds no difference.
"""

import datetime
import enum
import functools
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.functional import cached_property

from .background import after_close
from .codes import new_code
from .database import database
from .kinds import KINDS, Kind, Rules


class Voters(models.TextChoices):
    ANYONE = "anyone", "Anyone, once a browser"
    ACCOUNTS = "accounts", "Signed in, once an account"
    CODES = "codes", "By invitation code, once a code"


class Results(models.TextChoices):
    """Who sees results, from the loosest to the strictest: each is a part of the one before."""

    ALWAYS = "always", "Everyone, always"
    VOTED = "voted", "Who has voted; everyone after closing"
    CLOSED = "closed", "Everyone, after closing"
    ORGANISERS = "organisers", "Organisers only"


RESULTS_RULES: dict[str, str] = {
    Results.ALWAYS: "Everyone sees the results at any time.",
    Results.VOTED: "Results are shown to those who have voted, and to everyone after the poll has closed.",
    Results.CLOSED: "Results are shown after the poll has closed.",
    Results.ORGANISERS: "Only the organisers see the results of this poll.",
}

# Said to those who see results that a spectator does not.
SEEN_BY: dict[str, str] = {
    Results.VOTED: "Only organisers and those who have voted see these results now.",
    Results.CLOSED: "Only organisers see these results now.",
    Results.ORGANISERS: "Only organisers see these results.",
}


class Audience(enum.Enum):
    """Who looks at results."""

    SPECTATOR = enum.auto()
    VOTER = enum.auto()
    ORGANISER = enum.auto()


class OwnBallot(NamedTuple):
    """A voter's ballot: choice ids in rank order, or as they stand on the page."""

    receipt: str
    choices: list[int]


def _state(
    pub_date: datetime.datetime,
    closes_at: datetime.datetime | None,
    closed_at: datetime.datetime | None,
    now: datetime.datetime,
) -> str:
    if pub_date > now:
        return "scheduled"
    if closes_at is not None and (closes_at <= now or closes_at == closed_at):
        return "closed"
    return "open"


def results_visible_to(results: str, state: str, audience: Audience) -> bool:
    """Decide who sees results. Every page, file and stream asks here."""
    if audience is Audience.ORGANISER or results == Results.ALWAYS:
        return True
    if results == Results.VOTED and audience is Audience.VOTER:
        return True
    return state == "closed" and results in {Results.VOTED, Results.CLOSED}


def _has_ended(now: datetime.datetime) -> Q:
    return Q(closes_at__lte=now) | Q(closes_at=F("closed_at"))


class QuestionQuerySet(models.QuerySet["Question"]):
    def published(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        return self.filter(pub_date__lte=now or timezone.now())

    def scheduled(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        return self.filter(pub_date__gt=now or timezone.now())

    def open(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        now = now or timezone.now()
        return self.published(now).exclude(_has_ended(now))

    def closed(self, now: datetime.datetime | None = None) -> "QuestionQuerySet":
        now = now or timezone.now()
        return self.published(now).filter(_has_ended(now))

    def voted_on(self) -> "QuestionQuerySet":
        """Return those on which a ballot was ever cast, be it withdrawn or deleted since."""
        moved = Choice.objects.filter(question=models.OuterRef("pk"), revision__gt=0)
        ballots = Ballot.objects.filter(question=models.OuterRef("pk"))
        deleted = Q(ballots_deleted_at__isnull=False)
        return self.filter(deleted | models.Exists(moved) | models.Exists(ballots))

    def with_ballots(self) -> "QuestionQuerySet":
        """Add `ballots`: how many there are on each."""
        return self.annotate(ballots=Coalesce(models.Sum("choice__first_marks"), 0))

    def newest_first(self) -> "QuestionQuerySet":
        return self.order_by("-pub_date", "-id")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the questions with all that was cast on them.

        The choices are locked first: a vote under way is waited for and goes
        too, a later one finds no choice and is refused.
        """
        with transaction.atomic(), database.long_statements():
            Choice.objects.filter(question__in=self).lock()
            Ballot.objects.filter(question__in=self).bulk_delete()
            return super().delete()

    # As Django marks its own: not a method of managers, not callable from templates. (Functions have no such attributes
    # for a type checker.)
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
    kind = models.CharField(
        max_length=10,
        choices=Kind.choices,
        default=Kind.ONE,
        db_default=Kind.ONE,
        help_text=" ".join(rules.help for rules in KINDS.values() if rules.help),
    )
    min_choices = models.PositiveSmallIntegerField(
        "at least",
        default=1,
        db_default=1,
        validators=[MinValueValidator(1)],
        help_text="A ballot with fewer choices is refused.",
    )
    max_choices = models.PositiveSmallIntegerField(
        "at most",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="A ballot with more choices is refused. Leave it empty for as many as there are.",
    )
    voters = models.CharField(
        "who votes",
        max_length=10,
        choices=Voters.choices,
        default=Voters.ANYONE,
        db_default=Voters.ANYONE,
        help_text="Once a browser is beaten by a private window. Accounts are made under Users, codes after "
        "saving, with the button above the form.",
    )
    results = models.CharField(
        "who sees results",
        max_length=10,
        choices=Results.choices,
        default=Results.ALWAYS,
        db_default=Results.ALWAYS,
        help_text="Organisers always see them, and everyone sees how many ballots there are. "
        "Once a ballot is cast this can only get stricter.",
    )
    may_change = models.BooleanField(
        "voters may change or withdraw their vote",
        default=True,
        db_default=True,
        help_text="While the poll is open. Once a ballot is cast this can be switched off, but not on.",
    )
    receipts = models.BooleanField(
        "voters get a receipt",
        default=True,
        db_default=True,
        help_text="A code that shows, to whoever has it, that the ballot is counted and for what: "
        "also to somebody who buys votes.",
    )
    # Part of every voter key of this question. Once it is erased, no ballot can be tied to its voter again.
    voter_salt = models.CharField(
        max_length=32, default=new_voter_salt, editable=False, blank=True
    )
    # Of ballots.csv, in hexadecimal; empty until the first time that it is asked for after the close.
    ballots_sha256 = models.CharField(
        max_length=64, default="", db_default="", editable=False, blank=True
    )
    # The end that somebody has seen pass: no clock that is set back opens the question again, only another end does.
    closed_at = models.DateTimeField(null=True, editable=False)
    # How often it was worded anew where people may have read it before.
    rewordings = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # Set when manage.py purge has deleted the ballots and left the totals.
    ballots_deleted_at = models.DateTimeField(null=True, editable=False)

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
            ),
            models.CheckConstraint(
                condition=Q(min_choices__gte=1)
                & (Q(max_choices__isnull=True) | Q(max_choices__gte=F("min_choices"))),
                name="polls_question_min_up_to_max",
                violation_error_message="“At most” cannot be less than “at least”.",
            ),
        ]

    def __str__(self) -> str:
        return self.question_text

    def save(self, **kwargs: Any) -> None:
        """Save what organisers edit, and note whether it words anew what people may have read."""
        if self._state.adding:
            self.voter_salt = self.voter_salt or new_voter_salt()
            super().save(**kwargs)
            return
        fields = kwargs.get("update_fields")
        if fields is None:
            # The rest is set by statements of their own: what was loaded with this object is old by now.
            of_organisers = [f for f in self._meta.concrete_fields if f.editable]
            fields = [f.name for f in of_organisers if not f.primary_key]
        with transaction.atomic():
            # A vote under way is counted before, a later one finds the new wording.
            self.choice_set.lock()
            if self._is_reworded(fields):
                self.rewordings += 1
                fields = [*fields, "rewordings"]
            # What is to be voted on has a salt. Where it has been erased, it stays so.
            if not self.voter_salt and not self.has_been_voted_on:
                self.voter_salt = new_voter_salt()
                fields = [*fields, "voter_salt"]
            super().save(**kwargs | {"update_fields": fields})

    def get_absolute_url(self) -> str:
        return reverse("polls:detail", args=[self.pk])

    def clean(self) -> None:
        # A kind that there is not is refused by its field.
        if self.kind in KINDS and not self.rules.has_limits:
            self.min_choices, self.max_choices = 1, None
        if self.pk:
            self._keep_promises()

    def _is_reworded(self, fields: Iterable[str]) -> bool:
        """Tell whether saving these fields changes what people may have read, or takes it from them to be changed."""
        before = Question.objects.published().filter(pk=self.pk).first()
        if not before:
            return False
        self.rewordings = before.rewordings
        words = {"question_text", "kind"}.intersection(fields)
        return any(getattr(self, name) != getattr(before, name) for name in words) or (
            "pub_date" in fields and self.pub_date > timezone.now()
        )

    def note_rewording(self) -> None:
        """Note that a choice was changed or taken away, or that the admin added one.

        One that a program adds is not noted: it makes a poll with its choices piece by piece.
        """
        read = Question.objects.published().filter(pk=self.pk)
        read.update(rewordings=F("rewordings") + 1)
        self.refresh_from_db(fields=["rewordings"])

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        return Question.objects.using(using).filter(pk=self.pk).delete()

    @admin.display(boolean=True, ordering="pub_date", description="Published recently?")
    def was_published_recently(self) -> bool:
        now = timezone.now()
        return now - datetime.timedelta(days=1) <= self.pub_date <= now

    def state(self, now: datetime.datetime | None = None) -> str:
        """Return "scheduled", "open" or "closed"; the clock at this moment decides, as in the queryset.

        Whoever is the first to hear that it has closed has that written down, and waits for nothing: it stays closed.
        """
        dates = (self.pub_date, self.closes_at, self.closed_at)
        state = _state(*dates, now or timezone.now())
        if state == "closed" and not now and self.closed_at != self.closes_at:
            note = functools.partial(_note_closed, self.pk, self.closes_at)
            after_close.submit((self.pk, "closed"), note)
        return state

    def stay_closed(self) -> None:
        """Write down now that it has closed, for who is about to do what only a closed question allows."""
        _note_closed(self.pk, self.closes_at)

    @property
    def is_open(self) -> bool:
        return self.state() == "open"

    @property
    def results_rule(self) -> str:
        return RESULTS_RULES[self.results]

    @property
    def seen_by(self) -> str:
        """Say who sees results at this moment; nothing where everyone does."""
        everyone = self.results_visible_to(Audience.SPECTATOR)
        return "" if everyone else SEEN_BY[self.results]

    def results_visible_to(self, audience: Audience) -> bool:
        return results_visible_to(self.results, self.state(), audience)

    @property
    def rules(self) -> Rules:
        """The rules of its kind."""
        return KINDS[self.kind]

    def max_marks(self, offered: int) -> int:
        """Return how many of the offered choices a ballot can hold."""
        return self.rules.max_marks(self.max_choices, offered)

    def valid_choices(self, choices: Sequence[int]) -> list[int]:
        """Return the choices in the order of their marks. Raises InvalidBallot for too few, too many, or one twice."""
        return self.rules.valid_choices(choices, self.min_choices, self.max_choices)

    @cached_property
    def results_url(self) -> str:
        return reverse("polls:results", args=[self.pk])

    @cached_property
    def choice_texts(self) -> dict[int, str]:
        """The choices as they stand on the ballot page: their texts by id."""
        choices = self.choice_set.order_by("id")
        return dict(choices.values_list("pk", "choice_text"))

    @cached_property
    def wording_digest(self) -> str:
        """A digest of what a voter reads. The form carries it, so that no vote counts for other words."""
        words = [self.question_text, self.kind, *self.choice_texts.values()]
        return hashlib.sha256(repr(words).encode()).hexdigest()[:16]

    @property
    def has_been_voted_on(self) -> bool:
        """Tell whether a ballot was ever cast, be it withdrawn since: from then on, what voters were told is kept."""
        return Question.objects.voted_on().filter(pk=self.pk).exists()

    # What cannot change once a ballot is cast, and why. The wording of choices goes with the question's.
    FROZEN = {
        "question_text": "The wording is what people have voted on",
        "pub_date": "People have voted since then",
        "kind": "The ballots are of this kind",
        "min_choices": "The ballots were cast under this rule",
        "max_choices": "The ballots were cast under this rule",
        "voters": "Who has voted as one kind of voter could vote again as another",
        "receipts": "Voters were told so when they voted",
    }

    @classmethod
    def why_frozen(cls, name: str) -> str:
        labels = {f.name: str(f.verbose_name) for f in cls._meta.concrete_fields}
        return f"“{labels[name].capitalize()}” cannot change any more. {cls.FROZEN[name]}: duplicate the question instead."

    @cached_property
    def frozen_fields(self) -> dict[str, str]:
        """What cannot change any more, by field, with the reason. Asked once for an object: a page does so many times."""
        if not self.has_been_voted_on:
            return {}
        frozen = {name: f"{reason}." for name, reason in self.FROZEN.items()}
        if self.state() == "closed":
            frozen["closes_at"] = (
                "The poll has closed and its count is public: duplicate the question instead."
            )
        if not self.may_change:
            frozen["may_change"] = (
                "That votes are final cannot be taken back, now that people have voted."
            )
        return frozen

    def _keep_promises(self) -> None:
        """Raise ValidationError if a change would break what those who have voted were told.

        With the choices locked: a first ballot under way is waited for. It
        holds until the end of the transaction in which this is called.
        """
        with transaction.atomic():
            self.choice_set.lock()
            before = Question.objects.filter(pk=self.pk).first()
            if before and before.has_been_voted_on:
                broken = list(before._broken_by(self))
                if broken:
                    raise ValidationError(broken)

    def _broken_by(self, after: "Question") -> Iterator[str]:
        for name in self.FROZEN:
            if getattr(self, name) != getattr(after, name):
                yield self.why_frozen(name)
        order = Results.values
        if order.index(after.results) < order.index(self.results):
            yield "“Who sees results” can only get stricter, now that people have voted."
        if after.may_change and not self.may_change:
            yield "That votes are final cannot be taken back, now that people have voted."
        if after.closes_at != self.closes_at:
            now = timezone.now()
            if self.state(now) == "closed":
                yield "The poll has closed and its count is public: duplicate the question instead of opening it again."
            elif after.closes_at and after.closes_at < now:
                yield "People have voted since then. To close the poll at once, use “Close now” above the form."

    def close(self) -> bool:
        """Close the question now; return False if it was not open.

        The choices are locked before the clock is read: votes under way are
        counted and before that moment, those that wait behind it find it closed.
        """
        with transaction.atomic():
            self.choice_set.lock()
            now = timezone.now()
            rows = Question.objects.open(now).filter(pk=self.pk)
            return bool(rows.update(closes_at=now, closed_at=now))

    def duplicate(self) -> "Question":
        """Return a new question with the same choices and promises and no votes, open as long, but from a week ahead.

        A copy that opened at once would stand before the public unedited.
        """
        opens = timezone.now() + datetime.timedelta(days=7)
        kept = ["question_text", "kind", "min_choices", "max_choices"]
        kept += ["voters", "results", "may_change", "receipts"]
        with transaction.atomic():
            copy = Question.objects.create(
                pub_date=opens,
                closes_at=self.closes_at and opens + (self.closes_at - self.pub_date),
                **{name: getattr(self, name) for name in kept},
            )
            texts = self.choice_set.order_by("id").values_list("choice_text", flat=True)
            Choice.objects.bulk_create(
                Choice(question=copy, choice_text=text) for text in texts
            )
        return copy

    # These two in plain SQL: each voter's page asks them, and Django takes longer to build a statement
    # than the database to run it.

    def own_ballot(self, voter_key: str) -> OwnBallot | None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT ballot.receipt, mark.choice_id FROM polls_ballot ballot"
                " JOIN polls_mark mark ON mark.ballot_id = ballot.id"
                " WHERE ballot.question_id = %s AND ballot.voter_key = %s ORDER BY mark.rank",
                [self.pk, voter_key],
            )
            rows = cursor.fetchall()
        return OwnBallot(rows[0][0], [choice for _, choice in rows]) if rows else None


def _note_closed(question: int, closes_at: datetime.datetime | None) -> None:
    with transaction.atomic():
        # A vote under way by an earlier clock is counted before.
        Choice.objects.filter(question=question).lock()
        same = Question.objects.filter(pk=question, closes_at=closes_at)
        same.exclude(closed_at=closes_at).update(closed_at=closes_at)


class ChoiceQuerySet(models.QuerySet["Choice"]):

    def lock(self) -> None:
        """Lock these choices until the transaction ends, in id order: two that lock cannot wait for each other."""
        list(self.order_by("pk").select_for_update().values_list("pk"))


class Choice(models.Model):
    # Moved by ballots alone, in the transaction that writes them.
    TOTALS = frozenset({"votes", "first_marks", "revision"})
    NOTHING: dict[str, object] = dict.fromkeys(TOTALS, 0)
    # As they were when the object was loaded.
    _loaded = NOTHING

    question = models.ForeignKey(Question, on_delete=models.CASCADE)
    choice_text = models.CharField("choice", max_length=200)
    votes = models.IntegerField(default=0, db_default=0, editable=False)
    # The ballots on which it is the first mark: their sum is the number of ballots, without a row of
    # its own that every vote would have to wait for.
    first_marks = models.IntegerField(default=0, db_default=0, editable=False)
    # How often the totals have moved, up or down: their sum is the version of a tally.
    revision = models.BigIntegerField(default=0, db_default=0, editable=False)

    objects = ChoiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(votes__gte=0), name="polls_choice_votes_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(first_marks__gte=0),
                name="polls_choice_ballots_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(votes=0, first_marks=0) | Q(revision__gt=0),
                name="polls_choice_totals_are_counted",
            ),
        ]

    def __str__(self) -> str:
        return self.choice_text

    def save(self, **kwargs: Any) -> None:
        """Save all but the totals: those that were loaded with it are old by now."""
        named = set(kwargs.get("update_fields") or ())
        # Of a new one nothing is counted yet, be it the copy of another.
        counted = self.NOTHING if self._state.adding else self._loaded
        if self.TOTALS & named or self._totals() != counted:
            raise ValueError(
                "The total of a choice is counted from its ballots. Save it without, and vote on it."
            )
        if self._state.adding:
            super().save(**kwargs)
            return
        if kwargs.get("update_fields") is None:
            kwargs["update_fields"] = ["question", "choice_text"]
        with transaction.atomic():
            self.question.choice_set.lock()
            before = Choice.objects.filter(pk=self.pk).first()
            super().save(**kwargs)
            if before and before.choice_text != self.choice_text:
                self.question.note_rewording()

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        **more: Any,
    ) -> "Choice":
        choice = super().from_db(db, field_names, values, **more)
        choice._loaded = choice._totals()
        return choice

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet["Choice"] | None = None,
    ) -> None:
        fields = None if fields is None else set(fields)
        super().refresh_from_db(using, fields, from_queryset)
        read = self._totals()
        if fields is not None:
            read = {name: read[name] for name in self.TOTALS.intersection(fields)}
        self._loaded = self._loaded | read

    def _totals(self) -> dict[str, object]:
        return {name: self.__dict__.get(name) for name in self.TOTALS}

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Delete, and hand the revision on: the version of a tally must not go back."""
        with transaction.atomic(using):
            choices = self.question.choice_set
            choices.lock()
            revision = (
                choices.filter(pk=self.pk).values_list("revision", flat=True).first()
            )
            heir = choices.exclude(pk=self.pk).order_by("pk").first()
            if heir and revision:
                choices.filter(pk=heir.pk).update(revision=F("revision") + revision + 1)
            self.question.note_rewording()
            return super().delete(using, keep_parents)


class RankingTotal(models.Model):
    """How many ballots of a ranked question give its choices in this order.

    A running total as Choice.votes is: a run-off takes the time of the
    rankings that occur, and not of the ballots.
    """

    question = models.ForeignKey(Question, on_delete=models.CASCADE, db_index=False)
    # Ids, best first, such as "3,1,2".
    choices = models.CharField(max_length=1000)
    ballots = models.IntegerField()

    class Meta:
        db_table = "polls_ranking"
        constraints = [
            models.UniqueConstraint(
                fields=["question", "choices"], name="polls_ranking_once"
            ),
            models.CheckConstraint(
                condition=Q(ballots__gte=0), name="polls_ranking_ballots_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.choices}: {self.ballots}"


class BallotQuerySet(models.QuerySet["Ballot"]):
    def bulk_delete(self) -> int:
        """Delete by statements of their own: Django would load each ballot into memory."""
        with transaction.atomic():
            Mark.objects.filter(ballot__in=self).delete()
            return self._raw_delete(self.db)


class Ballot(models.Model):
    """One voter's answer to one question. The voter is an opaque key, made in voting.identity."""

    # Its index is the one of the constraint below, which begins with it.
    question = models.ForeignKey(Question, on_delete=models.CASCADE, db_index=False)
    voter_key = models.CharField(max_length=32)
    receipt = models.CharField(max_length=12, unique=True, default=new_code)
    cast_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(null=True)

    objects = BallotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["question", "voter_key"], name="polls_ballot_one_a_voter"
            )
        ]

    def __str__(self) -> str:
        return self.receipt

    @property
    def choices(self) -> list[Choice]:
        marks = self.mark_set.order_by("rank").select_related("choice")
        return [mark.choice for mark in marks]


class Mark(models.Model):
    """A choice on a ballot."""

    # Its index is the one of the constraints below, which begin with it.
    ballot = models.ForeignKey(Ballot, on_delete=models.CASCADE, db_index=False)
    # A choice with votes goes only with its whole question.
    choice = models.ForeignKey(Choice, on_delete=models.RESTRICT)
    # From 1 without gaps: the voter's order on a ranked question, the order of the ballot page on others.
    rank = models.PositiveSmallIntegerField(default=1, db_default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ballot", "choice"], name="polls_mark_once_a_choice"
            ),
            models.UniqueConstraint(
                fields=["ballot", "rank"], name="polls_mark_once_a_rank"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ballot}: {self.choice}"


def is_used() -> models.Exists:
    """Tell, in a query for invitations, whether a ballot was cast with one."""
    ballots = Ballot.objects.filter(
        question=models.OuterRef("question"), voter_key=models.OuterRef("voter_key")
    )
    return models.Exists(ballots)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def last_number(self) -> int:
        return self.aggregate(last=models.Max("number"))["last"] or 0

    def unused(self) -> "InvitationQuerySet":
        return self.filter(~is_used(), voided_at=None)

    def valid(self, voter_key: str) -> bool:
        return self.filter(voter_key=voter_key, voided_at=None).exists()

    def void(self) -> int:
        """Void those that are not used; return how many.

        The choices are locked first: a vote under way uses its code, a later
        one finds it void.
        """
        with transaction.atomic():
            # In a query of their own: PostgreSQL would lock the invitations and the question too, for
            # which a vote under way and this would wait for each other.
            Choice.objects.filter(question__in=self.values("question")).lock()
            ids = list(self.unused().values_list("pk", flat=True))
            return Invitation.objects.filter(pk__in=ids).update(
                voided_at=timezone.now()
            )


class Invitation(models.Model):
    """The right to one ballot of one question. The code itself is nowhere but on paper."""

    # Its index is the one of the constraint below, which begins with it.
    question = models.ForeignKey(Question, on_delete=models.CASCADE, db_index=False)
    # As it stands beside the code on the sheet, so that a lost one can be found and voided.
    number = models.PositiveIntegerField()
    # What voting.identity makes of the code, so that it is the voter of the ballot too.
    voter_key = models.CharField(max_length=32)
    made_at = models.DateTimeField(default=timezone.now)
    voided_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = "invitation code"
        constraints = [
            models.UniqueConstraint(
                fields=["question", "voter_key"], name="polls_invitation_one_a_voter"
            ),
            models.UniqueConstraint(
                fields=["question", "number"], name="polls_invitation_once_a_number"
            ),
        ]

    def __str__(self) -> str:
        return f"Code {self.number} of “{self.question}”"
