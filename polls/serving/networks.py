"""From which network a request comes: what a throttle counts by, in place of an address.

The address is the one that the last trusted proxy has seen. Of version 6 one subscriber has 2**64 of them.
"""

import ipaddress
from typing import Any

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(request: HttpRequest) -> list[str]:
    """Return the client's address of version 4; or of version 6 the network of one subscriber, and that of one customer."""
    client = _client(request)
    address = _read(client)
    if not address or address.version == 4:
        return [str(address or client)]
    # The number leaves out a zone (%eth0), which is no part of a network.
    ranges = [(int(address), bits) for bits in (64, 48)]
    return [str(ipaddress.IPv6Network(range_, strict=False)) for range_ in ranges]


def _client(request: HttpRequest) -> str:
    """Follow the trusted proxies back: whoever else sends the header may write into it what they like."""
    client = _sender(request.META)
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    hops = [hop.strip() for hop in hops if hop.strip()]
    if settings.TRUST_ANY_PROXY:
        # Only the last entry is a proxy's; those before may come from the client.
        return hops[-1] if hops else client
    while hops and _is_trusted(client):
        client = hops.pop()
    return client


def comes_by_trusted_proxy(meta: dict[str, Any]) -> bool:
    """Tell whether a proxy that is trusted has sent this, and so may have written its headers."""
    # uvicorn puts the address that such a proxy names in the place of the proxy's own, with the port 0, which nobody has.
    was_replaced = meta.get("REMOTE_PORT") == 0
    return settings.TRUST_ANY_PROXY or was_replaced or _is_trusted(_sender(meta))


def _sender(meta: dict[str, Any]) -> str:
    return str(meta.get("REMOTE_ADDR", ""))


def _is_trusted(text: str) -> bool:
    # Most proxies are on this machine; one that comes by a socket file has no address. To read one takes 10 µs.
    if text in {"127.0.0.1", ""}:
        return True
    address = _read(text)
    if not address:
        return False
    return address.is_loopback or any(
        address in network for network in settings.TRUSTED_PROXIES
    )


def _read(text: str) -> Address | None:
    """Read an address, perhaps with a port, or of version 4 written as version 6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
