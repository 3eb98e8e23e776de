"""Where new ballots are written: those that wait together, in one transaction.

A commit takes the disk as long for ten ballots as for one. While one thread of
a worker writes, the others of the same moment queue here, and whoever is next
writes for all of them. A ballot that is alone waits for nobody. Each keeps its
own outcome; when one spoils the transaction, they are written one by one,
unless it is the database that is locked or away.

Under ASGI a vote needs no thread of its own. The handler collects the ballots
of the requests that it answers on the loop, has one thread empty the box, and
sends each answer after that.
"""

import fcntl
import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, connection

from . import ballot_rows

# The module and not its names: it imports this one.
from . import models


@dataclass(eq=False)
class Slip:
    """A ballot to be written, and then what became of it: it is written if it has an id."""

    ballot: "models.Ballot"
    choices: Sequence[int]
    done: bool = False
    error: Exception | None = None


_waiting: list[Slip] = []
_writing = threading.Lock()

# Where put() leaves the ballots of a request that is answered on the loop; None in a thread.
on_loop: ContextVar[list[Slip] | None] = ContextVar("on_loop", default=None)
# Why the ballot of this request was not written, when the request is answered anew in a thread.
failed: ContextVar[Exception | None] = ContextVar("failed", default=None)


class NeedsThread(BaseException):
    """The request cannot be answered on the loop. Not an Exception, which Django would make a page of.

    Raised before put(), never after: the ballot that is left there is written.
    """


def require_thread() -> None:
    """To be called before what takes the database. Raises NeedsThread on the loop."""
    if on_loop.get() is not None:
        raise NeedsThread


def put(ballot: "models.Ballot", choices: Sequence[int]) -> bool:
    """Write a new ballot and its totals; return False if it cannot be: the voter has one already, say.

    On the loop it returns True before: the slip is waiting, and its answer must too.
    Raises an error of the database; then nothing of this ballot has been written.
    """
    error = failed.get()
    if error:
        # Not tried again: a commit whose answer was lost may be one all the same.
        raise error
    slip = Slip(ballot, choices)
    promised = on_loop.get()
    if promised is not None:
        promised.append(slip)
        _waiting.append(slip)
        return True
    if connection.in_atomic_block:
        # Somebody's own transaction is no place for the ballots of others.
        ballot_rows.write([(ballot, choices)])
        return ballot.pk is not None
    _waiting.append(slip)
    with _writing:
        if not slip.done:
            _write_each_with_its_outcome()
    if slip.error:
        raise slip.error
    return ballot.pk is not None


def anyone_waits() -> bool:
    return bool(_waiting)


def empty() -> None:
    """Write all that wait now."""
    # As at the beginning of a request, which this thread may have none of: a connection that broke is made anew.
    connection.close_if_unusable_or_obsolete()
    with _writing:
        _write_each_with_its_outcome()


def _take() -> list[Slip]:
    slips = _waiting[:]
    del _waiting[: len(slips)]
    return slips


def _write_each_with_its_outcome(alone: Slip | None = None) -> None:
    slips = [alone] if alone else []
    try:
        with _turn():
            # Whoever came while others had the turn goes along.
            slips = slips or _take()
            if slips:
                ballot_rows.write([(slip.ballot, slip.choices) for slip in slips])
    except Exception as error:
        slips = slips or _take()
        # A database that is locked or away is so for all of them, and each would wait for it again.
        if len(slips) == 1 or isinstance(error, OperationalError | InterfaceError):
            for slip in slips:
                slip.error = error
        else:
            for slip in slips:
                _write_each_with_its_outcome(slip)
    except BaseException:
        # This thread is told to end: the others must not take their ballots for written.
        for slip in slips:
            slip.error = OperationalError("The worker was stopped.")
        raise
    finally:
        for slip in slips:
            slip.done = True


@functools.cache
def _queue_file() -> int:
    """Return a file descriptor, which stays open as long as the process."""
    name = f"{connection.settings_dict['NAME']}.queue"
    return os.open(name, os.O_RDWR | os.O_CREAT, 0o600)


def _wait_in_line(seconds: float) -> None:
    """Wait for those before, but no longer than for SQLite itself."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(_queue_file(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                sentence = "The database is busy: those before did not finish."
                raise OperationalError(sentence) from None
            time.sleep(0.0005)


@contextmanager
def _turn() -> Iterator[None]:
    """Let the workers write to SQLite one after the other.

    SQLite itself would have them sleep ever longer before they try again, and
    now and then one is unlucky many times.
    """
    if connection.vendor != "sqlite":
        yield
        return
    _wait_in_line(connection.settings_dict["OPTIONS"]["timeout"])
    try:
        yield
    finally:
        fcntl.flock(_queue_file(), fcntl.LOCK_UN)
