"""How often one request for the list of questions crosses into a thread, and how many threads it starts.

usage: python -m bench.crossings

Under stock Django's ASGI handler, with its own middleware alone or with all of
the site's, and under the site's, on a new database. Somebody who may have
logged in is answered by the view; of other visitors' pages the words are in
memory. It is counted when the server is warm.
"""

import asyncio
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.testing import ApplicationCommunicator

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/polls/",
    "query_string": b"",
}
HOST = b"host", b"localhost"
VISITORS = {
    "a session": [HOST, (b"cookie", b"sessionid=unknown")],
    "a voter's cookie": [HOST, (b"cookie", b"voter=unknown")],
    "no cookie": [HOST],
}


def counted(counter: Counter[str], name: str, function: Callable) -> Callable:
    def count(*arguments: object, **named: object) -> object:
        counter[name] += 1
        return function(*arguments, **named)

    return count


async def ask(application: Callable, *headers: tuple[bytes, bytes]) -> int:
    browser = ApplicationCommunicator(application, SCOPE | {"headers": headers})
    await browser.send_input({"type": "http.request", "body": b""})
    start = await browser.receive_output(10)
    while (await browser.receive_output(10)).get("more_body"):
        pass
    await browser.wait()
    return start["status"]


async def main() -> None:
    # Only now, with DATA_DIR set.
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    from polls.asgi import application

    with_ours = get_asgi_application()
    settings.MIDDLEWARE = [m for m in settings.MIDDLEWARE if m.startswith("django.")]
    handlers = {
        "stock, its own middleware": get_asgi_application(),
        "stock, all middleware": with_ours,
        "ours": application,
    }

    counter: Counter[str] = Counter()
    # A thread that waits for the loop meanwhile is given work by the second of them.
    for pool in (ThreadPoolExecutor, CurrentThreadExecutor):
        pool.submit = counted(counter, "crossings", pool.submit)
    threading.Thread.start = counted(counter, "threads", threading.Thread.start)
    for name, handler in handlers.items():
        for who, headers in VISITORS.items():
            for _ in range(10):
                await ask(handler, *headers)
            counter.clear()
            status = await ask(handler, *headers)
            counts = f"{counter['crossings']} crossings, {counter['threads']} threads"
            print(f"{name}, {who}: {status}, {counts} started")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATA_DIR"] = folder
        os.environ.pop("DATABASE_URL", None)
        asyncio.run(main())
