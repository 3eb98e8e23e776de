"""The static files, from memory, under addresses that change with them: nothing is to be collected, or can be old.

`/static/<digest>/polls/style.css` is kept by browsers for good. The digest is of all files together: what one file says of
another by a relative address (url(), @import) leads to the same version, and an upgrade changes every address. So no page
meets the style of another version.

A server that does not know the digest (the page comes from a newer one, or an older) answers with what it has, to be kept
by nobody, and so do addresses without one.
"""

import functools
import hashlib
import mimetypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.encoding import filepath_to_uri

from .. import brand
from .compression import COMPRESSIBLE, LEAST, Body, accepts_gzip, gzip_headers

FOR_GOOD = "public, max-age=31536000, immutable"
# Asked for each time, and answered 304 where it is the same.
FOR_NOW = "public, no-cache"

# What the system says of them differs.
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# Of the site's own style and scripts; a browser has no use for them, and they are a tenth of a first visit.
_COMMENTS = {
    ".css": re.compile(rb"/\*.*?\*/\s*", re.DOTALL),
    ".js": re.compile(rb"^\s*//.*\n", re.MULTILINE),
}
_ADDRESS = re.compile(r"(?:(?P<digest>[0-9a-f]{12})/)?(?P<name>.+)")


class StaticFile:
    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self.digest = hashlib.sha256(content).hexdigest()
        guessed, _ = mimetypes.guess_type(name)
        guessed = guessed or "application/octet-stream"
        content_type = CONTENT_TYPES.get(PurePath(name).suffix, guessed)
        self._headers = {"Content-Type": content_type, "ETag": f'"{self.digest[:32]}"'}
        self._is_compressible = (
            content_type.startswith(COMPRESSIBLE) and len(content) >= LEAST
        )

    @functools.cached_property
    def _gzipped(self) -> bytes:
        return Body(self._content).gzipped()

    def answer(self, request: HttpRequest, cache_control: str) -> HttpResponseBase:
        headers = self._headers | {"Cache-Control": cache_control}
        content = self._content
        if self._is_compressible:
            headers["Vary"] = "Accept-Encoding"
            if accepts_gzip(request):
                headers, content = gzip_headers(headers), self._gzipped
        headers["Content-Length"] = str(len(content))
        response = HttpResponse(content, headers=headers)
        etag = headers["ETag"]
        return get_conditional_response(request, etag, None, response) or response


class Version:
    """All files of one version of the site, by name."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self.files = files
        parts = [f"{name} {file.digest}" for name, file in sorted(files.items())]
        self.digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@functools.cache
def version() -> Version:
    """Return this version. It is read at the start: under its digest, nothing of a later one is sent."""
    return Version({name: _read(name, path) for name, path in _paths().items()})


def _paths() -> dict[str, str]:
    paths: dict[str, str] = {}
    for finder in finders.get_finders():
        for name, storage in finder.list(None):
            # Of two with one name, the first is the one.
            paths.setdefault(name, storage.path(name))
    return paths | brand.files()


def _read(name: str, path: str) -> StaticFile:
    content = Path(path).read_bytes()
    suffix = PurePath(name).suffix
    if name.startswith("polls/") and suffix in _COMMENTS:
        content = _COMMENTS[suffix].sub(b"", content)
    return StaticFile(name, content + brand.added_to(name))


def _find(name: str) -> StaticFile | None:
    if not settings.DEBUG:
        return version().files.get(name)
    # As it is on the disk now.
    path = _paths().get(name)
    return _read(name, path) if path else None


class DigestStorage(StaticFilesStorage):
    """Where the `static` tag finds addresses. With DEBUG they stay as they are, and are asked for each time."""

    def url(self, name: str | None) -> str:
        if settings.DEBUG or name is None:
            return super().url(name)
        # What super() does with urljoin(), which takes longer than the rest of the tag.
        return f"{self.base_url}{version().digest}/{filepath_to_uri(name)}"


def static_files(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """As a middleware: answer with a static file where there is one."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith(settings.STATIC_URL) and request.method in {"GET", "HEAD"}:
            found = _ADDRESS.fullmatch(path, len(settings.STATIC_URL))
            file = _find(found["name"]) if found else None
            if found and file:
                is_this = not settings.DEBUG and found["digest"] == version().digest
                return file.answer(request, FOR_GOOD if is_this else FOR_NOW)
        return get_response(request)

    if not settings.DEBUG:
        # Before the first visitor.
        version()
    return middleware
