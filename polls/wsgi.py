"""The door for WSGI servers: gunicorn polls.wsgi.

Handed to an ASGI server, it serves the site as polls.asgi does: many a server
is started with gunicorn polls.wsgi -k uvicorn.workers.UvicornWorker.
"""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler

from .asgi import application as asgi_application

wsgi_application = WSGIHandler()


def application(first: Any, *rest: Any) -> Any:
    """Tell by the number of arguments what kind of server calls; their types are the server's business.

    Two are WSGI: environ and start_response. Three are ASGI: scope, receive
    and send. The scope alone is how uvicorn calls a plain function: it takes it
    for an ASGI 2 application, and gives the rest to what it gets back.
    """
    if not rest:
        return lambda receive, send: asgi_application(first, receive, send)
    if len(rest) == 1:
        return wsgi_application(first, *rest)
    return asgi_application(first, *rest)
