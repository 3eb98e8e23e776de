"""What a file says of a poll: the key of each field, and how its value is read from the text that stands there.

`Yes`, `12:30` and `2026-12-01` are texts like any other choice, and not what YAML makes of them.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.utils import timezone
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from ..kinds import Kind
from ..poll_language import languages
from ..promises import Results, Voters


class Wrong(Exception):
    """This value cannot be. Its text says what can."""


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            listed = get_text_list([*words], _("or"))
            raise Wrong(_("Use %(words)s.") % {"words": listed})
        return text

    return read


def _yes_or_no(text: str) -> bool:
    if text.lower() not in {"yes", "no", "true", "false"}:
        raise Wrong(_("Use yes or no."))
    return text.lower() in {"yes", "true"}


def _language(text: str) -> str:
    if text not in dict(languages()):
        raise Wrong(_("Use the code of a language, such as en, pt or zh-hans."))
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5):
        raise Wrong(_("Use a whole number."))
    return int(text)


def _moment(text: str) -> datetime.datetime:
    """Read a date with a time; without an offset it is in the site's own zone."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else timezone.make_aware(moment)
        # The first and the last day that there is are not to be had in each zone.
        timezone.localtime(aware.astimezone(datetime.UTC))
    except (ValueError, OverflowError):
        moment = None
    if not moment or len(text) <= len("2026-12-01"):
        raise Wrong(_("Use a date and a time, such as 2026-12-01 18:00."))
    return aware


def read_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Wrong(_("It has half a character in it.")) from None
    if "\0" in text:
        raise Wrong(_("It has a character of value 0 in it."))
    return text


class Field(NamedTuple):
    """A field of the model, and how it is read."""

    name: str
    read: Callable[[str], object]


FIELDS = {
    "question": Field("question_text", read_text),
    "opens": Field("pub_date", _moment),
    "closes": Field("closes_at", _moment),
    "kind": Field("kind", _one_of(Kind.values)),
    "at_least": Field("min_choices", _number),
    "at_most": Field("max_choices", _number),
    "voters": Field("voters", _one_of(Voters.values)),
    "results": Field("results", _one_of(Results.values)),
    "may_change": Field("may_change", _yes_or_no),
    "receipts": Field("receipts", _yes_or_no),
    "may_embed": Field("may_embed", _yes_or_no),
    "language": Field("language", _language),
}
LIMITS = ("at_least", "at_most")
KEYS = [*FIELDS, "choices"]
