"""The files of deploy/ in use: a real nginx in front of a real server, with TLS."""

import configparser
import re
import shutil
import socket
import subprocess

import pytest

from polls.serving.throttle import CODES
from tests.support.people import Voter
from tests.support.servers import COMMANDS, ROOT, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.once

NAME = "polls.example.org"


def make_certificate(folder):
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    words += ["-keyout", folder / "key", "-out", folder / "cert"]
    words += ["-subj", f"/CN={NAME}"]
    subprocess.run(words, check=True, capture_output=True)


def write_config(folder, port, http, https):
    """Write the shipped file with our own ports and certificate, and what nginx needs around it."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for old, new in [
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ("listen 80;", f"listen 127.0.0.1:{http};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{https} ssl;"),
        (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(folder / "cert")),
        (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(folder / "key")),
        ("/var/log/nginx/", f"{folder}/"),
    ]:
        assert old in text
        text = text.replace(old, new)
    # Where nginx keeps what it buffers belongs to root.
    buffers = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in buffers)
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{paths}\n{text}\n}}\n"
    )
    return main


def takes_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture(
    scope="module",
    params=[
        "gunicorn polls.wsgi",
        "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
        "gunicorn polls.asgi -k asgi",
        "uvicorn polls.asgi:application",
    ],
)
def site(request, share):
    """One worker counts all guesses."""
    url = f"https://{NAME}"
    return share(request.param, SITE_URL=url, WEB_CONCURRENCY="1").ready()


@pytest.fixture(scope="module")
def proxy(site, tmp_path_factory):
    """The addresses of https and http of an nginx before the site."""
    if not shutil.which("nginx"):
        pytest.fail("nginx is missing. Install it: apt-get install nginx-light.")
    folder, http, https = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    make_certificate(folder)
    main = write_config(folder, site.port, http, https)
    process = subprocess.Popen(["nginx", "-c", main, "-e", folder / "error.log"])
    wait_until(lambda: takes_connections(https))
    yield f"https://127.0.0.1:{https}", f"http://127.0.0.1:{http}"
    process.terminate()
    process.wait(10)


def test_a_vote_goes_through_nginx(site, proxy):
    https, http = proxy
    question = site.ask()
    voter = Voter(https, headers={"Host": NAME, "Origin": f"https://{NAME}"})
    answer = voter.open_and_vote(question)
    assert (answer.status, site.counts(question)) == (302, (1, 1))
    page = voter.get(f"/polls/{question}/results/")
    assert "Your vote" in page.text
    assert page.headers["Strict-Transport-Security"] == "max-age=2592000"
    redirect = Voter(http, headers={"Host": NAME}).get("/polls/")
    assert redirect.headers["Location"] == f"https://{NAME}/polls/"
    forged = Voter(https, headers={"Host": NAME, "Origin": "https://evil.example"})
    assert forged.open_and_vote(question).status == 403


def test_who_guesses_shuts_out_nobody_else_behind_nginx(proxy):
    thief = Voter(proxy[0], headers={"Host": NAME})
    answers = [thief.get("/r/WRONG/").status for _ in range(CODES.free + 1)]
    assert answers == [404] * CODES.free + [429]
    voter = Voter(proxy[0], headers={"Host": NAME}, address="127.0.0.2")
    assert voter.get("/r/WRONG/").status == 404


def test_the_site_redirects_plain_http_but_answers_the_health_check(site):
    answer = Voter(site.base, headers={"Host": NAME}).get("/polls/")
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://{NAME}/polls/"
    assert Voter(site.base).get("/healthz").status == 200


def test_the_service_runs_a_tested_command():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "deploy" / "polls.service")
    assert (
        unit["Service"]["ExecStart"].removeprefix("/srv/polls/.venv/bin/") in COMMANDS
    )


def test_the_purge_runs_as_the_site_does():
    site, purge = (
        (ROOT / "deploy" / name).read_text().splitlines()
        for name in ("polls.service", "polls-purge.service")
    )
    assert "ExecStart=/srv/polls/.venv/bin/python manage.py purge --yes" in purge
    # The same user, folders, database and promises.
    words = ("User", "WorkingDirectory", "StateDirectory", "#Load", "#Environment")
    for line in site:
        assert not line.startswith(words) or line in purge


@pytest.mark.server
@pytest.mark.parametrize(
    "name", ["polls.service", "polls-purge.service", "polls-purge.timer"]
)
def test_systemd_understands_the_units(tmp_path, name):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not here")
    for unit in (ROOT / "deploy").glob("polls*.*"):
        # Programs that are not installed here are not the matter.
        text = re.sub(
            "^ExecStart=.*", "ExecStart=/bin/true", unit.read_text(), flags=re.M
        )
        (tmp_path / unit.name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", tmp_path / name]
    run = subprocess.run(words, capture_output=True, text=True)
    assert (run.returncode, str(tmp_path) in run.stderr) == (0, False), run.stderr


def test_every_file_is_short():
    for file in (ROOT / "deploy").iterdir():
        assert len(file.read_text().splitlines()) < 60
