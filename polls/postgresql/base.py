"""Django's PostgreSQL, with an end to waiting.

The server itself gives up a statement that waits for a lock or takes too long.
A server that is frozen does not even do that: then the driver does.
"""

import select
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import psycopg
from django.conf import settings
from django.db import transaction
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg.abc import RV, PQGen
from psycopg.pq import PipelineStatus, TransactionStatus

from ..database import Reason, Statement
from . import copying, erasure
from .loop_connection import STATEMENT_TIMEOUT, LoopConnection, is_read_only
from .reasons import explain

# Seconds. When the server should have given a statement up, and has said nothing for so long, it is frozen.
FROZEN = 2
# The health check has an answer while whoever asks still waits for it.
HEALTH = 3
# A connection on which the server answered so lately is not asked whether it still does: that takes as long as a vote.
# Longer than a tick of the live results, whose reader would ask twice each time.
LATELY = 0.5

# The number of the advisory lock; it means nothing elsewhere.
BIG_FILE = 7655273


class Connection(psycopg.Connection):
    # Seconds to wait for the server; None is for ever.
    patience: float | None = None
    answered_at = 0.0

    def wait(
        self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None
    ) -> RV:
        if timeout is None:
            timeout = self.patience
        began = time.monotonic()
        try:
            result = super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if timeout and time.monotonic() - began >= timeout:
                # Whatever it answers later is the answer to another question.
                self.pgconn.finish()
            raise
        self.answered_at = time.monotonic()
        return result

    @property
    def has_just_answered(self) -> bool:
        """Tell whether the server answered a moment ago, and has said nothing unasked since, as it does when it ends."""
        if self.closed or time.monotonic() - self.answered_at > LATELY:
            return False
        unasked = select.poll()
        unasked.register(self.fileno(), select.POLLIN)
        return not unasked.poll(0)

    @contextmanager
    def all_at_once(self) -> Iterator[None]:
        """Send the statements of the body together. Where no transaction is open they are one, which its end commits."""
        try:
            with self.pipeline():
                yield
        except psycopg.OperationalError as error:
            if self.closed or self.pgconn.pipeline_status == PipelineStatus.OFF:
                raise
            # The commit was refused: the driver raises why, and then that it cannot go on.
            self.close()
            raise (error.__context__ or error) from None


def _limits(statement: int | None, lock: int) -> Statement:
    """Return what sets the limits of a session, in seconds; for a statement None is for ever."""
    sql = (
        "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false), "
        "set_config('idle_in_transaction_session_timeout', %s, false)"
    )
    idle = settings.DATABASE_IDLE_TIMEOUT
    return Statement(sql, [f"{lock}s", f"{statement or 0}s", f"{idle}s"])


class PreparedCursor(psycopg.Cursor[Any]):
    """The server plans a statement of a page in five times the time that it takes to run it."""

    def execute(self, *statement: Any, **how: Any) -> Self:
        return super().execute(*statement, **how | {"prepare": True})


