"""A folder whose server several processes share: one at a time starts or stops it, and it is known whether any uses it.

The locks are `flock`s, which the kernel drops when their holder dies: a lock can never be stale.
`start.lock` is held by whoever starts or stops the server; `users.lock` is shared by everyone who uses it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pipeline.errors import AttentionError

_POLL: Final = 0.02


class Shared:
    """The two locks of a folder. `what`: the server in it, as messages call it."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what

    @contextmanager
    def starting(self, timeout: float) -> Iterator[None]:
        """Be the only one who starts or stops this server."""
        with (self.path / "start.lock").open("a+") as file:
            deadline = time.monotonic() + timeout
            while not try_lock(file.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise AttentionError(
                        f"another tidemark has been starting or stopping {self._what} in {self.path} for {timeout:.0f} "
                        "seconds. If it hangs, end that process and try again."
                    )
                time.sleep(_POLL)
            yield

    def enter(self) -> int:
        """Become a user of the server; the returned descriptor is the membership."""
        descriptor = os.open(self.path / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def has_users(self) -> bool:
        """Whether any living process uses the server (this one too, if it entered)."""
        return is_locked(self.path / "users.lock")


def try_lock(descriptor: int, kind: int) -> bool:
    """Take a lock, unless somebody has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a living process holds a lock on the file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def close(folder: Path) -> None:
    """Make it, or close it again, to other users of the machine. One that is somebody else's is as he has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):
        folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
