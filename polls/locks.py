"""Locks between the processes of one machine: each is a file that whoever holds it has locked."""

import fcntl
import functools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds between two tries: a commit takes a few of them, and the disk is idle from its end to the next try.
PAUSE = 0.0001


@contextmanager
def file_lock(
    path: str, timeout: float | None, keep_open: bool = False
) -> Iterator[None]:
    """Hold the lock at this path; raise TimeoutError if others hold it for so many seconds. None waits for ever.

    `keep_open` leaves the file open for the next time, for a lock that must work while descriptors are short. To the
    threads of one process that is one holder: they need a lock of their own as well.
    """
    file = _opened_once(path) if keep_open else _open(path)
    try:
        _lock(file, timeout)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        if not keep_open:
            os.close(file)


def take_lock(path: str) -> int | None:
    """Return the file of a lock that is held until it is closed, at the latest by the process's end; None if others hold it."""
    file = _open(path)
    try:
        _lock(file, timeout=0)
    except TimeoutError:
        os.close(file)
        return None
    return file


def share_lock(path: str) -> None:
    """Hold the lock of a file that is there, beside others who share it, until the process ends."""
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_SH)


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


_opened_once = functools.cache(_open)


def _lock(file: int, timeout: float | None) -> None:
    if timeout is None:
        fcntl.flock(file, fcntl.LOCK_EX)
        return
    until = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError from None
        time.sleep(PAUSE)
