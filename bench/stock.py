"""The same for stock Django's ASGI handler, which runs each request in a thread of its own.

A kept connection would stay behind with a thread that never comes again, so
Django's documentation asks for connections that are closed.
"""

from bench.settings import *  # noqa: F403
from bench.settings import DATABASES

DATABASES["default"]["CONN_MAX_AGE"] = 0
