"""Log-ins: few passwords are hashed at the same time, and after wrong ones the next has to wait.

A hash takes a core as long as hundreds of votes, on purpose. Who finds the
places taken is told so at once, and everybody else is served meanwhile.

A wrong password counts for the name in this network, and for the network. A
name that is tried from everywhere leaves one try a minute to each network. So
nobody can keep out who comes from another network; and a browser that has logged
in to the name before, which a cookie of its own tells, counts for itself alone.
Within one network, a browser that is not known shares its tries with the others
there: who sends wrong passwords all the time mostly takes the one that is free
after each wait.
"""

import functools
import hmac
import math
import os
import secrets
import tempfile
import threading
import time
import unicodedata
from contextlib import ExitStack, suppress

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.signing import BadSignature, Signer
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..locks import file_lock
from .decorators import View
from .errors import error_page
from .networks import networks
from .throttle import Limit, count_wrong, seconds_to_wait

NAME_HERE = Limit("name here", free=5, first=2, longest=60, forgotten=900)
NAME_ANYWHERE = Limit("name anywhere", free=50, first=60, longest=60, forgotten=900)
# What each network has of a name while it is tried from everywhere.
NAME_HERE_SLOWLY = NAME_HERE._replace(free=1, first=60)
# Never long: a whole school may be behind it.
NETWORK = Limit("network", free=30, first=2, longest=4, forgotten=300)
NETWORK_AROUND = NETWORK._replace(name="network around", free=120)
BROWSER = Limit("browser", free=10, first=2, longest=60, forgotten=900)

# A hash keeps one core busy. As many may wait as are hashed; and as many more who have logged in before.
HASHED = WAITING = RESERVED = max(1, (os.cpu_count() or 2) // 2)
# Seconds that they wait; and when to come again if there is no place.
PATIENCE = 3.0
RETRY = 2
# Under ASGI who waits keeps a thread of the pool, and no process: more can wait, for longer. In each worker, half of the
# threads stay free for pages and votes.
_threads = threading.BoundedSemaphore(max(1, settings.ASGI_THREADS // 2 - 1))
_reserved_thread = threading.BoundedSemaphore(1)
PATIENCE_ASGI = 10.0

COOKIE = "browser"
WRONG = (
    "Too many wrong passwords came for this user name or from your network, perhaps from somebody else. "
    "Wait {}, then go back and try again. A browser that has logged in to this name before need not wait for others."
)
WRONG_HERE = "Too many wrong passwords came from this browser. Wait {}, then try again."
BUSY = "Many people are logging in at this moment. Wait {}, then go back and try again."


def throttled(view: View) -> View:
    """Hold back who tries passwords at this view, Django's own LoginView in whatever form."""

    @functools.wraps(view)
    def inner(
        request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        name = _name(request)
        if not name or not request.POST.get("password"):
            # No password will be hashed.
            return view(request, *args, **kwargs)
        browser = _read_browser(request, name)
        limits = _limits(request, name, browser)
        seconds = max(seconds_to_wait(*limit) for limit in limits)
        if seconds:
            return _wait(request, WRONG_HERE if browser else WRONG, seconds)
        with ExitStack() as held:
            find = _place_asgi if isinstance(request, ASGIRequest) else _place
            found = find(held, is_known=bool(browser))
            if not found:
                return _wait(request, BUSY, RETRY)
            response = view(request, *args, **kwargs)
        if response.status_code == 302:
            _remember_browser(response, name)
        elif response.status_code == 200:
            _count(limits, name, browser)
        return response

    return inner


def _name(request: HttpRequest) -> str:
    """Return the name that is tried: all spellings that are one account are one name."""
    name = request.POST.get("username", "").strip()
    return unicodedata.normalize("NFKC", name).casefold()


def _limits(request: HttpRequest, name: str, browser: str) -> list[tuple[Limit, str]]:
    if browser:
        return [(BROWSER, browser)]
    own, *around = networks(request)
    is_tried_everywhere = seconds_to_wait(NAME_ANYWHERE, name) > 0
    here = NAME_HERE_SLOWLY if is_tried_everywhere else NAME_HERE
    limits = [(here, f"{own} {name}"), (NETWORK, own)]
    return limits + [(NETWORK_AROUND, network) for network in around]


def _count(limits: list[tuple[Limit, str]], name: str, browser: str) -> None:
    for limit in limits:
        count_wrong(*limit)
    if not browser:
        count_wrong(NAME_ANYWHERE, name)


def _wait(request: HttpRequest, sentence: str, seconds: float) -> HttpResponseBase:
    number = math.ceil(seconds)
    time_ = f"{number} second{'' if number == 1 else 's'}"
    response = error_page(request, 429, sentence.format(time_))
    response["Retry-After"] = str(number)
    return response


def _signer(name: str) -> Signer:
    return Signer(salt=f"polls.log_in.{name}")


def _read_browser(request: HttpRequest, name: str) -> str:
    """Return which browser this is, if it has logged in to this name before."""
    try:
        return _signer(name).unsign(request.COOKIES.get(COOKIE, ""))
    except BadSignature:
        return ""


def _remember_browser(response: HttpResponseBase, name: str) -> None:
    """Let it log in again, whatever others do. The name cannot be read from the cookie."""
    response.set_cookie(
        COOKIE,
        _signer(name).sign(secrets.token_urlsafe(16)),
        max_age=settings.VOTER_COOKIE_AGE,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _place(held: ExitStack, is_known: bool) -> bool:
    """Take a place to hash a password, after a short wait perhaps; False if there is none."""
    if _take(held, "hashed", HASHED):
        return True
    with ExitStack() as waiting:
        may_wait = _take(waiting, "waiting", WAITING) or (
            is_known and _take(waiting, "reserved", RESERVED)
        )
        return may_wait and _take(held, "hashed", HASHED, PATIENCE)


def _place_asgi(held: ExitStack, is_known: bool) -> bool:
    """Take a place as _place() does, and before it a thread to wait in."""
    may_wait = _enter(held, _threads) or is_known and _enter(held, _reserved_thread)
    # Who is known has few chances among so many, and looks more often.
    pause = 0.005 if is_known else 0.05
    return may_wait and _take(held, "hashed", HASHED, PATIENCE_ASGI, pause)


def _enter(held: ExitStack, room: threading.BoundedSemaphore) -> bool:
    if not room.acquire(blocking=False):
        return False
    held.callback(room.release)
    return True


def _take(
    held: ExitStack, kind: str, number: int, seconds: float = 0, pause: float = 0.02
) -> bool:
    """Lock one of so many places, for all workers of this machine."""
    until = time.monotonic() + seconds
    while True:
        for n in range(number):
            with suppress(TimeoutError):
                held.enter_context(file_lock(f"{_files()}.{kind}{n}", timeout=0))
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(pause)


def _files() -> str:
    """Return how their names begin: others cannot guess them. A server has this folder, also where it has none for data."""
    site = f"{os.getuid()} {connection.settings_dict['NAME']}".encode()
    name = hmac.digest(settings.SECRET_KEY.encode(), site, "sha256").hex()[:32]
    return f"{tempfile.gettempdir()}/polls-{name}"
