"""How far long work has come, for whoever waits for it at a terminal; nothing is said to a log or a timer's mail."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from django.core.management.base import OutputWrapper

T = TypeVar("T")

# Seconds between two lines, and until the first: what is done sooner needs none.
PAUSE = 1


class Progress:
    """Says so on stderr: on a terminal in one line that changes; elsewhere only with --verbosity 2, in a line each second."""

    def __init__(
        self,
        stderr: OutputWrapper,
        verbosity: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stderr = stderr
        self._rewrites = stderr.isatty()
        self._is_wanted = verbosity > 0 and self._rewrites or verbosity > 1
        self._clock = clock
        self._last = clock()
        self._length = 0

    def of(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield the items, and say now and then how many are done."""
        for done, item in enumerate(items):
            self.said(what, done, total)
            yield item
        self.clear()

    def saying(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.said(what, done, total)

    def said(self, what: str, done: int, total: int) -> None:
        now = self._clock()
        if now - self._last < PAUSE or not self._is_wanted:
            return
        self._last = now
        self._write(f"{what}: {done:,} of {total:,} ({100 * done // (total or 1)}%)")

    def begin(self, what: str) -> None:
        """Say that something begins which cannot say how far it is."""
        if self._is_wanted:
            self._write(what)

    def clear(self) -> None:
        """Make room on a terminal for what is to stay there."""
        if self._length:
            self._stderr.write("\r" + " " * self._length + "\r", ending="")
            self._length = 0

    def _write(self, line: str) -> None:
        if not self._rewrites:
            self._stderr.write(line)
            return
        self.clear()
        self._stderr.write(line, ending="")
        self._stderr.flush()
        self._length = len(line)
