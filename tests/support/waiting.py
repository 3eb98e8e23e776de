"""Wait for a condition, never for a time."""

import asyncio
import time
from collections.abc import Callable


def wait_until(
    so: Callable[[], object], seconds: float = 30, every: float = 0.01
) -> None:
    """Look so often, in seconds. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, "It never came to be so."
        time.sleep(every)


async def until(so: Callable[[], object], seconds: float = 30) -> None:
    """Wait on the loop. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not so():
            await asyncio.sleep(0.001)
