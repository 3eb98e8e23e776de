"""All faults, on each server and database: python -m tests.faults [--only NAME...] writes docs/faults.md, or prints some rows of it."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

from bench.report import machine
from tests.faults.faults import BOTH, FAULTS, SERVERS, Fault
from tests.faults.ledger import Verdict
from tests.faults.run import run
from tests.faults.scene import made_cluster, new_folder, postgresql
from tests.support.servers import ROOT, made_data

BEGINS = "## The last run\n"
# So many sites at a time.
AT_ONCE = 2
HEAD = "fault", "server", "database", "accepted", "lost", "doubled", "silence, s", "clients saw"  # fmt: skip


@dataclass(frozen=True)
class Row:
    fault: Fault
    server: str
    database: str

    def measure(self) -> tuple["Row", Verdict | str]:
        """Return what came of it, or why it could not be tried."""
        try:
            verdict: Verdict | str = run(self.fault, self.server, self.database)
        except Exception as error:
            verdict = f"{type(error).__name__}: {error}"
        print(self.fault.name, self.server, self.database, verdict, sep=" · ", file=sys.stderr)  # fmt: skip
        return self, verdict

    def cells(self, verdict: Verdict | str) -> list[str]:
        names = [self.fault.name, self.server, self.database]
        if isinstance(verdict, str):
            return [*names, "", "", "", "", f"**{verdict.splitlines()[0]}**"]
        seen = [f"{what} ×{n}" for what, n in sorted(verdict.seen.items())]
        seen += [f"**{verdict.wrong}**"] if verdict.wrong else []
        numbers = [verdict.accepted, verdict.lost, verdict.doubled]
        return [*names, *map(str, numbers), f"{verdict.silence:.1f}", ", ".join(seen)]


def rows(names: list[str]) -> Iterator[Row]:
    for name, server, database in product(names, SERVERS, BOTH):
        fault = FAULTS[name]
        if server in fault.servers and database in fault.databases:
            yield Row(fault, server, database)


def write(table: str, took: str) -> None:
    """Keep the words of the page, and put the table in the place of the last one."""
    with new_folder(None) as folder, postgresql(folder, False) as (_, url):
        about = machine(url)
    page = ROOT / "docs" / "faults.md"
    words = page.read_text().partition(BEGINS)[0]
    page.write_text(f"{words}{BEGINS}\n{about} {took}\n\n{table}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=FAULTS)
    only = parser.parse_args().only
    # Before there are threads.
    made_data(), made_cluster()
    began, load = time.monotonic(), os.getloadavg()[0]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        done = list(threads.map(Row.measure, rows(only or list(FAULTS))))
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells(verdict) for row, verdict in done)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if only:
        print(table)
    else:
        write(
            table,
            f"{(time.monotonic() - began) / 60:.0f} minutes; load average before: {load:.1f}.",
        )
    return not all(isinstance(v, Verdict) and v.is_good for _, v in done)


if __name__ == "__main__":
    sys.exit(main())
