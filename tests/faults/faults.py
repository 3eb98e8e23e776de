"""What can go wrong while people vote: a line each. Each ends only what belongs to its own site."""

import contextlib
import datetime
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

from tests.faults.scene import POSTGRESQL, SQLITE, Place, Scene
from tests.support import disks
from tests.support.people import Voter
from tests.support.servers import children
from tests.support.waiting import wait_until

SERVERS = {
    "gunicorn sync": "gunicorn polls.wsgi",
    "UvicornWorker": "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "uvicorn": "uvicorn polls.asgi:application --no-access-log",
}
GUNICORN = "gunicorn sync", "UvicornWorker"
BOTH = SQLITE, POSTGRESQL
HALF_SENT = b"POST /polls/1/vote/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nchoice"
PAGE = b"GET /static/polls/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    name: str
    strike: Callable[[Scene], None]
    servers: tuple[str, ...] = GUNICORN
    databases: tuple[str, ...] = BOTH
    place: Place = field(default_factory=Place)


def nothing(scene: Scene) -> None:
    scene.lasts()


# The processes of the site.


def kill_worker(scene: Scene) -> None:
    killed = scene.workers[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in scene.workers and len(scene.workers) > 1, 30)


def kill_master(scene: Scene) -> None:
    scene.site.stop(signal.SIGKILL)
    scene.start_again()


def reload(scene: Scene) -> None:
    before = set(scene.workers)
    os.kill(scene.master, signal.SIGHUP)
    wait_until(lambda: before.isdisjoint(scene.workers) and len(scene.workers) > 1, 40)


def upgrade(scene: Scene) -> None:
    """As gunicorn's documentation describes it: a second master, then the end of the first."""
    os.kill(scene.master, signal.SIGUSR2)
    leads = lambda pid: len(children(pid)) > 1
    wait_until(lambda: any(map(leads, scene.workers)), 30)
    new = next(filter(leads, scene.workers))
    # Whoever does it looks whether the new one is well.
    scene.lasts()
    scene.site.stop(signal.SIGTERM)
    scene.master = new


def stop_and_start(scene: Scene) -> None:
    scene.site.stop(signal.SIGTERM)
    scene.start_again()


def freeze_worker(scene: Scene) -> None:
    """gunicorn ends it after 30 s."""
    frozen = scene.workers[0]
    os.kill(frozen, signal.SIGSTOP)
    wait_until(lambda: frozen not in scene.workers, 45)


def recycle_workers(scene: Scene) -> None:
    seen: set[int] = set()

    def are_many() -> bool:
        seen.update(scene.workers)
        return len(seen) > 5

    wait_until(are_many, 60)


# The database.


def kill_backend(scene: Scene) -> None:
    """PostgreSQL ends all others too, and recovers from its log."""
    own = "SELECT pid FROM pg_stat_activity WHERE datname = 'polls'"
    (pid,) = scene.database.ask(own)[0]
    os.kill(int(str(pid)), signal.SIGKILL)
    wait_until(scene.database.answers, 30)


def kill_postmaster(scene: Scene) -> None:
    backends = children(scene.postmaster.pid)
    scene.postmaster.kill()
    scene.postmaster.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in backends), 30)
    scene.lasts()
    scene.database.start()


def restart_postgresql(scene: Scene) -> None:
    scene.database.stop()
    scene.database.start()


def freeze_postgresql(scene: Scene) -> None:
    """Longer than anything of the site waits for it."""
    first = scene.postmaster.pid
    # So that it has no new child meanwhile.
    os.kill(first, signal.SIGSTOP)
    frozen = [first, *children(first)]
    send(signal.SIGSTOP, frozen)
    time.sleep(15)
    send(signal.SIGCONT, frozen)


def send(number: int, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def fail_over(scene: Scene) -> None:
    """Promote the standby after a while, as somebody does who is told."""
    scene.database.kill()
    scene.lasts()
    scene.pair.take_over()


def hold_lock(scene: Scene) -> None:
    """Hold what each vote needs for longer than the site waits."""
    rows = "SELECT id FROM polls_choice WHERE question_id = %s FOR UPDATE"
    with scene.site.database() as run:
        if scene.servers:
            run("BEGIN")
            run(rows, scene.question)
        else:
            run("BEGIN IMMEDIATE")
        time.sleep(12)
        run("ROLLBACK")


def fill_disk(scene: Scene) -> None:
    """Leave no byte, until voters have met it."""
    filler = scene.site.folder.parent / "filler"
    refused = lambda: "503" in scene.voters.ledger.seen
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(65536)):
            pass
    try:
        wait_until(refused, 20)
        scene.lasts()
    finally:
        filler.unlink()


def move_file_away(scene: Scene) -> None:
    with disks.moved_away(scene.site.folder / "polls.sqlite3"):
        scene.lasts()


def replace_file(scene: Scene) -> None:
    with disks.replaced(scene.site.folder / "polls.sqlite3"):
        scene.lasts()


