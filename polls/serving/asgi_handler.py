"""Django under ASGI with one crossing into a thread for each request.

Stock Django crosses twice for each synchronous middleware, and gives every
request a thread of its own with a database connection of its own. The pages
here are synchronous throughout. So the loop reads the request, one thread of a
small pool runs middleware and view as WSGI would, and the loop sends the
answer. The threads stay, and keep their database connections. Pages that are
in memory, and most votes, take no thread at all.

The crossing itself is asgiref's, as everywhere in Django: context variables go
along and come back, and async_to_sync() in a thread leads to this loop again.
So an asynchronous view is awaited here too, while a thread holds the
middleware around it, which is synchronous, as in stock Django. Such threads
are others, so that no page waits for them. All that Django promises is held
against Django's own handler in tests/test_handler_parity.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from io import BytesIO
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import TypeVar
from wsgiref.util import FileWrapper

from asgiref.sync import ThreadSensitiveContext, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted, RequestDataTooBig
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix

from ..voting import group_commit, on_loop
from . import health, spectator_cache
from .event_stream import EventStream, hub
from .server_stop import connection_of

# ASGI's messages and scopes are dictionaries of mixed values.
Message = dict[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """Threads that finish what they were given.

    gunicorn's own worker cancels a request when its client has been gone for a
    while. A vote that was read and waits for a thread counts all the same.
    """

    def submit(self, *call: object, **arguments: object) -> Future:
        future = super().submit(*call, **arguments)
        future.cancel = lambda: False
        return future


class Handler(ASGIHandler):
    # Past the limit for a form this much is kept, so that Django sees it is too large; the rest is dropped.
    body_kept = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 64 * 1024
    # A vote takes a few hundred bytes; the loop is not kept with the reading of a long form.
    on_loop_most = 8 * 1024
    # Requests that may wait for asynchronous views at the same time.
    waiting = 200

    def __init__(self) -> None:
        # In place of ASGIHandler's own, which adapts every middleware to the loop. The queue for the threads
        # is as long as the server lets it be: each request in it holds a connection of the server's.
        self.load_middleware(is_async=False)
        self._threads = Threads(settings.ASGI_THREADS, "polls")
        self._answer = _crossing(self._respond, self._threads)
        self._health_thread = Threads(1, "polls-health")
        self._answer_alone = _crossing(self._respond, self._health_thread)
        self._await = _crossing(
            self._respond_apart, ThreadPoolExecutor(self.waiting, "polls-waiting")
        )
        self._known_view = lru_cache(maxsize=1024)(_view)
        self._empty = _crossing(group_commit.flush, self._threads)
        # The ballots of all votes that are answered on the loop are written by one thread at a time.
        self._emptying: asyncio.Future[None] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            # The handshake is refused: servers make it a 403.
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise ValueError(f"This site speaks HTTP, not {scope['type']}.")

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        known = self._from_memory(scope)
        if known:
            with suppress(OSError):
                await self.send_response(known, send)
            return
        try:
            body, size = await self._read(receive)
        except RequestAborted:
            return
        view = self._view(scope)
        if iscoroutinefunction(view):
            await _until_gone(receive, self._await_and_send(scope, body, size, send))
            return
        response = await self._way(view, size)(scope, body, size)
        if isinstance(response, EventStream):
            if not hub.enter():
                await self._send(_no_stream(), send)
                connection_of(receive).close()
                return
            subscription = response.subscription
            try:
                await self._begin(response, send)
                # A stream may stay for hours: what was only needed to begin it goes now.
                del response, body
                await hub.watch(subscription, receive, send)
            finally:
                hub.leave()
        elif response.closed:
            await self._send(response, send)
        else:
            await _until_gone(receive, self._send(response, send))

    def _way(
        self, view: Callable[..., object] | None, size: int
    ) -> Callable[..., Awaitable[HttpResponseBase]]:
        """Return where a request is answered: on the loop, in a thread of the pool, or in one apart from it."""
        if on_loop.is_apart(view):
            return self._answer_apart
        is_short = size <= self.on_loop_most
        if is_short and on_loop.runs_on_loop(view) and not on_loop.others_listen():
            return self._answer_on_loop
        return self._answer

    def _from_memory(self, scope: Message) -> HttpResponseBase | None:
        """Return an answer that needs no thread: what every visitor without a cookie gets in this second."""
        has_cookie = any(name == b"cookie" for name, _ in scope["headers"])
        if has_cookie or on_loop.others_listen():
            return None
        request, _ = self.create_request(scope, BytesIO())
        return spectator_cache.answer(request) if request else None

    def _view(self, scope: Message) -> Callable[..., object] | None:
        path = scope["path"].removeprefix(get_script_prefix(scope))
        # Those that strangers make up, as long as they like, are not kept.
        return self._known_view(path) if len(path) < 100 else _view(path)

    async def _answer_on_loop(
        self, scope: Message, body: BytesIO, size: int
    ) -> HttpResponseBase:
        """Answer a vote without a thread, once its ballot is written, or else in a thread after all."""
        attempt = on_loop.LoopAttempt()
        token = on_loop.attempt.set(attempt)
        try:
            # A copy: the request closes what it has read.
            response = self._attempt(attempt, scope, BytesIO(body.getvalue()), size)
            if attempt.submitted:
                self._see_to_writing()
            if await attempt.all_written() and response:
                return response
            return await self._answer(scope, body, size)
        finally:
            on_loop.attempt.reset(token)

    def _attempt(
        self, attempt: on_loop.LoopAttempt, *request: object
    ) -> HttpResponseBase | None:
        try:
            with attempt.without_database():
                response = self._respond(*request)
        except (on_loop.NeedsDatabase, Exception):
            # Whatever else Django makes no page of is raised again in the thread, if it was not of the loop alone.
            return None
        # So with an error page. But once a ballot is submitted it is the answer, as anywhere.
        broke = response.status_code >= 500 and not attempt.submitted
        return None if broke or attempt.needed_database else response

    async def _answer_apart(self, *request: object) -> HttpResponseBase:
        """Answer in the one thread that all such requests share."""
        token = health.came_at.set(time.monotonic())
        try:
            return await self._answer_alone(*request)
        finally:
            health.came_at.reset(token)

    def _see_to_writing(self) -> None:
        """Have the ballots that wait written by one thread at a time."""
        if not self._emptying or self._emptying.done():
            self._emptying = asyncio.ensure_future(self._empty_all())

    async def _empty_all(self) -> None:
        # To the last one, also of a request that was cancelled meanwhile.
        while group_commit.has_pending():
            try:
                await self._empty()
            except Exception as error:
                # Each of them raises it in its own answer.
                group_commit.give_up(error)

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
        if size > self.body_kept:
            body = _Beginning(body.getvalue())
        body.seek(0)
        return body, size

    def _respond(self, scope: Message, body: BytesIO, size: int) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, response = self.create_request(scope, body)
        if request is not None:
            if size:
                # A chunked body names no length, and Django limits a form by that.
                request.META["CONTENT_LENGTH"] = str(size)
            response = self.get_response(request)
        response._handler_class = self.__class__
        try:
            in_memory = self._take(response)
        except BaseException:
            response.close()
            raise
        if in_memory:
            # What it held can go before it is sent.
            response.close()
        return response

    def _respond_apart(self, *request: object) -> HttpResponseBase:
        try:
            return self._respond(*request)
        except asyncio.CancelledError:
            # The view was told that the client has gone; there is no response to close.
            signals.request_finished.send(sender=self.__class__)
            raise
        finally:
            # These threads are many and mostly idle. They keep no connection.
            connections.close_all()

    def _take(self, response: HttpResponseBase) -> bool:
        """Take the content where the view ran, as far as it can be; tell whether that is all of it."""
        if not response.streaming or isinstance(response, EventStream):
            return True
        if response.is_async:
            return False
        if not getattr(response, "file_to_stream", None):
            _spool(response)
        response.block_size = self.chunk_size
        chunks = iter(response)
        first = list(islice(chunks, 2))
        response.streaming_content = self._chunks(first, chunks)
        return len(first) < 2

    async def _chunks(
        self, first: list[bytes], rest: Iterator[bytes]
    ) -> AsyncIterator[bytes]:
        for chunk in first:
            yield chunk
        while len(first) == 2 and (chunk := await self._in_thread(next, rest, b"")):
            yield chunk

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run this in a thread to its end, cancelled or not: no file is closed while it is read."""
        call = asyncio.ensure_future(_crossing(function, self._threads)(*arguments))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call])
            raise

    async def _await_and_send(
        self, scope: Message, body: BytesIO, size: int, send: Send
    ) -> None:
        await self._send(await self._await(scope, body, size), send)

    async def _send(self, response: HttpResponseBase, send: Send) -> None:
        if response.closed:
            # If the client has gone, what it asked for is done all the same.
            with suppress(OSError):
                await self.send_response(response, send)
            return
        try:
            # What an asynchronous stream asks the database has a thread while it lasts, as in Django.
            async with ThreadSensitiveContext(), _ended(response):
                await self.send_response(response, send)
        finally:
            await self._in_thread(response.close)

    async def _begin(self, response: HttpResponseBase, send: Send) -> None:
        """Send status, headers and cookies as Django writes them; the body comes from elsewhere."""

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)

        response.streaming_content = self._chunks([], iter([]))
        await self.send_response(response, without_body)


