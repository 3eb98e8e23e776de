"""Requests to an ASGI handler in the test's own process, as a server would make them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpResponse

from polls.models import Choice
from polls.serving.asgi_handler import Handler
from polls.voting.identity import COOKIE, remember_identity
from tests.support.handler_site import events, note

FORM = {"content-type": "application/x-www-form-urlencoded"}
TOKEN = "a" * 32


@dataclass
class Visit:
    """One request and its client, who takes so many messages, and may leave when `events` has a word."""

    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: list[bytes] = field(default_factory=list)
    scope: dict[str, Any] = field(default_factory=dict)
    takes: int = 10**9
    leaves_at: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    left: bool = False
    messages: list[dict[str, Any]] = field(init=False)

    async def to(self, handler: Callable[..., Awaitable[None]]) -> "Visit":
        path, _, query = self.path.partition("?")
        named = {"host": "localhost"} | self.headers
        headers = [(k.encode(), v.encode("latin1")) for k, v in named.items()]
        scope: dict[str, Any] = {"type": "http", "method": self.method, "path": path}
        scope |= {"query_string": query.encode("latin1"), "headers": headers}
        self.messages = [
            {"type": "http.request", "body": chunk, "more_body": True}
            for chunk in self.body
        ]
        if self.leaves_at != "upload":
            self.messages.append({"type": "http.request"})
        await handler(scope | self.scope, self.receive, self.send)
        return self

    async def receive(self) -> dict[str, Any]:
        if self.messages:
            return self.messages.pop(0)
        while self.leaves_at not in [*events, "upload"]:
            await asyncio.sleep(0.001)
        self.left = True
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if len(self.sent) == self.takes:
            note("client is full")
            while not self.left:
                await asyncio.sleep(0.001)
        # As uvicorn and gunicorn do, what is sent to nobody is dropped.
        if not self.left:
            self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers_sent(self) -> list[tuple[bytes, object]]:
        """Return them as they came, but for the name of the request; django-csp alone writes its policy in any order."""
        return sorted(
            (name, sorted(value.split(b"; ")) if b"policy" in name.lower() else value)
            for name, value in self.sent[0]["headers"]
            if name.lower() != b"x-request-id"
        )

    @property
    def text(self) -> str:
        return b"".join(m.get("body", b"") for m in self.sent[1:]).decode()

    @property
    def answer(self) -> tuple[object, ...] | None:
        if not self.sent:
            return None
        ended = not self.sent[-1].get("more_body", False)
        return self.status, self.headers_sent, self.text, ended


def vote(choice: Choice, voter: str = "", token: str = TOKEN, form: str = "") -> Visit:
    cookies = f"csrftoken={TOKEN}"
    if voter:
        response = HttpResponse()
        remember_identity(response, choice.question, voter)
        cookies += f"; {COOKIE}={response.cookies[COOKIE].value}"
    body = f"csrfmiddlewaretoken={token}&choice={choice.pk}{form}".encode()
    headers = FORM | {"cookie": cookies, "content-length": str(len(body))}
    to = f"/polls/{choice.question_id}/vote/"
    return Visit(to, "POST", headers, [body])


def send(handler: Handler, *visits: Visit, within: float | None = None) -> list[int]:
    """Send all at the same moment; return the statuses. Raises TimeoutError after so many seconds."""

    async def all_of_them() -> None:
        async with asyncio.timeout(within):
            await asyncio.gather(*(visit.to(handler) for visit in visits))

    async_to_sync(all_of_them)()
    return [visit.sent[0]["status"] for visit in visits]