def restore_while_running(scene: Scene) -> None:
    """Back up under way, and try to restore it into the database that is in use."""
    backup = str(scene.site.folder / "backup")
    scene.site.manage("backup", backup)
    said = scene.site.manage("restore", backup, check=False)
    assert "CommandError" in said, said


# The clock, and clients.


def set_clock_back(scene: Scene) -> None:
    assert LIBFAKETIME.is_file(), "Install it: apt-get install faketime"
    clock = Path(scene.site.environment["FAKETIME_TIMESTAMP_FILE"])
    for offset, seconds in (("-1h", 3600), ("+0", 0)):
        clock.write_text(f"{offset}\n")
        wait_until(lambda: abs(seconds_behind(scene) - seconds) < 60, 20)
        scene.lasts()


def seconds_behind(scene: Scene) -> float:
    """Ask the site which time it is."""
    answer = Voter(scene.site.base).get("/healthz")
    says = parsedate_to_datetime(answer.headers["Date"])
    return datetime.datetime.now(datetime.UTC).timestamp() - says.timestamp()


def connect(scene: Scene, *sends: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", scene.site.port), 10)
    for each in sends:
        connection.sendall(each)
    return connection


def reset_connections(scene: Scene) -> None:
    """Open, say nothing, half or all, and leave without a word."""

    def reset(n: int) -> None:
        with contextlib.suppress(OSError), connect(
            scene, (b"", HALF_SENT, PAGE)[n % 3]
        ) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(reset, range(1000)))


def hold_connections(*sends: bytes) -> Callable[[Scene], None]:
    def hold(scene: Scene) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                with contextlib.suppress(OSError):
                    stack.enter_context(connect(scene, *sends))
            scene.lasts()

    return hold


def starve_of_descriptors(scene: Scene) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            with contextlib.suppress(OSError):
                stack.enter_context(connect(scene, b"GET /polls/ HTT"))
        scene.lasts()


SMALL_DISK = Place(disk={SQLITE: "8m", POSTGRESQL: "160m"})
FEW_DESCRIPTORS = Place("prlimit --nofile=64:64 {command}", {"WEB_CONCURRENCY": "2"})
MAX_REQUESTS = Place("{command} --max-requests 50")
STANDBY = Place(has_standby=True)
# Debian's folder has the machine's name.
LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), Path())
CLOCK = Place(
    environment={
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": "{folder}/clock",
        # Seconds until it reads the file again.
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(Path(__file__).with_name("clock")),
    }
)
# uvicorn alone where it does something else than as a worker of gunicorn, or where it matters most.
EVERY = tuple(SERVERS)
ONE, OTHER = (SQLITE,), (POSTGRESQL,)
FAULTS = {
    "nothing": Fault("Nothing, to compare", nothing),
    "worker": Fault("A worker is killed", kill_worker),
    "master": Fault("The server is killed, and started again", kill_master, EVERY),
    "reload": Fault("The server reloads (HUP)", reload),
    "upgrade": Fault("The server is replaced under way (USR2)", upgrade),
    "restart": Fault("The server is stopped (TERM), and started again", stop_and_start, EVERY),
    "frozen-worker": Fault("A worker is frozen, until gunicorn ends it", freeze_worker),
    "max-requests": Fault("Workers are replaced after 50 requests each", recycle_workers, place=MAX_REQUESTS),
    "backend": Fault("One process of PostgreSQL is killed", kill_backend, databases=OTHER),
    "postmaster": Fault("PostgreSQL's first process is killed, and started again after 3 s", kill_postmaster, EVERY, OTHER),
    "restart-postgresql": Fault("PostgreSQL is restarted", restart_postgresql, databases=OTHER),
    "frozen-postgresql": Fault("PostgreSQL is frozen for 15 s", freeze_postgresql, EVERY, OTHER),
    "fail-over": Fault("The primary is killed, the standby promoted after 3 s", fail_over, EVERY, OTHER, STANDBY),
    "lock": Fault("Somebody else holds the lock that votes need for 12 s", hold_lock),
    "restore": Fault("A backup is made, and its restore is tried while the site runs", restore_while_running),
    "disk": Fault("The disk is full", fill_disk, place=SMALL_DISK),
    "file-away": Fault("The database's file is gone for 3 s", move_file_away, databases=ONE),
    "file-replaced": Fault("A copy stands in the place of the file for 3 s", replace_file, databases=ONE),
    "descriptors": Fault("64 descriptors, and 150 visitors who hold connections", starve_of_descriptors, place=FEW_DESCRIPTORS),
    "clock": Fault("The site's clock goes back an hour for 3 s", set_clock_back, place=CLOCK),
    "resets": Fault("1,000 connections are reset", reset_connections, EVERY),
    "idle": Fault("200 connections that say nothing", hold_connections()),
    "half-sent": Fault("200 requests that are half sent", hold_connections(HALF_SENT), EVERY),
    "unread": Fault("200 visitors who read none of 20 answers each", hold_connections(PAGE * 20)),
}  # fmt: skip
