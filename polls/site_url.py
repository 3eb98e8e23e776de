"""The address under which people reach this site."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def address(request: HttpRequest, path: str) -> str:
    """Return what a phone in the room opens, for a QR code."""
    return (
        settings.SITE_URL + path
        if settings.SITE_URL
        else request.build_absolute_uri(path)
    )


def is_local(request: HttpRequest) -> bool:
    """Tell whether address() leads to this machine alone."""
    host = urlsplit(address(request, "/")).hostname or ""
    return host in {"localhost", "127.0.0.1", "0.0.0.0", "::1"}
