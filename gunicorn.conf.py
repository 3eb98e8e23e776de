"""How gunicorn serves the site. Each setting can be overridden on the command line, these four by environment:
HOST, PORT, WEB_CONCURRENCY and WORKER_CLASS."""

import ctypes
import errno
import fcntl
import gc
import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.systemd import SD_LISTEN_FDS_START
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


def quota(group: Path) -> float | None:
    """Return how many CPUs' time the processes of this control group have; None without a limit."""
    # Version 2 of control groups, then version 1.
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            words = " ".join((group / name).read_text() for name in names).split()
            if words[:1] in (["max"], ["-1"]):
                return None
            microseconds, period = map(int, words)
            if microseconds > 0 and period > 0:
                return microseconds / period
            raise ValueError(f"it says {' '.join(words)}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            print(f"{group / names[0]} is ignored: {error}.", file=sys.stderr)
    return None


def quotas(
    mounted: Path = Path("/sys/fs/cgroup"), member: Path = Path("/proc/self/cgroup")
) -> Iterator[float]:
    """Yield the limits of the control groups that this process is in, from its own to the outermost."""
    try:
        lines = [line.split(":", 2) for line in member.read_text().splitlines()]
    except (OSError, ValueError):
        # Not Linux, or closed to us.
        return
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mounted / "cpu" if controllers else mounted
        # In a container the path may be the host's, of which only the top is there.
        own = top / path.lstrip("/")
        inside = [own, *own.parents]
        limits = map(quota, inside[: inside.index(top) + 1])
        yield from (limit for limit in limits if limit)


def cpus() -> float:
    """Return how many CPUs this process really has: a container on a large machine has few of them."""
    if hasattr(os, "sched_getaffinity"):
        return min([len(os.sched_getaffinity(0)), *quotas()])
    return os.cpu_count() or 1


# All interfaces: the first run is often on a machine in the room, and phones are to reach it.
host = os.environ.get("HOST") or "0.0.0.0"
port = number("PORT", 8000, 65535)
bind = (
    f"[{host}]:{port}" if host.count(":") > 1 and "[" not in host else f"{host}:{port}"
)

# Pages wait for the database and for sockets: a little more than one worker a core keeps the cores busy.
# cpu_count() * 2 - 1, of the CPUs that are ours.
workers = number("WEB_CONCURRENCY", min(max(int(cpus() * 2 - 1), 1), 999), 999)

# WSGI unless asked for: without a proxy, and for live pages, polls.asgi and an ASGI worker.
ASGI_WORKER = "uvicorn.workers.UvicornWorker"
worker_class = os.environ.get("WORKER_CLASS") or "sync"
WSGI = {"sync", "gthread"}

# nginx and browsers use a connection again within this many seconds.
keepalive = 5

# Where an access log is asked for, it holds no address of a voter (%(h)s is left out) and no query.
access_log_format = '%(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s %(M)sms %({x-request-id}o)s'


class JsonLogger(Logger):
    """gunicorn's, with lines of JSON as the site writes them."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        # No import: what the master has imported, no reload would renew.
        logs = runpy.run_path(str(Path(__file__).parent / "polls/serving/logs.py"))
        for handler in self.error_log.handlers + self.access_log.handlers:
            handler.setFormatter(logs["JsonLine"]())


if os.environ.get("LOG_FORMAT", "").strip().lower() == "json":
    logger_class = JsonLogger

# gunicorn would open a socket for its remote control in the home folder. Signals do all that this site needs,
# a second site of the same user does not collide, and a read-only home is no surprise.
control_socket_disable = True


def refusal(host: str, port: int) -> OSError | None:
    """Return why nobody can listen at this address; nothing if somebody can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def wait_for(host: str, taken: int, seconds: float = 5) -> None:
    """Wait for whoever is about to leave this port; then stop the start with one sentence."""
    until = time.monotonic() + seconds
    while error := refusal(host, taken):
        if error.errno != errno.EADDRINUSE:
            sys.exit(
                f"{host} port {taken} cannot be listened on ({error.strerror}). "
                "Choose another HOST or PORT."
            )
        if time.monotonic() > until:
            # Whoever gave it as -b has another way.
            way = f"PORT={port % 65535 + 1}" if taken == port else "-b"
            sys.exit(
                f"Port {taken} is in use by another program. "
                f"Give the same command another one with {way}."
            )
        time.sleep(0.1)


def on_starting(server: Arbiter) -> None:
    """Refuse a port that is taken. gunicorn would say so in fifteen lines, and name no way out."""
    # systemd, or the master that this one takes over from, hands its sockets on.
    if not {"LISTEN_FDS", "GUNICORN_FD"} & set(os.environ):
        for address in server.cfg.address:
            if isinstance(address, tuple) and not server.cfg.reuse_port:
                wait_for(*address)


def defer_accept(server: Arbiter) -> None:
    """Let the kernel keep a connection until its first bytes are there.

    Browsers open some that they may never use, and a sync worker that got one
    would wait for it and serve nobody else.
    """
    for listener in server.LISTENERS:
        if listener.sock.family != socket.AF_UNIX and sys.platform == "linux":
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


# In a process of its own: what the master imports of the site, no reload would renew.
PREPARE = """
import sys, django
django.setup(set_prefix=False)
from polls.serving import first_run
first_run.prepare()
print(*sys.modules)
"""


def prepare() -> list[str]:
    """Prepare the site, or stop the start where it is refused; return the modules that Django and the site have imported."""
    settings = {"DJANGO_SETTINGS_MODULE": "polls.settings"}
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        env=settings | os.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.split()


def share_standard_library(modules: list[str]) -> None:
    """Import what each worker would import for itself, of what comes with this Python and changes with it alone."""
    for name in modules:
        if name.partition(".")[0] in sys.stdlib_module_names:
            importlib.import_module(name)
    # Copy on write: the garbage collector of a worker writes into all that it looks at, and would copy the shared pages.
    gc.freeze()


def when_ready(server: Arbiter) -> None:
    """Prepare the site, or refuse to start: once, with the port in hand, and before there are workers."""
    if (
        server.app.app_uri.startswith("polls.asgi")
        and server.cfg.worker_class_str in WSGI
    ):
        sys.exit(
            f"polls.asgi needs an ASGI worker. Add -k {ASGI_WORKER}, or serve polls.wsgi."
        )
    share_standard_library(prepare())
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


def pre_exec(server: Arbiter) -> None:
    """Put the sockets of systemd where the master that USR2 starts looks for them, which gunicorn forgets: at 3 and on."""
    if server.systemd:
        # Out of the way of each other.
        kept = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in server.LISTENERS]
        for place, descriptor in enumerate(kept, SD_LISTEN_FDS_START):
            os.dup2(descriptor, place)


def post_worker_init(worker: Worker) -> None:
    end_with_master(worker)
    config = getattr(worker, "config", None)
    if config:
        # uvicorn's, which only workers of that kind have.
        from polls.serving.lingering import linger

        linger(config, worker.sockets)


def end_with_master(worker: Worker) -> None:
    """Let the worker end when its master was killed and can tell it nothing.

    It would serve on and hold the port: under UvicornWorker for good, under the
    sync worker as long as visitors come.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # The master may have been killed before.
        if os.getppid() != worker.ppid:
            sys.exit()
