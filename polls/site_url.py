"""The address under which people reach this site."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def address(request: HttpRequest, path: str) -> str:
    """Return the URL that a phone in the room opens, for a QR code: SITE_URL's, or the one of this request."""
    if settings.SITE_URL:
        return f"{settings.SITE_URL}{path}"
    return request.build_absolute_uri(path)


def is_local(request: HttpRequest) -> bool:
    """Tell whether address() leads to this machine alone."""
    host = urlsplit(address(request, "/")).hostname
    return host in {"localhost", "127.0.0.1", "0.0.0.0", "::1"}
