"""A file for its owner alone, which has its name when all is in it, and takes the place of no other."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Let the body write it. Raises FileExistsError for a name that is taken, before and after."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    # Mode 0600.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # Race: of two who write to one name, one takes it. Not by a link, which a memory stick does not have.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)
