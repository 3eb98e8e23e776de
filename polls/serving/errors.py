"""The pages that say what went wrong, and what to do; on .json addresses the same as JSON."""

import errno
import logging
import sys
from urllib.parse import quote

from django.core.exceptions import DisallowedHost
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.urls import reverse
from django.utils.cache import patch_cache_control

SENTENCES = {
    400: ("Bad request", "The server could not read this request. Go back and try again."),
    403: ("Not allowed", "You may not see or do this. Go back to the polls."),
    404: ("Page not found", "There is no poll or page at this address. Check it, or go to the list of polls."),
    405: ("Method not allowed", "This address does not take that kind of request. Go back to the polls."),
    411: ("Length required", "This server takes no form without its length, which the program that sent it left out (Content-Length)."),
    413: ("Too large", "That is more than this site takes at once. Go back and send less."),
    429: ("Wait a moment", "Too many wrong codes came from your network. Wait a minute, then try again."),
    500: ("Server error", "Something broke on our side, and the operator can read what. Try again in a while."),
    503: ("Busy", "The polls cannot be reached at this moment. Try again in a few seconds: a vote that is sent twice counts once."),
}  # fmt: skip

# Too many open files, in this process or in all; no room on the disk.
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT}

NOT_OUR_NAME = (
    "This site does not answer to the name in the address bar. Use the address that you were given; "
    "the operator sets it in SITE_URL."
)
CUT_OFF = (
    "The request was cut off on its way. Nothing of it was counted or saved: "
    "go back and send it again."
)
NO_TOKEN = (
    "The form came without its security token. "
    "Allow cookies for this site, load the form again and send it once more."
)

logger = logging.getLogger("polls.errors")


def error_page(request: HttpRequest, status: int, sentence: str = "") -> HttpResponse:
    title, usual = SENTENCES[status]
    sentence = sentence or usual
    if request.path.endswith(".json"):
        body = {"error": sentence, "status": status}
        response: HttpResponse = JsonResponse(body, status=status)
    else:
        response = _page(title, sentence, status, _ways_on(request, status))
    # A cache on the way would answer an organiser what it was told for a stranger.
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _ways_on(request: HttpRequest, status: int) -> dict[str, str]:
    """Return the addresses that may help, beside the list of polls: the same again, or the log-in."""
    is_read = request.method in {"GET", "HEAD"}
    again = request.get_full_path() if is_read and status in {429, 500, 503} else ""
    back = f"?next={quote(request.path)}" if is_read else ""
    return {"again": again, "log_in": reverse("login") + back if status == 403 else ""}


def _page(title: str, sentence: str, status: int, ways: dict[str, str]) -> HttpResponse:
    context = {"title": title, "sentence": sentence, **ways}
    try:
        return render(None, "polls/error.html", context, status=status)
    except (TemplateDoesNotExist, TemplateSyntaxError, ValueError, OSError) as error:
        logger.error("The error page cannot be shown: %s", error)
        return HttpResponse(
            f"{title}. {sentence}\n", "text/plain; charset=utf-8", status
        )


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
    sentence = NO_TOKEN
    if request.path.endswith("/vote/"):
        sentence = f"Your vote was not counted. {NO_TOKEN}"
    return error_page(request, 403, sentence)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view caught."""
    error = sys.exc_info()[1]
    if _is_passing(error):
        return unavailable(request)
    if isinstance(error, DataError):
        # The request brought what no database can hold: a NUL in a session cookie, say.
        return error_page(request, 400)
    return error_page(request, 500)


def _is_passing(error: BaseException | None) -> bool:
    """Tell whether it comes from a database that is locked or away, or a system that is short of something."""
    if isinstance(error, OSError):
        return error.errno in SHORTAGES
    return isinstance(error, OperationalError | InterfaceError)


def unavailable(request: HttpRequest, sentence: str = "") -> HttpResponse:
    response = error_page(request, 503, sentence)
    response["Retry-After"] = "5"
    return response
