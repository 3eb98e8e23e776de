"""File descriptors: each connection takes one, and a worker that has none left can open no file and no database.

So a flood of connections meets a worker that has read what is read once, and live streams, which stay for hours, get
three of four descriptors.
"""

import logging
import resource
from contextvars import copy_context
from io import BytesIO
from pathlib import Path

from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.template import TemplateSyntaxError, engines
from django.template.backends.base import BaseEngine

logger = logging.getLogger("polls.descriptors")

# Where the hard limit is none at all (macOS), as many as any system gives.
ENOUGH = 10240
TEMPLATES = {".html", ".svg", ".txt"}


def prepare(handler: BaseHandler) -> None:
    """Make a worker ready for a flood, before it serves."""
    _raise_limit()
    _load_templates()
    _answer_404(handler)


def _raise_limit() -> None:
    """Raise the soft limit, which is mostly 1,024 for programs that use select(), to what the operator allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _load_templates() -> None:
    """Read the templates of visitors' pages, and all libraries.

    Django looks for the libraries once, and takes a folder that it cannot open for an empty one: without a descriptor,
    every page would be broken for good. The admin's templates are as many again, and most workers serve no organiser.
    """
    for engine in engines.all():
        for folder in map(Path, engine.template_dirs):
            for path in (folder / "polls").rglob("*.*"):
                name = path.relative_to(folder)
                # Editors leave other files there.
                is_hidden = any(part.startswith(".") for part in name.parts)
                if path.suffix in TEMPLATES and not is_hidden:
                    _load_template(engine, path, str(name))


def _load_template(engine: BaseEngine, path: Path, name: str) -> None:
    try:
        engine.get_template(name)
    except (TemplateSyntaxError, UnicodeDecodeError, OSError) as error:
        # The pages that need it say so; the others are served.
        logger.error("The template %s cannot be used: %s", path, error)


def _answer_404(handler: BaseHandler) -> None:
    """Import all views, and what Python needs for a first page, by a request that takes no database."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/nowhere",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(),
    }
    # In a context of its own: what the server logs next is not about this request.
    copy_context().run(handler.get_response, WSGIRequest(environ)).close()


def has_room_for_stream(streams: int) -> bool:
    """Tell whether this worker may hold another stream beside so many; if not, the log says what to do."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or streams < soft * 3 // 4:
        return True
    logger.warning(
        "%d live streams are open in this worker, as many as its limit of file descriptors leaves room for. "
        "Further pages ask for results every few seconds. Raise the limit: LimitNOFILE in the systemd unit, "
        "or ulimit -n.",
        streams,
    )
    return False
