"""A vote under ASGI, answered on the event loop without a thread as long as it needs no database.

Middleware and view are some 0.3 ms of Python, which a thread does no sooner.
On the loop the database is out of reach: whatever asks it ends the attempt, and
the request is answered in a thread after all. A ballot that the attempt has
submitted by then is written once: the thread finds its outcome and its voter.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, TypeVar

from django.core import signals
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.db import close_old_connections, connections, reset_queries

if TYPE_CHECKING:
    from .group_commit import PendingBallot
    from .models import Ballot

View = TypeVar("View", bound=Callable[..., object])

_views: set[object] = set()


def may_run_on_loop(view: View) -> View:
    """Mark a view that often needs no database but for a ballot, and is quick."""
    _views.add(view)
    return view


def runs_on_loop(view: object) -> bool:
    return view in _views


_apart: set[object] = set()


def takes_thread_apart(view: View) -> View:
    """Mark a view that one thread of its own answers, also while all threads of the pool wait for the database."""
    _apart.add(view)
    return view


def is_apart(view: object) -> bool:
    return view in _apart


class NeedsDatabase(BaseException):
    """The request cannot be answered on the loop. Django would log an Exception as an error, and make a page of it."""


@dataclass
class LoopAttempt:
    """What a request has done on the loop, for the thread that answers it where the loop cannot."""

    submitted: "list[PendingBallot]" = field(default_factory=list)
    # Some of them are written: nobody may be told otherwise.
    is_counted: bool = False
    # Whoever votes without a cookie is the same voter in the thread.
    new_identity: str = ""
    is_on_loop: bool = False
    needed_database: bool = False

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Refuse the database to what runs on the loop's thread meanwhile."""
        self.is_on_loop = True
        for alias in connections:
            connections[alias] = _NoConnection(self)
        try:
            yield
        finally:
            self.is_on_loop = False
            for alias in connections:
                del connections[alias]

    async def all_written(self) -> bool:
        """Wait for the ballots. One is not written if its voter has one already, say."""
        for slip in self.submitted:
            await slip.woken
        written = [slip.is_written for slip in self.submitted]
        self.is_counted = any(written)
        return all(written)

    def outcome_of(self, ballot: "Ballot") -> "PendingBallot | None":
        """Return what became of this ballot on the loop. Asked again, it is a new ballot of the same voter."""
        for slip in self.submitted:
            earlier = slip.ballot
            if earlier.question_id == ballot.question_id and (
                earlier.voter_key == ballot.voter_key
            ):
                # But a commit whose answer was lost may be one all the same: it is never tried again.
                if not slip.error:
                    self.submitted.remove(slip)
                return slip
        return None


attempt: ContextVar[LoopAttempt | None] = ContextVar("attempt", default=None)


def is_counted() -> bool:
    """Tell whether this request's ballot was written before its answer was begun anew."""
    found = attempt.get()
    return found is not None and found.is_counted


class _NoConnection:
    """Stands where the loop's database connection would be: it can be closed, and nothing else."""

    queries_log: deque[str] = deque(maxlen=0)

    def __init__(self, attempt: LoopAttempt) -> None:
        self.__dict__["_attempt"] = attempt

    def close(self) -> None:
        pass

    close_if_unusable_or_obsolete = close

    def __getattr__(self, name: str) -> NoReturn:
        # Noted too: somebody may catch everything.
        self._attempt.needed_database = True
        raise NeedsDatabase

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self.__getattr__(name)


_DJANGOS_OWN = {
    id(receiver)
    for receiver in (reset_queries, close_old_connections, close_caches, reset_urlconf)
}


def others_listen() -> bool:
    """Tell whether anybody but Django hears of requests.

    What they do is theirs, and they may be asynchronous: each request is
    answered in a thread then, which calls them once.
    """
    # No any(): this is asked for each page from memory.
    for signal in (signals.request_started, signals.request_finished):
        for receiver in signal.receivers:
            if receiver[0][0] not in _DJANGOS_OWN:
                return True
    return False
