"""Where new ballots are written: those that wait together, in one transaction.

A commit takes the disk as long for ten ballots as for one. While one thread of
a worker writes, the others of the same moment queue here, and whoever is next
writes for all of them. A ballot that is alone waits for nobody. Each keeps its
own outcome; when one spoils the transaction, they are written one by one,
unless it is the database that is locked or away.

Under ASGI a vote needs no thread of its own. The handler answers it on the loop
(see on_loop), has one thread empty the box, and sends each answer after that.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connection

from ..locks import file_lock
from . import ballot_sql, on_loop

if TYPE_CHECKING:
    from .. import models


@dataclass(eq=False)
class PendingBallot:
    """A ballot to be written, and then what became of it."""

    ballot: "models.Ballot"
    choices: Sequence[int]
    done: bool = False
    error: Exception | None = None
    # Where the loop waits for it: the request that is answered there.
    woken: asyncio.Future[None] | None = None

    @property
    def is_written(self) -> bool:
        return self.ballot.pk is not None and not self.error

    def finish(self) -> None:
        self.done = True
        if self.woken:
            # A loop that has ended has nobody left to be told.
            with suppress(RuntimeError):
                self.woken.get_loop().call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        # The request may have been cancelled meanwhile.
        if not self.woken.done():
            self.woken.set_result(None)


_pending: list[PendingBallot] = []
_write_lock = threading.Lock()


def submit(ballot: "models.Ballot", choices: Sequence[int]) -> bool:
    """Write a new ballot and its totals; return False if it cannot be: the voter has one already, say.

    On the loop it returns True before, and the answer has to wait.
    Raises an error of the database; then nothing of this ballot has been written.
    """
    attempt = on_loop.attempt.get()
    if attempt and attempt.is_on_loop:
        woken = asyncio.get_running_loop().create_future()
        slip = PendingBallot(ballot, choices, woken=woken)
        attempt.submitted.append(slip)
        _pending.append(slip)
        return True
    earlier = attempt and attempt.outcome_of(ballot)
    if earlier:
        return _take_over(ballot, earlier)
    if connection.in_atomic_block:
        # Somebody's own transaction is no place for the ballots of others.
        ballot_sql.insert_ballots([(ballot, choices)])
        return ballot.pk is not None
    slip = PendingBallot(ballot, choices)
    _pending.append(slip)
    with _write_lock:
        if not slip.done:
            _write_each_with_its_outcome()
    if slip.error:
        raise slip.error
    return ballot.pk is not None


def _take_over(ballot: "models.Ballot", earlier: PendingBallot) -> bool:
    """Make `ballot` the one that this request submitted before."""
    if earlier.error:
        raise earlier.error
    written = earlier.ballot
    ballot.pk, ballot.receipt = written.pk, written.receipt
    ballot.cast_at = written.cast_at
    return ballot.pk is not None


def has_pending() -> bool:
    return bool(_pending)


def give_up(error: Exception) -> None:
    """Give all that wait this error, for there is nobody to write them."""
    for slip in _drain():
        slip.error = error
        slip.finish()


def flush() -> None:
    """Write all that wait now."""
    # As at the beginning of a request, which this thread may have none of: a connection that broke is made anew.
    connection.close_if_unusable_or_obsolete()
    with _write_lock:
        _write_each_with_its_outcome()


def _drain() -> list[PendingBallot]:
    pending = _pending[:]
    del _pending[: len(pending)]
    return pending


def _write_each_with_its_outcome(alone: PendingBallot | None = None) -> None:
    pending = [alone] if alone else []
    try:
        with _turn():
            # Whoever came while others had the turn goes along.
            pending = pending or _drain()
            if pending:
                ballot_sql.insert_ballots(
                    [(slip.ballot, slip.choices) for slip in pending]
                )
    except Exception as error:
        pending = pending or _drain()
        # A database that is locked or away is so for all of them, and each would wait for it again.
        if len(pending) == 1 or isinstance(error, OperationalError | InterfaceError):
            for slip in pending:
                slip.error = error
        else:
            for slip in pending:
                _write_each_with_its_outcome(slip)
    except BaseException:
        # This thread is told to end: the others must not take their ballots for written.
        for slip in pending:
            slip.error = OperationalError("The worker was stopped.")
        raise
    finally:
        for slip in pending:
            slip.finish()


@contextmanager
def _turn() -> Iterator[None]:
    """Let the workers write to SQLite one after the other.

    SQLite itself would have them sleep ever longer before they try again, and
    now and then one is unlucky many times.
    """
    if connection.vendor != "sqlite" or connection.is_in_memory_db():
        # A database in memory is a test's, and has no file to stand in line beside.
        yield
        return
    path = f"{connection.settings_dict['NAME']}.queue"
    # No longer than SQLite itself would wait.
    timeout = connection.settings_dict["OPTIONS"]["timeout"]
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(path, timeout, keep_open=True))
        except TimeoutError:
            sentence = "The database is busy: those before did not finish."
            raise OperationalError(sentence) from None
        except OSError as error:
            # As when SQLite cannot open its own files.
            raise OperationalError(f"{path}: {error.strerror}") from None
        yield
