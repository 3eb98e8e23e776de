"""The door for WSGI servers: gunicorn polls.wsgi.

Handed to an ASGI server (gunicorn polls.wsgi -k uvicorn.workers.UvicornWorker,
as many a server is started), it serves the site as polls.asgi does.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls.settings")
wsgi_application = get_wsgi_application()

from . import first_run  # noqa: E402  Django must be set up before the models load.

first_run.prepare()


@functools.cache
def _asgi_application() -> Callable[..., Any]:
    from .asgi import application

    return application


def application(*arguments: Any) -> Any:
    """Tell by the number of arguments what kind of server calls.

    Two are WSGI (environ, start_response); three are ASGI (scope, receive,
    send); one is the scope alone, as uvicorn calls what it takes for an ASGI 2
    application, and wants the callable that takes the rest.
    """
    if len(arguments) == 2:
        return wsgi_application(*arguments)
    if len(arguments) == 3:
        return _asgi_application()(*arguments)
    return functools.partial(_asgi_application(), *arguments)
