"""Slots to hash a password, for all workers of this machine.

A hash takes a core as long as hundreds of votes, on purpose. So few are made at the same time, few more wait for that,
and who finds no slot is told so at once, while everybody else is served.
"""

import hmac
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest

from ..locks import file_lock

# A hash keeps one core busy. As many may wait as are hashed; and as many more who have logged in before.
HASHED = WAITING = RESERVED = max(1, (os.cpu_count() or 2) // 2)
# Seconds that they wait; under ASGI it costs no process, but a thread of the pool.
PATIENCE = 3.0
PATIENCE_ASGI = 10.0
# So in each worker half of the threads stay free for pages and votes, and one is for those who have logged in before.
_threads = threading.BoundedSemaphore(max(1, settings.ASGI_THREADS // 2 - 1))
_reserved_thread = threading.BoundedSemaphore(1)


@contextmanager
def hash_slot(request: HttpRequest, is_known: bool) -> Iterator[bool]:
    """Hold a slot, after a wait perhaps; False if there is none. Who `is_known` has logged in before."""
    take = _take_under_asgi if isinstance(request, ASGIRequest) else _take
    with ExitStack() as held:
        yield take(held, is_known)


def _take(held: ExitStack, is_known: bool) -> bool:
    if _lock_one_of(held, "hashed", HASHED):
        return True
    with ExitStack() as waiting:
        may_wait = _lock_one_of(waiting, "waiting", WAITING) or (
            is_known and _lock_one_of(waiting, "reserved", RESERVED)
        )
        return may_wait and _lock_one_of(held, "hashed", HASHED, PATIENCE)


def _take_under_asgi(held: ExitStack, is_known: bool) -> bool:
    may_wait = _enter(held, _threads) or is_known and _enter(held, _reserved_thread)
    # Who is known has few chances among so many, and looks more often.
    pause = 0.005 if is_known else 0.05
    return may_wait and _lock_one_of(held, "hashed", HASHED, PATIENCE_ASGI, pause)


def _enter(held: ExitStack, room: threading.BoundedSemaphore) -> bool:
    if not room.acquire(blocking=False):
        return False
    held.callback(room.release)
    return True


def _lock_one_of(
    held: ExitStack, kind: str, number: int, timeout: float = 0, pause: float = 0.02
) -> bool:
    until = time.monotonic() + timeout
    while True:
        for n in range(number):
            with suppress(TimeoutError):
                held.enter_context(file_lock(f"{_files()}.{kind}{n}", timeout=0))
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(pause)


def _files() -> str:
    """Return how the names of the locks begin: in a folder that every server has, and as nobody else can guess."""
    site = f"{os.getuid()} {connection.settings_dict['NAME']}".encode()
    name = hmac.digest(settings.SECRET_KEY.encode(), site, "sha256").hex()[:32]
    return f"{tempfile.gettempdir()}/polls-{name}"