class DatabaseWrapper(base.DatabaseWrapper):
    bytewise = "C"
    erasure = erasure
    copying = copying

    def get_new_connection(self, params: dict[str, Any]) -> Connection:
        # As Django does, but for the class.
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        return Connection.connect(**params)

    def prepared_cursor(self) -> CursorWrapper:
        # As Django's cursor(), but for the class.
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor = PreparedCursor(self.connection)
            # Of which the stubs say nothing.
            wrapped: CursorWrapper = self._prepare_cursor(cursor)  # type: ignore[attr-defined]
            return wrapped

    async def open_for_loop(self) -> LoopConnection:
        parameters = self.get_connection_params()
        # Django's cursors are none for a loop.
        del parameters["cursor_factory"]
        connection = await psycopg.AsyncConnection.connect(
            **parameters, autocommit=True
        )
        opened = LoopConnection(connection, self._wants_primary)
        try:
            if self._is_limited and not self._is_shared:
                await opened.rows(_limits(STATEMENT_TIMEOUT, STATEMENT_TIMEOUT))
        except BaseException:
            await opened.close()
            raise
        return opened

    @property
    def _is_limited(self) -> bool:
        # Without a name it is Django's own connection, which makes and drops databases for tests.
        named = self.settings_dict["NAME"] is not None
        return named and bool(self.settings_dict["IS_LIMITED"])

    @property
    def _is_shared(self) -> bool:
        """Tell whether each transaction may have another connection to the server, which was set up by somebody else."""
        return bool(self.settings_dict["IS_SHARED"])

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self._is_limited and self._is_shared:
            self.connection.patience = settings.DATABASE_STATEMENT_TIMEOUT + FROZEN
        elif self._is_limited:
            self._limit(settings.DATABASE_STATEMENT_TIMEOUT)

    def _limit(self, statement: int | None) -> None:
        """Set how many seconds a statement takes at most; None is for ever."""
        self.connection.patience = statement and statement + FROZEN
        limits = _limits(statement, settings.DATABASE_LOCK_TIMEOUT)
        self.connection.execute(limits.sql.encode(), limits.parameters)

    def write_queue(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with transaction.atomic(self.alias), self.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def chunked_cursor(self) -> CursorWrapper:
        # A cursor of the server outlives its transaction on the same connection alone.
        if self._is_shared and not self.in_atomic_block:
            return self.cursor()
        return super().chunked_cursor()

    @contextmanager
    def long_statements(self) -> Iterator[None]:
        self.ensure_connection()
        if not self._is_limited:
            yield
            return
        if self._is_shared:
            with transaction.atomic(), self._patience(None), self.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")
                yield
            return
        with self.wrap_database_errors:
            self._limit(None)
        try:
            yield
        finally:
            self._limit_again()

    def _limit_again(self) -> None:
        if self.connection is None:
            return
        status = self.connection.info.transaction_status
        if status in {TransactionStatus.INERROR, TransactionStatus.UNKNOWN}:
            # The end of the transaction takes back what was set in it; or there is no connection any more.
            self.connection.patience = settings.DATABASE_STATEMENT_TIMEOUT + FROZEN
        else:
            self._limit(settings.DATABASE_STATEMENT_TIMEOUT)

    def is_usable(self) -> bool:
        """Asked before the first statement of each request: a server that is frozen is not waited for long."""
        with self._patience(HEALTH):
            is_trusted = not self.errors_occurred and self.connection.has_just_answered
            is_there = is_trusted or super().is_usable()
            return is_there and not self._is_demoted

    @property
    def _is_demoted(self) -> bool:
        return self._wants_primary and is_read_only(self.connection.info)

    @property
    def _wants_primary(self) -> bool:
        options = self.settings_dict["OPTIONS"]
        return bool(options.get("target_session_attrs") == "read-write")

    @contextmanager
    def _patience(self, seconds: float | None) -> Iterator[None]:
        connection = self.connection
        if connection is None:
            yield
            return
        before, connection.patience = connection.patience, seconds
        try:
            yield
        finally:
            connection.patience = before

    def is_busy(self, error: BaseException | None) -> bool:
        return isinstance(
            error and error.__cause__,
            psycopg.errors.LockNotAvailable
            | psycopg.errors.QueryCanceled
            | psycopg.errors.ReadOnlySqlTransaction
            | psycopg.errors.IdleInTransactionSessionTimeout,
        )

    def missing_limits(self) -> list[str]:
        if not (self._is_limited and self._is_shared):
            return []
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM pg_settings WHERE setting = '0' AND name IN "
                "('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout') ORDER BY name"
            )
            return [name for (name,) in cursor.fetchall()]

    def explain(self, error: Exception) -> Reason:
        return explain(error)

    def check_health(self) -> None:
        with self.cursor() as cursor, self._patience(HEALTH):
            cursor.execute("SELECT FROM polls_question LIMIT 1")

    @contextmanager
    def big_file_lock(self) -> Iterator[bool]:
        # Of the transaction, for a pooler may end the session with it.
        with transaction.atomic(), self.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [BIG_FILE])
            yield cursor.fetchone() == (True,)
