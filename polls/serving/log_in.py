"""Throttle of log-ins: who guesses passwords has to wait, and other people can still log in.

A wrong password counts against the network it came from, and against the user name in that network. A name that many
networks guess at has one try a minute in each: so a stranger elsewhere locks out nobody. A browser that has logged in
to the name before (it has a signed cookie) has tries of its own. All other browsers of one network share the tries on
a name: somebody there who never stops guessing uses most of them up.
"""

import functools
import math
import secrets
import unicodedata
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import ngettext_lazy

from . import throttle
from .decorators import View
from .errors import error_page
from .hash_slots import hash_slot
from .networks import networks
from .throttle import Limit

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NAME_HERE = Limit("name here", free=5, first=2, longest=60, forgotten=900)
NAME_ANYWHERE = Limit("name anywhere", free=50, first=60, longest=60, forgotten=900)
# What each network has of a name while it is tried from everywhere.
NAME_HERE_SLOWLY = NAME_HERE._replace(free=1, first=60)
# Never long: a whole school may be behind it.
NETWORK = Limit("network", free=30, first=2, longest=4, forgotten=300)
NETWORK_AROUND = NETWORK._replace(name="network around", free=120)
BROWSER = Limit("browser", free=10, first=2, longest=60, forgotten=900)

# Seconds until one without a slot should come again.
RETRY = 2

COOKIE = "browser"
# fmt: off
WRONG = ngettext_lazy(
    "Too many wrong passwords came for this user name or from your network, perhaps from somebody else. "
    "Wait %(number)s second, then go back and try again. A browser that has logged in to this name before need not wait for others.",
    "Too many wrong passwords came for this user name or from your network, perhaps from somebody else. "
    "Wait %(number)s seconds, then go back and try again. A browser that has logged in to this name before need not wait for others.",
    "number",
)
WRONG_HERE = ngettext_lazy(
    "Too many wrong passwords came from this browser. Wait %(number)s second, then try again.",
    "Too many wrong passwords came from this browser. Wait %(number)s seconds, then try again.",
    "number",
)
BUSY = ngettext_lazy(
    "Many people are logging in at this moment. Wait %(number)s second, then go back and try again.",
    "Many people are logging in at this moment. Wait %(number)s seconds, then go back and try again.",
    "number",
)
# fmt: on


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
        seconds = max(throttle.wrong_tries.seconds_to_wait(*limit) for limit in limits)
        if seconds:
            return _wait(request, WRONG_HERE if browser else WRONG, seconds)
        with hash_slot(request, is_known=bool(browser)) as has_slot:
            if not has_slot:
                return _wait(request, BUSY, RETRY)
            response = view(request, *args, **kwargs)
        _note(response, limits, name, browser)
        return response

    return inner


def hashes_password(view: View) -> View:
    """Let this view hash what is posted as somebody's new password in a slot, as a log-in does."""

    @functools.wraps(view)
    def inner(
        request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        with hash_slot(request, request.user.is_authenticated) as has_slot:
            if not has_slot:
                return _wait(request, BUSY, RETRY)
            return view(request, *args, **kwargs)

    return inner


def _name(request: HttpRequest) -> str:
    """Return the name that is tried: all spellings that are one account are one name."""
    name = request.POST.get("username", "").strip()
    return unicodedata.normalize("NFKC", name).casefold()


def _limits(request: HttpRequest, name: str, browser: str) -> list[tuple[Limit, str]]:
    """Return each limit that the try falls under, and whose tries it counts."""
    if browser:
        return [(BROWSER, browser)]
    own, *around = networks(request)
    is_tried_everywhere = throttle.wrong_tries.seconds_to_wait(NAME_ANYWHERE, name) > 0
    here = NAME_HERE_SLOWLY if is_tried_everywhere else NAME_HERE
    limits = [(here, f"{own} {name}"), (NETWORK, own)]
    return limits + [(NETWORK_AROUND, network) for network in around]


def _note(
    response: HttpResponseBase,
    limits: list[tuple[Limit, str]],
    name: str,
    browser: str,
) -> None:
    """Count a wrong password, or remember a browser that has logged in."""
    if response.status_code == 302:
        _remember_browser(response, name)
    elif response.status_code == 200:
        counted = limits if browser else [*limits, (NAME_ANYWHERE, name)]
        for limit in counted:
            throttle.wrong_tries.count(*limit)


def _wait(
    request: HttpRequest, sentence: "_StrPromise", seconds: float
) -> HttpResponse:
    number = math.ceil(seconds)
    response = error_page(request, 429, sentence % {"number": number})
    response["Retry-After"] = str(number)
    return response


def _signer(name: str) -> Signer:
    return Signer(salt=f"polls.log_in.{name}")


def _read_browser(request: HttpRequest, name: str) -> str:
    """Return which browser this is if it has logged in to this name before, else an empty text."""
    try:
        return _signer(name).unsign(request.COOKIES.get(COOKIE, ""))
    except BadSignature:
        return ""


def _remember_browser(response: HttpResponseBase, name: str) -> None:
    """Let the browser log in again, whatever others do. The name cannot be read from the cookie."""
    response.set_cookie(
        COOKIE,
        _signer(name).sign(secrets.token_urlsafe(16)),
        max_age=settings.VOTER_COOKIE_AGE,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
