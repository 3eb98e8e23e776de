"""A flood of connections, which takes file descriptors away from all others."""

import os
import subprocess
import sys
import time

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.template import TemplateSyntaxError, engines
from django.test import Client

from polls.serving import descriptors
from tests.support.people import Voter
from tests.support.servers import ROOT
from tests.support.streams import Stream

pytestmark = pytest.mark.once

# What a worker does whose first visitors take all descriptors, and when they have gone.
FLOODED = """
import resource, sys
from polls.{door} import application
from django.template.loader import render_to_string
from django.test import Client
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
for name in ("polls/error.html", "admin/login.html"):
    try:
        render_to_string(name)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
client = Client(headers={{"host": "localhost"}})
print(*(client.get(path).status_code for path in ("/polls/", "/healthz", "/admin/login/")))
"""


@pytest.mark.server
@pytest.mark.parametrize("door", ["wsgi", "asgi"])
def test_a_flood_before_the_first_page_breaks_a_worker_no_longer_than_it_lasts(
    tmp_path, door
):
    environment = os.environ | {"DATA_DIR": str(tmp_path)}
    run = lambda code, **more: subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | more,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    run("import polls.wsgi")
    # As gunicorn starts its workers.
    answers = run(FLOODED.format(door=door), POLLS_PREPARED="1")
    assert answers.split() == ["200"] * 3


def test_healthz_tells_that_pages_are_broken(client, question, monkeypatch):
    assert client.get("/healthz").status_code == 200
    engine = engines["django"].engine
    monkeypatch.setattr(engine, "template_libraries", {})
    for loader in engine.template_loaders:
        loader.reset()
    with pytest.raises(TemplateSyntaxError):
        client.get("/healthz")
    monkeypatch.undo()
    assert Client().get("/healthz").status_code == 200


def test_a_stray_file_among_the_templates_does_not_stop_the_start(
    db, settings, tmp_path, caplog
):
    folder = tmp_path / "polls"
    folder.mkdir()
    for name in (".index.html.swp", ".#a.html", "detail.html.orig", "wall.html"):
        (folder / name).write_bytes(b"{% if \xff")
    (folder / "half.html").write_text("{% if question %}")
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path]}]
    descriptors.prepare(WSGIHandler())
    said = [r.getMessage() for r in caplog.records if r.name == "polls.descriptors"]
    assert len(said) == 2 and all(str(tmp_path) in line for line in said)
    assert "half.html cannot be used: Unclosed tag" in "".join(said)
    with pytest.raises(TemplateSyntaxError):
        engines["django"].get_template("polls/half.html")


@pytest.mark.parametrize(
    "command",
    [
        "uvicorn polls.asgi:application",
        "gunicorn polls.wsgi -k uvicorn.workers.UvicornWorker",
        "gunicorn polls.asgi -k asgi",
    ],
)
def test_streams_leave_descriptors_to_pages_and_votes(start, command):
    """225 of 300, which is also more than the soft limit of 100 has: the worker takes what it is allowed."""
    command = f"prlimit --nofile=100:300 {command}"
    site = start(command, WEB_CONCURRENCY="1").ready()
    question = site.ask()
    streams = [Stream(site.base, question) for _ in range(255)]
    for stream in streams:
        stream.wait_for("\r\n\r\n")
    refused = [stream for stream in streams if stream.status == 204]
    assert len(refused) == 30
    assert all(stream.read(10).ended for stream in refused)
    voters = [Voter(site.base) for _ in range(10)]
    for voter in voters:
        assert voter.open_and_vote(question).status == 302
        assert voter.get("/healthz").status == 200
    served = [stream for stream in streams if stream.status == 200]
    for stream in served:
        stream.wait_for('"ballots": 10')
    assert site.output().count("live streams are open in this worker") == 1
    assert "Traceback" not in site.output()
    # Whoever leaves makes room.
    served[0].close()
    deadline = time.monotonic() + 5
    while Stream(site.base, question).wait_for("\r\n\r\n").status != 200:
        assert time.monotonic() < deadline
