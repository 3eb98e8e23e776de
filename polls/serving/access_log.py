"""Keeps invitation codes, receipts and the addresses of visitors out of every log.

Who reads a log is not to vote with somebody's code, nor see how somebody voted.
Servers and Django write addresses of pages in many places: an access log, an
error, a time-out, a missing token. So this works on the record itself, whatever
logger it is for, before anything is made of it.
"""

import ipaddress
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

# What is typed after /r/ or /polls/3/code/, to the end of the line: spaces are forgiven in a code.
_AFTER = re.compile(
    r"((?:\d/+code|/r)/+)(?! HTTP/|\s*$).+?( HTTP/[\d.]+)?$", re.IGNORECASE | re.DOTALL
)
_IN_FORM = re.compile(r"(\bcode=)[^&\s]+", re.IGNORECASE)
# Elsewhere, what looks like one: 12 letters and digits, together or in fours.
_TOGETHER = (
    r"(?=\d*[A-Z])[0-9A-HJKMNP-TV-Z]{12}|(?=[a-zA-Z]*\d)(?=\d*[a-zA-Z])[0-9a-zA-Z]{12}"
)
_CODE = re.compile(rf"(?<![\w-])(?:{_TOGETHER}|(?:\w{{4}}-){{2}}\w{{4}})(?![\w-])")
_CLIENT = re.compile(r"\[?([\d.]+|[\da-f:.]+:[\da-f:.]*?)\]?(?::\d+)?")
# gunicorn quotes what it could not read, and where that came from.
_UNREAD = re.compile(r"from ip=\S+: ([^:]*).*")
_FRAME = '  File "'


def _hide(line: str) -> str:
    line = _AFTER.sub(r"\1-\2", line)
    return _CODE.sub("-", _IN_FORM.sub(r"\1-", line))


def _clean_line(line: str) -> str:
    if line.startswith(_FRAME):
        # A traceback says where the code of the site is, which may be in a folder of that name.
        return line
    # What is encoded twice, a proxy may have decoded once.
    read = unquote(unquote(line))
    hidden = _hide(read)
    if hidden == read:
        return line
    # Nothing that was encoded may begin a line of its own.
    return "".join(c if c.isprintable() else "?" for c in hidden)


def clean(text: str) -> str:
    """Return the text without codes, receipts and the address of a client."""
    text = _UNREAD.sub(r"from a client: \1", text)
    return "\n".join(map(_clean_line, text.split("\n")))


def _is_client(text: str) -> bool:
    """Tell whether this is an address and nothing else, with a port perhaps."""
    parts = _CLIENT.fullmatch(text)
    try:
        return bool(parts and ipaddress.ip_address(parts[1]))
    except ValueError:
        return False


def _clean_argument(argument: object) -> object:
    """Return it as it is, where there is nothing to hide: some formatters look at the arguments."""
    if isinstance(argument, int | float | None):
        return argument
    text = str(argument)
    shown = "-" if _is_client(text) else clean(text)
    return argument if shown == text else shown


class _Arguments(Mapping[str, object]):
    """Named arguments, of which a line uses a few: gunicorn gives its access log all that it knows."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        self.arguments = arguments

    def __getitem__(self, name: str) -> object:
        return _clean_argument(self.arguments[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.arguments)

    def __len__(self) -> int:
        return len(self.arguments)


class DiscreetRecord(logging.LogRecord):
    """A record for logging.setLogRecordFactory()."""

    def __init__(self, *record: Any, **more: Any) -> None:
        super().__init__(*record, **more)
        if isinstance(self.args, dict):
            self.args = _Arguments(self.args)
        elif self.args:
            self.args = tuple(map(_clean_argument, self.args))
        else:
            self.msg = clean(str(self.msg))

    @property
    def exc_text(self) -> str | None:
        """Return the traceback without what is to be hidden. A formatter takes it for what another one has formatted.

        It is made when it is asked for: a filter may drop the record.
        """
        text: str | None = vars(self)["exc_text"]
        if not text and self.exc_info and self.exc_info[0]:
            text = clean(logging.Formatter().formatException(self.exc_info))
            vars(self)["exc_text"] = text
        return text

    @exc_text.setter
    def exc_text(self, text: str | None) -> None:
        vars(self)["exc_text"] = text and clean(text)
