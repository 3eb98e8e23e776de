"""Which request an answer, an error page and a line of the log are about: X-Request-ID.

A trusted proxy may name it, so that its own log and ours have one name; else it is made here. It is drawn anew for each
request and says nothing of who asks.
"""

import random
import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .logs import request_id
from .networks import comes_by_trusted_proxy

HEADER = "X-Request-ID"
# As nginx, load balancers and clouds make them: hexadecimal, a UUID, a ULID. No address, and nothing that begins a line.
_WELL_FORMED = re.compile("[0-9A-Za-z-]{16,64}")


def id_of(meta: dict[str, Any]) -> str:
    """Return what the proxy calls this request, or a new name for it."""
    named = meta.get("HTTP_X_REQUEST_ID")
    if named and _WELL_FORMED.fullmatch(named) and comes_by_trusted_proxy(meta):
        return str(named)
    return f"{random.getrandbits(96):024x}"


def name_request(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """As a middleware: name the request, to the logs and in the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        name = id_of(request.META)
        # Not taken back here: Django writes of some answers when all middleware is done. Whoever takes several requests
        # in one thread takes it back.
        request_id.set(name)
        response = get_response(request)
        response[HEADER] = name
        return response

    return middleware
