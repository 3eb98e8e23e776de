"""Hold N live viewers on one question, vote once a second, and measure what it costs.

usage: python -m bench.live_viewers [--viewers 10000] [--votes 30] [--workers 1] [--deaf 0]

Prints delay from accepted vote to received event (p50, p99, worst), CPU of the
server for each event, memory for each viewer and threads. The server is ours,
under uvicorn's worker, on an empty SQLite database, or on DATABASE_URL's server.

The client is asyncio protocols on uvloop without any HTTP library, two
processes of it: about 10 us an event, a tenth of a core at 10,000 viewers.
All of it stays on 127.0.0.1 and ends by itself.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from tests.support.people import Voter
from tests.support.servers import Site

TICKS = os.sysconf("SC_CLK_TCK")
CLIENTS = 2


class Stream(asyncio.Protocol):
    """One viewer: asks, then notes when each version of the tally arrived."""

    def __init__(
        self, question: int, deaf: bool, seen: list[tuple[int, float]]
    ) -> None:
        self.question, self.deaf, self.seen = question, deaf, seen

    def connection_made(self, transport: asyncio.Transport) -> None:
        path = f"/polls/{self.question}/live/"
        transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if self.deaf:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        start = data.rfind(b"\nid: ")
        if start >= 0:
            version = int(data[start + 5 : data.index(b"\n", start + 5)])
            self.seen.append((version, time.monotonic()))


async def hold(
    port: int, question: int, viewers: int, deaf: bool, pipe: Connection
) -> None:
    loop = asyncio.get_running_loop()
    seen: list[tuple[int, float]] = []
    for n in range(viewers):
        await loop.create_connection(
            lambda: Stream(question, deaf, seen), "127.0.0.1", port
        )
        if n % 50 == 49:
            await asyncio.sleep(0.02)
    while not deaf and len(seen) < viewers:
        await asyncio.sleep(0.1)
    seen.clear()
    pipe.send("ready")
    # The streams stay open until the server has stopped.
    while await heard(pipe) == "seen":
        pipe.send(seen)


async def heard(pipe: Connection) -> str:
    while not pipe.poll():
        await asyncio.sleep(0.05)
    return pipe.recv()


def client(*arguments: object) -> None:
    uvloop.run(hold(*arguments))


def start_clients(site: Site, question: int, viewers: int, deaf: bool) -> list:
    started = []
    for _ in range(CLIENTS):
        ours, theirs = multiprocessing.Pipe()
        arguments = (site.port, question, viewers // CLIENTS, deaf, theirs)
        process = multiprocessing.Process(target=client, args=arguments, daemon=True)
        process.start()
        started.append((process, ours))
    for _, pipe in started:
        if not pipe.poll(120):
            raise SystemExit("The viewers did not all connect within two minutes.")
        pipe.recv()
    return started


def seen_by(started: list) -> list[tuple[int, float]]:
    """Return what arrived at the viewers, version and time; their streams stay open."""
    seen = []
    for _, pipe in started:
        pipe.send("seen")
        seen += pipe.recv()
    return seen


def stop_clients(started: list) -> None:
    for process, pipe in started:
        pipe.send("stop")
        process.join()


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_kb(pids: list[int]) -> int:
    """Return the proportional memory of these processes."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in rollups)


def connections(port: int) -> int:
    """Return how many connections to this port are open."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    # The local address, and the state ESTABLISHED.
    return sum(s[1].endswith(f":{port:04X}") and s[3] == "01" for s in sockets)


def threads(pids: list[int]) -> int:
    return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids)


def vote_each_second(site: Site, question: int, votes: int) -> dict[int, float]:
    """Return when each version was accepted: one vote of a new voter is one version."""
    accepted = {}
    page = Voter(site.base).get(f"/polls/{question}/results.json")
    version = json.loads(page.text)["version"]
    voters = [Voter(site.base) for _ in range(votes)]
    choices = [voter.open_ballot(question) for voter in voters]
    for n, voter in enumerate(voters):
        began = time.monotonic()
        assert voter.vote(choices[n][n % 2], question).status == 302
        accepted[version + n + 1] = time.monotonic()
        time.sleep(max(0, began + 1 - time.monotonic()))
    return accepted


@dataclass
class Votes:
    """When each version was accepted, and what sending it to the viewers cost."""

    accepted: dict[int, float]
    cpu: float
    seconds: float

    def delays(self, seen: list[tuple[int, float]]) -> list[float]:
        """Return the seconds from accepted vote to event, sorted."""
        return sorted(at - self.accepted[v] for v, at in seen if v in self.accepted)

    def newest(self, seen: list[tuple[int, float]]) -> int:
        """Return how many events were the newest tally: one a viewer."""
        return sum(version == max(self.accepted) for version, _ in seen)


def vote_for_viewers(site: Site, question: int, votes: int) -> Votes:
    pids = site.workers()
    cpu, began = cpu_seconds(pids), time.monotonic()
    accepted = vote_each_second(site, question, votes)
    time.sleep(1)
    return Votes(accepted, cpu_seconds(pids) - cpu, time.monotonic() - began)


def percentile(values: list[float], percent: float) -> float:
    """Return it of sorted values; 0 if there are none."""
    return values[int(len(values) * percent / 100)] if values else 0.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--viewers", type=int, default=10_000)
    parser.add_argument("--votes", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--deaf", type=int, default=0, help="clients that never read")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        command = "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker"
        site = Site(command, Path(folder), {"WEB_CONCURRENCY": str(options.workers)})
        clients: list = []
        try:
            measure(site.ready(), options, clients)
        finally:
            # The viewers and those that never read are still there: the server has to stop with them.
            streams = connections(site.port)
            seconds = site.stop()
            stop_clients(clients)
    print(f"SIGTERM to gone with {streams} streams open: {seconds:.2f} s")


def measure(site: Site, options: argparse.Namespace, clients: list) -> None:
    question = site.ask()
    Voter(site.base).get(f"/polls/{question}/results/")
    pids = site.workers()
    before = memory_kb(pids)
    if options.deaf:
        clients += start_clients(site, question, options.deaf, True)
        print(
            f"{options.deaf} that never read: {memory_kb(pids) - before:,} kB at first"
        )
    watching = start_clients(site, question, options.viewers, False)
    clients += watching
    viewers = options.viewers + options.deaf
    print(f"{viewers} viewers, {options.workers} worker(s), threads {threads(pids)}")
    print(f"memory a viewer: {(memory_kb(pids) - before) / viewers:.1f} kB")
    votes = vote_for_viewers(site, question, options.votes)
    if options.deaf:
        print(
            f"memory a viewer after {options.votes} votes: {(memory_kb(pids) - before) / viewers:.1f} kB"
        )
    report(votes, seen_by(watching), options.viewers)


def report(votes: Votes, seen: list[tuple[int, float]], viewers: int) -> None:
    newest, delays = votes.newest(seen), votes.delays(seen)
    print(f"events received: {len(seen)}; newest tally reached {newest} of {viewers}")
    print(
        f"accepted vote to event: p50 {percentile(delays, 50) * 1e3:.0f} ms, "
        f"p99 {percentile(delays, 99) * 1e3:.0f} ms, worst {delays[-1] * 1e3:.0f} ms"
    )
    cpu = votes.cpu
    print(
        f"CPU an event: {cpu / max(1, len(seen)) * 1e6:.1f} us; {100 * cpu / votes.seconds:.0f}% of a core"
    )


if __name__ == "__main__":
    main()
