"""The README is code too: its commands, settings and versions are the ones that run."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.servers import COMMANDS, ROOT

pytestmark = pytest.mark.once

README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_its_server_commands_are_the_tested_ones():
    named = re.findall(r"^\| `(.+?)`", section("Server commands"), re.M)
    assert len(named) == 6
    assert set(named) <= set(COMMANDS)


def test_its_table_names_every_setting():
    code = "".join(
        (ROOT / name).read_text() for name in ("polls/settings.py", "gunicorn.conf.py")
    )
    read = re.findall(r'(?:env\.\w+|number|environ\.get)\(\s*"(\w+)"', code)
    cells = re.findall(r"^\| (`.+?) \|", section("Settings"), re.M)
    named = re.findall(r"`(\w+)`", " ".join(cells))
    assert sorted(set(read)) == sorted(named)


def test_its_versions_are_the_pinned_ones():
    pins = dict(
        re.findall(r"^(\w+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M)
    )
    rows = dict(re.findall(r"^\| (\w+) \| .* \| (\S+) \|$", section("Versions"), re.M))
    for name in ("Django", "gunicorn", "uvicorn"):
        assert rows[name] == pins[name]


def test_its_make_targets_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = set(
        re.findall(r"\bmake ([\w-]+)", re.sub(r"[^`]make (?=[a-z-]+ )", "", README))
    )
    assert {"run", "test", "audit"} <= named
    assert named <= set(targets)


@pytest.mark.server
def test_its_small_suite_runs_and_leaves_nothing_behind(tmp_path):
    """Shuffled, in a process of its own, on a database in memory, as Django has it, and with the settings of some site."""
    command = [sys.executable, ROOT / "manage.py", "test", "polls", "--shuffle"]
    environment = os.environ | {"DATA_DIR": str(tmp_path / "data")}
    environment |= {"SITE_URL": "https://polls.example.org", "LANGUAGE_CODE": "de"}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert int(re.search(r"Ran (\d+) tests", run.stderr)[1]) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_its_links_lead_somewhere():
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_pin_is_exact():
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        pins = [line for line in lines if line and line[0] not in "#-"]
        assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\d.]+", pin) for pin in pins)


def test_the_snyk_policy_ignores_nothing():
    lines = (ROOT / ".snyk").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "version: v1.25.0",
        "ignore: {}",
        "patch: {}",
    ]
