"""The site's own settings, with what the benchmark asks for by environment."""

import os

from polls.settings import *  # All of it, but for what follows.
from polls.settings import DATABASES

# On servers of its own: the others serve the site's addresses and no more.
if os.environ.get("BENCH_SLOW"):
    ROOT_URLCONF = "bench.slow"

# Stock Django runs each request in a thread of its own under ASGI. A kept connection would stay behind
# with a thread that never comes again, so Django's documentation asks for connections that are closed.
if os.environ.get("BENCH_STOCK_ASGI"):
    DATABASES["default"]["CONN_MAX_AGE"] = 0
