"""What is refused of every request and sent with every answer, beside what Django does."""

import codecs
import functools
import logging
from collections.abc import Callable
from typing import NoReturn

from django.conf import settings
from django.core.exceptions import BadRequest, MiddlewareNotUsed
from django.core.files.uploadhandler import FileUploadHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase

from .errors import CUT_OFF, error_page

GetResponse = Callable[[HttpRequest], HttpResponseBase]

logger = logging.getLogger(__name__)


def utf8_only(get_response: GetResponse) -> GetResponse:
    """Refuse a request that says it is in another encoding.

    Some of Python's codecs are none of text (hex, undefined), and Django would read the request with them.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        encoding = request.encoding
        if encoding and codecs.lookup(encoding).name != "utf-8":
            return error_page(request, 400)
        return get_response(request)

    return middleware


def health_by_any_name(get_response: GetResponse) -> GetResponse:
    """Answer programs that ask by the number of the machine, as load balancers do: what they are told names no host."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in {"/healthz", "/readyz", "/metrics"}:
            request.META["HTTP_HOST"] = "localhost"
        return get_response(request)

    return middleware


def explain_redirect_loop(get_response: GetResponse) -> GetResponse:
    """Say once where a redirect to https leads back here: the proxy ends TLS, and does not say so or is not believed."""
    if not settings.SECURE_SSL_REDIRECT:
        raise MiddlewareNotUsed

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code == 301 and not request.is_secure():
            if request.headers.get("X-Forwarded-Proto") == "https":
                _warn_once(PROXY_NOT_TRUSTED)
            # Browsers send it by https, and to their own machine.
            elif "Sec-Fetch-Site" in request.headers and _is_of_site(response):
                _warn_once(PROXY_SAYS_NOTHING)
        return response

    return middleware


# Whose address it came from is not said: anybody can send these headers, a voter too.
PROXY_NOT_TRUSTED = (
    "A request was redirected to https that had come by https, as its X-Forwarded-Proto says, from a proxy that "
    "is not trusted. If no page opens, put the address or network of your proxy into FORWARDED_ALLOW_IPS."
)
PROXY_SAYS_NOTHING = (
    "A request was redirected to https that had come by https, as its Sec-Fetch-Site says, and no proxy says so. If no "
    "page opens, let the proxy that ends TLS send X-Forwarded-Proto: https, and those behind it hand it on."
)
_warn_once = functools.cache(logger.warning)


def _is_of_site(redirect: HttpResponseBase) -> bool:
    return redirect.headers["Location"].startswith(f"{settings.SITE_URL}/")


def whole_body(get_response: GetResponse) -> GetResponse:
    """Refuse a body that is too large, or was cut off on its way: the vote for choice 4 that is left of one for choice 40.

    WSGI servers hand on what came when a client goes in the middle. ASGI servers do not.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH")
        if length and _is_too_large(length):
            return error_page(request, 413)
        if isinstance(request, WSGIRequest):
            if length:
                if not _came_whole(request, length):
                    return error_page(request, 400, CUT_OFF)
            elif "Transfer-Encoding" in request.headers:
                # polls.wsgi has given it a length where it could.
                return error_page(request, 411)
        return get_response(request)

    return middleware


def _is_too_large(length: str) -> bool:
    try:
        return int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    except ValueError:
        return False


def _came_whole(request: HttpRequest, length: str) -> bool:
    try:
        return len(request.body) == int(length)
    except (UnreadablePostError, ValueError):
        return False


class RefuseFiles(FileUploadHandler):
    """The site takes no files: refuse one before it is read."""

    def new_file(self, *args: object, **kwargs: object) -> NoReturn:
        raise BadRequest("This site takes no files.")


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Send the one policy of all pages, unless a view has sent its own."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        policy = settings.CONTENT_SECURITY_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return middleware
