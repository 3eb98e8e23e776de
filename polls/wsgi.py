"""The door for WSGI servers: gunicorn polls.wsgi.

Handed to an ASGI server, it serves the site as polls.asgi does: many a server
is started with gunicorn polls.wsgi -k uvicorn.workers.UvicornWorker.
"""

import functools
import os
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls.settings")
wsgi_application = get_wsgi_application()

from . import metrics
from .serving import descriptors, first_run
from .serving.logs import request_id
from .serving.measured import MeasuredWSGIHandler

first_run.prepare()
metrics.start()
if settings.METRICS_TOKEN:
    wsgi_application = MeasuredWSGIHandler()
descriptors.prepare(wsgi_application)


def give_length(environ: dict[str, Any]) -> None:
    """Read a body that comes in chunks, for Django takes one without a length for none.

    Only where the server says that the stream ends by itself: elsewhere reading
    would wait for ever, and the answer is 411.
    """
    if environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" not in environ:
        return
    if environ.get("wsgi.input_terminated"):
        # One byte more than Django takes is enough for it to refuse.
        body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    give_length(environ)
    try:
        response = wsgi_application(environ, start_response)
    except (LookupError, ValueError):
        # Views never get here: Django could not make a request of these headers (charset=hex, say).
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"The server could not read this request.\n"]
    finally:
        # What this thread logs next is not about this request.
        request_id.set("")
    if environ["REQUEST_METHOD"] == "HEAD":
        # gunicorn drops the body, and warns of it for each request.
        response.close()
        return []
    return response


@functools.cache
def asgi_application() -> Callable[..., Awaitable[None]]:
    # Not at the top: it makes a handler with its threads, and has threads switch more often.
    from .asgi import application

    return application


def application(first: Any, *rest: Any) -> Any:
    """Tell by the number of arguments what kind of server calls; their types are the server's business.

    Two are WSGI: environ and start_response. Three are ASGI: scope, receive
    and send. The scope alone is how uvicorn calls a plain function: it takes it
    for an ASGI 2 application, and gives the rest to what it gets back.
    """
    if not rest:
        return lambda receive, send: asgi_application()(first, receive, send)
    if len(rest) == 1:
        return answer(first, *rest)
    return asgi_application()(first, *rest)