class _Beginning(BytesIO):
    """The part that was kept of a body too large: whoever reads on is told so, and takes it for no whole."""

    def read(self, size: int | None = -1) -> bytes:
        return self._unless_at_end(super().read(size))

    def readline(self, size: int | None = -1) -> bytes:
        return self._unless_at_end(super().readline(size))

    def _unless_at_end(self, data: bytes) -> bytes:
        if self.tell() == self.getbuffer().nbytes:
            raise RequestDataTooBig("The request body is larger than this site takes.")
        return data


def _crossing(
    function: Callable[..., T], threads: ThreadPoolExecutor
) -> Callable[..., Awaitable[T]]:
    return sync_to_async(function, thread_sensitive=False, executor=threads)


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
async def _ended(response: StreamingHttpResponse) -> AsyncIterator[None]:
    """End the generator of a stream with it: Django leaves it to the garbage collector."""
    try:
        yield
    finally:
        if hasattr(response._iterator, "aclose"):
            await response._iterator.aclose()


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


def _view(path: str) -> Callable[..., object] | None:
    try:
        return resolve(path).func
    except Resolver404:
        return None


def _no_stream() -> HttpResponse:
    """Say that nothing is streamed, and close the connection; the page asks for results.json instead."""
    response = HttpResponse(status=204, headers={"Connection": "close"})
    response.close()
    return response


async def _lifespan(receive: Receive, send: Send) -> None:
    """Answer the server's start and stop; there is nothing to do at either."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
