"""The door for ASGI servers: uvicorn polls.asgi:application, gunicorn polls.asgi -k uvicorn.workers.UvicornWorker."""

import ctypes
import gc
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls.settings")
django.setup(set_prefix=False)

from django.conf import settings

from . import metrics
from .serving import descriptors, first_run
from .serving.asgi_handler import Handler
from .serving.measured import MeasuredHandler

# From glibc's malloc.h.
M_ARENA_MAX = -8

# A thread that writes a ballot gives the interpreter away with each statement, and would wait up to 5 ms to have
# it back while others wait for its lock: a sixth more votes a second.
sys.setswitchinterval(0.0005)
# glibc would give each thread a part of the memory of its own, with room in it that no other uses: 3 MB a worker.
libc = ctypes.CDLL(None)
if hasattr(libc, "mallopt"):
    libc.mallopt(M_ARENA_MAX, 1)
first_run.prepare()
metrics.start()
application = MeasuredHandler() if settings.METRICS_TOKEN else Handler()
descriptors.prepare(application)
# Garbage collection: modules and templates stay to the end. A full collection would look through them while the loop
# waits, some 30 ms each time.
gc.collect()
gc.freeze()
