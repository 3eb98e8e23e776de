"""What a developer types: make test and its parts, and what they need."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.support.servers import ROOT

pytestmark = pytest.mark.once


def commands_of(target: str) -> str:
    words = ["make", "--dry-run", "--always-make", target]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout


@pytest.mark.server
def test_everything_is_checked_and_tested_on_both_databases():
    commands = commands_of("test")
    order = [".ci/programs", "pip install", "black --check", "ruff", "mypy"]
    order += ["lint-imports", "bin/pytest -n", "postgres.py .venv/bin/pytest -n"]
    places = [commands.index(part) for part in order]
    assert places == sorted(places)


def test_ci_does_what_a_developer_does():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "make test"


@pytest.mark.server
def test_where_nothing_can_be_installed_it_says_what_is_missing(tmp_path):
    for program in ("bash", "id"):
        (tmp_path / program).symlink_to(shutil.which(program))
    (tmp_path / "python3").symlink_to(sys.executable)
    run = subprocess.run(
        [ROOT / ".ci" / "programs"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert (
        "apt-get install chromium-headless-shell nginx-light openssl make" in run.stderr
    )


@pytest.mark.server
def test_an_audit_needs_an_answer_and_a_test_does_not():
    assert ".ci/audit --badge" in commands_of("audit")
    assert re.search(r"^\.ci/audit$", commands_of("test"), re.M)


@pytest.mark.server
def test_the_list_of_what_is_installed_is_read_from_what_the_lock_installs():
    commands = commands_of("sbom")
    installed = commands.index("install --quiet --require-hashes")
    assert installed < commands.index("cyclonedx-py environment")
    assert "sbom.json .venv/locked" in commands


def test_the_fast_tests_start_no_process():
    with pytest.raises(pytest.fail.Exception, match="is marked"):
        subprocess.run(["true"])


def test_tests_share_what_is_in_support_and_import_no_other_test():
    for path in (ROOT / "tests").rglob("*.py"):
        names = re.findall(r"^\s*(?:from|import) (\S+)", path.read_text(), re.M)
        tests = [
            name for name in names if re.search(r"(^|\.)(test_\w+|conftest)$", name)
        ]
        assert not tests, path
