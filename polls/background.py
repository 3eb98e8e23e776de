"""Work that no page waits for: one thread does it, a job after the other.

A job that many ask for waits once. The thread and its database connection
last only while there is work. A process that stops does not wait for it: the
database rolls back what was not committed.
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

# Jobs that may wait. One more is not taken: whoever needs it will submit it again.
MAX_WAITING = 256
# Seconds to rest after a failure.
PAUSE = 1

Work = Callable[[], None]

ALREADY_TRIED = threading.Event()
ALREADY_TRIED.set()


class Background:
    def __init__(self, name: str, rest: Callable[[float], float]) -> None:
        """`rest` returns for how many seconds to rest after a job that took so many."""
        self._name = name
        self._rest = rest
        self._waiting: dict[Hashable, tuple[Work, threading.Event]] = {}
        self._lock = threading.Lock()
        self._runs = False
        # Since when there is a job that is not done, be it begun once or often.
        self._behind_since = math.inf

    @property
    def is_idle(self) -> bool:
        return not self._runs

    def is_stuck(self, seconds: float) -> bool:
        """Tell whether it has been at work for so long, or failing: then it is in vain to wait for another job."""
        return time.monotonic() - self._behind_since > seconds

    def submit(self, key: Hashable, work: Work) -> threading.Event:
        """Have this done, once for all who submit the key before it begins; return what is set when it was tried."""
        if not process_memory.keeps():
            # Another thread would not see what a test has in its transaction.
            self._try(work)
            return ALREADY_TRIED
        with self._lock:
            if key not in self._waiting and len(self._waiting) >= MAX_WAITING:
                return ALREADY_TRIED
            _, tried = self._waiting.setdefault(key, (work, threading.Event()))
            if not self._runs:
                self._runs = self._start()
        return tried

    def _start(self) -> bool:
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError as error:
            # The machine allows no more threads: the next one to submit something tries again.
            logger.warning("%s: %s.", self._name, error)
            return False
        return True

    def _run(self) -> None:
        while job := self._next():
            work, tried = job
            began = time.monotonic()
            self._behind_since = min(self._behind_since, began)
            done = self._try(work)
            if done:
                self._behind_since = math.inf
            tried.set()
            # Not kept while it rests, which may be long.
            connection.close()
            # A job that failed took its time waiting, not working.
            time.sleep(self._rest(time.monotonic() - began) if done else PAUSE)

    def _next(self) -> tuple[Work, threading.Event] | None:
        with self._lock:
            for key in self._waiting:
                # Stale read: out of the queue before it begins, so that what is submitted meanwhile is done once more.
                return self._waiting.pop(key)
            self._runs = False
            self._behind_since = math.inf
        return None

    def _try(self, work: Work) -> bool:
        """Do it; return whether it went well. What failed is not tried again until somebody submits it again."""
        try:
            work()
        except DatabaseUnavailable as error:
            logger.warning("%s: the database failed: %s", self._name, error)
            return False
        except Exception:
            logger.exception("%s failed.", self._name)
            return False
        return True


# What is due once a poll has closed. Not in the thread of the rounds, which may rest for long.
after_close = Background("polls-after-close", rest=lambda seconds: 0.1)
