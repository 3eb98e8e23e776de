"""What the organiser of a question promises its voters: who votes, who sees results, and what stays as it is.

From the first ballot on some of it is frozen, and the rest gets only stricter.
"""

import datetime
import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from django.db import models
from django.db.models.options import Options
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class Voters(models.TextChoices):
    ANYONE = "anyone", _("Anyone, once a browser")
    ACCOUNTS = "accounts", _("Signed in, once an account")
    CODES = "codes", _("By invitation code, once a code")


class Results(models.TextChoices):
    """Who sees results, from the loosest to the strictest: each is a part of the one before."""

    ALWAYS = "always", _("Everyone, always")
    VOTED = "voted", _("Who has voted; everyone after closing")
    CLOSED = "closed", _("Everyone, after closing")
    ORGANISERS = "organisers", _("Organisers only")


RESULTS_RULES: dict[str, "_StrPromise"] = {
    Results.ALWAYS: _("Everyone sees the results at any time."),
    Results.VOTED: _(
        "Results are shown to those who have voted, and to everyone after the poll has closed."
    ),
    Results.CLOSED: _("Results are shown after the poll has closed."),
    Results.ORGANISERS: _("Only the organisers see the results of this poll."),
}

# Said to those who see results that a spectator does not.
SEEN_BY: dict[str, "_StrPromise"] = {
    Results.VOTED: _(
        "Hidden from those who have not voted, until the close: do not project this page."
    ),
    Results.CLOSED: _("Hidden from voters until the close: do not project this page."),
    Results.ORGANISERS: _(
        "Hidden from voters, after the close too: do not project this page."
    ),
}


class Audience(enum.Enum):
    """Who looks at results."""

    SPECTATOR = enum.auto()
    VOTER = enum.auto()
    ORGANISER = enum.auto()


def results_visible_to(results: str, state: str, audience: Audience) -> bool:
    """Decide who sees results. Every page, file and stream asks here."""
    if audience is Audience.ORGANISER or results == Results.ALWAYS:
        return True
    if results == Results.VOTED and audience is Audience.VOTER:
        return True
    return state == "closed" and results in {Results.VOTED, Results.CLOSED}


def as_strict(results: str) -> list[str]:
    """Return the values of Results that are no looser than this one."""
    return Results.values[Results.values.index(results) :]


# What never changes once a ballot was cast, and why. The wording of choices goes with the question's.
FROZEN = {
    "question_text": _("The wording is what people have voted on."),
    "pub_date": _("People have voted since then."),
    "kind": _("The ballots are of this kind."),
    "min_choices": _("The ballots were cast under this rule."),
    "max_choices": _("The ballots were cast under this rule."),
    "voters": _("Who has voted as one kind of voter could vote again as another."),
    "receipts": _("Voters were told so when they voted."),
}


def frozen_fields(is_closed: bool, may_change: bool) -> "dict[str, _StrPromise]":
    """Return what cannot change any more on a question with ballots, by field, with the reason."""
    frozen = dict(FROZEN)
    if is_closed:
        frozen["closes_at"] = _(
            "The poll has closed and its count is public: duplicate it instead of opening it again."
        )
    if not may_change:
        frozen["may_change"] = _(
            "That votes are final cannot be taken back, now that people have voted."
        )
    return frozen


class Promised(Protocol):
    """A question, which is a model and stands above this module."""

    _meta: ClassVar["Options[Any]"]
    results: str
    closes_at: datetime.datetime | None

    @property
    def frozen_fields(self) -> "dict[str, _StrPromise]": ...


def _thawed(stored: Promised, after: Promised) -> Iterator[str]:
    """Say of each frozen field that would change why it cannot."""
    labels = {field.name: field.verbose_name for field in stored._meta.fields}
    for name, reason in stored.frozen_fields.items():
        if getattr(stored, name) == getattr(after, name):
            continue
        if name not in FROZEN:
            yield str(reason)
            continue
        # Translators: the reason is a sentence of its own.
        sentence = gettext(
            "“%(field)s” cannot change any more. %(reason)s Duplicate the poll instead."
        )
        yield sentence % {"field": capfirst(labels[name]), "reason": reason}


def broken(stored: Promised, after: Promised) -> Iterator[str]:
    """Say which promises to those who have voted are broken if the stored question becomes `after`."""
    if not stored.frozen_fields:
        return
    yield from _thawed(stored, after)
    if after.results not in as_strict(stored.results):
        yield gettext(
            "“Who sees results” can only get stricter, now that people have voted."
        )
    end, is_closed = after.closes_at, "closes_at" in stored.frozen_fields
    if end and end != stored.closes_at and end < timezone.now() and not is_closed:
        yield gettext(
            "People have voted since then. To close the poll at once, use “Close now” above the form."
        )
