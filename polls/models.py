"""The schema: questions, their choices, ballots and invitations; a question's states.

Ballots are written in voting.cast and counted in counting. The totals of a
choice are running totals of its ballots.
"""

import datetime
import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from . import page_sql, poll_language, promises, secret
from .background import after_close
from .codes import new_code
from .database import database
from .kinds import KINDS, Kind, Rules
from .page_sql import OwnBallot
from .promises import Audience, Results, Voters

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


def _has_ended(now: datetime.datetime) -> Q:
    return Q(closes_at__lte=now) | Q(closes_at=F("closed_at"))


# How many ballots there are on a question: each has one first mark.
BALLOTS = (
    "SELECT COALESCE(SUM(first_marks), 0) FROM polls_choice"
    " WHERE question_id = polls_question.id"
)


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
        changed = Choice.objects.filter(question=OuterRef("pk"), revision__gt=0)
        ballots = Ballot.objects.filter(question=OuterRef("pk"))
        deleted = Q(ballots_deleted_at__isnull=False)
        return self.filter(deleted | Exists(changed) | Exists(ballots))

    def not_closed(self) -> "QuestionQuerySet":
        return self.exclude(pk__in=Question.objects.closed().values("pk"))

    def of_lost_secret(self) -> "QuestionQuerySet":
        """Return those that are not closed, and whose secret is not among the site's: they know their voters no more."""
        known = ["", *secret.names()]
        return self.not_closed().exclude(secret_name__in=known).exclude(voter_salt="")

    def with_ballots(self) -> "QuestionQuerySet":
        """Add `ballots`: how many there are on each.

        In SQL, for Django takes as long to write it as the database takes to answer.
        """
        return self.annotate(ballots=RawSQL(BALLOTS, [], models.IntegerField()))

    def page_with_ballots(self) -> "list[Question]":
        """Return these, which are a slice, with `ballots`, by two statements: one would count those before the slice too."""
        ids = list(self.values_list("pk", flat=True))
        shown = Question.objects.with_ballots().in_bulk(ids)
        return [shown[pk] for pk in ids if pk in shown]

    def newest_first(self) -> "QuestionQuerySet":
        return self.order_by("-pub_date", "-id")

    def note_closed(self) -> None:
        """Note that these have closed: a clock that is set back opens none of them again, only another end does."""
        with transaction.atomic():
            # Race: a vote that began before the end is counted first.
            Choice.objects.filter(question__in=self).lock()
            self.exclude(closed_at=F("closes_at")).update(closed_at=F("closes_at"))

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the questions with all that was cast on them."""
        with transaction.atomic(), database.long_statements():
            # Race: a vote under way is waited for and goes too, a later one finds no choice and is refused.
            Choice.objects.filter(question__in=self).lock()
            Ballot.objects.filter(question__in=self).bulk_delete()
            return super().delete()

    # As Django marks its own delete(): it is no method of managers, and templates do not call it. The type checker knows
    # no attributes of functions.
    delete.queryset_only = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]


def new_voter_salt() -> str:
    return get_random_string(32)


class Question(models.Model):
    question_text = models.CharField(_("question"), max_length=200)
    pub_date = models.DateTimeField(
        _("opens"),
        default=timezone.now,
        help_text=_(
            "From this moment on people find the poll and can vote. Empty: at once, when you save."
        ),
    )
    closes_at = models.DateTimeField(
        _("closes"),
        null=True,
        blank=True,
        help_text=_(
            "No vote counts from this moment on. A day without a time: the end of that day. "
            "Empty: the poll stays open until you close it."
        ),
    )
    kind = models.CharField(
        _("kind"),
        max_length=10,
        choices=Kind.choices,
        default=Kind.ONE,
        db_default=Kind.ONE,
        help_text=format_lazy(
            " ".join("{}" for rules in KINDS.values() if rules.help),
            *(rules.help for rules in KINDS.values() if rules.help),
        ),
    )
    min_choices = models.PositiveSmallIntegerField(
        _("at least"),
        default=1,
        db_default=1,
        validators=[MinValueValidator(1)],
        help_text=_("A ballot with fewer choices is refused."),
    )
    max_choices = models.PositiveSmallIntegerField(
        _("at most"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_(
            "A ballot with more choices is refused. Leave it empty for as many as there are."
        ),
    )
    voters = models.CharField(
        _("who votes"),
        max_length=10,
        choices=Voters.choices,
        default=Voters.ANYONE,
        db_default=Voters.ANYONE,
        help_text=_(
            "Anyone: nothing to prepare, but whoever opens a private window can vote again. Signed in: each "
            "voter needs an account on this site. By invitation code: after saving, you print a slip with a code for "
            "each voter."
        ),
    )
    results = models.CharField(
        _("who sees results"),
        max_length=10,
        choices=Results.choices,
        default=Results.ALWAYS,
        db_default=Results.ALWAYS,
        help_text=_(
            "Organisers always see them, and everyone sees how many have voted. "
            "Once somebody has voted, this can only get stricter."
        ),
    )
    may_change = models.BooleanField(
        _("voters may change or withdraw their vote"),
        default=True,
        db_default=True,
        help_text=_(
            "As long as the poll is open. Once somebody has voted, you can switch this off, but not on."
        ),
    )
    receipts = models.BooleanField(
        _("voters get a receipt"),
        default=True,
        db_default=True,
        help_text=_(
            "A code with which voters check that their ballot is counted. It shows to whoever has it what "
            "was voted for: also to somebody who buys votes."
        ),
    )
    language = models.CharField(
        _("language of the poll"),
        max_length=10,
        choices=poll_language.languages,
        default="",
        db_default="",
        blank=True,
        help_text=_(
            "What the question and the choices are written in, so that they are read aloud rightly. Not said: they are "
            "read as if in the visitor's own language, in which the words around them are."
        ),
    )
    may_embed = models.BooleanField(
        _("other sites may show the results"),
        default=False,
        db_default=False,
        help_text=_(
            "In a frame on their own pages, as far as everyone sees them, with a link to vote here."
        ),
    )
    # Part of every voter key of this question. Once it is erased, no ballot can be tied to its voter again.
    voter_salt = models.CharField(
        max_length=32, default=new_voter_salt, editable=False, blank=True
    )
    # Which secret is part of them too, whatever the site's is by now; empty for that of an earlier version.
    secret_name = models.CharField(
        max_length=16,
        default=secret.current,
        db_default="",
        editable=False,
        blank=True,
    )
    # Of ballots.csv, in hexadecimal; empty until it is first asked for after the close.
    ballots_sha256 = models.CharField(
        max_length=64, default="", db_default="", editable=False, blank=True
    )
    # The end that was seen to pass. While it equals closes_at the question is closed, whatever the clock says.
    closed_at = models.DateTimeField(null=True, editable=False)
    # How often the wording was changed where people may have read it.
    rewordings = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # When manage.py purge deleted the ballots and left the totals.
    ballots_deleted_at = models.DateTimeField(null=True, editable=False)

    objects = QuestionQuerySet.as_manager()

    class Meta:
        verbose_name = _("poll")
        verbose_name_plural = _("polls")
        indexes = [
            models.Index(fields=["-pub_date", "-id"], name="polls_question_newest")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(closes_at__isnull=True) | Q(closes_at__gte=F("pub_date")),
                name="polls_question_closes_after_opening",
                violation_error_message=_(
                    "The poll would close before it opens: choose a later moment for “Closes”."
                ),
            ),
            models.CheckConstraint(
                condition=Q(min_choices__gte=1)
                & (Q(max_choices__isnull=True) | Q(max_choices__gte=F("min_choices"))),
                name="polls_question_min_up_to_max",
                violation_error_message=_("“At most” cannot be less than “at least”."),
            ),
        ]

    def __str__(self) -> str:
        return self.question_text

    def save(self, **kwargs: Any) -> None:
        """Save what organisers edit, and note whether it changes what people may have read."""
        if self._state.adding:
            self.voter_salt = self.voter_salt or new_voter_salt()
            super().save(**kwargs)
            return
        fields = set(kwargs.get("update_fields") or ())
        if kwargs.get("update_fields") is None:
            # Stale read: the others are set by statements of their own, maybe since this object was loaded.
            own = [field for field in self._meta.concrete_fields if field.editable]
            fields = {field.name for field in own if not field.primary_key}
        with transaction.atomic():
            # Race: a vote under way is counted before, a later one finds the new wording.
            self.choice_set.lock()
            before = Question.objects.published().filter(pk=self.pk).first()
            if before and self._rewords(before, fields):
                self.rewordings = before.rewordings + 1
                fields.add("rewordings")
            # Before the first vote there is a salt; one that was erased after it stays so.
            if not self.voter_salt and not self.has_been_voted_on:
                self.voter_salt = new_voter_salt()
                self.secret_name = secret.current()
                fields |= {"voter_salt", "secret_name"}
            super().save(**kwargs | {"update_fields": fields})

    def get_absolute_url(self) -> str:
        return reverse("polls:detail", args=[self.pk])

    def clean(self) -> None:
        # A kind that there is not is refused by its field.
        if self.kind in KINDS and not self.rules.has_limits:
            self.min_choices, self.max_choices = 1, None
        if self.pk:
            self._keep_promises()

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        return Question.objects.using(using).filter(pk=self.pk).delete()

    def _rewords(self, before: "Question", fields: Collection[str]) -> bool:
        """Tell whether saving these fields changes what people may have read, or takes it from them to be changed."""
        if "pub_date" in fields and self.pub_date > timezone.now():
            return True
        words = {"question_text", "kind"}.intersection(fields)
        return any(getattr(self, name) != getattr(before, name) for name in words)

    def note_rewording(self) -> None:
        """Note that a choice was changed or deleted, or added in the admin.

        One that a program adds is not noted: it makes a poll first and its choices then.
        """
        read = Question.objects.published().filter(pk=self.pk)
        read.update(rewordings=F("rewordings") + 1)
        self.refresh_from_db(fields=["rewordings"])

    @admin.display(
        boolean=True, ordering="pub_date", description=_("Published recently?")
    )
    def was_published_recently(self) -> bool:
        now = timezone.now()
        return now - datetime.timedelta(days=1) <= self.pub_date <= now

    def state(self, now: datetime.datetime | None = None) -> str:
        """Return "scheduled", "open" or "closed", by the same rule as the query set; by the clock, or at a given time.

        What the clock first shows as closed is noted in the background, so that it stays closed.
        """
        moment = now or timezone.now()
        if self.pub_date > moment:
            return "scheduled"
        if self.closes_at is None:
            return "open"
        is_noted = self.closes_at == self.closed_at
        if self.closes_at > moment and not is_noted:
            return "open"
        if not (now or is_noted):
            after_close.submit((self.pk, "closed"), self._with_this_end().note_closed)
        return "closed"

    def stay_closed(self) -> None:
        """Note that it has closed before this returns, for who does what only a closed question allows."""
        self._with_this_end().note_closed()

    def _with_this_end(self) -> QuestionQuerySet:
        return Question.objects.filter(pk=self.pk, closes_at=self.closes_at)

    @property
    def is_open(self) -> bool:
        return self.state() == "open"

    @property
    def lang_attributes(self) -> SafeString:
        """The attributes of an element that holds its texts: their language, where it is said, and their direction."""
        return poll_language.attributes(self.language)

    @property
    def results_rule(self) -> str:
        return str(promises.RESULTS_RULES[self.results])

    @property
    def seen_by(self) -> str:
        """Say who sees results at this moment; nothing where everyone does."""
        everyone = self.results_visible_to(Audience.SPECTATOR)
        return "" if everyone else str(promises.SEEN_BY[self.results])

    def results_visible_to(self, audience: Audience) -> bool:
        return promises.results_visible_to(self.results, self.state(), audience)

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
    def _offered(self) -> list[tuple[int, str, int]]:
        return page_sql.choices_of(self.pk)

    @cached_property
    def choice_texts(self) -> dict[int, str]:
        """The choices as they stand on the ballot page: their texts by id."""
        return {pk: text for pk, text, _ in self._offered}

    @property
    def ballots_so_far(self) -> int:
        """How many there were when the choices were read."""
        return sum(first_marks for _, _, first_marks in self._offered)

    @cached_property
    def wording_digest(self) -> str:
        """A digest of what a voter reads. The form carries it, so that no vote counts for other words."""
        words = [self.question_text, self.kind, *self.choice_texts.values()]
        return hashlib.sha256(repr(words).encode()).hexdigest()[:16]

    @property
    def has_been_voted_on(self) -> bool:
        """Tell whether a ballot was ever cast, be it withdrawn or deleted since: from then on promises are kept."""
        return Question.objects.voted_on().filter(pk=self.pk).exists()

    @cached_property
    def frozen_fields(self) -> "dict[str, _StrPromise]":
        """What cannot change any more, by field, with the reason. Asked once for an object: a page does so many times."""
        if not self.has_been_voted_on:
            return {}
        return promises.frozen_fields(self.state() == "closed", self.may_change)

    def _keep_promises(self) -> None:
        """Raise ValidationError if this would break what those who have voted were told.

        Race: the choices stay locked until the caller's transaction ends, so that a first ballot under way is waited for.
        """
        with transaction.atomic():
            self.choice_set.lock()
            stored = Question.objects.filter(pk=self.pk).first()
            broken = list(promises.broken(stored, self)) if stored else []
        if broken:
            raise ValidationError(broken)

    def close(self) -> bool:
        """Close the question now; return False if it was not open."""
        with transaction.atomic():
            # Race: votes under way are counted and before this moment, those that wait for the lock find it closed.
            self.choice_set.lock()
            now = timezone.now()
            rows = Question.objects.open(now).filter(pk=self.pk)
            return bool(rows.update(closes_at=now, closed_at=now))

    def duplicate(self) -> "Question":
        """Return a new question with the same choices and promises and no votes.

        It is open as long, but from a week ahead: else it would stand before the public unedited.
        """
        opens = timezone.now() + datetime.timedelta(days=7)
        kept = ["question_text", "kind", "min_choices", "max_choices"]
        kept += ["voters", "results", "may_change", "receipts"]
        kept += ["language", "may_embed"]
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

    def next_open(self) -> "Question | None":
        """Return the open question that comes after this one in the list, and after the last one the first."""
        others = Question.objects.open().exclude(pk=self.pk).newest_first()
        is_older = Q(pub_date__lt=self.pub_date)
        is_older |= Q(pub_date=self.pub_date, pk__lt=self.pk)
        return others.filter(is_older).first() or others.first()

    def own_ballot(self, voter_key: str) -> OwnBallot | None:
        return page_sql.own_ballot(self.pk, voter_key)


class ChoiceQuerySet(models.QuerySet["Choice"]):
    def lock(self) -> None:
        """Lock these choices until the transaction ends. Lock order: by id, so that no two who lock can deadlock."""
        list(self.order_by("pk").select_for_update().values_list("pk"))


# Changed by ballots alone, in the transaction that writes them.
TOTALS = frozenset({"votes", "first_marks", "revision"})
NO_VOTES: dict[str, object] = dict.fromkeys(TOTALS, 0)


# Of one question, by hand or from a file: a ballot page shows them all.
MAX_CHOICES = 1000


class Choice(models.Model):
    # The totals when this object was loaded.
    _loaded = NO_VOTES

    question = models.ForeignKey(Question, on_delete=models.CASCADE)
    choice_text = models.CharField(_("choice"), max_length=200)
    votes = models.IntegerField(_("votes"), default=0, db_default=0, editable=False)
    # The ballots on which it is the first mark. Their sum is the number of ballots: a row of its own for that number is one
    # that every vote would wait for.
    first_marks = models.IntegerField(default=0, db_default=0, editable=False)
    # How often the totals have changed, up or down. Their sum is the version of a tally.
    revision = models.BigIntegerField(default=0, db_default=0, editable=False)

    objects = ChoiceQuerySet.as_manager()

    class Meta:
        verbose_name = _("choice")
        verbose_name_plural = _("choices")
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
        """Save all but the totals: those in this object may be old. Raises ValueError if one was set by hand."""
        fields = kwargs.get("update_fields")
        # A new choice has no votes, be it the copy of another.
        counted = NO_VOTES if self._state.adding else self._loaded
        if self._totals() != counted or not TOTALS.isdisjoint(fields or ()):
            raise ValueError(
                "The total of a choice is counted from its ballots. Save it without, and vote on it."
            )
        if self._state.adding:
            super().save(**kwargs)
            return
        if fields is None:
            kwargs["update_fields"] = ["question", "choice_text"]
        with transaction.atomic():
            self.question.choice_set.lock()
            before = Choice.objects.filter(pk=self.pk).first()
            super().save(**kwargs)
            if before and before.choice_text != self.choice_text:
                self.question.note_rewording()

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Delete, and hand the revision on: the version of a tally must not go back."""
        with transaction.atomic(using):
            choices = self.question.choice_set
            choices.lock()
            revisions = choices.filter(pk=self.pk).values_list("revision", flat=True)
            revision = revisions.first()
            heir = choices.exclude(pk=self.pk).order_by("pk").first()
            if heir and revision:
                choices.filter(pk=heir.pk).update(revision=F("revision") + revision + 1)
            self.question.note_rewording()
            return super().delete(using, keep_parents)

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        **kwargs: Any,
    ) -> "Choice":
        choice = super().from_db(db, field_names, values, **kwargs)
        choice._loaded = choice._totals()
        return choice

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet["Choice"] | None = None,
    ) -> None:
        names = None if fields is None else list(fields)
        super().refresh_from_db(using, names, from_queryset)
        read = {n: v for n, v in self._totals().items() if names is None or n in names}
        self._loaded = self._loaded | read

    def _totals(self) -> dict[str, object]:
        # Without loading what is deferred.
        return {name: self.__dict__.get(name) for name in TOTALS}


