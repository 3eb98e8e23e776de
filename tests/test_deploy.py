"""The files of deploy/ in use: a real nginx in front of a real server, with TLS."""

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress

import pytest

from polls.serving.throttle import CODES
from tests.support.nginx import NAME, Nginx
from tests.support.people import Voter
from tests.support.servers import COMMANDS, ROOT

pytestmark = pytest.mark.once

UNITS = {".service", ".socket", ".timer"}
# Of all that a school does in one second, by each of 1,500 people.
SCHOOL = {"votes": 1500 * 2, "codes": 1500 * 3, "log_ins": 1500 * 2}
# So that a test reaches them: so many at once, and none comes to them while it runs.
SMALL = {
    "rate=100r/s": "rate=1r/m",
    "rate=10r/s": "rate=1r/m",
    "zone=votes burst=3000": "zone=votes burst=2",
    "zone=log_ins burst=3000": "zone=log_ins burst=2",
    "zone=codes burst=4500": "zone=codes burst=2",
    "client_header_timeout 10s": "client_header_timeout 300ms",
    "client_body_timeout 10s": "client_body_timeout 300ms",
    # Whoever the test says they are.
    "gzip off;": "gzip off; set_real_ip_from 127.0.0.1; real_ip_header X-From;",
}


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
def nginx(site, tmp_path_factory):
    with Nginx(tmp_path_factory.mktemp("nginx"), site.port) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def limited(share, tmp_path_factory):
    """An nginx with small limits, and its site."""
    site = share("gunicorn polls.wsgi", SITE_URL=f"https://{NAME}", WEB_CONCURRENCY="1")
    folder = tmp_path_factory.mktemp("limited")
    with Nginx(folder, site.ready().port, changes=SMALL) as nginx:
        yield nginx


def test_a_vote_goes_through_nginx(site, nginx):
    question = site.ask()
    voter = nginx.voter()
    answer = voter.open_and_vote(question)
    assert (answer.status, site.counts(question)) == (302, (1, 1))
    voter.headers["Accept-Encoding"] = "gzip, br"
    page = voter.get(f"/polls/{question}/results/")
    assert "Your vote" in page.text
    assert page.headers["Strict-Transport-Security"] == "max-age=2592000"
    # Its length would tell for what.
    assert "Content-Encoding" not in page.headers
    plain = Voter(f"http://127.0.0.1:{nginx.http}", headers={"Host": NAME})
    assert plain.get("/polls/").headers["Location"] == f"https://{NAME}/polls/"
    forged = nginx.voter()
    forged.headers["Origin"] = "https://evil.example"
    assert forged.open_and_vote(question).status == 403


def test_a_vote_is_on_the_stream_at_once(site, nginx):
    question, viewer = site.ask(), nginx.voter()
    stream = f"/polls/{question}/live/"
    if site.serves_wsgi:
        assert viewer.get(stream).status == 204
        return
    with viewer.watching(stream) as events:
        assert json.loads(next(events))["ballots"] == 0
        nginx.voter().open_and_vote(question)
        assert json.loads(next(events))["ballots"] == 1


def test_it_speaks_http_2(nginx):
    words = ["curl", "--silent", "--insecure", "--http2", "--write-out"]
    words += ["%{http_version} %{http_code}", "--output", "/dev/null"]
    words += ["--header", f"Host: {NAME}", f"{nginx.base}/polls/"]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.stdout == "2 200"


def test_who_guesses_shuts_out_nobody_else_whatever_headers_are_forged(nginx):
    """A believed X-Forwarded-For would be another guesser each time, a believed Proto a redirect to https."""
    thief = nginx.voter(**{"X-Forwarded-Proto": "http"})
    answers = []
    for n in range(CODES.free + 1):
        thief.headers["X-Forwarded-For"] = f"10.0.0.{n}"
        answers.append(thief.get("/r/WRONG/").status)
    assert answers == [404] * CODES.free + [429]
    assert nginx.voter("127.0.0.2").get("/r/WRONG/").status == 404


def test_nginx_finds_nothing_wrong_with_its_files(limited):
    said = limited.check()
    assert "test is successful" in said
    assert "[warn]" not in said and "[emerg]" not in said


def test_a_school_behind_one_address_never_meets_a_limit():
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    bursts = dict(re.findall(r"limit_req zone=(\w+) burst=(\d+) nodelay;", text))
    assert {zone: int(burst) for zone, burst in bursts.items()} == SCHOOL


@pytest.mark.parametrize(
    "path", ["/polls/1/vote/", "/accounts/login/", "/polls/1/code/", "/r/WRONG/"]
)
def test_who_sends_too_much_is_told_so_and_nobody_else_is(limited, path):
    nginx = limited
    address = f"127.0.1.{len(path)}"
    flood = [nginx.voter(address).post(path) for _ in range(4)]
    assert [answer.status == 429 for answer in flood] == [False] * 3 + [True]
    assert "try again in a minute" in flood[-1].text
    assert nginx.voter(address).get("/polls/").status == 200
    assert nginx.voter("127.0.0.2").post(path).status != 429


def test_all_addresses_of_one_subscriber_are_counted_together(limited):
    """Of version 6 a subscriber has 2**64 of them."""
    addresses = [f"2001:db8:0:1::{n}" for n in range(3)]
    addresses += ["2001:db8:0:1:ffff::", "2001:db8:0:2::"]
    voters = [limited.voter(**{"X-From": address}) for address in addresses]
    answers = [voter.post("/polls/1/withdraw/").status == 429 for voter in voters]
    assert answers == [False, False, False, True, False]


