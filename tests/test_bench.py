"""The benchmark itself: short, to see that it measures what it says."""

import itertools
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import open_loop
from bench.load import Run
from bench.report import BEGIN, END, Row, write_docs
from tests.support.servers import ROOT

pytestmark = [pytest.mark.once, pytest.mark.server]


def bench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.run", *words],
        cwd=ROOT,
        env=environment or None,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_reports_pages_and_votes(tmp_path: Path):
    only = "uvicorn-worker,tutorial-sync,sqlite,index,vote,journey"
    words = ["--anyway", "--rounds=1", "--seconds=1", "--to", str(tmp_path)]
    done = bench("--only", only, *words)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "results.md").read_text()
    for case in ("index", "vote", "journey"):
        rows = report.split(f"\n## {case}: ")[1].split("\n## ")[0].splitlines()
        row = next(
            line for line in rows if line.startswith("| uvicorn-worker | SQLite")
        )
        assert float(row.split("|")[3].split()[0].replace(",", "")) > 1
        assert float(row.split("|")[7].split()[0]) > 0, "times tutorial-sync"
        ElementTree.parse(tmp_path / "charts" / f"{case}.svg")
    for line in report.splitlines()[-2:]:
        accepted, ballots = line.replace(",", "").split("|")[4:6]
        assert 0 < int(accepted) <= int(ballots) <= int(accepted) + 16


class Slow(BaseHTTPRequestHandler):
    """Takes 20 ms for each request, one after the other."""

    def do_POST(self) -> None:
        time.sleep(0.02)
        self.send_response(302)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


class SlowServer(HTTPServer):
    request_queue_size = 100


def test_a_server_that_falls_behind_is_given_no_time_to_catch_up():
    with SlowServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        vote = open_loop.Ask(b"POST / HTTP/1.1\r\n\r\n", 302, is_vote=True)
        done = open_loop.load(server.server_port, itertools.repeat(vote), 100, 0.3)
        server.shutdown()
    assert (done.count, len(done.delays), done.problems) == (30, 30, [])
    # Thirty came in 0.3 s and took 0.6 s.
    assert max(done.delays) > 0.25


def test_it_refuses_a_machine_that_is_at_work():
    program = (
        "import os; os.getloadavg = lambda: (3.8, 0, 0);"
        " from bench.run import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the load average is 3.8" in done.stderr and "--anyway" in done.stderr


def test_the_docs_quote_the_last_run():
    results = (ROOT / "bench/results.md").read_text()
    text = (ROOT / "docs/wsgi-or-asgi.md").read_text()
    table = text.split(BEGIN)[1].split(END)[0].splitlines()[2:]
    cells = [cell for line in table for cell in line.split("|")[2:-1]]
    assert len(cells) >= 15
    for cell in cells:
        assert f"| {cell.split()[0]} " in results, cell


def test_a_run_writes_the_table_of_the_docs(tmp_path: Path):
    path = tmp_path / "docs.md"
    path.write_text(f"before\n{BEGIN}old\n{END}after\n")
    runs = [Run(count=1, rate=rate, p50=1, p99=1, cpu=1234) for rate in (10, 30)]
    write_docs([Row("vote", "sync", "sqlite", runs)], path)
    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    assert "| vote: CPU | 1,234 us | not quoted | not quoted |" in lines
    assert "| votes a second | 20.0 | not quoted | not quoted |" in lines


def test_a_server_is_stopped_while_its_viewers_look():
    """Whoever ends the streams first measures a server that has nothing to end."""
    words = ["-m", "bench.live_viewers", "--viewers=30", "--votes=1", "--deaf=10"]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    # A connection that has just been used for a vote may still be counted.
    (streams,) = re.findall(r"SIGTERM to gone with (\d+) streams open: ", done.stdout)
    assert int(streams) >= 40


def test_it_names_what_can_be_chosen():
    done = bench("--only", "nonsense")
    assert done.returncode == 2
    assert "'nonsense'" in done.stderr and "stock-sync" in done.stderr


def test_it_says_that_wrk_is_missing(tmp_path: Path):
    done = bench(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install wrk" in done.stderr
