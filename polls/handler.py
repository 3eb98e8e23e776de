"""Django under ASGI with one crossing into a thread for each request.

Stock Django crosses twice for each synchronous middleware, and gives every
request a thread of its own with a database connection of its own. The pages
here are synchronous throughout. So the loop reads the request, one thread of a
small pool runs middleware and view as WSGI would, and the loop sends the
answer. The threads stay, and keep their database connections.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TypeVar

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

# ASGI's messages and scopes are dictionaries of mixed values.
Message = dict[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")


class Handler(ASGIHandler):
    # Past the limit for a form this much is kept, so that Django sees it is too large; the rest is dropped.
    body_kept = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 64 * 1024

    def __init__(self) -> None:
        # In place of ASGIHandler's own, which adapts every middleware to the loop.
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(settings.ASGI_THREADS, "polls")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self.handle(scope, receive, send)
        else:
            raise ValueError(f"This site speaks HTTP, not {scope['type']}.")

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body, size = await self._read(receive)
        except RequestAborted:
            return
        response = await self._in_thread(self._respond, scope, body, size)
        if hasattr(response, "serve"):
            start, serve = _start_message(response), response.serve
            # A stream may stay for hours: what was only needed to begin it goes now.
            del response, body
            await send(start)
            await serve(receive, send)
            return
        try:
            await self.send_response(response, send)
        except OSError:
            # The client has gone. What it asked for is done all the same.
            pass
        finally:
            if response.streaming:
                await self._in_thread(response.close)

    async def _read(self, receive: Receive) -> tuple[BytesIO, int]:
        body, size, more = BytesIO(), 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            chunk = message.get("body", b"")
            body.write(chunk[: max(0, self.body_kept - size)])
            size += len(chunk)
            more = message.get("more_body", False)
        body.seek(0)
        return body, size

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        run = contextvars.copy_context().run
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, run, function, *arguments)

    def _respond(self, scope: Message, body: BytesIO, size: int) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, response = self.create_request(scope, body)
        if request is not None:
            # A chunked body names no length, and Django limits a form by that.
            request.META["CONTENT_LENGTH"] = str(size)
            response = self.get_response(request)
        response._handler_class = self.__class__
        if not response.streaming or hasattr(response, "serve"):
            # All of it is in memory: what it held can go before it is sent.
            response.close()
        elif not response.is_async:
            if isinstance(response, FileResponse):
                response.block_size = self.chunk_size
            response.streaming_content = self._stream(iter(response.streaming_content))
        return response

    async def _stream(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Take each chunk in a thread, as it comes from a file: not always the same thread."""
        while (chunk := await self._in_thread(next, chunks, None)) is not None:
            yield chunk


def _start_message(response: HttpResponseBase) -> Message:
    headers = [(k.lower().encode(), v.encode("latin1")) for k, v in response.items()]
    status = response.status_code
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _lifespan(receive: Receive, send: Send) -> None:
    """Answer the server's start and stop; there is nothing to do at either."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