def test_a_form_that_is_too_large_is_refused_with_a_sentence(limited):
    nginx = limited
    answer = nginx.voter().post("/polls/", filler="x" * 1_100_000)
    assert answer.status == 413
    assert "all that the site takes" in answer.text


@pytest.mark.parametrize(
    "sent",
    [b"GET /polls/ HT", b"POST /polls/1/vote/ HTTP/1.1\r\nContent-Length: 9\r\n"],
)
def test_who_dawdles_is_given_up_and_holds_up_nobody(limited, sent):
    nginx = limited
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as plain:
        with context.wrap_socket(plain) as slow:
            slow.sendall(sent)
            assert nginx.voter().get("/polls/").status == 200
            assert slow.recv(1000)[:13] in {b"", b"HTTP/1.1 408 "}


def test_a_site_that_is_away_leaves_a_sentence_its_files_and_no_address(
    start, tmp_path
):
    site = start("gunicorn polls.wsgi", SITE_URL=f"https://{NAME}").ready()
    with Nginx(tmp_path, site.port) as nginx:
        voter = nginx.voter("127.0.0.77")
        page = voter.get("/polls/").text
        style = re.search(r'href="(/static/\w{12}/polls/style.css)"', page)[1]
        assert "immutable" in voter.get(style).headers["Cache-Control"]
        site.stop()
        answer = voter.get("/polls/")
        assert (answer.status, answer.text[:17]) == (503, "The site is away.")
        # nginx asks the site for each once.
        assert "--paper" in voter.get(style).text
        # What nginx itself cannot do, it logs with the name of the client.
        shutil.rmtree(tmp_path / "client_body")
        (tmp_path / "client_body").touch()
        assert voter.post("/polls/", filler="x" * 100_000).status == 500
    assert "127.0.0.77" not in nginx.written()


def test_the_site_redirects_plain_http_but_answers_the_health_check(site):
    answer = Voter(site.base, headers={"Host": NAME}).get("/polls/")
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://{NAME}/polls/"
    assert Voter(site.base).get("/healthz").status == 200


def read_unit(name):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "deploy" / name)
    return unit


def test_the_service_runs_a_tested_command():
    command = read_unit("polls.service")["Service"]["ExecStart"]
    assert command.removeprefix("/srv/polls/.venv/bin/") in COMMANDS


def test_nginx_and_the_watch_ask_where_the_socket_listens():
    address = read_unit("polls.socket")["Socket"]["ListenStream"]
    assert f"server {address} " in (ROOT / "deploy" / "nginx-http.conf").read_text()
    assert (
        f" {address}/healthz "
        in read_unit("polls-watch.service")["Service"]["ExecStart"]
    )


def test_the_purge_runs_as_the_site_does():
    site, purge = (
        (ROOT / "deploy" / name).read_text().splitlines()
        for name in ("polls.service", "polls-purge.service")
    )
    assert "ExecStart=/srv/polls/.venv/bin/python manage.py purge --yes" in purge
    # The same user, folders, database and promises.
    words = ("User", "WorkingDirectory", "StateDirectory", "#Load", "#Env", "Env")
    for line in site:
        assert not line.startswith(words) or line in purge


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units, and what goes beside them, where systemd would look for them."""
    folder = tmp_path_factory.mktemp("units")
    for unit in (ROOT / "deploy").glob("polls*.*"):
        # Programs that are not installed here are not the matter.
        text = re.sub(r"^(Exec\w+)=.*", r"\1=/bin/true", unit.read_text(), flags=re.M)
        (folder / unit.name).write_text(text)
    for service in ("polls", "polls-purge"):
        (folder / f"{service}.service.d").mkdir()
        shutil.copy(folder / "polls-hardening.conf", folder / f"{service}.service.d")
    return folder


def analyze(*words):
    run = ["systemd-analyze", *words]
    return subprocess.run(
        run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.server
def test_systemd_understands_the_units(units):
    names = [unit for unit in units.glob("polls*.*") if unit.suffix in UNITS]
    run = analyze("verify", "--man=no", *names)
    assert (run.returncode, str(units) in run.stdout) == (0, False), run.stdout


@pytest.mark.server
@pytest.mark.parametrize("name", ["polls.service", "polls-purge.service"])
def test_systemd_finds_little_that_the_services_could_do(units, name):
    """From 0, nothing, to 10; here in tenths. It is 9.6 without the drop-in."""
    run = analyze("security", "--offline=true", "--threshold=25", units / name)
    assert run.returncode == 0, run.stdout


@pytest.mark.server
@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Away\r\n\r\n", b""])
def test_the_watch_restarts_a_site_that_hangs_and_none_that_says_why(tmp_path, answer):
    command = shlex.split(read_unit("polls-watch.service")["Service"]["ExecStart"])[-1]
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho $@ > {tmp_path}/asked")
    (tmp_path / "systemctl").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        ours = {
            "127.0.0.1:8000": f"127.0.0.1:{hanging.getsockname()[1]}",
            "-m 20 --retry 2 --retry-delay 5": "-m 0.3 --retry 1 --retry-delay 1",
        }
        for old, new in ours.items():
            assert old in command
            command = command.replace(old, new)
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        watch = subprocess.Popen(["sh", "-c", command], env=path)
        hanging.settimeout(0.05)
        while watch.poll() is None:
            with suppress(TimeoutError):
                if answer:
                    with hanging.accept()[0] as connection:
                        connection.recv(1000)
                        connection.sendall(answer)
    assert (tmp_path / "asked").exists() == (not answer)


def test_every_file_is_short():
    for file in (ROOT / "deploy").iterdir():
        most = 110 if file.name == "README.md" else 60
        assert len(file.read_text().splitlines()) < most
