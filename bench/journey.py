"""What every voter does, as a load: the ballot page, the vote, and then the own results, each time as somebody new.

A client on uvloop without an HTTP library. It keeps a connection where the
server does, opens a new one where the server has closed it, and carries the
cookies and hidden fields that it was given.
"""

import asyncio
import re
import time
import urllib.parse
from dataclasses import dataclass, field

import uvloop

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
RADIO = re.compile(r'name="choice"[^>]* value="(\d+)"')
COOKIE = re.compile(r"^set-cookie: *([^;\r]+)", re.M | re.I)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
HEADERS = "{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n"


class Refused(Exception):
    """An answer is not the one that a voter expects."""


@dataclass
class Journeys:
    seconds: list[float] = field(default_factory=list)
    # Votes that were answered with 302, and what went wrong.
    accepted: int = 0
    problems: list[str] = field(default_factory=list)


class Answers(asyncio.Protocol):
    """One connection; one answer at a time."""

    def __init__(self) -> None:
        self.data, self.answer = b"", asyncio.get_running_loop().create_future()
        self.open = True

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if end and length and len(body) >= int(length[1]) and not self.answer.done():
            self.open = b"connection: close" not in head.lower()
            self.answer.set_result((head.decode(), body.decode()))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if not self.answer.done():
            self.answer.set_exception(ConnectionResetError("no answer"))

    async def ask(self, request: bytes) -> tuple[str, str]:
        self.data, self.answer = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await asyncio.wait_for(self.answer, 60)


class Visitor:
    """Somebody new for each journey, on a connection of the one before."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: Answers | None = None
        self.cookies: dict[str, str] = {}

    async def ask(self, status: int, method: str, path: str, body: str = "") -> str:
        """Return the body, of a redirect the address. Raises Refused for another status."""
        if not (self.connection and self.connection.open):
            loop = asyncio.get_running_loop()
            connect = loop.create_connection(Answers, "127.0.0.1", self.port)
            _, self.connection = await connect
        head, text = await self.connection.ask(self._request(method, path, body))
        self.cookies |= dict(each.split("=", 1) for each in COOKIE.findall(head))
        if not self.connection.open:
            self.connection.transport.close()
        if int(head[9:12]) != status:
            raise Refused(f"{method} {path} answered {head[9:12]}")
        place = re.search(r"^location: *([^\r]+)", head, re.M | re.I)
        return place[1] if place else text

    def _request(self, method: str, path: str, body: str) -> bytes:
        text = HEADERS.format(method, path, self.port)
        if self.cookies:
            cookies = "; ".join(f"{name}={v}" for name, v in self.cookies.items())
            text += f"Cookie: {cookies}\r\n"
        if body:
            text += "Content-Type: application/x-www-form-urlencoded\r\n"
            text += f"Content-Length: {len(body)}\r\n"
        return f"{text}\r\n{body}".encode()

    async def journey(self, question: int, turn: int, done: Journeys) -> None:
        self.cookies.clear()
        page = await self.ask(200, "GET", f"/polls/{question}/")
        form = page.partition(f"/polls/{question}/vote/")[2].partition("</form>")[0]
        choices = RADIO.findall(form)
        fields = dict(HIDDEN.findall(form)) | {"choice": choices[turn % len(choices)]}
        body = urllib.parse.urlencode(fields)
        place = await self.ask(302, "POST", f"/polls/{question}/vote/", body)
        done.accepted += 1
        await self.ask(200, "GET", place)


async def _load(port: int, question: int, visitors: int, seconds: float) -> Journeys:
    done, until = Journeys(), time.monotonic() + seconds

    async def one_after_another(number: int) -> None:
        visitor, turn = Visitor(port), number
        while (began := time.monotonic()) < until:
            try:
                await visitor.journey(question, turn, done)
                done.seconds.append(time.monotonic() - began)
            except (OSError, Refused, TimeoutError) as error:
                done.problems.append(str(error))
            turn += 1

    await asyncio.gather(*map(one_after_another, range(visitors)))
    return done


def load(port: int, question: int, visitors: int, seconds: float) -> Journeys:
    """Have so many voters at once on their way for so long; all that set out arrive."""
    return uvloop.run(_load(port, question, visitors, seconds))
