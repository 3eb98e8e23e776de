"""One server, one page, one load: what is asked, what it gave and what it cost."""

import dataclasses
import itertools
import os
import re
import resource
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import journey, open_loop
from bench.live_viewers import (
    TICKS,
    cpu_seconds,
    percentile,
    seen_by,
    start_clients,
    stop_clients,
    vote_for_viewers,
)
from tests.support.people import Voter
from tests.support.servers import Site

CONNECTIONS = 16
# So many that a total which all votes share is waited for.
MANY_CONNECTIONS = 32
# With 16, a few threads would be nearly enough for those who wait.
SLOW_CONNECTIONS = 32
VIEWERS = 1000
# Requests a second of the mixed load, of which each tenth is a vote.
MIXED_RATE = 400
SCRIPT = Path(__file__).with_name("wrk.lua")


class Unexpected(Exception):
    """A page is not what is to be measured."""


@dataclass
class Target:
    """A running server and the questions it was seeded with."""

    server: str
    database: str
    site: Site
    # It has the slow page, and is loaded with nothing else.
    slow: bool = False
    questions: list[int] = field(default_factory=list)
    # Votes that were answered with 302, and ballots that the database has since.
    accepted: int = 0
    counted: int = 0

    @property
    def pids(self) -> list[int]:
        return [self.site.process.pid, *self.site.workers()]


@dataclass(frozen=True)
class Run:
    """What one load gave: requests (or events) a second, milliseconds, and microseconds of CPU for each."""

    count: int
    rate: float
    p50: float
    p99: float
    cpu: float
    problem: str = ""
    # The part of the machine that neither the server nor wrk had: a database's, and that of other programs.
    others: float = 0


@dataclass(frozen=True)
class Request:
    path: str
    connections: int = CONNECTIONS
    headers: dict[str, str] = field(default_factory=dict)
    # To be posted in turn; none is a GET.
    bodies: tuple[str, ...] = ()

    def words(self, base: str, seconds: int) -> list[str]:
        """Return the command; no server here is so slow that it would take a minute to answer."""
        words = ["wrk", "-t2", f"-c{self.connections}", f"-d{seconds}s"]
        words += ["--timeout=60s", "-s", str(SCRIPT)]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        return [*words, base + self.path, "--", *self.bodies]

    def messages(self, port: int) -> list[bytes]:
        """Return it as it is sent, once for each of its bodies."""
        headers = {"Host": f"127.0.0.1:{port}"} | self.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if not self.bodies:
            return [f"GET {self.path} HTTP/1.1\r\n{head}\r\n".encode()]
        head = f"POST {self.path} HTTP/1.1\r\n{head}Content-Length: "
        return [f"{head}{len(b)}\r\n\r\n{b}".encode() for b in self.bodies]


def busy_seconds() -> float:
    """Return how long all cores together have been at work, for whomever, or were withheld from this machine."""
    user, nice, system, _, _, *rest = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(rest)) / TICKS


