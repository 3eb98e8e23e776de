"""Who has tried too many wrong codes or passwords, and has to wait.

Receipts and invitation codes have 60 bits, which is the real protection; a
right one always passes. Passwords are people's own: after some wrong ones, the
next try has to wait ever longer, a minute at most. All of it lives in the
memory of the worker. No address and no name is kept even there: only a number
made of it with a key that nobody knows.
"""

import hmac
import secrets
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from django.http import HttpRequest

from .networks import networks

# So much is told apart; what is more shares one count until the oldest is forgotten.
MOST = 100_000


class Limit(NamedTuple):
    """How many wrong ones are free, and then the seconds to wait: so many at first, twice as many after each, to `longest`."""

    name: str
    free: int
    first: float
    longest: float
    # Seconds after the last wrong one.
    forgotten: float


# A school class behind one address mistypes less.
CODES = Limit("codes", 30, 60, 60, 60)
# A provider's customer has 65,536 networks of version 6.
CODES_AROUND = CODES._replace(name="codes around", free=120)


class _Wrong(NamedTuple):
    number: int
    last: float
    forgotten: float


_key = secrets.token_bytes(32)
_wrong: dict[bytes, _Wrong] = {}
_lock = threading.Lock()


def clear() -> None:
    _wrong.clear()


def seconds_to_wait(limit: Limit, who: str) -> float:
    """Return how long nothing is taken from them; 0 if the next try is free."""
    found = _wrong.get(_hidden(limit, who))
    now = time.monotonic()
    if not found or found.number < limit.free or _is_over(found, now):
        return 0
    pause = limit.first * 2.0 ** min(found.number - limit.free, 20)
    return max(0, found.last + min(pause, limit.longest) - now)


def count_wrong(limit: Limit, who: str) -> None:
    now, key = time.monotonic(), _hidden(limit, who)
    with _lock:
        while _wrong and _is_over(next(iter(_wrong.values())), now):
            del _wrong[next(iter(_wrong))]
        # Put in anew, so that the oldest is the first.
        found = _wrong.pop(key, None)
        number = 0 if not found or _is_over(found, now) else found.number
        _wrong[key] = _Wrong(number + 1, now, limit.forgotten)


def _is_over(wrong: _Wrong, now: float) -> bool:
    return now - wrong.last >= wrong.forgotten


def _hidden(limit: Limit, who: str) -> bytes:
    key = hmac.digest(_key, f"{limit.name} {who}".encode(), "sha256")
    return key if key in _wrong or len(_wrong) < MOST else b""


def _code_limits(request: HttpRequest) -> Iterable[tuple[Limit, str]]:
    return zip((CODES, CODES_AROUND), networks(request))


def is_throttled(request: HttpRequest) -> bool:
    """Tell whether too many wrong codes came from this network, to answer one more of them shortly.

    A right one was found before: that is one look-up by a unique index, which
    costs less than any page.
    """
    return any(seconds_to_wait(*limit) for limit in _code_limits(request))


def count_wrong_code(request: HttpRequest) -> None:
    for limit in _code_limits(request):
        count_wrong(*limit)
