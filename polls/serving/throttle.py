"""Throttle: who has tried too many wrong codes or passwords has to wait.

Receipts and invitation codes have 60 bits, which is the real protection; a right one always passes. Passwords are
people's own: after some wrong ones, the next try has to wait ever longer, a minute at most. All of it lives in the
memory of the worker.
"""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from django.http import HttpRequest

from .networks import networks

# So many are told apart. All others share one count, until the oldest are forgotten.
MAX_COUNTS = 100_000


class Limit(NamedTuple):
    """So many wrong tries are free. Then come the seconds to wait: `first`, twice as many after each, at most `longest`."""

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


class _Count(NamedTuple):
    number: int
    last: float
    forgotten: float

    def is_over(self, now: float) -> bool:
        return now - self.last >= self.forgotten


class WrongTries:
    """The wrong tries of each name or network under each limit.

    Neither is kept here: only a number made of it with a key that nobody knows.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        max_counts: int = MAX_COUNTS,
    ) -> None:
        self._clock = clock
        self._max_counts = max_counts
        self._key = secrets.token_bytes(32)
        self._counts: dict[bytes, _Count] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()

    def seconds_to_wait(self, limit: Limit, who: str) -> float:
        """Return 0 if the next try is free."""
        found = self._counts.get(self._hidden(limit, who))
        now = self._clock()
        if not found or found.number < limit.free or found.is_over(now):
            return 0
        pause = limit.first * 2.0 ** min(found.number - limit.free, 20)
        return max(0, found.last + min(pause, limit.longest) - now)

    def count(self, limit: Limit, who: str) -> None:
        now, key = self._clock(), self._hidden(limit, who)
        with self._lock:
            while self._counts and next(iter(self._counts.values())).is_over(now):
                del self._counts[next(iter(self._counts))]
            # Put in anew, so that the first is always the oldest.
            found = self._counts.pop(key, None)
            number = 0 if not found or found.is_over(now) else found.number
            self._counts[key] = _Count(number + 1, now, limit.forgotten)

    def _hidden(self, limit: Limit, who: str) -> bytes:
        key = hmac.digest(self._key, f"{limit.name} {who}".encode(), "sha256")
        has_room = key in self._counts or len(self._counts) < self._max_counts
        return key if has_room else b""


# Of this worker.
wrong_tries = WrongTries()


def _code_limits(request: HttpRequest) -> Iterable[tuple[Limit, str]]:
    return zip((CODES, CODES_AROUND), networks(request))


def takes_wrong_code(request: HttpRequest) -> bool:
    """Count a wrong code; False if too many came from this network before, to refuse this one uncounted.

    To be asked after a code was not found: a right one passes, and one look-up costs less than any page.
    """
    limits = list(_code_limits(request))
    if any(wrong_tries.seconds_to_wait(*limit) for limit in limits):
        return False
    for limit in limits:
        wrong_tries.count(*limit)
    return True
