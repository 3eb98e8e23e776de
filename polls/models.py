"""The polls and their rules: what a question is, who may vote and see, and how a ballot is counted.

The ballots are the truth. Choice.votes is their running total, moved only in
the transaction that writes the ballot, so that a recount finds no difference.
"""

import datetime
import enum
import functools
import hashlib
import itertools
import random
import secrets
import time
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import OperationalError, connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.functional import cached_property

from . import ballot_box, rounds
from .background import after_close
from .ballot_rows import RULES
from .runoff import Round


class Refused(Exception):
    """The ballot is not written, and nothing else is. Its text says why, to the voter."""


class InvalidBallot(Refused):
    """Too few or too many choices, or one of them twice."""


class NotOpen(Refused):
    """The question takes no ballots at this moment: it has closed, or has not opened yet."""


class NotChangeable(Refused):
    """The voter has a ballot, and the question lets nobody change or withdraw one."""


class NotInvited(Refused):
    """The question is for invitation codes, and this voter's is unknown or void."""


class Changed(Refused):
    """The organiser has changed what a ballot is while the voter had the page before them."""

    def __init__(self) -> None:
        super().__init__("The poll has just changed. Read it again, then vote.")


class Kind(models.TextChoices):
    ONE = "one", "One choice"
    SEVERAL = "several", "Several choices"
    RANKED = "ranked", "Ranked choice (instant run-off)"


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


# As many as a ranking has room for.
MOST_RANKS = 50

# Ballots that are deleted, or written anew, in one transaction: a fraction of a second.
DELETED_AT_ONCE = 2000
REWRITTEN_AT_ONCE = 1000


RESULTS_RULES = {
    Results.ALWAYS: "Everyone sees the results at any time.",
    Results.VOTED: "Results are shown to those who have voted, and to everyone after the poll has closed.",
    Results.CLOSED: "Results are shown after the poll has closed.",
    Results.ORGANISERS: "Only the organisers see the results of this poll.",
}

# Said to those who see results that a spectator does not.
SEEN_BY = {
    Results.VOTED: "Only organisers and those who have voted see these results now.",
    Results.CLOSED: "Only organisers see these results now.",
    Results.ORGANISERS: "Only organisers see these results.",
}


class Role(enum.Enum):
    """Who looks at results."""

    SPECTATOR = enum.auto()
    VOTER = enum.auto()
    ORGANISER = enum.auto()


class ChoiceTally(TypedDict):
    id: int
    text: str
    votes: int
    percent: float


class RoundTally(TypedDict):
    """Votes in the order of the tally's choices, None for those that are out; ids.

    `tied` are those that were last together, of which the rule for ties let one go out.
    """

    votes: list[int | None]
    exhausted: int
    eliminated: int | None
    tied: list[int]


class Tally(TypedDict):
    """The state of a question, as every page, file and program gets it.

    A later version has counted all that an earlier one has. Percentages are of
    voters (ballots), from 0.0 to 100.0 with one decimal. On a ranked question
    `votes` are first preferences; `rounds` and `elected` are the run-off, and
    on the others an empty list and None. `rounds_version` is the version that
    they have counted: less than `version` while so many different rankings are
    counted that no page waits for it, and None where there are no rounds.
    """

    question: dict[str, object]
    version: int
    ballots: int
    choices: list[ChoiceTally]
    rounds: list[RoundTally]
    elected: int | None
    rounds_version: int | None


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


def shows_results(results: str, state: str, role: Role) -> bool:
    """Decide who sees results. Every page, file and stream asks here."""
    if role is Role.ORGANISER or results == Results.ALWAYS:
        return True
    if results == Results.VOTED and role is Role.VOTER:
        return True
    return state == "closed" and results in {Results.VOTED, Results.CLOSED}


class _TallyRow(NamedTuple):
    """One choice of a question, or a question without choices."""

    question: int
    question_text: str
    pub_date: datetime.datetime
    closes_at: datetime.datetime | None
    closed_at: datetime.datetime | None
    kind: str
    results: str
    choice: int | None
    choice_text: str | None
    votes: int | None
    ballots: int | None
    moves: int | None

    def state(self) -> str:
        question = Question(
            pk=self.question,
            pub_date=self.pub_date,
            closes_at=self.closes_at,
            closed_at=self.closed_at,
            voter_salt="",
        )
        return question.state()


