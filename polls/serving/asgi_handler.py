"""Django under ASGI with one crossing into a thread for each request.

Stock Django crosses twice for each synchronous middleware, and gives every
request a thread of its own with a database connection of its own. The pages
here are synchronous throughout. So the loop reads the request, one thread of a
small pool runs middleware and view as WSGI would, and the loop sends the
answer. The threads stay, and keep their database connections. Most requests take
none of them: pages that are in memory; those that lack a few rows, which the
loop reads; and votes that need nothing else, whose ballots one more thread
writes. A coroutine for a view is stock Django's to answer.

All that Django promises is held against its own handler in
tests/test_handler_parity.py.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import cached_property, partial
from io import BytesIO
from itertools import islice
from tempfile import SpooledTemporaryFile
from wsgiref.util import FileWrapper

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted, SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import Error, connections
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve, set_script_prefix

from ..voting.loop_attempt import LoopAttempt, current_attempt
from . import health, own_pages, request_id, spectator_cache
from .decorators import kept_by_path
from .event_stream import EventStream, hub
from .languages import ONLY_COOKIE
from .loop_reader import LoopReader
from .on_loop import Place, others_listen, place_of
from .server_stop import Message, Receive, Send, connection_of
from .threads import Threads

logger = logging.getLogger(__name__)

# As servers hand it on.
ONLY_COOKIE_SENT = frozenset(cookie.encode() for cookie in ONLY_COOKIE)

# What a thread meets again, and then waits, or has a page for it.
NEEDS_THREAD = Error, OSError, SynchronousOnlyOperation


class Handler(ASGIHandler):
    # A vote takes a few hundred bytes; the loop is not kept with the reading of a long form.
    max_body_on_loop = 8 * 1024
    threads_class = Threads

    def __init__(self) -> None:
        # In place of ASGIHandler's own, which adapts every middleware to the loop. The queue for the threads
        # is as long as the server lets it be: each request in it holds a connection of the server's.
        self.load_middleware(is_async=False)
        self.threads = self.threads_class(settings.ASGI_THREADS, "polls")
        self.own_thread = Threads(1, "polls-own")
        # Of the ballots of the loop. Any of several would do, but each has a connection, and PostgreSQL caches for each what
        # it needs to write: with one of eight a vote took a quarter longer.
        self.writer = Threads(1, "polls-writer")
        self._respond_in_thread = self.threads.crossing(self._respond)
        self._respond_in_own_thread = self.own_thread.crossing(self._respond)
        self._match = kept_by_path(resolve)
        self.reader = LoopReader()

    @cached_property
    def _stock_handler(self) -> ASGIHandler:
        return ASGIHandler()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            # The handshake is refused: servers make it a 403.
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise ValueError(f"This site speaks HTTP, not {scope['type']}.")

    async def _live(self, receive: Receive, send: Send) -> None:
        """Answer the server's start, and its stop, when no request is left."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._end_connections()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _end_connections(self) -> None:
        """SQLite moves its log into the database when the last connection is closed, not when a process ends by a signal."""
        for threads in (self.threads, self.own_thread, self.writer):
            threads.shutdown()
        await self.reader.close()
        # The connection of a thread goes with it, once it is found that nobody else knows it.
        gc.collect()

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        known = self._from_memory(scope)
        if known:
            await self._send(known, send)
            return
        place = self._place(scope)
        if place is Place.DJANGO:
            await self._leave_to_django(scope, receive, send)
            return
        try:
            body, size = await _read(receive)
        except RequestAborted:
            return
        response = await self._answer(place, scope, body, size)
        if isinstance(response, EventStream):
            # A stream may stay for hours: what is only needed to begin it goes before.
            streaming = self._stream_live(response, receive, send)
            del response, body
            await streaming
        elif response.closed or not response.streaming:
            await self._send(response, send)
        else:
            await _until_gone(receive, self._send_stream(response, send))

    def _from_memory(self, scope: Message) -> HttpResponseBase | None:
        """Return an answer that needs no thread: what every visitor without a cookie, but for the language's, gets in this second."""
        # Most visitors are told from spectators before a request is made.
        has_cookie = any(
            name == b"cookie" and value not in ONLY_COOKIE_SENT
            for name, value in scope["headers"]
        )
        if has_cookie or others_listen():
            return None
        request, _ = self.create_request(scope, BytesIO())
        response = spectator_cache.answer(request) if request else None
        if request and response:
            response[request_id.HEADER] = request_id.id_of(request.META)
        return response

    def _place(self, scope: Message) -> Place:
        try:
            match = self._match(scope["path"].removeprefix(get_script_prefix(scope)))
        except Resolver404:
            return Place.POOL
        return place_of(match.func)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Do as Django does, which goes through the patterns for each request: a thirtieth of a vote."""
        if hasattr(request, "urlconf"):
            # A middleware has chosen other patterns for this request.
            return super().resolve_request(request)
        request.resolver_match = match = self._match(request.path_info)
        return match

    async def _leave_to_django(
        self, scope: Message, receive: Receive, send: Send
    ) -> None:
        async with ThreadSensitiveContext():
            try:
                await self._stock_handler(dict(scope), receive, send)
            finally:
                # The thread of this context ends with it, and its connections are not to be kept.
                await sync_to_async(connections.close_all)()

    async def _answer(
        self, place: Place, scope: Message, body: bytes, size: int
    ) -> HttpResponseBase:
        if place is Place.OWN_THREAD:
            return await self._answer_in_own_thread(scope, body, size)
        if place is Place.POOL and scope["method"] in {"GET", "HEAD"}:
            known = await self._own_page(scope)
            if known:
                return known
        is_short = size <= self.max_body_on_loop
        if place is Place.LOOP and is_short and not others_listen():
            return await self._answer_on_loop(scope, body, size)
        return await self._respond_in_thread(scope, body, size)

    async def _own_page(self, scope: Message) -> HttpResponseBase | None:
        """Return a page whose words are in memory, with what the database says; None if a thread is to answer."""
        if others_listen():
            return None
        request, refusal = self.create_request(scope, BytesIO())
        if not request:
            return refusal
        reading = own_pages.answer(request)
        if not reading:
            return None
        try:
            response = await self.reader.read(reading)
        except NEEDS_THREAD:
            return None
        except Exception:
            # Nobody sees a blank page: a thread has one of the site's for it.
            logger.exception("A page could not be read on the event loop.")
            return None
        if response:
            response = spectator_cache.as_asked_for(request, response)
            response[request_id.HEADER] = request_id.id_of(request.META)
        return response

    async def _answer_in_own_thread(
        self, scope: Message, body: bytes, size: int
    ) -> HttpResponseBase:
        """Answer in the one thread that all such requests share."""
        with health.came_now():
            return await self._respond_in_own_thread(scope, body, size)

    async def _answer_on_loop(
        self, scope: Message, body: bytes, size: int
    ) -> HttpResponseBase:
        """Answer a vote without a thread, once its ballot is written, or else in a thread after all."""
        attempt = LoopAttempt(self.writer)
        token = current_attempt.set(attempt)
        try:
            response = attempt.run(partial(self._respond_on_loop, scope, body, size))
            if await attempt.all_written() and response:
                return response
            return await self._respond_in_thread(scope, body, size)
        finally:
            current_attempt.reset(token)

    def _respond(self, scope: Message, body: bytes, size: int) -> HttpResponseBase:
        """Run middleware and view in a thread, and tell who listens when a request starts and finishes."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        response = self._run(scope, body, size)
        # Django's own, by which it names the sender of request_finished.
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        try:
            in_memory = self._take(response)
        except BaseException:
            response.close()
            raise
        if in_memory:
            # What it held can go before it is sent.
            response.close()
        return response

    def _respond_on_loop(
        self, scope: Message, body: bytes, size: int
    ) -> HttpResponseBase:
        """Run middleware and view without request_started and request_finished: Django alone receives them, and closes database
        connections then, of which the loop has none.
        """
        set_script_prefix(get_script_prefix(scope))
        return self._run(scope, body, size)

    def _run(self, scope: Message, body: bytes, size: int) -> HttpResponseBase:
        request, refusal = self.create_request(scope, BytesIO(body))
        if request and size:
            # A chunked body names no length, and Django limits a form by that.
            request.META["CONTENT_LENGTH"] = str(size)
        response = self.get_response(request) if request else refusal
        # There is the one or the other.
        assert response
        return response

    def _take(self, response: HttpResponseBase) -> bool:
        """Read the content in the thread of the view, the beginning of a long one; return whether that was all of it."""
        if not isinstance(response, StreamingHttpResponse):
            return True
        if isinstance(response, EventStream):
            return True
        if response.is_async:
            return False
        if isinstance(response, FileResponse) and response.file_to_stream:
            response.block_size = self.chunk_size
        else:
            _spool(response)
        chunks = iter(response)
        first = list(islice(chunks, 2))
        response.streaming_content = self._chunks(first, chunks)
        return len(first) < 2

    async def _chunks(
        self, first: list[bytes], rest: Iterator[bytes]
    ) -> AsyncIterator[bytes]:
        for chunk in first:
            yield chunk
        while len(first) == 2 and (
            chunk := await self.threads.run_to_its_end(next, rest, b"")
        ):
            yield chunk

    async def _send(self, response: HttpResponseBase, send: Send) -> None:
        # If the client has gone, what it asked for is done all the same.
        with suppress(OSError):
            await self.send_response(response, send)

    async def _send_stream(self, response: HttpResponseBase, send: Send) -> None:
        try:
            # What an asynchronous stream asks the database has a thread while it lasts, as in Django.
            async with ThreadSensitiveContext(), _ended(response):
                await self.send_response(response, send)
        finally:
            await self.threads.run_to_its_end(response.close)

    async def _stream_live(
        self, response: EventStream, receive: Receive, send: Send
    ) -> None:
        if not hub.enter():
            await self._send(_no_stream(), send)
            connection_of(receive).close()
            return
        subscription = response.subscription
        try:
            await self._begin(response, send)
            del response
            await hub.watch(subscription, receive, send)
        finally:
            hub.leave()

    async def _begin(self, response: EventStream, send: Send) -> None:
        """Send status, headers and cookies as Django writes them; the body comes from elsewhere."""

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)

        response.streaming_content = self._chunks([], iter([]))
        await self.send_response(response, without_body)


