"""What is kept in memory for a second: pages for visitors who come without a cookie, and polls to vote on.

A thousand spectators cost as much as one. Whoever has voted, or logged in, or
opened a ballot page before carries a cookie and is answered from the database,
so that what a person has just done that person sees at once, on any worker.
A vote is held against the question once more when it is written.

The middleware is the outermost one; under ASGI the handler looks here before it
crosses into a thread.
"""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

# Seconds, from before the database was asked.
KEPT = 1
# All is dropped when the memory is full: nothing in it was to stay for long.
MOST = 512
LARGEST = 64 * 1024
# In Django's test environment nothing is kept, for there each test has a database of its own. A test may ask for it.
KEPT_IN_TESTS = False

T = TypeVar("T")
View = Callable[..., HttpResponseBase]

_memory: dict[object, tuple[float, object]] = {}


def keeps() -> bool:
    """Tell whether this process may keep what it has read. Only Django's test environment has an outbox for mail."""
    return KEPT_IN_TESTS or not hasattr(mail, "outbox")


def _find(key: object) -> object:
    until, found = _memory.get(key, (0, None))
    return found if time.monotonic() < until else None


def _keep(key: object, found: object, since: float) -> None:
    if not keeps():
        return
    if len(_memory) >= MOST:
        _memory.clear()
    _memory[key] = since + KEPT, found


def forget() -> None:
    _memory.clear()


def recent(key: object, make: Callable[[], T]) -> T:
    """Return what `make` returned, at most a second ago."""
    found = _find(key)
    if found is None:
        since = time.monotonic()
        found = make()
        _keep(key, found, since)
    return found


class _Answer(NamedTuple):
    content: bytes
    headers: dict[str, str]
    renew: Callable[[HttpResponse], None] | None


def for_everyone(view: View) -> View:
    """Mark what the next visitor without a cookie may get too.

    A view sets `renew` on its response to put in what must be another for each
    visitor: a token, a cookie.
    """

    @functools.wraps(view)
    def inner(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.for_everyone = True
        return response

    return inner


def _key(request: HttpRequest) -> tuple[str, ...]:
    host = request.META.get("HTTP_HOST", "")
    return request.method, str(request.scheme), host, request.get_full_path()


def _is_spectator(request: HttpRequest) -> bool:
    return request.method in {"GET", "HEAD"} and not request.META.get("HTTP_COOKIE")


def answer(request: HttpRequest) -> HttpResponseBase | None:
    """Return the answer to this request, if it is known."""
    found = _find(_key(request)) if _is_spectator(request) else None
    if not found:
        return None
    response = HttpResponse(found.content, headers=found.headers)
    if found.renew:
        found.renew(response)
    return _conditional(request, response)


def _conditional(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Answer 304 to whoever has this content already."""
    etag = response.get("ETag")
    return get_conditional_response(request, etag, None, response) if etag else response


def remember(get_response: View) -> View:
    """As a middleware: answer from memory, or keep the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        known = answer(request)
        if known:
            return known
        since = time.monotonic()
        response = get_response(request)
        if _is_kept(request, response):
            renew = getattr(response, "renew", None)
            kept = _Answer(response.content, dict(response.items()), renew)
            _keep(_key(request), kept, since)
        return _conditional(request, response)

    return middleware


def _is_kept(request: HttpRequest, response: HttpResponseBase) -> bool:
    return (
        getattr(response, "for_everyone", False)
        and response.status_code == 200
        and _is_spectator(request)
        and len(response.content) <= LARGEST
    )