def client_seconds() -> float:
    """Return what the load itself has taken: wrk's processes, and this one."""
    usages = map(resource.getrusage, (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Meter:
    """Seconds from its beginning: of the server's CPU, and the part of the machine that others took."""

    def __init__(self, target: Target) -> None:
        self.pids, self.began = target.pids, time.monotonic()
        self.before = self._read()

    def _read(self) -> tuple[float, float, float]:
        return cpu_seconds(self.pids), busy_seconds(), client_seconds()

    def read(self) -> tuple[float, float]:
        passed = (time.monotonic() - self.began) * os.cpu_count()
        cpu, busy, client = (b - a for a, b in zip(self.before, self._read()))
        return cpu, max(0, busy - cpu - client) / passed


def wrk(target: Target, request: Request, seconds: int) -> tuple[Run, int]:
    """Return the run, and how many of its answers were 302 (counted for a POST alone)."""
    words, meter = request.words(target.site.base, seconds), Meter(target)
    done = subprocess.run(
        words, check=True, capture_output=True, text=True, timeout=seconds + 90
    )
    cpu, others = meter.read()
    report = re.search(r"^REPORT (.+)$", done.stdout, re.M)
    if not report:
        raise RuntimeError(f"wrk did not report:\n{done.stdout}{done.stderr}")
    count, duration, p50, p99, refused, lost, redirects = map(int, report[1].split())
    problem = ""
    if refused or lost or not count:
        problem = f"{refused} of {count} answers were errors, {lost} were lost"
    rate, each = count / duration * 1e6, cpu / max(1, count) * 1e6
    return Run(count, rate, p50 / 1e3, p99 / 1e3, each, problem, others), redirects


# What is loaded. Each question has one use: a page is the same in the first round as in the last.


def page(path: str, **headers: str) -> Callable[[Target, int], Run]:
    """Return the load of a page, by people without any cookie unless the headers have one."""

    def load(target: Target, seconds: int) -> Run:
        address = path.format(question=target.questions[0])
        _expect(200, target, address, **headers)
        return wrk(target, Request(address, headers=headers), seconds)[0]

    return load


def _expect(status: int, target: Target, path: str, **headers: str) -> str:
    """Look once before many do, and return the ETag."""
    voter = Voter(target.site.base, headers=headers)
    answer = voter.get(path)
    if answer.status != status:
        raise Unexpected(f"{path} answered {answer.status} in place of {status}")
    return answer.headers.get("ETag", "")


def _cookies_of_voter(target: Target, question: int) -> str:
    voter = Voter(target.site.base)
    voter.open_and_vote(question)
    return "; ".join(f"{name}={value}" for name, value in voter.cookies.items())


def own_results(target: Target, seconds: int) -> Run:
    """Ask for it as one who has voted: with the cookies of that ballot, a receipt on the page and the own choice marked."""
    question = target.questions[3]
    cookies = _cookies_of_voter(target, question)
    return page(f"/polls/{question}/results/", Cookie=cookies)(target, seconds)


class Poll:
    """A question while it is loaded by clients that tell of each vote: what it took, and whether all of them count."""

    def __init__(self, target: Target, question: int) -> None:
        self.target, self.question = target, question
        self.before = target.site.counts(question)[1]
        self.meter, self.began = Meter(target), time.monotonic()

    def run(
        self, count: int, accepted: int, times: list[float], problems: list[str]
    ) -> Run:
        """Return the run of so many visits, of which these are the times that are told."""
        passed, (cpu, others) = time.monotonic() - self.began, self.meter.read()
        counted = self.target.site.counts(self.question)[1] - self.before
        self.target.accepted += accepted
        self.target.counted += counted
        problem = problems[0] if problems else ""
        if counted != accepted:
            problem = f"{accepted} votes accepted, {counted} counted"
        times.sort()
        p50, p99 = percentile(times, 50) * 1e3, percentile(times, 99) * 1e3
        each = cpu / max(1, count) * 1e6
        return Run(count, count / passed, p50, p99, each, problem, others)


def journeys(target: Target, seconds: int) -> Run:
    """Have 16 voters at a time open the ballot page, vote, and look at their own results."""
    poll = Poll(target, target.questions[4])
    done = journey.load(target.site.port, poll.question, CONNECTIONS, seconds)
    return poll.run(len(done.seconds), done.accepted, done.seconds, done.problems)


def _mixed_asks(target: Target, question: int) -> Iterator[open_loop.Ask]:
    """Yield without end nine looks at the site (the list, a ballot page, the results of strangers and of voters), and a vote."""
    port, base = target.site.port, f"/polls/{question}/"
    cookies = {"Cookie": _cookies_of_voter(target, target.questions[3])}
    own = Request(f"/polls/{target.questions[3]}/results/", headers=cookies)
    looks = [Request("/polls/"), Request(base), Request(f"{base}results/"), own]
    pages = itertools.cycle(look.messages(port)[0] for look in looks)
    votes = itertools.cycle(_votes(target, question).messages(port))
    while True:
        for _ in range(9):
            yield open_loop.Ask(next(pages), 200)
        yield open_loop.Ask(next(votes), 302, is_vote=True)


def mixed(target: Target, seconds: int) -> Run:
    """Ask at a given rate, for longer: a tenth of it are votes, whose delays are told."""
    asks = _mixed_asks(target, target.questions[5])
    poll = Poll(target, target.questions[5])
    done = open_loop.load(target.site.port, asks, MIXED_RATE, seconds + 2)
    return poll.run(done.count, len(done.delays), done.delays, done.problems)


def slow(target: Target, seconds: int) -> Run:
    """Load it for longer: a server without threads takes a second to come round."""
    request = Request("/slow/", SLOW_CONNECTIONS)
    return wrk(target, request, seconds + 1)[0]


def unchanged(target: Target, seconds: int) -> Run:
    """Ask for what one has already, as the script of a results page does."""
    path = f"/polls/{target.questions[0]}/results.json"
    headers = {"If-None-Match": _expect(200, target, path)}
    _expect(304, target, path, **headers)
    return wrk(target, Request(path, headers=headers), seconds)[0]


def _votes(target: Target, question: int, connections: int = CONNECTIONS) -> Request:
    """Vote for each choice in turn, each time as a new voter: with a token of the site and no voter cookie."""
    form = Voter(target.site.base)
    choices = form.open_ballot(question)
    fields = [{"csrfmiddlewaretoken": form.token, "choice": c} for c in choices]
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"csrftoken={form.cookies['csrftoken']}",
    }
    bodies = tuple(urllib.parse.urlencode(each) for each in fields)
    return Request(f"/polls/{question}/vote/", connections, headers, bodies)


def vote(target: Target, seconds: int, connections: int = CONNECTIONS) -> Run:
    """Vote on one question.

    Each accepted vote is one ballot. Votes that were on their way when wrk hung
    up, one a connection, may be ballots too.
    """
    question = target.questions[1]
    request = _votes(target, question, connections)
    before = target.site.counts(question)[1]
    run, accepted = wrk(target, request, seconds)
    counted = target.site.counts(question)[1] - before
    target.accepted += accepted
    target.counted += counted
    if accepted != run.count or not 0 <= counted - accepted <= connections:
        problem = f"{run.count} votes, {accepted} accepted, {counted} counted"
        return dataclasses.replace(run, problem=run.problem or problem)
    return run


def live(target: Target, seconds: int) -> Run:
    """Hold live viewers, vote once a second, and time the events: from the accepted vote to each viewer."""
    question = target.questions[2]
    clients = start_clients(target.site, question, VIEWERS, False)
    votes = vote_for_viewers(target.site, question, seconds)
    seen = seen_by(clients)
    stop_clients(clients)
    newest, delays = votes.newest(seen), votes.delays(seen)
    problem = ""
    if newest < VIEWERS:
        problem = f"the newest tally reached {newest} of {VIEWERS} viewers"
    p50, p99 = percentile(delays, 50) * 1e3, percentile(delays, 99) * 1e3
    rate, each = len(seen) / votes.seconds, votes.cpu / max(1, len(seen)) * 1e6
    return Run(len(seen), rate, p50, p99, each, problem)


EVERYWHERE = "sqlite", "postgresql"
TUTORIAL = "tutorial-sync"
NO_STREAMS = "sync", "gthread", "stock-sync", "stock-uvicorn-worker", TUTORIAL
# Those that are compared with the tutorial.
COMPARED = "sync", "uvicorn-worker"


@dataclass(frozen=True)
class Case:
    title: str
    load: Callable[[Target, int], Run]
    unit: str = "requests"
    databases: tuple[str, ...] = EVERYWHERE
    slow: bool = False
    streams: bool = False
    # A page that the tutorial does not have.
    ours: bool = False
    # What is asked of the tutorial, and of those that are compared with it.
    compared: bool = False
    # The rate is given, and what differs is the delay.
    by_delay: bool = False

    def suits(self, target: Target) -> bool:
        """Leave out what says nothing: what asks no database, on a second one; streams where there are none."""
        if target.database not in self.databases or target.slow != self.slow:
            return False
        if self.ours and target.server == TUTORIAL:
            return False
        if self.compared and target.server not in (*COMPARED, TUTORIAL):
            return False
        return target.server not in NO_STREAMS or not self.streams


CASES = {
    "index": Case("The list of questions", page("/polls/")),
    "ballot": Case("A ballot page", page("/polls/{question}/")),
    "results": Case("A results page", page("/polls/{question}/results/")),
    "own-results": Case("The results page of one who has voted", own_results),
    "json": Case("results.json, answered 304", unchanged, ours=True),
    "vote": Case("A vote", vote, "votes"),
    "hot-vote": Case(
        f"A vote on a hot question, {MANY_CONNECTIONS} connections",
        partial(vote, connections=MANY_CONNECTIONS),
        "votes",
        databases=("postgresql",),
        compared=True,
    ),
    "journey": Case(
        "What every voter does: ballot page, vote, own results", journeys, "voters"
    ),
    "mixed": Case(
        f"{MIXED_RATE} requests a second, each tenth a vote, which is what the delays are of",
        mixed,
        databases=("postgresql",),
        compared=True,
        by_delay=True,
    ),
    "static": Case(
        "The stylesheet",
        page("/static/polls/style.css"),
        databases=("sqlite",),
        ours=True,
    ),
    "slow": Case(
        f"A page that waits 100 ms for another server, {SLOW_CONNECTIONS} connections",
        slow,
        databases=("sqlite",),
        slow=True,
        ours=True,
    ),
    "live": Case(
        f"Live results, {VIEWERS} viewers, a vote a second",
        live,
        "events",
        databases=("sqlite",),
        streams=True,
        by_delay=True,
    ),
}
