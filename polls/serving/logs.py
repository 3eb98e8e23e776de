"""What stands in a log: no invitation code, no receipt, no link to set a password, no visitor's address, nothing that a
visitor typed behind a `?`; which request it is about; and the same warning once.

Who reads a log is not to vote with somebody's code or account, nor see how somebody voted. Servers and Django write addresses of
pages in many places: an access log, an error, a time-out, a missing token. So this works on the record itself,
whatever logger it is for, before anything is made of it.

gunicorn.conf.py reads this file for the lines of gunicorn's master, which does not import the site.
"""

import datetime
import ipaddress
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote

# What stands after /r/, /polls/3/code/ or /accounts/set/, to the end of the line: spaces are forgiven in a code.
_AFTER = re.compile(
    r"((?:\d/+code|/r|/accounts/+set)/+)(?! HTTP/|\s*$).+?( HTTP/[\d.]+)?$",
    re.IGNORECASE | re.DOTALL,
)
_IN_FORM = re.compile(r"(\bcode=)[^&\s]+", re.IGNORECASE)
_QUERY = re.compile(r"(/[^\s?'\"]*\?)[^\s'\"]+")
# Elsewhere, what looks like one: 12 letters and digits, together or in fours.
_TOGETHER = (
    r"(?=\d*[A-Z])[0-9A-HJKMNP-TV-Z]{12}|(?=[a-zA-Z]*\d)(?=\d*[a-zA-Z])[0-9a-zA-Z]{12}"
)
_CODE = re.compile(rf"(?<![\w-])(?:{_TOGETHER}|(?:\w{{4}}-){{2}}\w{{4}})(?![\w-])")
_CLIENT = re.compile(r"\[?([\d.]+|[\da-f:.]+:[\da-f:.]*?)\]?(?::\d+)?")
# gunicorn quotes what it could not read, and where that came from.
_UNREAD = re.compile(r"from ip=\S+: ([^:]*).*")
_FRAME = '  File "'
# A server's own address, as it says where it listens.
_LISTENS = "://%s"

# Seconds in which the same warning is written once.
QUIET = 10

# What the request that is being answered is called; empty where there is none.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def _hide(line: str) -> str:
    line = _AFTER.sub(r"\1-\2", line)
    return _CODE.sub("-", _QUERY.sub(r"\1-", _IN_FORM.sub(r"\1-", line)))


def _clean_line(line: str) -> str:
    if line.startswith(_FRAME):
        # The code of the site may be in a folder that is named like a receipt.
        return line
    # What is encoded twice, a proxy may have decoded once.
    read = unquote(unquote(line))
    hidden = _hide(read)
    if hidden == read:
        return line
    # Nothing that was encoded may begin a line of its own.
    return "".join(c if c.isprintable() else "?" for c in hidden)


def clean(text: str) -> str:
    """Return the text without codes, receipts, queries, and the address that gunicorn quotes."""
    text = _UNREAD.sub(r"from a client: \1", text)
    return "\n".join(map(_clean_line, text.split("\n")))


def _is_client(text: str) -> bool:
    """Tell whether this is an address and nothing else, perhaps with a port."""
    parts = _CLIENT.fullmatch(text)
    try:
        return bool(parts and ipaddress.ip_address(parts[1]))
    except ValueError:
        return False


def _clean_argument(argument: object, listens: bool = False) -> object:
    """Return it as it is, where there is nothing to hide: some formatters look at the arguments."""
    if isinstance(argument, int | float | None):
        return argument
    text = str(argument)
    shown = "-" if _is_client(text) and not listens else clean(text)
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
        self.request_id = request_id.get()
        # For a line of text.
        self.about = f" [{self.request_id}]" if self.request_id else ""
        if isinstance(self.args, dict):
            self.args = _Arguments(self.args)
        elif self.args:
            listens = _LISTENS in str(self.msg)
            self.args = tuple(_clean_argument(a, listens) for a in self.args)
        else:
            self.msg = clean(str(self.msg))

    @property
    def exc_text(self) -> str | None:
        """The traceback, cleaned. Formatters take this for what an earlier one has made.

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


class NoTraceback(logging.Filter):
    """Write what a stranger sent without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


class WhyUnavailable(NoTraceback):
    """Write of a 503 why, and not at which address: it is the same for thousands."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", None) != 503:
            return True
        error = record.exc_info[1] if record.exc_info else None
        # What PostgreSQL says below its first line is another row each time.
        reason = str(error).partition("\n")[0] if error else "a page that asks to wait"
        record.msg, record.args = "Answered 503: %s", (clean(reason),)
        return super().filter(record)


class RepeatedLines(logging.Filter):
    """Write the same warning once in a while, and how often it was left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        # By text: until when it is not written again, and how often it was not.
        self._written: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.exc_info:
            return True
        text = record.getMessage()
        with self._lock:
            left_out = self._count(text)
        if left_out:
            text = f"{text} ({left_out} more since the last line)"
            record.msg, record.args = text, ()
        return left_out is not None

    def _count(self, text: str) -> int | None:
        """Return how many were left out since this was written; None if it is not to be written now."""
        now = self._clock()
        until, left_out = self._written.get(text, (0.0, 0))
        if now < until:
            self._written[text] = until, left_out + 1
            return None
        # Texts are few, but some have a number in them.
        if len(self._written) > 100:
            self._written.clear()
        self._written[text] = now + QUIET, 0
        return left_out


class JsonLine(logging.Formatter):
    """One line of JSON an event, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        event = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        about = getattr(record, "request_id", "")
        if about:
            event["request"] = about
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            event["traceback"] = record.exc_text
        return json.dumps(event, ensure_ascii=False)


def write_json() -> None:
    """Have all that is logged written as JSON, the lines of the server too, where they go already."""
    named = map(logging.getLogger, list(logging.root.manager.loggerDict))
    for logger in (logging.root, *named):
        for handler in logger.handlers:
            handler.setFormatter(JsonLine())
