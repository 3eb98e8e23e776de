"""The ASGI handler in the test's own process, with one thread for what takes one."""

from collections.abc import Iterator
from contextlib import contextmanager

from asgiref.sync import async_to_sync
from django.db import connections
from pytest_django import Settings

from polls.serving.asgi_handler import Handler


@contextmanager
def handling(settings: Settings) -> Iterator[Handler]:
    settings.ASGI_THREADS = 1
    handler = Handler()
    yield handler
    async_to_sync(handler.reader.close)()
    for threads in (handler.threads, handler.own_thread, handler.writer):
        threads.submit(connections.close_all).result()
        threads.shutdown()
