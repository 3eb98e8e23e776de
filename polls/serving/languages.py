"""In which of the site's languages a request is answered.

It is the one that the visitor has chosen at the foot of a page, which a cookie keeps, or else the first of those that
the browser asks for and the site has. Spectators who have no other cookie are answered from memory all the same.
"""

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import (
    get_supported_language_variant,
    parse_accept_lang_header,
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# By what the site has for each: its own name.
NAMES: dict[str, str] = dict(settings.LANGUAGES)
COOKIE = settings.LANGUAGE_COOKIE_NAME
COOKIE_AGE = 365 * 24 * 3600
# The whole Cookie header of somebody who has chosen a language and has no other cookie.
ONLY_COOKIE = {f"{COOKIE}={code}": code for code in NAMES}
# No browser asks for languages in more characters.
MAX_LENGTH = 200


@functools.lru_cache(maxsize=1024)
def _first_of_ours(accepted: str) -> str:
    for code, _ in parse_accept_lang_header(accepted):
        with suppress(LookupError):
            return get_supported_language_variant(code)
    return settings.LANGUAGE_CODE


def _asked_for(meta: Mapping[str, str]) -> str:
    return _first_of_ours(meta.get("HTTP_ACCEPT_LANGUAGE", "")[:MAX_LENGTH])


def language_of(request: HttpRequest) -> str:
    # Most requests of spectators have no cookie that would have to be read.
    if request.META.get("HTTP_COOKIE"):
        chosen = request.COOKIES.get(COOKIE)
        if chosen in NAMES:
            return chosen
    return _asked_for(request.META)


def language_of_spectator(meta: Mapping[str, str]) -> str | None:
    """Return the language of a request whose only cookie, if it has any, is that of the language; None for others."""
    cookies = meta.get("HTTP_COOKIE")
    return ONLY_COOKIE.get(cookies) if cookies else _asked_for(meta)


def remember_language(response: HttpResponse, code: str) -> None:
    response.set_cookie(
        COOKIE,
        code,
        max_age=COOKIE_AGE,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _has_words(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell whether it says something of ours: redirects, files of ballots and static files do not."""
    if response.streaming or response.status_code // 100 == 3:
        return False
    is_static = request.path_info.startswith(settings.STATIC_URL)
    return not is_static or response.status_code >= 400


def in_language_of_visitor(get_response: GetResponse) -> GetResponse:
    """As a middleware: answer in the visitor's language, on the event loop as in a thread, and leave none behind."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request.LANGUAGE_CODE = language = language_of(request)
        translation.activate(language)
        response = None
        try:
            response = get_response(request)
        finally:
            # A stream still has its words to say.
            if not (response and response.streaming):
                translation.deactivate()
        if _has_words(request, response):
            response.headers.setdefault("Content-Language", language)
            patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    return middleware
