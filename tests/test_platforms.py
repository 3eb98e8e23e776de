"""The files by which platforms start the site: they say what is there, and the site they start takes votes."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from django.core.management import call_command

from tests.support.nginx import write_config
from tests.support.people import Voter
from tests.support.servers import BIN, COMMANDS, ROOT, Site, free_port
from tests.support.waiting import wait_until

NAME = "polls.example.org"


@pytest.mark.postgresql
def test_the_procfile_starts_a_site_that_takes_votes(start, request):
    """As Heroku and its like do: a new database, a proxy with any address, a disk that vanishes, and no terminal."""
    named = {
        "DJANGO_SUPERUSER_USERNAME": "ann",
        "DJANGO_SUPERUSER_PASSWORD": "long and hard to guess",
    }
    platform = {"DYNO": "web.1", "DATA_DIR": "", "SECRET_KEY": "s" * 50} | named
    proxy = {"SITE_URL": f"https://{NAME}", "FORWARDED_ALLOW_IPS": "*"}
    site = start("true", WEB_CONCURRENCY="3", **platform, **proxy)
    site.process.wait(10)
    site.manage("migrate", "-v0", "polls", "zero")
    assert site.restart("honcho start release").process.wait(120) == 0
    site.restart("honcho start web")
    request.addfinalizer(site.stop)
    site.ready()
    assert site.output().count("Booting worker") == 3
    said = {"Host": NAME, "Origin": f"https://{NAME}", "X-Forwarded-Proto": "https"}
    question = site.ask()
    assert Voter(site.base, headers=said).open_and_vote(question).status == 302
    assert site.counts(question) == (1, 1)
    organiser = Voter(site.base, headers=said).log_in(*named.values())
    assert "Log out" in organiser.get("/admin/").text


def instructions(name: str) -> list[str]:
    """Return what the Dockerfile says with this word in the image that it ends with."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    last = text.split("\nFROM ")[-1]
    return re.findall(rf"^{name} (.*)", last, re.M)


def copied() -> list[str]:
    words = [line.split()[:-1] for line in instructions("COPY")]
    return [name for names in words for name in names if "--from" not in names[0]]


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    """The site as its image has it: the command, the files and the variables of the Dockerfile, and no others."""
    folder = tmp_path_factory.mktemp("container")
    (folder / "srv").mkdir()
    for name in copied():
        (folder / "srv" / name).symlink_to(ROOT / name)
    variables = dict(word.split("=") for word in shlex.split(instructions("ENV")[0]))
    variables |= {"SQLITE_TMPDIR": str(folder), "HOST": "127.0.0.1"}
    del variables["DATA_DIR"], variables["PATH"]
    command = shlex.join(json.loads(instructions("CMD")[0]))
    assert command in COMMANDS
    site = Site(command, folder / "data", variables, cwd=folder / "srv")
    yield site.ready()
    site.kill()


@pytest.fixture(scope="module")
def proxy(container, tmp_path_factory):
    """The nginx of compose.yaml before the container."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    ours = {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "http://web:8000": container.base,
        "/var/cache/polls": f"{folder}/cache",
    }
    config = write_config(folder, "nginx-compose.conf", ours)
    nginx = subprocess.Popen(["nginx", "-c", config, "-e", folder / "log"])
    base = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(base))
    yield base
    nginx.terminate()
    nginx.wait(10)


def answers(base: str) -> bool:
    try:
        return Voter(base).get("/healthz").status == 200
    except OSError:
        return False


@pytest.mark.server
@pytest.mark.once
def test_nothing_is_loose_in_the_dockerfile():
    words = [BIN / "hadolint", ROOT / "Dockerfile"]
    run = subprocess.run(words, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.once
def test_a_platform_that_collects_static_files_unasked_finds_no_fault():
    call_command("collectstatic", "--noinput", "--dry-run", verbosity=0)


@pytest.mark.once
def test_the_image_gets_what_it_copies():
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    for name in [*copied(), "requirements.lock"]:
        assert (ROOT / name).exists() and f"!{name}" in let_in
    # It may keep nothing else: neither a database nor a secret of whoever builds it.
    assert "*" in let_in and not {"!var", "!.git", "!.env"} & set(let_in)


@pytest.mark.server
@pytest.mark.once
@pytest.mark.xdist_group("container")
def test_a_vote_goes_through_the_proxy_to_the_container(container, proxy):
    question = container.ask()
    voter = Voter(proxy, headers={"Origin": proxy})
    assert voter.open_and_vote(question).status == 302
    assert container.counts(question) == (1, 1)
    style = re.search('href="(/static/[^"]+css)"', voter.get("/polls/").text)[1]
    assert [voter.get(style).status for _ in range(2)] == [200, 200]
    with voter.watching(f"/polls/{question}/live/") as events:
        assert json.loads(next(events))["ballots"] == 1


@pytest.mark.server
@pytest.mark.once
@pytest.mark.xdist_group("container")
def test_the_container_is_healthy_while_the_site_answers(container):
    words = json.loads(instructions("HEALTHCHECK")[0].partition(" CMD ")[2])
    words[0] = sys.executable
    for port, status in ((container.port, 0), (free_port(), 1)):
        here = {"PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
        run = subprocess.run(words, env=here, capture_output=True)
        assert run.returncode == status


def filled_in(text: str) -> str:
    """Put their defaults in the place of the variables of compose.yaml, the innermost first."""
    while "${" in text:
        text = re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)
    return text


@pytest.mark.server
@pytest.mark.once
def test_the_parts_of_compose_yaml_fit_together(tmp_path):
    parts = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert parts["web"]["deploy"]["replicas"] == 2
    for line in parts["proxy"]["volumes"]:
        assert (ROOT / line.partition(":")[0]).is_file()
    proxy = (ROOT / "deploy" / "nginx-compose.conf").read_text()
    assert "http://web:8000;" in proxy and instructions("EXPOSE") == ["8000"]
    settings = {k: filled_in(v) for k, v in parts["web"]["environment"].items()}
    assert settings["SITE_URL"] == "http://localhost:8000"
    assert "@database/" in settings["DATABASE_URL"] and "database" in parts
    words = [sys.executable, "-W", "error", "manage.py", "check"]
    run = subprocess.run(words, cwd=ROOT, env=settings | {"DATA_DIR": str(tmp_path)})
    assert run.returncode == 0
