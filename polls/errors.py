"""The pages that say what went wrong, and what to do; on .json addresses the same as JSON."""

import functools
import sys
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

SENTENCES = {
    400: ("Bad request", "The server could not read this request. Go back and try again."),
    403: ("Not allowed", "You may not see or do this. Go back to the polls."),
    404: ("Page not found", "There is no poll or page at this address. Check it, or go to the list of polls."),
    405: ("Method not allowed", "This address does not take that kind of request. Go back to the polls."),
    500: ("Server error", "Something broke on our side, and the operator can read what. Try again in a while."),
    503: ("Busy", "The polls cannot be reached at this moment. Nothing of this request was kept; try again in a few seconds."),
}  # fmt: skip

View = Callable[..., HttpResponse]


def error_page(request: HttpRequest, status: int, sentence: str = "") -> HttpResponse:
    title, usual = SENTENCES[status]
    sentence = sentence or usual
    if request.path.endswith(".json"):
        return JsonResponse({"error": sentence, "status": status}, status=status)
    context = {"title": title, "sentence": sentence}
    return render(None, "polls/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(
        request,
        403,
        "Your vote was not counted, because the form came without its security token. "
        "Allow cookies for this site, load the form again and send it once more.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view caught. A database that is locked or away is 503: it comes back."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return unavailable(request)
    return error_page(request, 500)


def unavailable(request: HttpRequest) -> HttpResponse:
    response = error_page(request, 503)
    response["Retry-After"] = "5"
    return response


def allow(*methods: str) -> Callable[[View], View]:
    """Answer other methods with 405, its Allow header, and a page instead of a blank."""

    def decorator(view: View) -> View:
        @functools.wraps(view)
        def inner(
            request: HttpRequest, *args: object, **kwargs: object
        ) -> HttpResponse:
            if request.method in methods:
                return view(request, *args, **kwargs)
            response = error_page(request, 405)
            response["Allow"] = ", ".join(methods)
            return response

        return inner

    return decorator