class RankingTotal(models.Model):
    """How many ballots of a ranked question give its choices in this order.

    A running total as Choice.votes is: instant run-off takes the time of the different rankings, not of the ballots.
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
        """Delete these and their marks in two statements: Django would load each ballot into memory."""
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
        verbose_name = _("ballot")
        verbose_name_plural = _("ballots")
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


def is_used() -> Exists:
    """Tell, in a query for invitations, whether a ballot was cast with one."""
    ballots = Ballot.objects.filter(
        question=OuterRef("question"), voter_key=OuterRef("voter_key")
    )
    return Exists(ballots)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def last_number(self) -> int:
        return self.aggregate(last=models.Max("number"))["last"] or 0

    def unused(self) -> "InvitationQuerySet":
        return self.filter(~is_used(), voided_at=None)

    def valid(self, voter_key: str) -> bool:
        return self.filter(voter_key=voter_key, voided_at=None).exists()

    def void(self) -> int:
        """Void those that are not used; return how many."""
        with transaction.atomic():
            # Race: a vote under way uses its code, a later one finds it void. Deadlock: the questions are a subquery, for a
            # join would lock the invitations too.
            Choice.objects.filter(question__in=self.values("question")).lock()
            ids = list(self.unused().values_list("pk", flat=True))
            void = Invitation.objects.filter(pk__in=ids)
            return void.update(voided_at=timezone.now())


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
        verbose_name = _("invitation code")
        verbose_name_plural = _("invitation codes")
        constraints = [
            models.UniqueConstraint(
                fields=["question", "voter_key"], name="polls_invitation_one_a_voter"
            ),
            models.UniqueConstraint(
                fields=["question", "number"], name="polls_invitation_once_a_number"
            ),
        ]

    def __str__(self) -> str:
        names = {"number": self.number, "question": self.question}
        return gettext("Code %(number)s of “%(question)s”") % names
