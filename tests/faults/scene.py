"""A site with data of its own, a poll on it and its voters: what a fault strikes."""

import contextlib
import datetime
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.ledger import Voters
from tests.support.servers import ROOT, Site, children
from tests.support.standby import Pair, Server, primary_with_standby

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
NAME = "polls"


@dataclass
class Scene:
    site: Site
    # None on SQLite.
    servers: Pair | None
    question: int
    voters: Voters
    # How long a fault lasts that nothing else ends.
    seconds: float
    # Who leads the workers: after an upgrade it is not the process that was started.
    master: int = field(init=False)

    def __post_init__(self) -> None:
        self.master = self.site.process.pid

    @property
    def pair(self) -> Pair:
        assert self.servers
        return self.servers

    @property
    def database(self) -> Server:
        return self.pair.primary

    @property
    def postmaster(self) -> subprocess.Popen[bytes]:
        assert self.database.process
        return self.database.process

    @property
    def workers(self) -> list[int]:
        return children(self.master)

    def lasts(self) -> None:
        time.sleep(self.seconds)

    def start_again(self) -> None:
        self.site.restart().ready()
        self.master = self.site.process.pid


@dataclass(frozen=True)
class Place:
    """How the site is set up; {command} and {folder} have their values then."""

    command: str = "{command}"
    environment: Mapping[str, str] = field(default_factory=dict)
    # The size of a disk of its own, by database.
    disk: Mapping[str, str] = field(default_factory=dict)
    has_standby: bool = False


@functools.cache
def made_cluster() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with the data of a PostgreSQL that has a migrated database, to be copied."""
    folder = tempfile.TemporaryDirectory(prefix="polls-made-")
    with primary_with_standby() as pair:
        pair.primary.ask(f"CREATE DATABASE {NAME}")
        environment = os.environ | {"DATABASE_URL": own_url(pair.primary)}
        words = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(words, cwd=ROOT, env=environment, check=True)
        pair.primary.set("synchronous_standby_names", "")
        pair.primary.stop()
        copy(pair.primary.data, Path(folder.name) / "data")
    return folder


def own_url(server: Server) -> str:
    return server.url.removesuffix("postgres") + NAME


def copy(source: Path, target: Path) -> None:
    """Copy a folder, and whom its files belong to."""
    subprocess.run(["cp", "-a", source, target], check=True)


@contextlib.contextmanager
def new_folder(disk: str | None) -> Iterator[Path]:
    """Yield a folder that is gone afterwards; with a size, it is a disk of its own."""
    with tempfile.TemporaryDirectory(prefix="polls-fault-") as name:
        folder = Path(name)
        words = ["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", name]
        if disk:
            subprocess.run(words, check=True)
        # PostgreSQL is another user.
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            if disk:
                subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def postgresql(folder: Path, has_standby: bool) -> Iterator[tuple[Pair, str]]:
    """Yield the server, with its standby perhaps, and the URL of the site's database."""
    pair = Pair(folder, Server(folder / "a"), Server(folder / "b"))
    made = Path(made_cluster().name) / "data"
    copy(made, pair.primary.data)
    # It makes the folder of the standby itself, and as another user where this one is root.
    os.chown(folder, made.stat().st_uid, made.stat().st_gid)
    try:
        pair.primary.start()
        if has_standby:
            pair.add_standby()
            yield pair, pair.url(NAME)
        else:
            yield pair, own_url(pair.primary)
    finally:
        for server in (pair.primary, pair.standby):
            server.kill()


@contextlib.contextmanager
def setting(
    place: Place, command: str, database: str, seconds: float
) -> Iterator[Scene]:
    """Yield it while voters vote; all of it ends afterwards."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(new_folder(place.disk.get(database)))
        words = {"folder": folder, "command": command}
        environment = {k: v.format(**words) for k, v in place.environment.items()}
        pair = None
        if database == POSTGRESQL:
            own = postgresql(folder, place.has_standby)
            pair, environment["DATABASE_URL"] = stack.enter_context(own)
        site = Site(place.command.format(**words), folder / "site", environment)
        stack.callback(site.kill)
        opened = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)
        question = site.ready().ask(pub_date=opened.isoformat(" "))
        voters = Voters(site.base, question)
        stack.callback(voters.stop)
        yield Scene(site, pair, question, voters, seconds)