_TALLY_FIELDS = [
    "pk",
    "question_text",
    "pub_date",
    "closes_at",
    "closed_at",
    "kind",
    "results",
    "choice__pk",
    "choice__choice_text",
    "choice__votes",
    "choice__ballots",
    "choice__moves",
]


def _moves(rows: list[_TallyRow]) -> rounds.Moves:
    return tuple((row.choice, row.moves) for row in rows if row.choice)


def _tally(rows: list[_TallyRow], state: str, count: rounds.Count | None) -> Tally:
    """Make the tally of a question's rows and, if it is a ranked one, its last count."""
    question, rows = rows[0], [row for row in rows if row.choice]
    if state == "closed":
        count = _final(rows, count)
    version, votes, ballots = _totals(rows, count)
    counted = count.rounds if count else []
    return {
        "question": _question(question, state),
        "version": version,
        "ballots": ballots,
        "choices": [
            {
                "id": row.choice,
                "text": row.choice_text,
                "votes": votes[row.choice],
                "percent": _percent(votes[row.choice], ballots),
            }
            for row in rows
        ],
        "rounds": [_round(round_, votes) for round_ in counted],
        "elected": count.elected if count else None,
        "rounds_version": count.version if count and counted else None,
    }


def _question(row: _TallyRow, state: str) -> dict[str, object]:
    return {
        "id": row.question,
        "text": row.question_text,
        "kind": row.kind,
        "results": row.results,
        "state": state,
        "pub_date": row.pub_date.isoformat(),
        "closes_at": row.closes_at and row.closes_at.isoformat(),
    }


def _final(rows: list[_TallyRow], count: rounds.Count | None) -> rounds.Count | None:
    """Return the count of a closed question if it has counted all: nobody is elected by some of the ballots."""
    is_final = count and count.version >= sum(row.moves for row in rows)
    return count if is_final else None


def _totals(
    rows: list[_TallyRow], count: rounds.Count | None
) -> tuple[int, dict[int, int], int]:
    """Return version, votes by choice, and ballots: of the count, if it is not older, so that a page adds up in itself."""
    version = sum(row.moves for row in rows)
    if count and count.rounds and count.version >= version:
        first = count.rounds[0]
        votes = {row.choice: first["votes"].get(row.choice, 0) for row in rows}
        return count.version, votes, sum(votes.values()) + first["exhausted"]
    votes = {row.choice: row.votes for row in rows}
    return version, votes, sum(row.ballots for row in rows)


def rounds_are_behind(tally: Tally) -> bool:
    """Tell whether there are votes that the rounds have not counted yet."""
    ranked = tally["question"]["kind"] == Kind.RANKED
    return ranked and tally["rounds_version"] != tally["version"]


def _percent(votes: int, ballots: int) -> float:
    return round(100 * votes / ballots, 1) if ballots else 0.0


