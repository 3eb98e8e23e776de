"""results.md and its charts: medians of the rounds with their quartiles, and on what they were measured."""

import datetime
import os
import platform
import re
import sqlite3
import statistics
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench.charts import Bar, chart, figure
from bench.load import CASES, COMPARED, TUTORIAL, Run

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# What the others are compared with: the way in which most Django sites are served.
BASE = "stock-sync"
PACKAGES = ("Django", "gunicorn", "uvicorn", "uvloop", "httptools", "psycopg")


@dataclass
class Row:
    """One page on one server with one database, in every round."""

    case: str
    server: str
    database: str
    runs: list[Run] = field(default_factory=list)

    @property
    def problem(self) -> str:
        return next((run.problem for run in self.runs if run.problem), "")


@dataclass
class Measured:
    """What the report is written from."""

    about: str
    commands: dict[str, str]
    rows: list[Row]
    # A line for each server and database: its memory, and what became of the votes.
    servers: list[list[str]]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper one."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def machine(address: str) -> str:
    """Say on what it was measured, as text; a PostgreSQL is at the address, if any."""
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True).stdout
    parts = [f"{name} {version(name)}" for name in PACKAGES]
    parts += [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    parts += [f"PostgreSQL {_postgresql(address)}"] if address else []
    parts += [" ".join(wrk.split()[:2])]
    return (
        f"{datetime.datetime.now(datetime.UTC):%-d %B %Y}, {os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}, "
        f"{memory:.0f} GiB of memory, Linux {platform.release().partition('-')[0]}. {', '.join(parts)}."
    )


def _postgresql(address: str) -> str:
    import psycopg

    with psycopg.connect(address) as connection:
        number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: list[float]) -> str:
    low, middle, high = map(figure, quartiles(values))
    return f"{middle} ({low} to {high})"


def _find(rows: list[Row], case: str, server: str, database: str) -> Row | None:
    """Return the row of a run without a mistake in it."""
    for row in rows:
        if (row.case, row.server, row.database) == (case, server, database):
            return None if row.problem else row
    return None


def _against(row: Row, rows: list[Row], server: str) -> list[float]:
    """Compare within each round, so that what slows the whole machine for a while falls out.

    It is the rates that are compared; where they are given, the delays.
    """
    base = _find(rows, row.case, server, row.database)
    if not base:
        return []
    what = "p99" if CASES[row.case].by_delay else "rate"
    pairs = zip(row.runs, base.runs, strict=True)
    return [getattr(ours, what) / getattr(theirs, what) for ours, theirs in pairs]


def _details(rows: list[Row]) -> str:
    """Return the table of one page; of a run with a mistake in it, only the mistake."""
    head = ["server", "database", f"{CASES[rows[0].case].unit} a second"]
    head += ["p50, ms", "p99, ms", "CPU of each, us"]
    bases = [s for s in (BASE, TUTORIAL) if any(row.server == s for row in rows)]
    head += [f"times {server}" for server in bases]
    lines = []
    for row in rows:
        line = [row.server, NAMES[row.database]]
        if row.problem:
            line += [f"not quoted: {row.problem}", "", "", ""] + [""] * len(bases)
        else:
            for name in ("rate", "p50", "p99", "cpu"):
                line.append(_spread([getattr(run, name) for run in row.runs]))
            for server in bases:
                ratios = _against(row, rows, server)
                line.append(_spread(ratios) if ratios else "")
        lines.append(line)
    return _table(head, lines)


def _tutorial(rows: list[Row]) -> str:
    """Return how many times as many requests a second as the tutorial's app, page by page; empty without it.

    Of a load whose rate is given, how many times as long its delays are.
    """
    if not any(row.server == TUTORIAL for row in rows):
        return ""
    columns = [(server, name) for name in NAMES for server in COMPARED]
    lines = []
    for case in dict.fromkeys(row.case for row in rows):
        cells = []
        for server, database in columns:
            row = _find(rows, case, server, database)
            ratios = _against(row, rows, TUTORIAL) if row else []
            cells.append(f"{_spread(ratios)} ×" if ratios else "")
        if any(cells):
            p99 = ": p99 of the delay" if CASES[case].by_delay else ""
            lines.append([CASES[case].title + p99, *cells])
    head = [f"times {TUTORIAL}", *(f"{s}, {NAMES[d]}" for s, d in columns)]
    return "## Against the tutorial\n\n" + _table(head, lines)


