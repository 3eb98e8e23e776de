"""What the site is installed from: every package that it runs on, pinned by its hash, and no other."""

import json
import os
import re
import runpy
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.servers import ROOT

pytestmark = pytest.mark.once

LOCK = (ROOT / "requirements.lock").read_text()
# Each begins a line; its hashes and why it is there are below it, indented.
LOCKED = {
    found["name"]: found
    for found in re.finditer(
        r"^(?P<name>[\w-]+)==(?P<version>[\w.]+)(?: ; (?P<where>[^\\]+))? \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
        LOCK,
        re.M,
    )
}


def asked_for() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and line[0] != "#"]


def test_the_lock_is_in_step_with_what_is_asked_for():
    for requirement in asked_for():
        locked = LOCKED[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(locked["version"]), "run make lock"
    assert len(re.findall(r"^\S+==", LOCK, re.M)) == len(LOCKED)


def test_the_lock_names_no_place_to_install_from():
    assert not re.search(r"https?:|--index|--find-links|--trusted", LOCK)


def needs(name: str, extras: set[str]) -> list[Requirement]:
    """Return what a package that is installed here needs on this system."""
    found = map(Requirement, metadata.requires(name) or [])
    return [
        one
        for one in found
        if not one.marker or any(one.marker.evaluate({"extra": e}) for e in extras)
    ]


def test_the_lock_has_all_that_each_package_needs():
    waiting, seen = asked_for(), set[str]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        locked = LOCKED[name]
        assert metadata.version(name) == locked["version"], "make .venv/test"
        assert one.specifier.contains(locked["version"])
        seen.add(name)
        waiting += needs(name, one.extras | {""})
    # Of other systems and versions of Python.
    assert all(LOCKED[name]["where"] for name in LOCKED.keys() - seen)


def only_locked(folder: Path) -> Path:
    """Make a folder of links to what the locked packages have installed here."""
    for name in LOCKED:
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


# Everything that a server of the README imports, and a vote.
VISIT = """
import re, sys
import gunicorn.app.wsgiapp, gunicorn.workers.gthread, gunicorn.workers.gasgi
import uvicorn.main, uvicorn_worker, uvloop, httptools, psycopg
from polls.wsgi import application
import polls.asgi
from django.test import Client
client = Client(headers={"host": "localhost"})
page = client.get("/polls/1/").content.decode()
choice = re.search('name="choice"[^>]* value="([0-9]+)"', page)[1]
print(client.post("/polls/1/vote/", {"choice": choice}).status_code)
print(client.get("/polls/1/results.json").json()["ballots"])
print(client.get("/polls/1/share/").status_code)
"""


@pytest.mark.server
def test_the_site_takes_a_vote_with_nothing_else_installed(tmp_path):
    """-S leaves out all that is installed; the links bring back what is locked."""
    (tmp_path / "locked").mkdir()
    path = f"{only_locked(tmp_path / 'locked')}:{ROOT}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    environment["DATA_DIR"] = str(tmp_path / "data")
    run = subprocess.run(
        [sys.executable, "-S", "-c", VISIT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["302", "1", "200"], run.stderr


def report(**found: dict[str, object]) -> str:
    packages = [{"name": name, "version": "1.0"} | more for name, more in found.items()]
    return json.dumps({"dependencies": packages})


HOLE = {"id": "CVE-2026-1", "fix_versions": ["1.1"]}
NOBODY = {"skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    "found, judged",
    [
        ("", ([], 0, 0)),
        (report(a=NOBODY, b=NOBODY), ([], 0, 2)),
        (report(a={"vulns": []}, b=NOBODY), ([], 1, 1)),
        (report(a={"vulns": []}), ([], 1, 0)),
        (report(a={"vulns": [HOLE]}), (["a 1.0 has CVE-2026-1, mended in 1.1."], 1, 0)),
    ],
)
def test_an_audit_knows_what_nobody_answered(found, judged):
    audit = runpy.run_path(str(ROOT / ".ci" / "audit"))
    assert audit["judge"](found) == judged


def test_the_badge_says_when_it_was_last_true():
    line = (ROOT / "README.md").read_text().splitlines()[3]
    said = re.search(r"\[!\[Known vulnerabilities: (.+?)\]", line)[1]
    shown = re.search(r"vulnerabilities-(.+)-\w+\)", line)[1]
    assert shown.replace("--", "-").replace("%20", " ") == said
    assert re.fullmatch(r"not asked yet|0 on \d{4}-\d\d-\d\d", said)
