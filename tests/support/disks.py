"""What becomes of disks and files under a site: one that is soon full, a file that is elsewhere."""

import shutil
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


@contextmanager
def moved_away(path: Path) -> Iterator[Path]:
    """Let a file be elsewhere; yield where that is. It is put back."""
    away = path.with_suffix(".away")
    path.rename(away)
    try:
        yield away
    finally:
        away.rename(path)


@contextmanager
def replaced(path: Path) -> Iterator[None]:
    """Let a copy be in the place of a file."""
    with moved_away(path) as away:
        shutil.copy(away, path)
        yield