# The table of docs/wsgi-or-asgi.md: words, page, and what of it.
DOCS = [
    ("results page of one who has voted: CPU", "own-results", "cpu", " us"),
    ("results page, spectator, out of memory: CPU", "results", "cpu", " us"),
    ("vote: CPU", "vote", "cpu", " us"),
    ("votes a second", "vote", "rate", ""),
    ("what every voter does, voters a second", "journey", "rate", ""),
    ("a page that waits 100 ms, 32 people at once", "slow", "rate", " a second"),
]
IN_DOCS = {
    "sync": "WSGI (gunicorn sync)",
    "stock-uvicorn-worker": "ASGI, stock Django (UvicornWorker)",
    "uvicorn-worker": "ASGI, this site (UvicornWorker)",
}
BEGIN = (
    "<!-- make bench writes this table: its figures are those of bench/results.md -->\n"
)
END = "<!-- to here -->\n"


def write_docs(rows: list[Row], path: Path) -> None:
    """Put the medians on SQLite into the table between the two marks."""
    lines = []
    for words, case, what, unit in DOCS:
        line = [words]
        for server in IN_DOCS:
            row = _find(rows, case, server, "sqlite")
            runs = row.runs if row else []
            values = [getattr(run, what) for run in runs]
            line.append(figure(quartiles(values)[1]) + unit if values else "not quoted")
        lines.append(line)
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    table = _table(["", *IN_DOCS.values()], lines)
    path.write_text(f"{before}{BEGIN}{table}\n{END}{after}")


def _overview(measured: Measured) -> str:
    """Return the medians on SQLite, to see at a glance."""
    cases = [c for c, case in CASES.items() if not case.by_delay]
    cases = [c for c in cases if any(r.case == c for r in measured.rows)]
    lines = []
    for server in measured.commands:
        found = {
            row.case: figure(quartiles([run.rate for run in row.runs])[1])
            for row in measured.rows
            if (row.server, row.database) == (server, "sqlite") and not row.problem
        }
        if found:
            lines.append([server, *(found.get(case, "") for case in cases)])
    return _table(["requests a second on SQLite", *cases], lines)


def _picture(case: str, rows: list[Row], folder: Path) -> str:
    """Draw the rates or, where they are given, the delays."""
    by_delay = CASES[case].by_delay
    what = "p99 of the delay, ms" if by_delay else f"{CASES[case].unit} a second"
    bars = []
    servers = list(dict.fromkeys(row.server for row in rows))
    for row in sorted(rows, key=lambda row: servers.index(row.server)):
        if not row.problem:
            values = [run.p99 if by_delay else run.rate for run in row.runs]
            group = list(NAMES).index(row.database)
            bars.append(Bar(row.server, group, *quartiles(values)))
    title = f"{CASES[case].title}: {what}"
    (folder / "charts").mkdir(parents=True, exist_ok=True)
    picture = chart(title, list(NAMES.values()), bars)
    (folder / "charts" / f"{case}.svg").write_text(picture)
    return f"![{title}](charts/{case}.svg)"


def _company(rows: list[Row]) -> str:
    """Say how alone the benchmark was; a PostgreSQL cannot be told from other programs, and is left out."""
    rows = [r for r in rows if r.database == "sqlite" and not CASES[r.case].streams]
    shares = sorted(run.others for row in rows for run in row.runs)
    if not shares:
        return ""
    middle = quartiles(shares)[1]
    verdict = "" if middle < 0.1 else " That is too much for these figures to count."
    return (
        f"During the loads on SQLite other programs took {middle:.0%} of the machine (median; at most "
        f"{shares[-1]:.0%}).{verdict}"
    )


def write(measured: Measured, folder: Path) -> None:
    commands = [[name, f"`{words}`"] for name, words in measured.commands.items()]
    parts = ["# Results", measured.about, _company(measured.rows)]
    parts += [_table(["server", "command"], commands)]
    parts += ["## At a glance", _overview(measured), _tutorial(measured.rows)]
    for case in CASES:
        rows = [row for row in measured.rows if row.case == case]
        if rows:
            parts += [f"## {case}: {CASES[case].title}", _picture(case, rows, folder)]
            parts.append(_details(rows))
    head = ["server", "database", "memory a worker, MB"]
    head += ["votes accepted", "ballots"]
    parts += ["## Memory, and the votes", _table(head, measured.servers)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text("\n\n".join(filter(None, parts)) + "\n")
