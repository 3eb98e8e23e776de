"""One line in the log for what is the same for many: a database that is away answers thousands with 503."""

import logging
import threading
import time

# Seconds in which the same is said once.
QUIET = 10


class OneLine(logging.Filter):
    """Say of a 503 why, in one line without a traceback, and once for all of the same reason."""

    def __init__(self) -> None:
        super().__init__()
        # By reason: until when it is not said again, and how often it was not.
        self._said: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", None) != 503:
            return True
        error = record.exc_info[1] if record.exc_info else None
        # Without the address: it may hold a code, and is another each time.
        # What PostgreSQL says below its first line is another row each time.
        reason = str(error).partition("\n")[0] if error else "a page that asks to wait"
        record.exc_info = record.exc_text = None
        with self._lock:
            left_out = self._count(reason)
        if left_out is None:
            return False
        more = f" ({left_out} more since the last line)" if left_out else ""
        record.msg, record.args = "Answered 503: %s%s", (reason, more)
        return True

    def _count(self, reason: str) -> int | None:
        """Return how many were left out since this was said; None if it is not to be said now."""
        now = time.monotonic()
        until, left_out = self._said.get(reason, (0.0, 0))
        if now < until:
            self._said[reason] = until, left_out + 1
            return None
        # Reasons are few, but some have a number in them.
        if len(self._said) > 100:
            self._said.clear()
        self._said[reason] = now + QUIET, 0
        return left_out
