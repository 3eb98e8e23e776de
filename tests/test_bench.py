"""The benchmark itself: short, to see that it measures what it says."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from servers import ROOT

pytestmark = pytest.mark.once


def bench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bench/run.py", *words],
        cwd=ROOT,
        env=environment or None,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_reports_pages_and_votes(tmp_path: Path):
    only = "uvicorn-worker,sqlite,index,vote"
    done = bench("--only", only, "--rounds=1", "--seconds=1", "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "results.md").read_text()
    for case in ("index", "vote"):
        rows = report.split(f"\n## {case}: ")[1].split("\n## ")[0].splitlines()
        row = next(
            line for line in rows if line.startswith("| uvicorn-worker | SQLite")
        )
        assert float(row.split("|")[3].split()[0].replace(",", "")) > 1
        ElementTree.parse(tmp_path / "charts" / f"{case}.svg")
    accepted, ballots = report.splitlines()[-1].replace(",", "").split("|")[4:6]
    assert 0 < int(accepted) <= int(ballots) <= int(accepted) + 16


def test_a_server_is_stopped_while_its_viewers_look():
    """Whoever ends the streams first measures a server that has nothing to end."""
    words = ["bench/live_viewers.py", "--viewers=30", "--votes=1", "--deaf=10"]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "SIGTERM to gone with 40 streams open: " in done.stdout


def test_it_names_what_can_be_chosen():
    done = bench("--only", "nonsense")
    assert done.returncode == 2
    assert "'nonsense'" in done.stderr and "stock-sync" in done.stderr


def test_it_says_that_wrk_is_missing(tmp_path: Path):
    done = bench(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install wrk" in done.stderr
