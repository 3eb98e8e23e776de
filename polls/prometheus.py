"""The numbers of metrics.py in files that all workers of this machine have together, and as Prometheus reads them.

Each worker writes into files of its own, which whoever is asked adds up. A worker takes the lowest number that no other
holds, by a lock that ends with it, and counts on in the files of whoever had that number before. So totals never fall
when a worker ends, however it ends, and there are no more files than there were ever workers at once.
"""

import functools
import logging
import os
import resource
import socket
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .locks import file_lock, take_lock

logger = logging.getLogger("polls.metrics")

# Bytes of each file, taken from the disk at the start: one that is full later would end the worker that writes.
SIZE = 256 * 1024
KINDS = ("counter", "histogram", "gauge_livesum")
HERE = socket.gethostname()

# Seconds: from a page in memory to what a visitor gives up on.
PAGE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COMMIT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10)
BALLOTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Folder:
    """The files of all workers: worker-3.lock, and of each kind one such as counter_3.db."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def take_number(self) -> int:
        """Return the lowest number that no worker holds; this process holds it to its end, or until it gives it back."""
        number = 0
        with self._looking():
            while (lock := take_lock(self._lock_path(number))) is None:
                number += 1
            self._lock = lock
            os.truncate(lock, 0)
            os.write(lock, f"{os.getpid()} {HERE}".encode())
        self._forget_gauges(number)
        for kind in KINDS:
            _prepare(self.path / f"{kind}_{number}.db")
        return number

    def give_number_back(self) -> None:
        os.close(self._lock)

    def _looking(self) -> AbstractContextManager[None]:
        """Race: who looks which workers there are takes the lock of one that has ended, and it would seem alive to the next."""
        return file_lock(str(self.path / "numbers.lock"), timeout=None)

    def _lock_path(self, number: int) -> str:
        return str(self.path / f"worker-{number}.lock")

    def _forget_gauges(self, number: int) -> None:
        """Delete the gauges of the worker that had this number and has ended: its viewers have gone."""
        (self.path / f"gauge_livesum_{number}.db").unlink(missing_ok=True)

    def workers(self) -> dict[int, int]:
        """Return the processes that count, by number, 0 for one in another container; delete the gauges of those that ended."""
        found = {}
        with self._looking():
            for path in self.path.glob("worker-*.lock"):
                number = int(path.stem.removeprefix("worker-"))
                lock = take_lock(str(path))
                if lock is None:
                    found[number] = _read(path)
                else:
                    self._forget_gauges(number)
                    os.close(lock)
        return found


def _read(lock_path: Path) -> int:
    """Return the process that holds this lock; 0 for one in another container, where numbers mean other processes."""
    pid, _, where = lock_path.read_text().partition(" ")
    return int(pid) if where == HERE else 0


def _prepare(path: Path) -> None:
    try:
        list(MmapedDict.read_all_values_from_file(str(path)))
    except FileNotFoundError:
        pass
    except Exception as error:
        # A machine that lost its power leaves half a file.
        logger.warning("%s is begun anew: %s", path, error)
        path.unlink()
    with path.open("ab") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, SIZE)


class _Present(Collector):
    """Gauges that are read when somebody asks: how many workers, their descriptors, the room on the disk."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.workers = folder.workers()

    def collect(self) -> Iterable[Metric]:
        yield _gauge("polls_workers", "Processes that count", len(self.workers))
        yield from self._descriptors()
        disk = os.statvfs(self.folder.path)
        free = disk.f_bavail * disk.f_frsize
        yield _gauge("polls_disk_free_bytes", "Where DATA_DIR is", free)

    def _descriptors(self) -> Iterable[Metric]:
        open_ = _gauge("polls_descriptors", "Files and connections a worker has open")
        limit = _gauge("polls_descriptors_limit", "How many it may have")
        for number, pid in self.workers.items():
            try:
                opened = len(os.listdir(f"/proc/{pid}/fd"))
                most, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            except (OSError, AttributeError):
                # It has just ended or is elsewhere, or this is no Linux.
                continue
            open_.add_metric([str(number)], opened)
            limit.add_metric([str(number)], most)
        yield from (open_, limit)


def _gauge(name: str, help_: str, value: float | None = None) -> GaugeMetricFamily:
    labels = ["worker"] if value is None else None
    return GaugeMetricFamily(name, help_, value=value, labels=labels)


def _count_in_files(path: Path, number: int) -> None:
    """Have the library count in the files of this number; it knows no other way to be told."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)
    values.ValueClass = values.MultiProcessValue(lambda: number)


class Numbers:
    """What this process counts."""

    def __init__(self, path: Path) -> None:
        self.folder = Folder(path)
        _count_in_files(path, self.folder.take_number())
        counter = functools.partial(Counter, registry=None)
        gauge = functools.partial(Gauge, registry=None, multiprocess_mode="livesum")
        histogram = functools.partial(Histogram, registry=None)
        self.votes = counter("polls_votes", "Accepted votes", ["how"])
        self.refusals = counter("polls_refusals", "Votes not accepted", ["reason"])
        self.answers = counter("polls_answers", "Answers", ["status"])
        self.pages = histogram(
            "polls_page_seconds", "Until the answer is made", ["view"], buckets=PAGE
        )
        self.commits = histogram(
            "polls_commit_seconds", "Of writing new ballots", buckets=COMMIT
        )
        self.ballots = histogram(
            "polls_commit_ballots", "New ballots in a commit", buckets=BALLOTS
        )
        self.viewers = gauge("polls_viewers", "Open live streams")
        self.busy = gauge("polls_threads_busy", "Threads at work on a request")
        self.threads = gauge("polls_threads", "Threads that answer requests")
        # To find one by its label takes as long as to count.
        self.page = functools.cache(self.pages.labels)
        self.answer = functools.cache(self.answers.labels)

    def text(self) -> bytes:
        """Return the numbers of all workers, as Prometheus reads them."""
        registry = CollectorRegistry()
        # First, for it deletes the gauges of ended workers, which the second would add up.
        registry.register(_Present(self.folder))
        MultiProcessCollector(registry, str(self.folder.path))
        return generate_latest(registry)
