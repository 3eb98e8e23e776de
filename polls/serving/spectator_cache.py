"""What is kept in memory for a second: pages for visitors who come without a cookie, and polls to vote on.

A thousand spectators cost as much as one. Whoever has voted, or logged in, or
opened a ballot page before carries a cookie and is answered from the database,
so that what a person has just done that person sees at once, on any worker.
A vote is held against the question once more when it is written.

Each worker has a memory of its own, and the next request may reach another one.
So an answer with a tally has the tally's version in its ETag, and a visitor who
names a newer one (a browser that reloads, a program that polls, live.js) is
answered from the database. Who names none, or opens another page of the poll
for the first time, may be shown a tally up to a second old.

The middleware is the outermost one; under ASGI the handler looks here before it
crosses into a thread.
"""

import functools
import hashlib
import re
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.cache import get_conditional_response

from ..process_memory import keeps

# Seconds, from before the database was asked.
TTL = 1
# When the memory is full, the oldest goes.
MAX_ENTRIES = 512
LARGEST = 64 * 1024
# No link of this site has a path or a query as long as that.
LONGEST = 100

T = TypeVar("T")
View = Callable[..., HttpResponseBase]

_memory: dict[object, tuple[float, object]] = {}
_changing = threading.Lock()


def _find(key: object) -> object:
    until, found = _memory.get(key, (0, None))
    return found if time.monotonic() < until else None


def _keep(key: object, found: object, since: float) -> None:
    if not keeps():
        return
    with _changing:
        # What is kept again goes to the end: the first is always the oldest.
        _memory.pop(key, None)
        if len(_memory) >= MAX_ENTRIES:
            del _memory[next(iter(_memory))]
        _memory[key] = since + TTL, found


def clear() -> None:
    with _changing:
        _memory.clear()


def get_or_make(key: object, make: Callable[[], T]) -> T:
    """Return what `make` returned, at most a second ago."""
    found = _find(key)
    if found is None:
        since = time.monotonic()
        found = make()
        _keep(key, found, since)
    return found


class _Kept(NamedTuple):
    content: bytes
    headers: dict[str, str]
    renew: Callable[[HttpResponse], None] | None
    # Of its tally, if it has one.
    version: int | None


class CachedView:
    """A view whose answer the next visitor without a cookie may get too.

    `reads` are the parameters that make it another page; whatever else stands
    in a query makes no difference. A view that `names_host` is another page
    under each name of the site. A view sets `renew` on its response to put in
    what must be another for each visitor: a token, a cookie.
    """

    def __init__(self, view: View, reads: tuple[str, ...], names_host: bool) -> None:
        functools.update_wrapper(self, view)
        self.view = view
        self.reads = reads
        self.names_host = names_host

    def __call__(
        self, request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        return self.view(request, *args, **kwargs)


def cache_for_spectators(
    *reads: str, names_host: bool = False
) -> Callable[[View], CachedView]:
    """Make a view a CachedView. This decorator stands above all others, where the address is looked up."""
    return lambda view: CachedView(view, reads, names_host)


class _Page(NamedTuple):
    view: CachedView
    arguments: tuple[tuple[str, object], ...]


@functools.lru_cache(maxsize=1024)
def _page(path: str) -> _Page | None:
    """Return what is at this path, one for all its spellings (/polls/007/), or None if that is not for everyone."""
    try:
        found = resolve(path)
    except Resolver404:
        return None
    if not isinstance(found.func, CachedView):
        return None
    return _Page(found.func, tuple(found.kwargs.items()))


@functools.lru_cache(maxsize=256)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _query(request: HttpRequest) -> dict[str, str]:
    """Read the query without a limit on fields, and so without an error; the view reads it by Django's rules."""
    query = request.META.get("QUERY_STRING", "")
    return dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def _key(request: HttpRequest) -> tuple[object, ...] | None:
    """Return what tells this answer from others; None for what is not answered from memory.

    Nothing that a stranger makes up is part of it, or gets an answer that a
    view would refuse.
    """
    meta, path = request.META, request.path_info
    if request.method not in {"GET", "HEAD"} or meta.get("HTTP_COOKIE"):
        return None
    page = _page(path) if len(path) < LONGEST else None
    host = meta.get("HTTP_HOST") or meta["SERVER_NAME"]
    if not page or not _is_allowed(host, tuple(settings.ALLOWED_HOSTS)):
        return None
    if page.view.reads and len(meta.get("QUERY_STRING", "")) > LONGEST:
        return None
    query = _query(request) if page.view.reads else {}
    read = tuple(query.get(name) for name in page.view.reads)
    shown_host = host if page.view.names_host else ""
    return page, request.scheme, meta.get("SCRIPT_NAME"), shown_host, read


_VERSION = re.compile('"([0-9]{1,18})-')


def etag(content: bytes, version: int) -> str:
    """Return an ETag for an answer with a tally, in which its version can be read."""
    return f'"{version}-{hashlib.sha256(content).hexdigest()[:32]}"'


def version_in(text: str) -> int:
    """Read the version of a tally that a visitor names; 0 for what is none."""
    usable = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if usable else 0


def _versions(etags: str) -> list[int]:
    """Return the versions that are named there, in one ETag or in a list of them."""
    return [int(version) for version in _VERSION.findall(etags)]


def _has_seen(request: HttpRequest) -> int:
    """Return the version of the tally that the visitor has before them, as far as it is named."""
    named = version_in(_query(request).get("version", ""))
    return max([named, *_versions(request.META.get("HTTP_IF_NONE_MATCH", ""))])


def answer(request: HttpRequest) -> HttpResponseBase | None:
    """Return the answer to this request, if it is known."""
    return _answer(request, _key(request))


def _answer(
    request: HttpRequest, key: tuple[object, ...] | None
) -> HttpResponseBase | None:
    found = _find(key) if key else None
    if not found or found.version is not None and found.version < _has_seen(request):
        return None
    response = HttpResponse(found.content, headers=found.headers)
    if found.renew:
        found.renew(response)
    return _conditional(request, response)


def _conditional(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Answer 304 to whoever has this content already."""
    known, meta = response.get("ETag"), request.META
    if not known or not ("HTTP_IF_NONE_MATCH" in meta or "HTTP_IF_MATCH" in meta):
        return response
    return get_conditional_response(request, known, None, response)


def remember(get_response: View) -> View:
    """As a middleware: answer from memory, or keep the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        key = _key(request)
        known = _answer(request, key)
        if known:
            return known
        since = time.monotonic()
        response = get_response(request)
        if key and _is_whole(request, response):
            _keep(key, _kept(response), since)
        return _conditional(request, response)

    return middleware


def _is_whole(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell whether it is the view's page, and not too large."""
    return (
        request.resolver_match is not None
        and response.status_code == 200
        and len(response.content) <= LARGEST
    )


def _kept(response: HttpResponse) -> _Kept:
    headers = dict(response.items())
    version = next(iter(_versions(headers.get("ETag", ""))), None)
    return _Kept(response.content, headers, getattr(response, "renew", None), version)
