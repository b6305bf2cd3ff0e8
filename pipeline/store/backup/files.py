"""The files of a backup: gzipped BSON in chunks, and a manifest that knows each by its checksum. Reads no database.

    DIR/manifest.json          what the backup is, what each chunk holds; carries its own checksum
    DIR/candles.000001.bson.gz documents one after the other, as `bsondump` reads them

A file gets its name only when it is whole and on the disk, and nobody but its owner may read it.
"""

import fcntl
import gzip
import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Literal

from bson import json_util

from pipeline.errors import AttentionError, UsageError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_LARGEST_DOCUMENT: Final = 17 * 1024 * 1024
_COMPRESSION: Final = 2  # half again as fast as the default, a few percent larger

Kind = Literal["copied", "changed", "gone"]
Progress = Callable[[str, int], None]
"""Told the collection, and how many of its documents are done."""


def unheard(_collection: str, _documents: int) -> None:
    """The progress that nobody watches."""


class BrokenBackupError(AttentionError):
    """The backup is not what was written: take another one. Nothing was restored from it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One file: whole documents of one collection, or the ids of those that were deleted meanwhile."""

    file: str
    collection: str
    kind: Kind
    documents: int
    size: int
    sha256: str
    last: Any
    """The `_id` of its last document."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collection is beside its documents, and how many of them it has."""

    name: str
    options: dict[str, Any]
    indexes: list[dict[str, Any]]
    documents: int


@dataclass(frozen=True, slots=True)
class View:
    """A collection that has no documents of its own."""

    name: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of a backup. Unfinished while `finished_at` is None."""

    id: str
    database: str
    began: Any
    """The cluster's time from which on changes are followed."""
    started_at: datetime
    chunks: tuple[Chunk, ...] = ()
    copied: tuple[str, ...] = ()
    """Collections whose copy is whole."""
    shapes: tuple[Shape, ...] = ()
    views: tuple[View, ...] = ()
    finished_at: datetime | None = None
    format: int = FORMAT

    def of(self, collection: str) -> list[Chunk]:
        """The chunks of a collection, in the order to apply them."""
        return [chunk for chunk in self.chunks if chunk.collection == collection]

    @property
    def documents(self) -> int:
        return sum(shape.documents for shape in self.shapes)


@contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Make the folder and be the only one who writes to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}. Name a folder of your own.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AttentionError(f"another backup writes to {folder}. Wait for it, or name another folder.") from None
    finally:
        os.close(descriptor)


def load(folder: Path) -> Manifest | None:
    """The manifest in the folder, or None if there is none yet."""
    path = folder / MANIFEST
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        text = said["manifest"]
        if hashlib.sha256(text.encode()).hexdigest() != said["sha256"]:
            raise BrokenBackupError(f"{path} is damaged: its checksum is wrong. Use another backup.")
        known = json_util.loads(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AttentionError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenBackupError(f"{path} is damaged: {error}. Use another backup.") from error
    if known.get("format") != FORMAT:
        raise AttentionError(f"{path} has format {known.get('format')!r}, this program reads {FORMAT}. Update it.")
    return Manifest(
        **known
        | {
            "chunks": tuple(Chunk(**one) for one in known["chunks"]),
            "shapes": tuple(Shape(**one) for one in known["shapes"]),
            "views": tuple(View(**one) for one in known["views"]),
            "copied": tuple(known["copied"]),
        }
    )


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest, in one step."""
    text = json_util.dumps(asdict(manifest), json_options=json_util.CANONICAL_JSON_OPTIONS)
    sealed = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "manifest": text})
    with _whole(folder / MANIFEST) as file:
        file.write(sealed.encode())


def write(folder: Path, chunk: Chunk, documents: Iterable[bytes]) -> Chunk:
    """Write the documents into the chunk's file; returns the chunk with its size and checksum."""
    with _whole(folder / chunk.file) as file, gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as packed:
        for document in documents:
            packed.write(document)
    path = folder / chunk.file
    return replace(chunk, size=path.stat().st_size, sha256=_checksum(path))


def check(folder: Path, manifest: Manifest, progress: Progress = unheard) -> None:
    """Read every file through: right size, right checksum, and exactly the documents it should hold."""
    for chunk in manifest.chunks:
        path = folder / chunk.file
        _require_plain(chunk)
        if not path.is_file():
            raise BrokenBackupError(f"{path} is missing. Use another backup.")
        if (size := path.stat().st_size) != chunk.size:
            raise BrokenBackupError(f"{path} has {size:,} bytes instead of {chunk.size:,}. Use another backup.")
        if _checksum(path) != chunk.sha256:
            raise BrokenBackupError(f"{path} is damaged: its checksum is wrong. Use another backup.")
        count = sum(1 for _ in documents(folder, chunk))
        if count != chunk.documents:
            raise BrokenBackupError(f"{path} holds {count:,} documents instead of {chunk.documents:,}.")
        progress(chunk.collection, count)


def documents(folder: Path, chunk: Chunk) -> Iterator[bytes]:
    """The documents of a chunk, one after the other, each as BSON."""
    path = folder / chunk.file
    try:
        with gzip.open(path, "rb") as packed:
            while head := packed.read(4):
                size = _length(head)
                rest = packed.read(size - 4)
                if len(rest) != size - 4:
                    raise BrokenBackupError(f"{path} ends in the middle of a document. Use another backup.")
                yield head + rest
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise BrokenBackupError(f"{path} cannot be unpacked: {error}. Use another backup.") from error


def split(batch: bytes) -> Iterator[bytes]:
    """The documents of a raw answer of the server."""
    at = 0
    while at < len(batch):
        size = _length(batch[at : at + 4])
        yield batch[at : at + size]
        at += size


def _length(head: bytes) -> int:
    size: int = struct.unpack("<i", head)[0]
    if not 5 <= size <= _LARGEST_DOCUMENT:
        raise BrokenBackupError(f"a document of {size} bytes cannot be. Use another backup.")
    return size


def _require_plain(chunk: Chunk) -> None:
    """A manifest from a stranger must not lead out of the folder."""
    if not re.fullmatch(r"[\w.%-]+", chunk.file) or chunk.file.startswith("."):
        raise BrokenBackupError(f"the manifest names the file {chunk.file!r}, which no backup has. Do not trust it.")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when it is complete and safe on the disk."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise AttentionError(
            f"cannot write {path}: {error.strerror}. Free some space and run the same command again: it goes on."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
