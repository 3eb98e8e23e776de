"""How many wrong codes a client has tried in this minute, so that nobody finds one by trying.

Receipts and invitation codes have 60 bits, which is the real protection; this
keeps somebody who tries all the same from using up the database. It lives in
the memory of the worker for a minute. An address is not kept even there: only
a number made of it with a key that nobody knows.
"""

import hmac
import ipaddress
import secrets
import time
from collections import Counter

from django.http import HttpRequest

# Wrong codes a minute, in each worker: a school class behind one address mistypes less.
LIMIT = 30
# So many clients are told apart; more than that share one count until the minute is over.
MOST_CLIENTS = 100_000

_key = secrets.token_bytes(32)
_wrong: Counter[bytes] = Counter()
_minute = 0


def too_many(request: HttpRequest) -> bool:
    return _this_minute()[_client(request)] >= LIMIT


def count(request: HttpRequest) -> None:
    _this_minute()[_client(request)] += 1


def _this_minute() -> Counter[bytes]:
    global _minute
    now = int(time.monotonic() // 60)
    if now != _minute:
        _wrong.clear()
        _minute = now
    return _wrong


def _client(request: HttpRequest) -> bytes:
    client = hmac.digest(_key, _network(request).encode(), "sha256")
    return client if client in _wrong or len(_wrong) < MOST_CLIENTS else b""


def _network(request: HttpRequest) -> str:
    """Return who is connected; behind a proxy on this machine, whom the proxy names."""
    address = request.META.get("REMOTE_ADDR", "")
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        if forwarded and (not address or ipaddress.ip_address(address).is_loopback):
            address = forwarded
        # One subscriber has at least so many addresses of version 6.
        bits = 64 if ipaddress.ip_address(address).version == 6 else 32
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return address