def _round(round_: Round, choices: Iterable[int]) -> RoundTally:
    return {
        "votes": [round_["votes"].get(pk) for pk in choices],
        "exhausted": round_["exhausted"],
        "eliminated": round_["eliminated"],
        "tied": round_["tied"],
    }


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
        moved = Choice.objects.filter(question=models.OuterRef("pk"), moves__gt=0)
        ballots = Ballot.objects.filter(question=models.OuterRef("pk"))
        deleted = Q(ballots_deleted_at__isnull=False)
        return self.filter(deleted | models.Exists(moved) | models.Exists(ballots))

    def newest_first(self) -> "QuestionQuerySet":
        return self.order_by("-pub_date", "-id")

    def tallies(self) -> dict[int, Tally]:
        """Count these questions, by id: one statement, so that each tally is of one moment.

        Each ranked one that has moved takes a statement more, for its rankings.
        """
        found = self.order_by("pk", "choice__pk").values_list(*_TALLY_FIELDS)
        rows = defaultdict(list)
        for row in map(_TallyRow._make, found):
            rows[row.question].append(row)
        counts = {
            pk: rounds.latest(pk, _moves(rows[pk]))
            for pk in rows
            if rows[pk][0].kind == Kind.RANKED
        }
        return {
            pk: _tally(rows[pk], rows[pk][0].state(), counts.get(pk)) for pk in rows
        }

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the questions with all that was cast on them.

        The choices are locked first: a vote under way is waited for and goes
        too, a later one finds no choice and is refused.
        """
        with transaction.atomic(), connection.long_statements():
            Choice.objects.filter(question__in=self).lock()
            Ballot.objects.filter(question__in=self).erase()
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
        help_text="A ranked poll is decided by instant run-off: the choice with the fewest votes goes out and its "
        "ballots move on to their next choice, until one has more than half.",
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

    def clean(self) -> None:
        if self.kind == Kind.ONE:
            self.min_choices, self.max_choices = 1, None
        if self.pk:
            self._keep_promises()

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
            if not self.voter_salt and not self.is_promised:
                self.voter_salt = new_voter_salt()
                fields = [*fields, "voter_salt"]
            super().save(**kwargs | {"update_fields": fields})

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
        """Return "scheduled", "open" or "closed"; the clock at this moment decides, as in the queryset.

        Whoever is the first to hear that it has closed has that written down, and waits for nothing: it stays closed.
        """
        dates = (self.pub_date, self.closes_at, self.closed_at)
        state = _state(*dates, now or timezone.now())
        if state == "closed" and not now and self.closed_at != self.closes_at:
            note = functools.partial(_note_closed, self.pk, self.closes_at)
            after_close.ask((self.pk, "closed"), note)
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
        everyone = self.shows_results_to(Role.SPECTATOR)
        return "" if everyone else SEEN_BY[self.results]

    def shows_results_to(self, role: Role) -> bool:
        return shows_results(self.results, self.state(), role)

    def most_choices(self, offered: int) -> int:
        """Return how many of the offered choices a ballot can hold."""
        if self.kind == Kind.ONE:
            return 1
        most = MOST_RANKS if self.kind == Kind.RANKED else offered
        return min(self.max_choices or most, most, offered)

    @cached_property
    def results_url(self) -> str:
        return reverse("polls:results", args=[self.pk])

    @cached_property
    def offered(self) -> dict[int, str]:
        """The choices as they stand on the ballot page: their texts by id."""
        choices = self.choice_set.order_by("id")
        return dict(choices.values_list("pk", "choice_text"))

    @cached_property
    def wording(self) -> str:
        """A digest of what a voter reads. The form carries it, so that no vote counts for other words."""
        words = [self.question_text, self.kind, *self.offered.values()]
        return hashlib.sha256(repr(words).encode()).hexdigest()[:16]

    @property
    def is_promised(self) -> bool:
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
        field = cls._meta.get_field(name).verbose_name.capitalize()
        return f"“{field}” cannot change any more. {cls.FROZEN[name]}: duplicate the question instead."

    def _keep_promises(self) -> None:
        """Raise ValidationError if a change would break what those who have voted were told.

        With the choices locked: a first ballot under way is waited for. It
        holds until the end of the transaction in which this is called.
        """
        with transaction.atomic():
            self.choice_set.lock()
            before = Question.objects.filter(pk=self.pk).first()
            if before and before.is_promised:
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

    def cast(self, voter: str, choices: Sequence[int]) -> "Ballot":
        """Write this voter's one ballot for these choices (ids, best first), or change it.

        It is the only way in which a vote is written, and it moves the totals
        with it. Two requests of one voter can race (a double click, two tabs):
        nobody looks first whether a ballot is there. Both insert, the database
        refuses the second one, and that one becomes a change of the first, if
        it has not been withdrawn meanwhile.

        Raises Refused, or Choice.DoesNotExist for a choice that this question
        does not have, or no longer; then nothing has been written. On the loop
        (see ballot_box) the ballot is returned before it is written.
        """
        choices = self.valid_choices(choices)
        for attempt in range(1, 21):
            ballot = Ballot(question=self, voter=voter, cast_at=timezone.now())
            if ballot_box.put(ballot, choices):
                return ballot
            ballot = self._change(voter, choices)
            if ballot:
                return ballot
            # Other tabs that cast and withdraw would do so in step with this one.
            time.sleep(random.uniform(0, 0.005 * attempt))
        raise OperationalError("This ballot was cast and withdrawn all the time.")

    def valid_choices(self, choices: Sequence[int]) -> list[int]:
        """Return the choices in the order of their marks: the voter's, or on unranked questions the page's.

        Raises InvalidBallot for too few, too many, or one twice.
        """
        most = self.most_choices(len(choices))
        verb = "Rank" if self.kind == Kind.RANKED else "Select"
        if len(set(choices)) < len(choices):
            raise InvalidBallot("You selected a choice twice. Select each one once.")
        if not choices:
            raise InvalidBallot("You didn't select a choice.")
        if len(choices) < self.min_choices:
            raise InvalidBallot(f"{verb} at least {self.min_choices} choices.")
        if len(choices) > most:
            several = f"at most {most} choices" if most > 1 else "only one choice"
            raise InvalidBallot(f"{verb} {several}.")
        return list(choices) if self.kind == Kind.RANKED else sorted(choices)

    def _change(self, voter: str, choices: list[int]) -> "Ballot | None":
        """Change, or withdraw if there are no choices; return None if there is no ballot."""
        with transaction.atomic():
            # Before the ballot, as whoever closes or deletes the question does: nobody waits in a circle.
            self.choice_set.lock()
            ballots = Ballot.objects.select_for_update()
            ballot = ballots.filter(question=self, voter=voter).first()
            if not (ballot or choices):
                # Nothing to withdraw, be the question open or not.
                return None
            now = self._require_as_shown(choices)
            self.require_invited(voter)
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
                self._move_marks(ballot, marked, choices)
        return ballot

    def _require_as_shown(self, choices: list[int]) -> "Question":
        """Return the question as it is now, if a ballot of this one, which its voter was shown, can count on it.

        The totals are locked: a vote may have waited there for the question to
        be closed. Raises Refused or Choice.DoesNotExist.
        """
        now = Question.objects.filter(pk=self.pk).first()
        offered = now.offered if now else {}
        if not now or any(
            pk not in offered or offered[pk] != self.offered.get(pk) for pk in choices
        ):
            raise Choice.DoesNotExist
        if not now.is_open or now.ballots_sha256 or not now.voter_salt:
            raise NotOpen("Your vote was not counted.")
        if any(getattr(self, name) != getattr(now, name) for name in RULES):
            raise Changed
        # Longer or shorter, it is open: a new ballot of this voter is written under these.
        self.pub_date, self.closes_at = now.pub_date, now.closes_at
        return now

    def withdraw(self, voter: str) -> bool:
        """Take this voter's ballot out of the count and delete it; False if there is none.

        Raises NotOpen or NotChangeable; then nothing has changed.
        """
        with transaction.atomic():
            ballot = self._change(voter, [])
            if ballot:
                ballot.delete()
        return bool(ballot)

    def _move_marks(
        self, ballot: "Ballot", marked: list[int], choices: list[int]
    ) -> None:
        """Move the marks of a ballot, which the caller has locked, and the totals with them."""
        before, after = self.weights(marked), self.weights(choices)
        # In id order, whatever a voter changes: two ballots cannot wait for each other.
        for pk in sorted(before | after):
            rows = Choice.objects.filter(pk=pk, question=self)
            votes, ballots = after.get(pk, (0, 0)), before.get(pk, (0, 0))
            if not rows.update(
                votes=F("votes") + votes[0] - ballots[0],
                ballots=F("ballots") + votes[1] - ballots[1],
                moves=F("moves") + 1,
            ):
                raise Choice.DoesNotExist
        if self.kind == Kind.RANKED:
            Ranking.objects.move(self, marked, choices)
        ballot.mark_set.all().delete()
        ballot.changed_at = timezone.now()
        ballot.save(update_fields=["changed_at"])
        Mark.objects.bulk_create(
            Mark(ballot=ballot, choice_id=choice, rank=rank)
            for rank, choice in enumerate(choices, 1)
        )

    def weights(self, choices: list[int]) -> dict[int, tuple[int, int]]:
        """Return what a ballot adds to each choice: to its votes, and to the number of ballots."""
        ranked = self.kind == Kind.RANKED
        return {
            pk: (int(n == 0 or not ranked), int(n == 0)) for n, pk in enumerate(choices)
        }

    def require_invited(self, voter: str) -> None:
        if self.voters == Voters.CODES and not self.invitation_set.valid(voter):
            raise NotInvited("Your vote was not counted: this invitation code is void.")

    # These two in plain SQL: each voter's page asks them, and Django takes longer to build a statement
    # than the database to run it.

    def own_ballot(self, voter: str) -> OwnBallot | None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT ballot.receipt, mark.choice_id FROM polls_ballot ballot"
                " JOIN polls_mark mark ON mark.ballot_id = ballot.id"
                " WHERE ballot.question_id = %s AND ballot.voter = %s ORDER BY mark.rank",
                [self.pk, voter],
            )
            rows = cursor.fetchall()
        return OwnBallot(rows[0][0], [choice for _, choice in rows]) if rows else None

    def tally(self, exact: bool = False) -> Tally:
        """Count now, under the question's rules as this object has them; with all rounds, however long it takes, if `exact`."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, choice_text, votes, ballots, moves FROM polls_choice"
                " WHERE question_id = %s ORDER BY id",
                [self.pk],
            )
            choices = cursor.fetchall()
        rules = (
            self.pk,
            self.question_text,
            self.pub_date,
            self.closes_at,
            self.closed_at,
            self.kind,
            self.results,
        )
        rows = [_TallyRow(*rules, *choice) for choice in choices]
        # As of a question without choices in tallies().
        rows = rows or [_TallyRow(*rules, None, None, None, None, None)]
        if self.kind != Kind.RANKED:
            return _tally(rows, self.state(), None)
        count = rounds.exact(self.pk) if exact else rounds.latest(self.pk, _moves(rows))
        return _tally(rows, self.state(), count)

    def forget_voters(self) -> None:
        """Erase what ties voters to the ballots of a closed question, for good.

        Each piece is a transaction, as in delete_ballots(). The salt goes last: what is broken off is begun again.
        """
        self._close_gaps_between_marks()
        # By receipt, an order that says nothing of who came when.
        ballots = self.ballot_set.order_by("receipt").values_list("pk", flat=True)
        for piece in _pieces(ballots):
            with transaction.atomic():
                self.choice_set.lock()
                Ballot.objects.filter(pk__in=piece).rewrite(self.closes_at)
        self._erase_salt()

    def _close_gaps_between_marks(self) -> None:
        """Give the marks of other questions, whose voters are known, fresh ids where they lie between those of this one.

        From gap to gap they would tell how many marks the ballots in between have.
        """
        own = Mark.objects.filter(ballot__question=self)
        span = own.aggregate(first=models.Min("pk"), last=models.Max("pk"))
        between = Mark.objects.filter(pk__range=(span["first"] or 0, span["last"] or 0))
        others = between.exclude(ballot__question=self).exclude(
            ballot__question__voter_salt=""
        )
        for piece in _pieces(others.order_by("pk").values_list("pk", flat=True)):
            with transaction.atomic():
                Mark.objects.filter(pk__in=piece).rewrite()

    def _erase_salt(self) -> None:
        """Erase the salt and the invitation codes, and the order in which rankings came up.

        The numbers on the sheet of codes tie voters to ballots too.
        """
        with transaction.atomic():
            self.choice_set.lock()
            self.invitation_set.all().delete()
            Ranking.objects.rewrite(self)
            # Not to change them: PostgreSQL keeps beside a row which transaction was the last to write it.
            self.choice_set.update(moves=F("moves"))
            Question.objects.filter(pk=self.pk).update(voter_salt="")

    def delete_ballots(self) -> int:
        """Delete the ballots of a closed question for good, and leave its totals; return how many.

        Each piece is a transaction: on SQLite others want to write too, and
        what is broken off can be begun again.
        """
        with transaction.atomic():
            self._erase_salt()
            kept = Question.objects.filter(pk=self.pk, ballots_deleted_at=None)
            kept.update(ballots_deleted_at=timezone.now())
        number = 0
        while True:
            piece = self.ballot_set.values_list("pk", flat=True)[:DELETED_AT_ONCE]
            deleted = Ballot.objects.filter(pk__in=list(piece)).erase()
            if not deleted:
                return number
            number += deleted
            # A writer who waits for SQLite looks every tenth of a second whether it is free.
            time.sleep(0.1 if deleted == DELETED_AT_ONCE else 0)


