"""So many requests a second, however long the answers take: what a voter waits on a site that is at work.

Each request has its moment, and its delay counts from then: a server that falls
behind is given no time to catch up. It takes a connection that is free, or else
a new one.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop

from bench.journey import Answers


@dataclass(frozen=True)
class Ask:
    message: bytes
    status: int
    is_vote: bool = False


@dataclass
class Answered:
    # Of the votes, in seconds.
    delays: list[float] = field(default_factory=list)
    count: int = 0
    problems: list[str] = field(default_factory=list)


async def _answer(free: list[Answers], port: int, message: bytes) -> str:
    """Return the head of the answer, and leave a connection that stays open to the next request."""
    while free:
        connection = free.pop()
        if connection.open:
            break
    else:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Answers, "127.0.0.1", port)
    head, _ = await connection.ask(message)
    if connection.open:
        free.append(connection)
    else:
        connection.transport.close()
    return head


async def _load(port: int, asks: Iterator[Ask], rate: int, seconds: float) -> Answered:
    done, free, began = Answered(), list[Answers](), time.monotonic()

    async def ask(one: Ask, due: float) -> None:
        try:
            head = await _answer(free, port, one.message)
        except (OSError, TimeoutError) as error:
            done.problems.append(str(error))
            return
        done.count += 1
        if int(head[9:12]) != one.status:
            done.problems.append(f"{one.message[:40]!r} answered {head[9:12]}")
        elif one.is_vote:
            done.delays.append(time.monotonic() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            group.create_task(ask(next(asks), due))
    for connection in free:
        connection.transport.close()
    return done


def load(port: int, asks: Iterator[Ask], rate: int, seconds: float) -> Answered:
    return uvloop.run(_load(port, asks, rate, seconds))
