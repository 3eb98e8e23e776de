"""A cache of pages for who carries a voter's cookie: the words of a page for a second at most, its numbers and what is one's own never.

A page is rendered with marks in place of what is another for each visitor or each moment: numbers, receipt, token. The
next visitor gets it with texts of their own, which are read from the database at that moment. So nobody sees a count
that lacks their vote; a second old are the question and its rules alone, as on the pages of spectators.

Whoever has logged in is answered by the view, and so is who has a message waiting.
"""

import html
import secrets
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.cookie import CookieStorage
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import translation
from django.utils.safestring import SafeString

from ..page_sql import Reading, read
from ..process_memory import keeps
from .decorators import View
from .languages import language_of
from .spectator_cache import MAX_SIZE, Cache, page_key
from .versions import tag

# With one of these a page is nobody else's.
PRIVATE_COOKIES = {settings.SESSION_COOKIE_NAME, CookieStorage.cookie_name}

# Of this worker: how a page is read, by what tells it from others; and pages with marks, by that and their shape.
pages = Cache()

# Reads and sets the cookie of the token.
_csrf = CsrfViewMiddleware(lambda request: HttpResponse())

Texts = Mapping[str, str]


class Fragment(SafeString):
    """HTML that stands in a page without a condition, and may be empty: a page with it is of no other shape than one without."""


def fragment(text: str) -> Fragment:
    return Fragment(_escaped(text))


def _escaped(text: str) -> str:
    """Do as Django's conditional_escape(), in a fourth of the time."""
    return text if isinstance(text, SafeString) else html.escape(text)


class Look(Protocol):
    """What a visitor is to see at this moment.

    The pages of all looks of one shape differ in nothing but their texts. Which texts are empty, but for fragments, is
    part of the shape without being said.
    """

    @property
    def version(self) -> int | None:
        """Of the tally, for the ETag; None for a page without one."""

    def shape(self) -> Hashable: ...

    def texts(self) -> dict[str, str]: ...


L = TypeVar("L", bound=Look)
# What it finds is None for whom the view has to answer.
Find = Callable[[HttpRequest], Reading[L | None]]


class _Marks:
    """They stand in a page for its texts."""

    def __init__(self, texts: Texts) -> None:
        # Nobody who writes a question can guess it.
        self._secret = secrets.token_hex(16)
        self._names = [name for name, text in texts.items() if _has_place(text)]
        marks = {name: f"{self._secret}{n}z" for n, name in enumerate(self._names)}
        self.by_name = dict.fromkeys(texts, "") | marks

    def split(self, page: str) -> "_Page":
        first, *rest = page.split(self._secret)
        pieces, names = [first], []
        for piece in rest:
            number, _, words = piece.partition("z")
            names.append(self._names[int(number)])
            # An empty place for the text.
            pieces += ["", words]
        return _Page(pieces, names)


class _Page:
    def __init__(self, pieces: list[str], names: list[str]) -> None:
        self._pieces, self._names = pieces, names
        self.size = sum(map(len, pieces))

    def fill(self, texts: Texts) -> str:
        pieces = self._pieces.copy()
        pieces[1::2] = [_escaped(texts[name]) for name in self._names]
        return "".join(pieces)


class _Kept(NamedTuple):
    page: _Page
    headers: dict[str, str]


class OwnPage(HttpResponse):
    """A page for one visitor, with what others need to get it too."""

    def __init__(
        self, page: _Page, look: Look, find: Find[Look], content_type: str | None
    ) -> None:
        super().__init__(page.fill(look.texts()), content_type)
        self.page, self.find, self.shape = page, find, _shape(look, look.texts())


def _shape(look: Look, texts: Texts) -> Hashable:
    empty = tuple(name for name, text in texts.items() if not _has_place(text))
    return look.shape(), empty


def _has_place(text: str) -> bool:
    return bool(text) or isinstance(text, Fragment)


def own_page(
    request: HttpRequest,
    look: L,
    find: Find[L],
    render: Callable[[L, Texts], str],
    content_type: str | None = None,
) -> HttpResponse:
    """Return the page of this look; `render` gets texts, or marks for them if others may get the page too."""
    texts = look.texts()
    if not (_is_shared(request) and keeps()):
        response = HttpResponse(render(look, texts), content_type)
    else:
        marks = _Marks(texts)
        page = marks.split(render(look, marks.by_name))
        response = OwnPage(page, look, find, content_type)
    return response if look.version is None else tag(response, look.version)


def _is_shared(request: HttpRequest) -> bool:
    cookies = request.COOKIES
    return bool(cookies) and PRIVATE_COOKIES.isdisjoint(cookies)


def remember(get_response: View) -> View:
    """As a middleware: answer with a page in memory, or keep the one of the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        key = _key(request)
        known = _answer_now(request, key) if key else None
        if known:
            return known
        since = pages.clock()
        response = get_response(request)
        if key and isinstance(response, OwnPage) and response.page.size <= MAX_SIZE:
            headers = dict(response.items())
            # Of this visitor's page.
            headers.pop("Content-Length", None)
            pages.put(key, response.find, since)
            pages.put((key, response.shape), _Kept(response.page, headers), since)
        return response

    return middleware


def _key(request: HttpRequest) -> tuple[object, ...] | None:
    if not request.META.get("HTTP_COOKIE") or not _is_shared(request):
        return None
    return page_key(request, language_of(request))


def answer(request: HttpRequest) -> Reading[HttpResponse | None] | None:
    """Return what reads the page of this visitor, if its words may be in memory."""
    key = _key(request)
    return _answer(request, key) if key else None


def _answer_now(request: HttpRequest, key: tuple[object, ...]) -> HttpResponse | None:
    try:
        return read(_answer(request, key))
    except (Error, OSError):
        # The view meets it too, and its page has the headers of every other.
        return None


def _answer(
    request: HttpRequest, key: tuple[object, ...]
) -> Reading[HttpResponse | None]:
    find: Find[Look] | None = pages.get(key)
    if not find:
        return None
    # There is no session that could say otherwise.
    request.user = AnonymousUser()
    with translation.override(language_of(request), deactivate=True):
        _csrf.process_request(request)
        look = yield from find(request)
        texts = look.texts() if look else {}
        kept: _Kept | None = pages.get((key, _shape(look, texts))) if look else None
    if not look or not kept:
        return None
    response = HttpResponse(kept.page.fill(texts), headers=kept.headers)
    response["Content-Length"] = str(len(response.content))
    if look.version is not None:
        tag(response, look.version)
    _csrf.process_response(request, response)
    return response
