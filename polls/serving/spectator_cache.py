"""A cache in the worker's memory: for a second at most, of pages for visitors without a cookie, and of polls to vote on.

A thousand spectators cost as much as one; those of each language have pages of their own, and a cookie that says which
language is none here. Whoever has voted, logged in, or opened a ballot page before has another cookie and is told
what the database says now (own_pages): what a person has just done that person sees at once, on any worker. A vote
is checked against the question once more when it is written.

Stale read: each worker has a cache of its own, and the next request may reach another worker. So who names a newer
version of the tally than a page has (a browser that reloads, a program that polls, live.js) is answered from the
database. Who names none may be shown a tally up to a second old.

The middleware is the outermost one. Under ASGI the handler looks here before it takes a thread.
"""

import functools
import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase, ResponseHeaders
from django.urls import Resolver404, resolve
from django.utils.cache import get_conditional_response, patch_vary_headers

from ..process_memory import keeps
from .compression import (
    COMPRESSIBLE,
    Body,
    accepts_gzip,
    compress_tally,
    gzip_headers,
    is_compressible,
)
from .decorators import MarkedView, View
from .languages import language_of_spectator
from .versions import newest_in, version_in, version_of

# Seconds, from before the database was asked.
TTL = 1
# Cache stampede: pages that were made at one moment would all be made anew at one moment, and the votes of that moment wait.
# So each is kept for a time drawn by chance, from this part of the TTL to all of it.
LEAST_PART = 0.5
MAX_ENTRIES = 512
# Bytes of a page.
MAX_SIZE = 64 * 1024
# No link of this site has a path or a query as long as that.
MAX_LENGTH = 100

T = TypeVar("T")


class Cache:
    """Values of any kind, each for `ttl` seconds at most and at least half of them, by chance; when it is full, the oldest goes."""

    def __init__(
        self,
        ttl: float = TTL,
        max_entries: int = MAX_ENTRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._ttl = ttl
        self._max_entries = max_entries
        self._entries: dict[object, tuple[float, Any]] = {}
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: object) -> Any:
        """Return None for what is not there any more."""
        until, found = self._entries.get(key, (0, None))
        return found if self.clock() < until else None

    def get_or_make(self, key: object, make: Callable[[], T]) -> T:
        found: T | None = self.get(key)
        if found is None:
            since = self.clock()
            found = make()
            self.put(key, found, since)
        return found

    def put(self, key: object, value: object, since: float) -> None:
        """Keep what was read from the database after `since`, by the cache's clock."""
        if not keeps():
            return
        with self._changing:
            # Put in anew, so that the first is always the oldest.
            self._entries.pop(key, None)
            if len(self._entries) >= self._max_entries:
                del self._entries[next(iter(self._entries))]
            until = since + self._ttl * random.uniform(LEAST_PART, 1)
            self._entries[key] = until, value

    def clear(self) -> None:
        with self._changing:
            self._entries.clear()


# Of this worker: pages by what tells them from others, and questions by id.
pages = Cache()
questions = Cache()


# Gives an answer what is another for each visitor in headers and cookies, and returns what is in the page.
Personalise = Callable[[HttpResponse], str]


class PersonalResponse(HttpResponse):
    """A page in which `own` is another for each visitor: a token.

    `personalise` is given the answer to the next visitor, without cookies, and returns what stands there in its place.
    """

    def __init__(self, content: str, own: str, personalise: Personalise) -> None:
        super().__init__(content)
        self.own = own
        self.personalise = personalise


class _Headers(ResponseHeaders):
    """Headers that are encoded already: Django would encode them anew for each visitor."""

    def __init__(self, encoded: ResponseHeaders) -> None:
        self._store = encoded._store.copy()


class _Page(NamedTuple):
    body: Body
    headers: ResponseHeaders
    # None for a page that is not compressed.
    gzip_headers: ResponseHeaders | None
    personalise: Personalise | None
    version: int | None


class CachedView(MarkedView):
    """A view whose answer the next visitor without a cookie may get too."""

    def __init__(
        self, view: View, query_parameters: tuple[str, ...], names_host: bool
    ) -> None:
        super().__init__(view)
        self.query_parameters = query_parameters
        self.names_host = names_host


def cache_for_spectators(
    *query_parameters: str, names_host: bool = False
) -> Callable[[View], CachedView]:
    """Make a view a CachedView.

    Each of the query parameters makes another page. A view that `names_host` makes another page under
    each name of a site without SITE_URL. What is another for each visitor is said by a PersonalResponse.
    """
    return lambda view: CachedView(view, query_parameters, names_host)


class _Route(NamedTuple):
    view: CachedView
    arguments: tuple[tuple[str, object], ...]


@functools.lru_cache(maxsize=1024)
def _route(path: str) -> _Route | None:
    """Return the cached view at this path, one for all its spellings (/polls/007/); None if there is none."""
    try:
        found = resolve(path)
    except Resolver404:
        return None
    if not isinstance(found.func, CachedView):
        return None
    return _Route(found.func, tuple(found.kwargs.items()))