def _note_closed(question: int, closes_at: datetime.datetime) -> None:
    with transaction.atomic():
        # A vote under way by an earlier clock is counted before.
        Choice.objects.filter(question=question).lock()
        same = Question.objects.filter(pk=question, closes_at=closes_at)
        same.exclude(closed_at=closes_at).update(closed_at=closes_at)


def _pieces(ids: models.QuerySet) -> Iterator[list[int]]:
    """Yield the ids piece by piece, with time for others who write in between; in 8 bytes of memory an id."""
    left = array("q", ids.iterator())
    for start in range(0, len(left), REWRITTEN_AT_ONCE):
        yield list(left[start : start + REWRITTEN_AT_ONCE])
        # As in Question.delete_ballots().
        time.sleep(0.1 if start + REWRITTEN_AT_ONCE < len(left) else 0)


def _insert(table: str, rows: list[tuple[object, ...]]) -> None:
    """Insert rows in this order, without an object of Django's for each: there may be millions."""
    if not rows:
        return
    values = ", ".join(["%s"] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES ({values})", rows)


class ChoiceQuerySet(models.QuerySet["Choice"]):
    def recounted(self) -> "ChoiceQuerySet":
        """Add `counted` and `counted_ballots`: what the ballots say, which `votes` and `ballots` must equal.

        One statement sees total and ballots at the same moment, so that votes
        cast meanwhile make no difference.
        """
        first = Q(mark__rank=1)
        return self.annotate(
            counted=models.Count("mark", filter=first | ~Q(question__kind=Kind.RANKED)),
            counted_ballots=models.Count("mark", filter=first),
        )

    def miscounted(self) -> "ChoiceQuerySet":
        kept = self.filter(question__ballots_deleted_at=None).recounted()
        wrong = kept.exclude(votes=F("counted"), ballots=F("counted_ballots"))
        return wrong.order_by("id").select_related("question")

    def lock(self) -> None:
        """Lock these choices until the transaction ends, in id order: two that lock cannot wait for each other."""
        list(self.order_by("pk").select_for_update().values_list("pk"))

    def repair(self) -> None:
        """Set each total that differs to what the ballots say, without losing a vote cast meanwhile."""
        with transaction.atomic():
            # Only a statement that begins with the lock in hand sees the votes it waited for;
            # those that wait behind it add themselves afterwards.
            self.lock()
            for choice in self.miscounted():
                Choice.objects.filter(pk=choice.pk).update(
                    votes=choice.counted,
                    ballots=choice.counted_ballots,
                    moves=F("moves") + 1,
                )


class Choice(models.Model):
    # Moved by ballots alone, in the transaction that writes them.
    TOTALS = frozenset({"votes", "ballots", "moves"})
    NOTHING: dict[str, object] = dict.fromkeys(TOTALS, 0)
    # As they were when the object was loaded.
    _loaded = NOTHING

    question = models.ForeignKey(Question, on_delete=models.CASCADE)
    choice_text = models.CharField("choice", max_length=200)
    votes = models.IntegerField(default=0, db_default=0, editable=False)
    # The ballots on which it is the first mark: their sum is the number of ballots, without a row of
    # its own that every vote would have to wait for.
    ballots = models.IntegerField(default=0, db_default=0, editable=False)
    # How often the totals have moved, up or down: their sum is the version of a tally.
    moves = models.BigIntegerField(default=0, db_default=0, editable=False)

    objects = ChoiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(votes__gte=0), name="polls_choice_votes_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(ballots__gte=0), name="polls_choice_ballots_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(votes=0, ballots=0) | Q(moves__gt=0),
                name="polls_choice_totals_are_counted",
            ),
        ]

    def __str__(self) -> str:
        return self.choice_text

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any]
    ) -> "Choice":
        choice = super().from_db(db, field_names, values)
        choice._loaded = choice._totals()
        return choice

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Collection[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().refresh_from_db(using, fields, **kwargs)
        read = self._totals()
        if fields is not None:
            read = {name: read[name] for name in self.TOTALS.intersection(fields)}
        self._loaded = self._loaded | read

    def _totals(self) -> dict[str, object]:
        return {name: self.__dict__.get(name) for name in self.TOTALS}

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

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Delete, and hand the moves on: the version of a tally must not go back."""
        with transaction.atomic(using):
            choices = self.question.choice_set
            choices.lock()
            moves = choices.filter(pk=self.pk).values_list("moves", flat=True).first()
            heir = choices.exclude(pk=self.pk).order_by("pk").first()
            if heir and moves:
                choices.filter(pk=heir.pk).update(moves=F("moves") + moves + 1)
            self.question.note_rewording()
            return super().delete(using, keep_parents)


def _ids(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def ranking(choices: Iterable[int]) -> str:
    """Return the text of Ranking.choices."""
    return ",".join(map(str, choices))


class RankingQuerySet(models.QuerySet["Ranking"]):
    def move(self, question: Question, before: list[int], after: list[int]) -> None:
        """Take a ballot from one ranking to another; its choices are locked, so no other ballot makes the same row."""
        for choices, step in ((before, -1), (after, 1)):
            text = ranking(choices)
            rows = self.filter(question=question, choices=text)
            if choices and not rows.update(ballots=F("ballots") + step):
                self.create(question=question, choices=text, ballots=step)

    def recounted(self, question: Question) -> dict[tuple[int, ...], int]:
        """Return what the ballots say; in the memory of the rankings, not of the ballots."""
        marks = Mark.objects.filter(ballot__question=question)
        rows = marks.order_by("ballot", "rank").values_list("ballot", "choice")
        counted: dict[tuple[int, ...], int] = defaultdict(int)
        for _, ballot in itertools.groupby(rows.iterator(), key=lambda row: row[0]):
            counted[tuple(choice for _, choice in ballot)] += 1
        return dict(counted)

    def miscounted(
        self, question: Question
    ) -> Iterator[tuple[tuple[int, ...], int, int]]:
        """Yield each ranking whose total differs, with the total and what the ballots say.

        One statement sees totals and ballots at the same moment, as with Choice.objects.recounted().
        """
        totals: dict[tuple[int, ...], int] = {}
        counted: dict[tuple[int, ...], int] = defaultdict(int)
        rows = self._totals_and_marks(question).iterator()
        for ballot, group in itertools.groupby(rows, key=lambda row: row[0]):
            if ballot:
                counted[tuple(int(choice) for _, _, choice in group)] += 1
            else:
                totals = {_ids(text): ballots for _, ballots, text in group if ballots}
        for choices in sorted(totals.keys() | counted.keys()):
            numbers = totals.get(choices, 0), counted.get(choices, 0)
            if numbers[0] != numbers[1]:
                yield choices, *numbers

    def _totals_and_marks(self, question: Question) -> "models.QuerySet[Ranking]":
        """Return rows: 0, ballots, ranking; then, ballot by ballot: its id, rank, choice."""
        columns = ["ballot_id", "number", "text"]
        totals = self.filter(question=question).annotate(
            ballot_id=models.Value(0, models.BigIntegerField()),
            number=F("ballots"),
            text=F("choices"),
        )
        marks = Mark.objects.filter(ballot__question=question).annotate(
            number=F("rank"), text=Cast("choice_id", models.CharField())
        )
        both = totals.values_list(*columns).union(marks.values_list(*columns), all=True)
        return both.order_by("ballot_id", "number")

    def rewrite(self, question: Question) -> None:
        """Write the rankings of ballots anew in an order that says nothing; the caller has locked the choices."""
        rows = self.filter(question=question)
        kept = rows.filter(ballots__gt=0).order_by("choices")
        totals = list(kept.values_list("question", "choices", "ballots"))
        rows.delete()
        _insert("polls_ranking (question_id, choices, ballots)", totals)

    def repair(self, question: Question) -> None:
        with transaction.atomic():
            question.choice_set.lock()
            self.filter(question=question).delete()
            self.bulk_create(
                Ranking(question=question, choices=ranking(choices), ballots=ballots)
                for choices, ballots in self.recounted(question).items()
            )


class Ranking(models.Model):
    """How many ballots of a ranked question give its choices in this order.

    A running total as Choice.votes is: a run-off takes the time of the
    rankings that occur, and not of the ballots.
    """

    question = models.ForeignKey(Question, on_delete=models.CASCADE, db_index=False)
    # Ids, best first, such as "3,1,2".
    choices = models.CharField(max_length=1000)
    ballots = models.IntegerField()

    objects = RankingQuerySet.as_manager()

    class Meta:
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


# Crockford's base 32: no I, L, O and U, and whoever types one of them for 1 or 0 is understood.
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISTYPED = str.maketrans("OIL", "011", "-\0")


def new_code() -> str:
    """Return 12 characters, 60 bits: nobody hits on another voter's by trying."""
    bits = secrets.randbits(60)
    return "".join(CODE_ALPHABET[bits >> n & 31] for n in range(0, 60, 5))


def read_code(text: str) -> str:
    """Return the code that somebody meant: lower case, O for 0, I or L for 1, white space and dashes are forgiven."""
    return "".join(text.upper().translate(_MISTYPED).split())


def spell(code: str) -> str:
    """Return the code as people read it: in groups of four."""
    return "-".join(code[n : n + 4] for n in range(0, len(code), 4))


class BallotQuerySet(models.QuerySet["Ballot"]):
    def unsound(self) -> "BallotQuerySet":
        """Return the ballots whose marks are not as the question asks: how many, numbered from 1, for its choices."""
        own = Q(mark__choice__question=F("question"))
        counted = self.annotate(
            marks=models.Count("mark"),
            own=models.Count("mark", filter=own),
            first=models.Min("mark__rank"),
            last=models.Max("mark__rank"),
        )
        # No two marks of a ballot have the same rank, so that these leave no room for a gap.
        numbered = Q(first=1, last=F("marks"))
        most = Q(question__kind=Kind.ONE, marks=1) | ~Q(question__kind=Kind.ONE) & (
            Q(question__max_choices=None) | Q(marks__lte=F("question__max_choices"))
        )
        least = Q(marks__gte=F("question__min_choices"))
        return counted.exclude(least & most & numbered & Q(own=F("marks")))

    def rewrite(self, cast_at: datetime.datetime) -> None:
        """Write these ballots anew, in the order of their receipts: with fresh ids and random keys, and at one time."""
        old = list(self.order_by("receipt").values_list("question", "receipt"))
        marks = Mark.objects.filter(ballot__in=self).order_by("ballot__receipt", "rank")
        marks = list(marks.values_list("ballot__receipt", "choice", "rank"))
        self.erase()
        moment = connection.ops.adapt_datetimefield_value(cast_at)
        _insert(
            "polls_ballot (question_id, receipt, voter, cast_at)",
            [(*row, secrets.token_hex(16), moment) for row in old],
        )
        receipts = [receipt for _, receipt in old]
        fresh = Ballot.objects.filter(receipt__in=receipts)
        ids = dict(fresh.values_list("receipt", "pk"))
        _insert(
            "polls_mark (ballot_id, choice_id, rank)",
            [(ids[receipt], *mark) for receipt, *mark in marks],
        )

    def erase(self) -> int:
        """Delete by statements of their own: Django would load each ballot into memory."""
        with transaction.atomic():
            Mark.objects.filter(ballot__in=self).delete()
            return self._raw_delete(self.db)


class Ballot(models.Model):
    """One voter's answer to one question. The voter is an opaque key, made in polls.voters."""

    # Its index is the one of the constraint below, which begins with it.
    question = models.ForeignKey(Question, on_delete=models.CASCADE, db_index=False)
    voter = models.CharField(max_length=32)
    receipt = models.CharField(max_length=12, unique=True, default=new_code)
    cast_at = models.DateTimeField(default=timezone.now)
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

    @property
    def choices(self) -> list[Choice]:
        marks = self.mark_set.order_by("rank").select_related("choice")
        return [mark.choice for mark in marks]


class MarkQuerySet(models.QuerySet["Mark"]):
    def rewrite(self) -> None:
        """Give these marks fresh ids, in the order that they have."""
        Choice.objects.filter(
            question__in=self.values("ballot__question").distinct()
        ).lock()
        # Read with the lock in hand: a voter may have changed some meanwhile.
        rows = list(self.order_by("pk").values_list("ballot_id", "choice_id", "rank"))
        self.delete()
        _insert("polls_mark (ballot_id, choice_id, rank)", rows)


class Mark(models.Model):
    """A choice on a ballot."""

    # Its index is the one of the constraints below, which begin with it.
    ballot = models.ForeignKey(Ballot, on_delete=models.CASCADE, db_index=False)
    # A choice with votes goes only with its whole question.
    choice = models.ForeignKey(Choice, on_delete=models.RESTRICT)
    # From 1 without gaps: the voter's order on a ranked question, the order of the ballot page on others.
    rank = models.PositiveSmallIntegerField(default=1, db_default=1)

    objects = MarkQuerySet.as_manager()

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


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def last_number(self) -> int:
        return self.aggregate(last=models.Max("number"))["last"] or 0

    def with_use(self) -> "InvitationQuerySet":
        """Add `used`: whether a ballot was cast with it."""
        ballots = Ballot.objects.filter(
            question=models.OuterRef("question"), voter=models.OuterRef("voter")
        )
        return self.annotate(used=models.Exists(ballots))

    def unused(self) -> "InvitationQuerySet":
        return self.with_use().filter(used=False, voided_at=None)

    def valid(self, voter: str) -> bool:
        return self.filter(voter=voter, voided_at=None).exists()

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
    # What polls.voters makes of the code, so that it is the voter of the ballot too.
    voter = models.CharField(max_length=32)
    made_at = models.DateTimeField(default=timezone.now)
    voided_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = "invitation code"
        constraints = [
            models.UniqueConstraint(
                fields=["question", "voter"], name="polls_invitation_one_a_voter"
            ),
            models.UniqueConstraint(
                fields=["question", "number"], name="polls_invitation_once_a_number"
            ),
        ]

    def __str__(self) -> str:
        return f"Code {self.number} of “{self.question}”"
