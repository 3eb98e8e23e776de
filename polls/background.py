"""Work that no page waits for: one thread of the worker does it, one piece after the other.

However many ask for a piece, it waits once. The thread and its connection are
there only while there is work. A worker that stops does not wait for it: the
database takes back what was not committed.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable

from django.db import Error as DatabaseUnavailable
from django.db import connection

from . import process_memory

logger = logging.getLogger("polls.background")

# Pieces that may wait; whoever asks for another one then asks again later.
MOST_WAITING = 256
# Seconds until anything is tried again after a failure.
PAUSE = 1

Work = Callable[[], None]

_SET = threading.Event()
_SET.set()


class Background:
    def __init__(self, name: str, rest: Callable[[float], float]) -> None:
        """`rest` says how long to rest after a piece of so many seconds."""
        self._name = name
        self._rest = rest
        self._waiting: dict[Hashable, tuple[Work, threading.Event]] = {}
        self._lock = threading.Lock()
        self._runs = False
        # When the work began that is not done yet, however often it has failed.
        self._behind_since = math.inf

    def is_stuck(self, seconds: float) -> bool:
        """Tell whether it has been at work for so long, or failed at it, that nobody should wait for what it tries next."""
        return time.monotonic() - self._behind_since > seconds

    def ask(self, key: Hashable, work: Work) -> threading.Event:
        """Have this done, once for all who ask before it begins; return what is set when it has been tried."""
        if not process_memory.keeps():
            # Another thread would not see what a test has in its transaction.
            self._do(work)
            return _SET
        with self._lock:
            if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
                return _SET
            _, tried = self._waiting.setdefault(key, (work, threading.Event()))
            if not self._runs:
                self._runs = self._start()
        return tried

    def _start(self) -> bool:
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError as error:
            # As many threads as the machine allows: it waits for whoever asks next.
            logger.warning("%s: %s.", self._name, error)
            return False
        return True

    def _run(self) -> None:
        while found := self._next():
            work, tried = found
            began = time.monotonic()
            self._behind_since = min(self._behind_since, began)
            done = self._do(work)
            if done:
                self._behind_since = math.inf
            tried.set()
            # Not for the rest, which may be long.
            connection.close()
            # A failure took its time waiting, not working.
            time.sleep(self._rest(time.monotonic() - began) if done else PAUSE)

    def _next(self) -> tuple[Work, threading.Event] | None:
        with self._lock:
            for key in self._waiting:
                # Out of the line before it begins: who asks from now on may know of something newer.
                return self._waiting.pop(key)
            self._runs = False
            self._behind_since = math.inf
        return None

    def _do(self, work: Work) -> bool:
        """Return whether it went well; if not, whoever asks next has it tried again."""
        try:
            work()
        except DatabaseUnavailable as error:
            logger.warning("%s: the database failed: %s", self._name, error)
            return False
        except Exception:
            logger.exception("%s failed.", self._name)
            return False
        return True


# What is due once a poll has closed. Apart from the rounds, whose thread may rest for long.
after_close = Background("polls-after-close", rest=lambda seconds: 0.1)