@functools.lru_cache(maxsize=256)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _query(request: HttpRequest) -> dict[str, str]:
    """Read the query without a limit on fields, and so without an error; the view reads it by Django's rules."""
    query = request.META.get("QUERY_STRING", "")
    return dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def _key(request: HttpRequest) -> tuple[object, ...] | None:
    language = language_of_spectator(request.META)
    return page_key(request, language) if language else None


def page_key(request: HttpRequest, language: str) -> tuple[object, ...] | None:
    """Return what tells this answer from others; None for what is not answered from memory.

    Nothing that a stranger makes up is part of it, so that nobody can fill the cache; nor does anybody get an answer
    that the view would refuse.
    """
    meta, path = request.META, request.path_info
    if request.method not in {"GET", "HEAD"}:
        return None
    route = _route(path) if len(path) < MAX_LENGTH else None
    host = meta.get("HTTP_HOST") or meta["SERVER_NAME"]
    if not route or not _is_allowed(host, tuple(settings.ALLOWED_HOSTS)):
        return None
    parameters = route.view.query_parameters
    if parameters and len(meta.get("QUERY_STRING", "")) > MAX_LENGTH:
        return None
    query = _query(request) if parameters else {}
    read = tuple(query.get(name) for name in parameters)
    # With SITE_URL every page names that one.
    names_host = route.view.names_host and not settings.SITE_URL
    shown_host = host if names_host else ""
    prefix = meta.get("SCRIPT_NAME")
    return route, language, request.scheme, prefix, shown_host, read


def _newest_seen(request: HttpRequest) -> int:
    """Return the newest version that the visitor names; 0 for none."""
    query, etags = _query(request), request.META.get("HTTP_IF_NONE_MATCH")
    named = version_in(query["version"]) if "version" in query else 0
    return max(named, newest_in(etags)) if etags else named


def answer(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to this request, if it is in memory."""
    return _answer(request, _key(request))


def _answer(
    request: HttpRequest, key: tuple[object, ...] | None
) -> HttpResponse | None:
    page: _Page | None = pages.get(key) if key else None
    if not page:
        return None
    if page.version is not None and page.version < _newest_seen(request):
        return None
    return _conditional(request, _response(page, request))


def _response(page: _Page, request: HttpRequest) -> HttpResponse:
    compressed = page.gzip_headers if accepts_gzip(request) else None
    is_gzipped = compressed is not None
    response = HttpResponse()
    response.headers = _Headers(compressed or page.headers)
    own = page.personalise(response).encode() if page.personalise else b""
    response.content = page.body.gzipped(own) if is_gzipped else page.body.plain(own)
    if own or is_gzipped:
        response["Content-Length"] = str(len(response.content))
    return response


def _conditional(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Answer 304 to whoever has this content already."""
    known, meta = response.get("ETag"), request.META
    if not known or not ("HTTP_IF_NONE_MATCH" in meta or "HTTP_IF_MATCH" in meta):
        return response
    return get_conditional_response(request, known, None, response) or response


def remember(get_response: View) -> View:
    """As a middleware: answer from memory, or keep the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        key = _key(request)
        known = _answer(request, key)
        if known:
            return known
        since = pages.clock()
        response = get_response(request)
        if not isinstance(response, HttpResponse):
            # A stream.
            return response
        if key and _is_page(request, response):
            page = _page(response)
            if len(response.content) <= MAX_SIZE:
                pages.put(key, page, since)
            _compress(request, response, page)
            return _conditional(request, response)
        return as_asked_for(request, response)

    return middleware


def as_asked_for(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return an answer that is not kept as its visitor can take it: compressed, or as 304."""
    compress_tally(request, response)
    return _conditional(request, response)


def _is_page(request: HttpRequest, response: HttpResponse) -> bool:
    """Tell whether it is what the view answers when all is well."""
    return request.resolver_match is not None and response.status_code == 200


def _page(response: HttpResponse) -> _Page:
    is_compressed = is_compressible(response, COMPRESSIBLE)
    if is_compressed:
        patch_vary_headers(response, ["Accept-Encoding"])
    headers = dict(response.items())
    personalise = (
        response.personalise if isinstance(response, PersonalResponse) else None
    )
    return _Page(
        body=Body(response.content, _own(response)),
        headers=ResponseHeaders(headers),
        gzip_headers=ResponseHeaders(gzip_headers(headers)) if is_compressed else None,
        personalise=personalise,
        version=version_of(response),
    )


def _own(response: HttpResponse) -> bytes:
    return response.own.encode() if isinstance(response, PersonalResponse) else b""


def _compress(request: HttpRequest, response: HttpResponse, page: _Page) -> None:
    """Compress the answer of which the page was made."""
    if page.gzip_headers is None or not accepts_gzip(request):
        return
    response.content = page.body.gzipped(_own(response))
    for name, text in page.gzip_headers.items():
        response[name] = text
    response["Content-Length"] = str(len(response.content))
