"""A request under ASGI that is answered on the event loop, as long as it needs no database, and else anew in a thread.

Middleware and view of a vote are some 0.3 ms of Python, which a thread does no
sooner. What such an attempt leaves to the thread is one object: the ballots
that it has cast, and who its voter is. So a request is one voter with one
ballot, however often its answer is begun.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NoReturn

from django.db import connections
from django.http.response import HttpResponseBase

from ..models import Ballot
from .ballot_sql import NewBallot
from .group_commit import Pending


class NeedsDatabase(BaseException):
    """No Exception, of which Django would make an error page, a signal and a line in the log for the operator."""


@dataclass
class LoopBallot:
    """A ballot that was cast on the loop. The result of its writing is its id, or None if it cannot be written."""

    ballot: Ballot
    pending: Pending[NewBallot, int | None]

    def written(self) -> Ballot | None:
        """Return the ballot; None if it could not be written. Raises the error of the database."""
        self.ballot.pk = self.pending.result()
        return self.ballot if self.ballot.pk is not None else None


@dataclass
class LoopAttempt:
    # The thread that writes its ballots.
    writer: Executor
    ballots: list[LoopBallot] = field(default_factory=list)
    # Some of them are written: nobody may be told otherwise.
    is_counted: bool = False
    # Of who votes without a cookie.
    new_identity: str = ""
    is_on_loop: bool = False
    needed_database: bool = False

    def run(self, respond: Callable[[], HttpResponseBase]) -> HttpResponseBase | None:
        """Return its response, which is to be sent when all ballots are written; None if it is to be made in a thread."""
        try:
            with self._without_database():
                response = respond()
        except (NeedsDatabase, Exception):
            # What was not the loop's fault, the thread raises again.
            return None
        # An error page is made again in a thread too, unless a ballot was cast before it: that is not run twice.
        broke = response.status_code >= 500 and not self.ballots
        return None if broke or self.needed_database else response

    @contextmanager
    def _without_database(self) -> Iterator[None]:
        """Refuse the database to what runs on the loop's thread meanwhile."""
        self.is_on_loop = True
        for alias in connections:
            # It stands for one.
            connections[alias] = _NoConnection(self)  # type: ignore[assignment]
        try:
            yield
        finally:
            self.is_on_loop = False
            for alias in connections:
                del connections[alias]

    async def all_written(self) -> bool:
        """Wait until each ballot is written or refused, of a voter who has one already, say."""
        ballots = [loop_ballot.pending for loop_ballot in self.ballots]
        for pending in ballots:
            if pending.future:
                await pending.future
        written = [pending.value is not None for pending in ballots]
        self.is_counted = any(written)
        return all(written)

    def take_over(self, ballot: Ballot) -> LoopBallot | None:
        """Return the ballot of this voter that was cast on the loop. Asked again, there is none: it is another one."""
        for loop_ballot in self.ballots:
            earlier = loop_ballot.ballot
            if earlier.question_id == ballot.question_id and (
                earlier.voter_key == ballot.voter_key
            ):
                # A commit whose answer was lost may be one all the same: such a ballot is never written again.
                if not loop_ballot.pending.error:
                    self.ballots.remove(loop_ballot)
                return loop_ballot
        return None


current_attempt: ContextVar[LoopAttempt | None] = ContextVar(
    "current_attempt", default=None
)


def is_counted() -> bool:
    """Tell whether this request's ballot was written before its answer was begun anew."""
    attempt = current_attempt.get()
    return attempt is not None and attempt.is_counted


class _NoConnection:
    """Stands where the loop's database connection would be."""

    _attempt: LoopAttempt

    def __init__(self, attempt: LoopAttempt) -> None:
        self.__dict__["_attempt"] = attempt

    def __getattr__(self, name: str) -> NoReturn:
        # Noted too: somebody may catch everything.
        self._attempt.needed_database = True
        raise NeedsDatabase

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self.__getattr__(name)
