"""Debian's PgBouncer before a PostgreSQL."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest

from tests.support.servers import free_port
from tests.support.waiting import wait_until

CONFIG = """
[databases]
* = {server} connect_query='{setup}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
logfile = {folder}/log
client_tls_sslmode = require
client_tls_key_file = {folder}/key
client_tls_cert_file = {folder}/cert
"""


@contextlib.contextmanager
def pgbouncer(url: str, mode: str, setup: str = "SELECT 1") -> Iterator[str]:
    """Yield the address of the same database behind a pooler, which speaks TLS alone.

    It begins each connection with these statements, and in transaction mode has two for all.
    """
    if not shutil.which("pgbouncer"):
        pytest.fail("PgBouncer is missing. Install it: apt-get install pgbouncer.")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        _make_certificate(folder)
        told = psycopg.conninfo.conninfo_to_dict(url)
        own = " ".join(f"{k}={told[k]}" for k in ("host", "port", "user") if k in told)
        size = 2 if mode == "transaction" else 20
        quoted = setup.replace("'", "''")
        text = CONFIG.format(
            server=own, port=port, mode=mode, folder=folder, setup=quoted, size=size
        )
        (folder / "ini").write_text(text)
        words = ["pgbouncer", "-q", str(folder / "ini")]
        if os.geteuid() == 0:
            # It refuses to be root.
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "pgserver")
            process = subprocess.Popen(words, user="pgserver")
        else:
            process = subprocess.Popen(words)
        tls = f"sslmode=verify-full&sslrootcert={folder}/cert"
        pooled = f"postgres://postgres@localhost:{port}/{told['dbname']}?{tls}"
        try:
            wait_until(lambda: _answers(pooled))
            yield pooled
        finally:
            process.terminate()
            process.wait()


def _make_certificate(folder: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    words += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(words, check=True, capture_output=True)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
