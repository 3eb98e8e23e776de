"""A disk that is soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """Mount one of this size, such as "2m"; without the right to, the test is left out."""
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("only root can mount a disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