async def _read(receive: Receive) -> tuple[bytes, int]:
    """Return the body and its size. Of one over the limit nothing is kept: the middleware refuses it by its size."""
    body, size, more = BytesIO(), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestAborted
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            body.write(chunk)
        else:
            body = BytesIO()
        more = message.get("more_body", False)
    return body.getvalue(), size


def _spool(response: StreamingHttpResponse) -> None:
    """Run a stream that is no file to its end, as Django does, but keep what is much on disk.

    It may hold a cursor of this thread's connection, so no other thread can go
    on with it; and this one cannot wait for a client that is slow.
    """
    chunks = iter(response)
    file = SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
    response.streaming_content = FileWrapper(file, Handler.chunk_size)
    for chunk in chunks:
        file.write(chunk)
    file.seek(0)


@asynccontextmanager
async def _ended(response: HttpResponseBase) -> AsyncIterator[None]:
    """End the generator of a stream with it: Django leaves it to the garbage collector."""
    try:
        yield
    finally:
        aclose = getattr(getattr(response, "_iterator", None), "aclose", None)
        if aclose:
            await aclose()


async def _until_gone(receive: Receive, work: Awaitable[None]) -> None:
    """Do what is of use only while the client is there: after the body, nothing can come but its leaving."""
    left, working = tasks = [asyncio.ensure_future(do) for do in (receive(), work)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left.cancel()
        working.cancel()
        await asyncio.wait(tasks)
    if not working.cancelled():
        working.result()


def _no_stream() -> HttpResponse:
    """Say that nothing is streamed, and close the connection; the page asks for results.json instead."""
    response = HttpResponse(status=204, headers={"Connection": "close"})
    response.close()
    return response
