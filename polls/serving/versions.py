"""Which version of a tally an answer has, and which one its visitor has seen."""

import hashlib
import re

from django.http import HttpResponse
from django.http.response import HttpResponseBase

_IN_ETAG = re.compile('"([0-9]{1,18})-')


def tag(response: HttpResponse, version: int) -> HttpResponse:
    """Give it an ETag of version and content, so that who comes again is shown nothing older."""
    digest = hashlib.sha256(response.content).hexdigest()[:32]
    response["ETag"] = f'"{version}-{digest}"'
    return response


def version_of(response: HttpResponseBase) -> int | None:
    """Return what tag() put there."""
    found = _IN_ETAG.search(response.get("ETag", ""))
    return int(found[1]) if found else None


def version_in(text: str) -> int:
    """Read the version that a visitor names; 0 for what is none."""
    usable = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if usable else 0


def newest_in(etags: str) -> int:
    """Return the newest version in an If-None-Match header; 0 for none."""
    return max(map(int, _IN_ETAG.findall(etags)), default=0)
