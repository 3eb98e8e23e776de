"""A real nginx with the files of deploy/, on ports of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.people import Voter
from tests.support.servers import ROOT, free_port
from tests.support.waiting import wait_until

NAME = "polls.example.org"
# Its workers would become another user, who may not look into the folder of a test.
USER = "user root; " if os.getuid() == 0 else ""
BUFFERS = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"


def make_certificate(folder: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"]
    words += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={NAME}"]
    words += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(words, check=True, capture_output=True)


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def write_config(folder: Path, site: str, changes: Mapping[str, str]) -> Path:
    """Write nginx-http.conf and this file of deploy/, with `changes`, and around them what Debian has there."""
    shipped = (ROOT / "deploy" / name for name in ("nginx-http.conf", site))
    text = "\n".join(file.read_text() for file in shipped)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    paths = [f"{name}_temp_path {folder}/{name};" for name in BUFFERS]
    logs = f"access_log {folder}/access.log; error_log {folder}/error.log"
    main = folder / "nginx.conf"
    main.write_text(
        f"{USER}daemon off; pid {folder}/pid;\nevents {{}}\n"
        f"http {{\n{' '.join(paths)}\n{logs}; gzip on;\n{text}\n}}\n"
    )
    return main


class Nginx:
    """An nginx before the sites at these ports, with what `changes` puts in the place of words of the shipped files."""

    def __init__(
        self, folder: Path, *ports: int, changes: Mapping[str, str] | None = None
    ) -> None:
        if not shutil.which("nginx"):
            pytest.fail("nginx is missing. Install it: apt-get install nginx-light.")
        self.folder, self.http, self.port = folder, free_port(), free_port()
        self.base = f"https://127.0.0.1:{self.port}"
        make_certificate(folder)
        self.config = self._write(ports, changes or {})
        self.words = ["nginx", "-c", str(self.config), "-e", str(folder / "first.log")]

    def __enter__(self) -> "Nginx":
        self.process = subprocess.Popen(self.words)
        wait_until(lambda: takes_connections(self.port))
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def _write(self, ports: tuple[int, ...], changes: Mapping[str, str]) -> Path:
        """Write the shipped files with our own ports and folders."""
        server = "server 127.0.0.1:{} max_fails=0;"
        live = f"/etc/letsencrypt/live/{NAME}"
        ours = {
            server.format(8000): "\n".join(map(server.format, ports)),
            "listen 80;": f"listen 127.0.0.1:{self.http};",
            "listen [::]:80;": "",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port} ssl http2;",
            "listen [::]:443 ssl http2;": "",
            f"{live}/fullchain.pem": str(self.folder / "cert"),
            f"{live}/privkey.pem": str(self.folder / "key"),
            "/var/log/nginx/": f"{self.folder}/",
            "/var/cache/polls": f"{self.folder}/cache",
        }
        return write_config(self.folder, "nginx.conf", ours | dict(changes))

    def check(self) -> str:
        """Return what nginx says of its files."""
        words = [*self.words, "-t"]
        return subprocess.run(words, capture_output=True, text=True).stderr

    def voter(self, address: str = "127.0.0.1", **headers: str) -> Voter:
        """Return somebody who comes from this address of this machine."""
        headers |= {"Host": NAME, "Origin": f"https://{NAME}"}
        return Voter(self.base, headers=headers, address=address)

    def written(self) -> str:
        """Return all that it has written down, but for what it was given."""
        own = {"nginx.conf", "key", "cert"}
        files = [f for f in self.folder.rglob("*") if f.is_file() and f.name not in own]
        return "\n".join(file.read_text(errors="replace") for file in files)
