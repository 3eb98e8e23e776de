"""How often one request for the list of questions crosses into a thread, and how many threads it starts.

usage: python -m bench.crossings

Under stock Django's ASGI handler and under the site's own, with the site's
middleware, on a new database. A visitor with a cookie is answered from the
database, one without from memory. It is counted when the server is warm.
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
HOST, COOKIE = (b"host", b"localhost"), (b"cookie", b"known=1")


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
    from django.core.asgi import get_asgi_application

    from polls.asgi import application

    counter: Counter[str] = Counter()
    # A thread that waits for the loop meanwhile is given work by the second of them.
    for pool in (ThreadPoolExecutor, CurrentThreadExecutor):
        pool.submit = counted(counter, "crossings", pool.submit)
    threading.Thread.start = counted(counter, "threads", threading.Thread.start)
    for name, handler in (("stock", get_asgi_application()), ("ours", application)):
        for who, headers in (("a cookie", [HOST, COOKIE]), ("no cookie", [HOST])):
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
