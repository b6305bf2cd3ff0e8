"""The folder of the embedded database: its paths, its private files and its two locks. Starts and stops nothing.

    <home>/mongo/data        the database files
    <home>/mongo/key         the key of the replica set   (mode 0600)
    <home>/mongo/password    the password of its user     (mode 0600)
    <home>/mongo/server.json the port, the process, and whether the server outlives its users
    <home>/mongo/mongod.log  what mongod says, the older half in mongod.log.1

The locks are those of `sharing`.
"""

import json
import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pipeline import log_file
from pipeline.errors import AttentionError
from pipeline.store.mongod.sharing import Shared, write_private

_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the next start has to know. `kept`: the server stays when its last user leaves (`tidemark db start`)."""

    port: int | None = None
    process_id: int | None = None
    kept: bool = False


class Folder(Shared):
    """Where the embedded database lives. Nobody but its owner may look inside."""

    def __init__(self, home: Path) -> None:
        super().__init__(home.absolute() / "mongo", "the database")
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
        log_file.put_aside(self.log)

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
