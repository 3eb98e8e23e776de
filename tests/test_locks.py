"""A lock between processes; flock() tells two openings of a file apart as it does two processes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polls.locks import file_lock

pytestmark = pytest.mark.once


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "x.lock")


def test_it_works(path):
    for _ in range(2):
        with file_lock(path, timeout=0):
            assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("keep_open", [False, True])
def test_it_gives_up_after_its_timeout(path, keep_open):
    with file_lock(path, timeout=0, keep_open=keep_open):
        began = time.monotonic()
        with pytest.raises(TimeoutError), file_lock(path, timeout=0.1):
            pass
        assert 0.1 <= time.monotonic() - began < 5
    with file_lock(path, timeout=0):
        pass


@pytest.mark.parametrize("timeout", [10, None])
def test_it_waits_for_who_holds_it(path, timeout):
    order = []

    def wait():
        with file_lock(path, timeout):
            order.append("second")

    waiting = threading.Thread(target=wait)
    with file_lock(path, timeout=0):
        waiting.start()
        time.sleep(0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_body_that_fails_lets_go(path):
    with pytest.raises(ZeroDivisionError), file_lock(path, timeout=0, keep_open=True):
        1 / 0
    with file_lock(path, timeout=0):
        pass


@pytest.mark.server
def test_a_process_that_dies_lets_go(path):
    code = f"import os\nfrom polls.locks import file_lock\nwith file_lock({path!r}, 0): os._exit(1)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 1
    with file_lock(path, timeout=0):
        pass
