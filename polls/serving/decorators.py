"""What stands above a view: what it refuses before its work, and what it is marked with."""

import functools
from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt

from .errors import error_page

T = TypeVar("T")
View = Callable[..., HttpResponseBase]

# The middleware of the same class has read the cookie already, and sets it if need be.
_csrf = CsrfViewMiddleware(lambda request: HttpResponse())


def kept_by_path(find: Callable[[str], T]) -> Callable[[str], T]:
    """Keep what is found at a path, but for the paths that strangers make up, as long as they like."""
    known = functools.lru_cache(maxsize=1024)(find)
    return lambda path: known(path) if len(path) < 100 else find(path)


class MarkedView:
    """A view that is known by its class where its address is looked up: its decorator stands above all others."""

    def __init__(self, view: View) -> None:
        functools.update_wrapper(self, view)
        self.view = view

    def __call__(
        self, request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        return self.view(request, *args, **kwargs)


def require_utf8(view: View) -> View:
    """Refuse a form that is not UTF-8: Django would read it as Latin-1."""

    @functools.wraps(view)
    def inner(
        request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponseBase:
        if request.content_type == "application/x-www-form-urlencoded":
            try:
                request.body.decode()
            except UnicodeDecodeError:
                return error_page(request, 400)
        return view(request, *args, **kwargs)

    return inner


def allow(*methods: str) -> Callable[[View], View]:
    """Answer other methods with 405, its Allow header, and a page instead of a blank.

    The method is looked at before the security token, which a PUT would never have, and the token of a POST then.
    """

    def decorator(view: View) -> View:
        @csrf_exempt
        @functools.wraps(view)
        def inner(
            request: HttpRequest, *args: object, **kwargs: object
        ) -> HttpResponseBase:
            if request.method in methods:
                refusal = _csrf.process_view(request, view, args, kwargs)
                return refusal or view(request, *args, **kwargs)
            response = error_page(request, 405)
            response["Allow"] = ", ".join(methods)
            return response

        return inner

    return decorator
