"""A log file that does not grow without end: too long, it is put aside as `.1`, over the one put aside before.

Several processes may write one. No line is lost by that: only what was put aside before the last time is gone.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

LIMIT: Final = 5 * 1024 * 1024


def append(path: Path, line: str, limit: int = LIMIT) -> None:
    """Add a line. Its folder must exist."""
    put_aside(path, limit)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def put_aside(path: Path, limit: int = LIMIT) -> None:
    """Begin a new file where this one is longer than that, unless another process just did."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size <= limit:
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            path.replace(path.with_name(f"{path.name}.1"))
