"""The pages that say what went wrong, and what to do; on .json addresses the same as JSON."""

import errno
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.core.exceptions import DisallowedHost
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..database import database
from ..voting.loop_attempt import is_counted
from .health import reason_of
from .logs import request_id

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SENTENCES = {
    400: (_("Bad request"), _("The server could not read this request. Go back and try again.")),
    403: (_("Not allowed"), _("You may not see or do this. Go back to the polls.")),
    404: (_("Page not found"), _("There is no poll or page at this address, or the poll is not open yet. Check it, or go to the list of polls.")),
    405: (_("Method not allowed"), _("This address does not take that kind of request. Go back to the polls.")),
    411: (_("Length required"), _("This server takes no form without its length, which the program that sent it left out (Content-Length).")),
    413: (_("Too large"), _("That is more than this site takes at once. Go back and send less.")),
    429: (_("Wait a moment"), _("Too many wrong codes came from your network. Wait a minute, then try again.")),
    500: (_("Server error"), _("Something broke on our side, and the operator can read what. Try again in a while.")),
    503: (_("Busy"), _("The polls cannot be reached at this moment. Try again in a few seconds: a vote that is sent twice counts once.")),
}  # fmt: skip

# Seconds.
RETRY_AFTER = "5"

# Too many open files, in this process or in all; no room on the disk.
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT}

NOT_OUR_NAME = _(
    "This site does not answer to the name in the address bar. Use the address that you were given; "
    "the operator sets it in SITE_URL."
)
CUT_OFF = _(
    "The request was cut off on its way. Nothing of it was counted or saved: "
    "go back and send it again."
)
NO_TOKEN = _(
    "The form came without its security token. "
    "Allow cookies for this site, load the form again and send it once more."
)

NO_TOKEN_FOR_VOTE = _(
    "Your vote was not counted. The form came without its security token. "
    "Allow cookies for this site, load the form again and send it once more."
)

# To whoever sent a vote: where it is certain that it was not written, and where it is not.
VOTE_NOT_COUNTED = (
    _("Your vote was not counted"),
    _("The site is busy, and nothing has changed. Your choice is kept here: send it again."),
)  # fmt: skip
VOTE_IN_DOUBT = (
    _("Your vote may not have been counted"),
    _("The polls could not be reached. Your choice is kept here: send it again. A vote that is sent twice counts once."),
)  # fmt: skip

logger = logging.getLogger("polls.errors")


def error_page(
    request: HttpRequest, status: int, sentence: "str | _StrPromise" = ""
) -> HttpResponse:
    title, usual = SENTENCES[status]
    sentence = str(sentence or usual)
    if request.path.endswith(".json"):
        body = {"error": sentence, "status": status}
        if status >= 500:
            body["request"] = request_id.get()
        response: HttpResponse = JsonResponse(body, status=status)
    else:
        response = _page(str(title), sentence, status, _ways_on(request, status))
    # A cache on the way would answer an organiser what it was told for a stranger.
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _ways_on(request: HttpRequest, status: int) -> dict[str, str]:
    """Return the addresses that may help, beside the list of polls: the same again, or the log-in."""
    is_read = request.method in {"GET", "HEAD"}
    again = request.get_full_path() if is_read and status in {429, 500, 503} else ""
    back = f"?next={quote(request.path)}" if is_read else ""
    return {"again": again, "log_in": reverse("login") + back if status == 403 else ""}


def _page(
    title: str,
    sentence: str,
    status: int,
    more: Mapping[str, object],
    template: str = "polls/error.html",
) -> HttpResponse:
    # What the operator's log says of it has this name.
    reference = ""
    if status >= 500:
        reference = gettext("Reference for the operator: %(id)s") % {
            "id": request_id.get()
        }
    context = {"title": title, "sentence": sentence, "reference": reference, **more}
    try:
        return render(None, template, context, status=status)
    except (TemplateDoesNotExist, TemplateSyntaxError, ValueError, OSError) as error:
        logger.error("The error page cannot be shown: %s", error)
        lines = f"{title}. {sentence}\n{reference}".strip()
        return HttpResponse(f"{lines}\n", "text/plain; charset=utf-8", status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return error_page(request, 400, NOT_OUR_NAME)
    return error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    # A view of this site says why; Django's own say nothing.
    return error_page(request, 403, str(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    is_vote = request.path.endswith("/vote/")
    return error_page(request, 403, NO_TOKEN_FOR_VOTE if is_vote else NO_TOKEN)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view caught."""
    error = sys.exc_info()[1]
    if error and _is_passing(error):
        if _asks_for(request, "polls:vote"):
            return _vote_again(request, error)
        if _asks_for(request, "healthz", "readyz"):
            return _not_well(error)
        return unavailable(request)
    if isinstance(error, DataError):
        # The request brought what no database can hold: a NUL in a session cookie, say.
        return error_page(request, 400)
    return error_page(request, 500)


def _is_passing(error: BaseException) -> bool:
    """Tell whether it comes from a database that is locked or away, or a system that is short of something."""
    if isinstance(error, OSError):
        return error.errno in SHORTAGES
    is_away = isinstance(error, OperationalError | InterfaceError)
    return is_away or database.is_busy(error)


def unavailable(request: HttpRequest, sentence: str = "") -> HttpResponse:
    response = error_page(request, 503, sentence)
    response["Retry-After"] = RETRY_AFTER
    return response


def _asks_for(request: HttpRequest, *views: str) -> bool:
    match = request.resolver_match
    return match is not None and match.view_name in views


def _not_well(error: BaseException) -> HttpResponse:
    """Tell a program, or who reads over its shoulder, why in a few words; the log has more of them."""
    sentence = f"{reason_of(error)}\n{SENTENCES[503][1]}\n"
    headers = {"Retry-After": RETRY_AFTER, "Cache-Control": "no-store"}
    return HttpResponse(sentence, "text/plain; charset=utf-8", 503, headers=headers)


def _vote_again(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Say what became of the vote, and offer to send the same again; without the database, which is not there."""
    is_certain = database.is_busy(error) and not is_counted()
    title, sentence = VOTE_NOT_COUNTED if is_certain else VOTE_IN_DOUBT
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name != "csrfmiddlewaretoken"
    ]
    form = {"action": request.path, "token": get_token(request), "fields": fields}
    page = "polls/send_again.html"
    response = _page(str(title), str(sentence), 503, form, page)
    patch_cache_control(response, private=True, no_cache=True)
    response["Retry-After"] = RETRY_AFTER
    return response
