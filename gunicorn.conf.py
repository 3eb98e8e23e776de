"""How gunicorn serves the site. Each setting can be overridden on the command line, these four by environment:
HOST, PORT, WEB_CONCURRENCY and WORKER_CLASS."""

import ctypes
import multiprocessing
import os
import signal
import socket
import subprocess
import sys

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

# From linux/prctl.h: what the kernel does to a process whose parent ends.
PR_SET_PDEATHSIG = 1


def number(name: str, default: int, most: int) -> int:
    """Read a whole number from 1 on; stop the start with one sentence if it is none."""
    text = os.environ.get(name, "").strip() or str(default)
    if not (
        text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most
    ):
        sys.exit(f"{name} is {text!r}. Use a whole number from 1 to {most}.")
    return int(text)


# All interfaces: the first run is often on a machine in the room, and phones are to reach it.
host = os.environ.get("HOST") or "0.0.0.0"
port = number("PORT", 8000, 65535)
bind = (
    f"[{host}]:{port}" if host.count(":") > 1 and "[" not in host else f"{host}:{port}"
)

# Pages wait for the database and for sockets: a little more than one worker a core keeps the cores busy.
workers = number("WEB_CONCURRENCY", multiprocessing.cpu_count() * 2 - 1, 999)

# WSGI unless asked for: without a proxy, and for live pages, polls.asgi and an ASGI worker.
ASGI_WORKER = "uvicorn.workers.UvicornWorker"
worker_class = os.environ.get("WORKER_CLASS") or "sync"
WSGI = {"sync", "gthread"}

# nginx and browsers use a connection again within this many seconds.
keepalive = 5

# Where an access log is asked for, it holds no address of a voter (%(h)s is left out).
access_log_format = '%(t)s "%(r)s" %(s)s %(b)s %(M)sms'

# gunicorn would open a socket for its remote control in the home folder. Signals do all that this site needs,
# a second site of the same user does not collide, and a read-only home is no surprise.
control_socket_disable = True


def defer_accept(server: Arbiter) -> None:
    """Let the kernel keep a connection until its first bytes are there.

    Browsers open some that they may never use, and a sync worker that got one
    would wait for it and serve nobody else.
    """
    for listener in server.LISTENERS:
        if listener.sock.family != socket.AF_UNIX and sys.platform == "linux":
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


def when_ready(server: Arbiter) -> None:
    """Prepare the site, or refuse to start: once, with the port in hand, and before there are workers."""
    if (
        server.app.app_uri.startswith("polls.asgi")
        and server.cfg.worker_class_str in WSGI
    ):
        sys.exit(
            f"polls.asgi needs an ASGI worker. Add -k {ASGI_WORKER}, or serve polls.wsgi."
        )
    # In a process of its own: what the master imports, no reload would renew.
    status = subprocess.run([sys.executable, "-c", "import polls.wsgi"]).returncode
    if status:
        sys.exit(status)
    os.environ["POLLS_PREPARED"] = "1"
    defer_accept(server)
    if server.cfg.worker_class_str in WSGI:
        server.log.info(
            "The %s worker belongs behind a proxy that buffers, such as nginx. Without one, slow visitors hold up "
            "all others: run gunicorn polls.asgi -k %s",
            server.cfg.worker_class_str,
            ASGI_WORKER,
        )
    address = os.environ.get("SITE_URL") or f"http://localhost:{port}"
    server.log.info("Open %s in a browser", address)


def post_worker_init(worker: Worker) -> None:
    """Let the worker end when its master was killed and can tell it nothing.

    It would serve on and hold the port: under UvicornWorker for good, under the
    sync worker as long as visitors come.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # The master may have been killed before.
        if os.getppid() != worker.ppid:
            sys.exit()
