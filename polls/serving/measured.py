"""Django's handlers for WSGI and ASGI, which count their answers for /metrics: how long each took, and what it was.

Where METRICS_TOKEN is not set, nobody makes them.
"""

import functools
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.core.handlers.asgi import get_script_prefix
from django.core.handlers.wsgi import WSGIHandler
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from .. import metrics
from .asgi_handler import Handler
from .decorators import kept_by_path
from .on_loop import Place
from .server_stop import Message
from .threads import Threads

P = ParamSpec("P")
T = TypeVar("T")


@kept_by_path
def view_at(path: str) -> str:
    """Return the name of the view at this path; those of the admin have one together, and so have files."""
    if path.startswith(settings.STATIC_URL):
        return "static"
    try:
        match = resolve(path)
    except Resolver404:
        return "nowhere"
    if path.startswith("/admin/"):
        return "admin"
    return match.view_name if match.url_name else "other"


class MeasuredThreads(Threads):
    def submit(
        self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        return super().submit(_busy, functools.partial(call, *args, **kwargs))


def _busy(call: Callable[[], T]) -> T:
    metrics.count_busy_thread(1)
    try:
        return call()
    finally:
        metrics.count_busy_thread(-1)


class MeasuredHandler(Handler):
    """Counts from when a request is read to when its answer is made: not how fast the client reads or writes."""

    threads_class = MeasuredThreads

    def __init__(self) -> None:
        super().__init__()
        metrics.tell_threads(settings.ASGI_THREADS)

    def _from_memory(self, scope: Message) -> HttpResponseBase | None:
        began = time.perf_counter()
        response = super()._from_memory(scope)
        if response:
            self._count(scope, response, began)
        return response

    async def _answer(
        self, place: Place, scope: Message, body: bytes, size: int
    ) -> HttpResponseBase:
        began = time.perf_counter()
        response = await super()._answer(place, scope, body, size)
        self._count(scope, response, began)
        return response

    def _count(self, scope: Message, response: HttpResponseBase, began: float) -> None:
        path = scope["path"].removeprefix(get_script_prefix(scope))
        metrics.count_answer(view_at(path), response.status_code, began)


class MeasuredWSGIHandler(WSGIHandler):
    """Counts each answer, and itself as a thread at work: a server has one for each request that it has taken."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        began = time.perf_counter()
        metrics.count_busy_thread(1)
        try:
            response = super().__call__(environ, start_response)
        finally:
            metrics.count_busy_thread(-1)
        path = environ.get("PATH_INFO", "")
        metrics.count_answer(view_at(path), response.status_code, began)
        return response
