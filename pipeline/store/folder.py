"""The folder of the embedded database: its paths, its private files and its two locks. Starts and stops nothing.

    <home>/mongo/data        the database files
    <home>/mongo/key         the key of the replica set   (mode 0600)
    <home>/mongo/password    the password of its user     (mode 0600)
    <home>/mongo/server.json the port, the process, and whether the server outlives its users
    <home>/mongo/mongod.log  what mongod says, the older half in mongod.log.1

The locks are `flock`s, which the kernel drops when their holder dies: a lock can never be stale.
`start.lock` is held by whoever starts or stops the server; `users.lock` is shared by everyone who uses it.
"""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import AttentionError

LOG_LIMIT: Final = 5 * 1024 * 1024
_MEGABYTE: Final = 1024 * 1024
_POLL: Final = 0.02


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the next start has to know. `kept`: the server stays when its last user leaves (`tidemark db start`)."""

    port: int | None = None
    process_id: int | None = None
    kept: bool = False


class Folder:
    """Where the embedded database lives. Nobody but its owner may look inside."""

    def __init__(self, home: Path) -> None:
        self.path = home.absolute() / "mongo"
        self.data = self.path / "data"
        self.log = self.path / "mongod.log"
        self.output = self.path / "mongod.out"
        self.key_file = self.path / "key"
        self._password_file = self.path / "password"
        self._state_file = self.path / "server.json"

    def create(self) -> None:
        """Make the folder and its secrets, or close them again to other users of the machine."""
        try:
            for directory in (self.path, self.data):
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(0o700)
            self._secret(self.key_file, bytes_of_entropy=384)
            self._secret(self._password_file, bytes_of_entropy=24)
        except OSError as error:
            raise AttentionError(
                f"cannot write the database folder {self.path}: {error.strerror or error}. "
                "Free space or correct its owner, or choose another folder with TIDEMARK_HOME."
            ) from error

    @property
    def key(self) -> str:
        return self.key_file.read_text()

    @property
    def password(self) -> str:
        return self._password_file.read_text()

    def _secret(self, path: Path, bytes_of_entropy: int) -> None:
        if path.exists() and path.stat().st_size:
            path.chmod(0o600)
            return
        # base64 without the two characters a key file may not hold
        text = secrets.token_urlsafe(bytes_of_entropy).translate({ord("-"): "x", ord("_"): "y"})
        write_private(path, text)

    def remembered(self) -> Remembered:
        """What the last start wrote; a file that was cut short or edited counts as none."""
        try:
            stored = json.loads(self._state_file.read_text())
            return Remembered(int(stored["port"]), int(stored["process_id"] or 0) or None, bool(stored["kept"]))
        except (OSError, ValueError, TypeError, KeyError):
            return Remembered()

    def remember(self, state: Remembered) -> None:
        """Replace what the next start reads, in one step."""
        write_private(self._state_file, json.dumps(asdict(state)))

    def process_ids(self) -> set[int]:
        """The numbers under which the server may run: mongod's own note, which it empties at a clean end, and ours."""
        noted = self.remembered().process_id
        return {number for number in (self.lock_holder(), noted) if number}

    def lock_holder(self) -> int | None:
        """The process that mongod wrote into the lock file of its data."""
        try:
            return int((self.data / "mongod.lock").read_text().strip() or 0) or None
        except (OSError, ValueError):
            return None

    def size_mb(self) -> float:
        """What the data takes on disk."""
        total = 0
        for file in self.data.rglob("*"):
            with suppress(FileNotFoundError):
                total += file.stat().st_size
        return round(total / _MEGABYTE, 1)

    def limit_log(self) -> None:
        """Put a long log aside, over the one put aside before. Only while no server writes it."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))

    def log_end(self, size: int = 200_000) -> str:
        """The last part of what mongod logged."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - size))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def require_space(self, minimum_mb: int) -> None:
        """Refuse to start where the database would soon stop on a full disk."""
        free = shutil.disk_usage(self.path).free // _MEGABYTE
        if free < minimum_mb:
            raise AttentionError(
                f"the disk of {self.path} is full: {free} MB free, {minimum_mb} MB wanted. "
                "Free some space, or move the data folder with TIDEMARK_HOME."
            )

    @contextmanager
    def starting(self, timeout: float) -> Iterator[None]:
        """Be the only one who starts or stops this server."""
        with (self.path / "start.lock").open("a+") as file:
            deadline = time.monotonic() + timeout
            while not _try_lock(file.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise AttentionError(
                        f"another tidemark has been starting or stopping the database in {self.path} for {timeout:.0f} "
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
        try:
            descriptor = os.open(self.path / "users.lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
