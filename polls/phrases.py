"""What sentences are put together from, in the language that is active: times, numbers, shares, lists, texts of others."""

import datetime
import functools
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from django.utils import formats, timezone
from django.utils.translation import (
    get_language,
    get_language_bidi,
    gettext,
    gettext_lazy,
    ngettext,
    pgettext,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600

# Unicode's marks around a text that has its own direction.
ISOLATE, END_ISOLATE = "\u2068", "\u2069"
_RIGHT_TO_LEFT = {"R", "AL"}


def moment(time: datetime.datetime) -> str:
    """Write date and time, with their zone: that of the site, which need not be the reader's."""
    return _moment(timezone.localtime(time), get_language())


@functools.lru_cache(maxsize=1024)
def _moment(time: datetime.datetime, language: str | None) -> str:
    return f"{formats.date_format(time, 'DATETIME_FORMAT')} {time.tzname()}"


def day(time: datetime.datetime) -> str:
    """Write the date, in the zone of the site."""
    return _day(timezone.localdate(time), get_language())


@functools.lru_cache(maxsize=1024)
def _day(date: datetime.date, language: str | None) -> str:
    return formats.date_format(date, "DATE_FORMAT")


class Until(NamedTuple):
    """How it is said that something happens in a while; each takes how many minutes, hours or days."""

    soon: "_StrPromise"
    minutes: Callable[[int], str]
    hours: Callable[[int], str]
    days: Callable[[int], str]


# fmt: off
CLOSES = Until(
    gettext_lazy("Closes in less than a minute"),
    lambda n: ngettext("Closes in %(number)s minute", "Closes in %(number)s minutes", n),
    lambda n: ngettext("Closes in %(number)s hour", "Closes in %(number)s hours", n),
    lambda n: ngettext("Closes in %(number)s day", "Closes in %(number)s days", n),
)
OPENS = Until(
    gettext_lazy("Opens in less than a minute"),
    lambda n: ngettext("Opens in %(number)s minute", "Opens in %(number)s minutes", n),
    lambda n: ngettext("Opens in %(number)s hour", "Opens in %(number)s hours", n),
    lambda n: ngettext("Opens in %(number)s day", "Opens in %(number)s days", n),
)
# fmt: on


def closes(time: datetime.datetime, now: datetime.datetime | None = None) -> str:
    """Say how long a poll is open yet, and rather less than more."""
    return _until(CLOSES, time, now)


def opens(time: datetime.datetime, now: datetime.datetime | None = None) -> str:
    """Say when a poll opens."""
    return _until(OPENS, time, now)


def _until(said: Until, time: datetime.datetime, now: datetime.datetime | None) -> str:
    seconds = int((time - (now or timezone.now())).total_seconds())
    if seconds < MINUTE:
        return str(said.soon)
    if seconds < HOUR:
        count, sentence = seconds // MINUTE, said.minutes
    elif seconds < 2 * DAY:
        count, sentence = seconds // HOUR, said.hours
    else:
        count, sentence = seconds // DAY, said.days
    return sentence(count) % {"number": number(count)}


def number(value: float) -> str:
    """Write a number with its thousands apart."""
    return _number(value, get_language())


@functools.lru_cache(maxsize=4096)
def _number(value: float, language: str | None) -> str:
    return formats.localize(value, use_l10n=True)


def share(percent: float, decimals: int | None = None) -> str:
    """Write a share that is given in percent, such as 46.6% or 40%; with so many decimals, if a number is given."""
    return _share(percent, decimals, get_language())


@functools.lru_cache(maxsize=4096)
def _share(percent: float, decimals: int | None, language: str | None) -> str:
    if decimals is None:
        written = number(int(percent) if percent == int(percent) else percent)
    else:
        written = formats.number_format(percent, decimals)
    # Translators: a share, such as 46.6%. Many languages have a space before the sign.
    return gettext("%(number)s%%") % {"number": written}


def ballots(count: int) -> str:
    """Say how many ballots there are."""
    return _ballots(count, get_language())


@functools.lru_cache(maxsize=4096)
def _ballots(count: int, language: str | None) -> str:
    sentence = ngettext("%(number)s ballot", "%(number)s ballots", count)
    return sentence % {"number": number(count)}


def votes(count: int) -> str:
    """Say how many votes a choice has."""
    return _votes(count, get_language())


@functools.lru_cache(maxsize=4096)
def _votes(count: int, language: str | None) -> str:
    sentence = ngettext("%(number)s vote", "%(number)s votes", count)
    return sentence % {"number": number(count)}


def isolated(text: str) -> str:
    """Return a text for the middle of a sentence, whose letters and signs may run the other way."""
    is_rtl = get_language_bidi()
    if not is_rtl and (text.isascii() or not _has_right_to_left(text)):
        return text
    return f"{ISOLATE}{text}{END_ISOLATE}"


def _has_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text)


def list_of(texts: Sequence[str]) -> str:
    """Join texts as a sentence does: A, B and C."""
    *others, last = map(isolated, texts)
    if not others:
        return last
    # Translators: between the items of a list, all but the last two.
    comma = pgettext("list", ", ")
    joined = {"items": comma.join(others), "last": last}
    return pgettext("list", "%(items)s and %(last)s") % joined
