"""Hold N live viewers on one question, vote once a second, and measure what it costs.

usage: python -m bench.live_viewers [--viewers 10000] [--votes 30] [--workers 1] [--deaf 0] [--beside 0]

Prints delay from accepted vote to received event (p50, p99, worst), CPU of the
server for each event, memory for each viewer and threads. The server is ours,
under uvicorn's worker, on an empty SQLite database, or on DATABASE_URL's server.
With --beside so many others vote each second meanwhile.

The client is asyncio protocols on uvloop without any HTTP library, two
processes of it: about 10 us an event, a tenth of a core at 10,000 viewers.
All of it stays on 127.0.0.1 and ends by itself.
"""

import argparse
import asyncio
import bisect
import itertools
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from bench import open_loop
from bench.open_loop import Answered, Ask
from tests.support.people import Voter
from tests.support.servers import Site

TICKS = os.sysconf("SC_CLK_TCK")
CLIENTS = 2

# A viewer, a version of the tally, and when it arrived there.
Seen = tuple[int, int, float]


class Stream(asyncio.Protocol):
    """One viewer: asks, then notes when each version of the tally arrived."""

    def __init__(
        self, question: int, deaf: bool, number: int, seen: list[Seen]
    ) -> None:
        self.question, self.deaf, self.number = question, deaf, number
        self.seen = seen

    def connection_made(self, transport: asyncio.Transport) -> None:
        path = f"/polls/{self.question}/live/"
        transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if self.deaf:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        start = data.rfind(b"\nid: ")
        if start >= 0:
            version = int(data[start + 5 : data.index(b"\n", start + 5)])
            self.seen.append((self.number, version, time.monotonic()))


async def hold(
    port: int, question: int, numbers: range, deaf: bool, pipe: Connection
) -> None:
    loop = asyncio.get_running_loop()
    seen: list[Seen] = []
    for n in numbers:
        await loop.create_connection(
            lambda: Stream(question, deaf, n, seen), "127.0.0.1", port
        )
        if n % 50 == 49:
            await asyncio.sleep(0.02)
    while not deaf and len(seen) < len(numbers):
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
    each = viewers // CLIENTS
    for n in range(CLIENTS):
        ours, theirs = multiprocessing.Pipe()
        numbers = range(n * each, (n + 1) * each)
        arguments = (site.port, question, numbers, deaf, theirs)
        process = multiprocessing.Process(target=client, args=arguments, daemon=True)
        process.start()
        started.append((process, ours))
    for _, pipe in started:
        if not pipe.poll(120):
            raise SystemExit("The viewers did not all connect within two minutes.")
        pipe.recv()
    return started


def seen_by(started: list) -> list[Seen]:
    """Return what arrived at the viewers; their streams stay open."""
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
    """Return when a version was accepted that has the vote, of each voter."""
    accepted = {}
    voters = [Voter(site.base) for _ in range(votes)]
    choices = [voter.open_ballot(question) for voter in voters]
    for n, voter in enumerate(voters):
        began = time.monotonic()
        assert voter.vote(choices[n][n % 2], question).status == 302
        at = time.monotonic()
        page = voter.get(f"/polls/{question}/results.json")
        accepted[json.loads(page.text)["version"]] = at
        time.sleep(max(0, began + 1 - time.monotonic()))
    return accepted


@dataclass
class Votes:
    """When each version was accepted, and what sending it to the viewers cost."""

    accepted: dict[int, float]
    cpu: float
    seconds: float

    def delays(self, seen: list[Seen]) -> list[float]:
        """Return the seconds from each accepted vote to each viewer's first event that has it, sorted."""
        events = defaultdict(list)
        for viewer, version, at in seen:
            events[viewer].append((version, at))
        delays = []
        for of_viewer, (vote, accepted) in itertools.product(
            events.values(), self.accepted.items()
        ):
            first = bisect.bisect_left(of_viewer, (vote,))
            if first < len(of_viewer):
                delays.append(of_viewer[first][1] - accepted)
        return sorted(delays)

    def newest(self, seen: list[Seen]) -> int:
        """Return how many viewers have seen all of these votes."""
        last = max(self.accepted)
        return len({viewer for viewer, version, _ in seen if version >= last})


def others_vote(site: Site, question: int, rate: int, seconds: int) -> Answered:
    """Have so many vote each second, as many as there is time for."""
    form = Voter(site.base)
    choices = form.open_ballot(question)
    head = (
        f"POST /polls/{question}/vote/ HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        f"Cookie: csrftoken={form.cookies['csrftoken']}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
    )
    bodies = [f"csrfmiddlewaretoken={form.token}&choice={c}" for c in choices]
    asks = [
        Ask(f"{head}{len(body)}\r\n\r\n{body}".encode(), 302, is_vote=True)
        for body in bodies
    ]
    return open_loop.load(site.port, itertools.cycle(asks), rate, seconds)


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
    parser.add_argument(
        "--beside", type=int, default=0, help="votes of others, a second"
    )
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
    with ThreadPoolExecutor(1) as thread:
        others = thread.submit(
            others_vote, site, question, options.beside, options.votes
        )
        votes = vote_for_viewers(site, question, options.votes)
    if options.beside:
        report_others(others.result(), site.counts(question)[1] - options.votes)
    if options.deaf:
        print(
            f"memory a viewer after {options.votes} votes: {(memory_kb(pids) - before) / viewers:.1f} kB"
        )
    report(votes, seen_by(watching), options.viewers)


def report_others(others: Answered, counted: int) -> None:
    delays = sorted(others.delays)
    print(
        f"votes of others: {len(delays)} accepted, {counted} counted, {len(others.problems)} refused; "
        f"p50 {percentile(delays, 50) * 1e3:.0f} ms, p99 {percentile(delays, 99) * 1e3:.0f} ms"
    )


def report(votes: Votes, seen: list[Seen], viewers: int) -> None:
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
