"""How many workers gunicorn.conf.py starts, and what it says where it cannot listen."""

import os
import runpy
import socket
from pathlib import Path

import pytest

from tests.support.servers import ROOT

pytestmark = pytest.mark.once


@pytest.fixture
def read(monkeypatch):
    """Return what reads the file with nothing but this environment."""

    def read(**environment: str) -> dict:
        monkeypatch.setattr(os, "environ", environment)
        return runpy.run_path(str(ROOT / "gunicorn.conf.py"))

    return read


@pytest.fixture
def one_cpu():
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    yield
    os.sched_setaffinity(0, all_of_them)


def grouped(folder: Path, line: str, files: dict[str, str]) -> list[Path]:
    """Write what Linux shows to a process of this control group."""
    (folder / "member").write_text(f"3:memory:/else\nodd\n{line}\n")
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return [folder, folder / "member"]


def test_a_process_that_may_use_one_cpu_starts_one_worker(read, one_cpu):
    assert read()["workers"] == 1


def test_what_is_asked_for_goes_before_the_rule(read, one_cpu):
    assert read(WEB_CONCURRENCY="5")["workers"] == 5


V2 = "0::/app.slice/web"
V1 = "2:cpu,cpuacct:/docker/1"
LIMITS = [
    (V2, {}, []),
    (V2, {"app.slice/cpu.max": "max 100000"}, []),
    (V2, {"app.slice/web/cpu.max": "150000 100000\n"}, [1.5]),
    (V2, {"app.slice/cpu.max": "50000 100000", "cpu.max": "200000 100000"}, [0.5, 2]),
    # In a container, where the path is the host's.
    ("0::/../../web", {"cpu.max": "400000 100000"}, [4]),
    (V1, {"cpu/docker/1/cpu.cfs_quota_us": "-1"}, []),
    (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
    (V1, {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, [3]),
    ("4:cpuset:/x", {"cpu.max": "100000 100000"}, []),
]


@pytest.mark.parametrize("line, files, limits", LIMITS)
def test_it_knows_the_limits_of_its_control_groups(
    read, tmp_path, capsys, line, files, limits
):
    assert list(read()["quotas"](*grouped(tmp_path, line, files))) == limits
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "odd", ["", "much", "0 100000", "-5 100000", "100000 0", "1 2 3", "\xb9 100000"]
)
def test_what_is_no_limit_is_said_and_ignored(read, tmp_path, capsys, odd):
    place = grouped(tmp_path, V2, {"cpu.max": odd})
    assert list(read()["quotas"](*place)) == []
    assert f"{tmp_path / 'cpu.max'} is ignored" in capsys.readouterr().err


def test_a_limit_that_cannot_be_read_is_said_and_ignored(read, tmp_path, capsys):
    place = grouped(tmp_path, V2, {"cpu.max/file": ""})
    assert list(read()["quotas"](*place)) == []
    assert capsys.readouterr().err.count("\n") == 1
    assert list(read()["quotas"](tmp_path, tmp_path / "nowhere")) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_one_sentence(read, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        for given, way in (({"PORT": str(port)}, f"PORT={port + 1}"), ({}, "-b")):
            with pytest.raises(SystemExit) as refused:
                read(**given)["wait_for"](host, port, seconds=0)
            assert str(refused.value) == (
                f"Port {port} is in use by another program. "
                f"Give the same command another one with {way}."
            )
    read()["wait_for"](host, port, seconds=0)
