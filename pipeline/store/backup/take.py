"""A backup of the whole database as it was at one moment, taken while others write to it. Changes nothing but its own
note in `backups`.

The collections are copied one after the other, which takes a while, and a change stream that was opened before tells
which documents changed meanwhile. At the end those, and only those, are read once more, in one transaction with a
snapshot: all as of one moment. So the length of a backup is not bound by how long the server keeps a snapshot; what it
must keep is its oplog. In memory are one chunk at most, and the ids of the documents that changed while it ran.

Interrupted anywhere, the same command goes on after the last whole chunk.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.change_stream import DatabaseChangeStream
from pymongo.client_session import ClientSession
from pymongo.cursor import RawBatchCursor
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from pipeline.errors import AttentionError, UsageError
from pipeline.store.backup import files
from pipeline.store.backup.files import Chunk, Kind, Manifest, Progress, Shape, View, unheard

Document = dict[str, Any]

NOTES: Final = "backups"
"""The collection in which backups are noted. It is no part of a backup."""
RESTORING: Final = "restoring."
"""How the names of collections begin that a restore has not finished. They are no part of a backup."""

_CHUNK: Final = 32 * 1024 * 1024
_BATCH: Final = 100  # candle documents are large
_IDS_A_QUERY: Final = 500
_ATTEMPTS: Final = 5
_NOTHING: Final = object()
_NO_CHANGE_STREAMS: Final = 40573
_HISTORY_LOST: Final = (286, 280)
_SNAPSHOT_GONE: Final = (239, 246, 251)


def take(
    db: Database[Document],
    folder: Path,
    *,
    clock: Callable[[], datetime],
    progress: Progress = unheard,
    chunk_size: int = _CHUNK,
) -> Manifest:
    """Begin a backup in the folder, or go on with the one that was interrupted there; returns its manifest."""
    with files.opened(folder):
        manifest = _begin(db, folder, clock)
        try:
            with _changes(db, manifest) as changes:
                manifest = _copy(db, folder, manifest, changes, progress, chunk_size)
                manifest = replace(_at_one_moment(db, folder, manifest, changes), finished_at=clock())
                files.save(folder, manifest)
        except PyMongoError as error:
            raise _explained(error, folder) from error
        note = {"finished_at": manifest.finished_at, "documents": manifest.documents}
        db[NOTES].update_one({"_id": manifest.id}, {"$set": note})
    return manifest


def belongs(name: str) -> bool:
    """Whether a collection of that name is part of a backup."""
    return name != NOTES and not name.startswith(("system.", RESTORING))


def _begin(db: Database[Document], folder: Path, clock: Callable[[], datetime]) -> Manifest:
    found = files.load(folder)
    if found is None:
        if any(folder.glob("*.bson.gz")):
            raise UsageError(f"{folder} holds parts of a backup without a manifest. Name an empty folder.")
        began = db.client.admin.command("hello").get("operationTime")
        if began is None:
            raise AttentionError("this MongoDB is no replica set, and only one can be backed up while it is in use.")
        manifest = Manifest(secrets.token_hex(8), db.name, began, clock())
        db[NOTES].insert_one({"_id": manifest.id, "started_at": manifest.started_at})
        files.save(folder, manifest)
        return manifest
    if found.finished_at is not None:
        raise UsageError(
            f"{folder} holds a finished backup of {found.finished_at:%Y-%m-%d %H:%M}. Name another folder."
        )
    if found.database != db.name or db[NOTES].find_one({"_id": found.id}) is None:
        raise UsageError(f"{folder} holds the beginning of a backup of another database. Name another folder.")
    return found


@dataclass(slots=True)
class _Changes:
    """The ids of what changed since the backup began, as the change stream tells them."""

    stream: DatabaseChangeStream[Document]
    ids: dict[str, set[bytes]] = field(default_factory=dict)
    marks: set[Any] = field(default_factory=set)

    def __enter__(self) -> "_Changes":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def drain(self) -> None:
        """Take what is there."""
        while (event := self.stream.try_next()) is not None:
            self._take(event)

    def reach_mark(self, db: Database[Document]) -> None:
        """Set a mark, now that the snapshot is fixed, and take all until the mark: nothing before it is missed."""
        mark = {"_id": f"mark:{secrets.token_hex(8)}"}
        db[NOTES].insert_one(mark)
        while mark["_id"] not in self.marks:
            self.drain()
        db[NOTES].delete_one(mark)

    def _take(self, event: Document) -> None:
        what, name = event["operationType"], event["ns"].get("coll", "")
        if name == NOTES:
            self.marks.add(event.get("documentKey", {}).get("_id"))
        elif what in ("insert", "update", "replace", "delete"):
            if belongs(name):
                self.ids.setdefault(name, set()).add(bson.encode({"_id": event["documentKey"]["_id"]}))
        elif belongs(name) or belongs(event.get("to", {}).get("coll", NOTES)):
            raise AttentionError(
                f"the collection {name!r} was changed as a whole ({what}) while it was backed up. "
                "Begin a new backup in an empty folder."
            )


def _changes(db: Database[Document], manifest: Manifest) -> _Changes:
    wanted = [{"$project": {"operationType": 1, "ns": 1, "documentKey": 1, "to": 1}}]
    return _Changes(db.watch(wanted, start_at_operation_time=manifest.began, max_await_time_ms=50))


def _copy(
    db: Database[Document],
    folder: Path,
    manifest: Manifest,
    changes: _Changes,
    progress: Progress,
    chunk_size: int,
) -> Manifest:
    """Copy what is not copied yet, chunk by chunk, each noted in the manifest as soon as it is whole."""
    for name in _names(db):
        if name in manifest.copied:
            continue
        for documents in _chunks(db, name, manifest, chunk_size):
            manifest = _add(folder, manifest, name, "copied", documents)
            files.save(folder, manifest)
            progress(name, sum(one.documents for one in manifest.of(name)))
            changes.drain()
        manifest = replace(manifest, copied=(*manifest.copied, name))
        files.save(folder, manifest)
    return manifest


def _names(db: Database[Document]) -> list[str]:
    found = db.list_collections(filter={"type": "collection"})
    return sorted(one["name"] for one in found if belongs(one["name"]))


def _chunks(db: Database[Document], name: str, manifest: Manifest, chunk_size: int) -> Iterator[list[bytes]]:
    done = manifest.of(name)
    gathered: list[bytes] = []
    size = 0
    for documents in _in_order(db, name, done[-1].last if done else None, begun=bool(done)):
        gathered += documents
        size += sum(map(len, documents))
        if size >= chunk_size:
            yield gathered
            gathered, size = [], 0
    yield gathered


def _in_order(db: Database[Document], name: str, last: Any, *, begun: bool) -> Iterator[list[bytes]]:
    """All documents by `_id`, those after `last` if it has begun. A lost connection is made anew where it was.

    The lower bound is one of the index, not a comparison: `$gt` would leave out ids of other types. Only what a
    majority has is read: the rest might be rolled back, and no change stream would say so.
    """
    collection = db.get_collection(name, read_concern=ReadConcern("majority"))
    attempts = 0
    while True:
        cursor = collection.find_raw_batches({}, sort=[("_id", 1)], hint=[("_id", 1)], batch_size=_BATCH)
        if begun:
            cursor = cursor.min([("_id", last)])
        seen = last if begun else _NOTHING
        try:
            for batch in _raw(cursor):
                first, *others = files.split(batch)
                fresh = others if _id(first) == seen else [first, *others]
                seen = _NOTHING
                if fresh:
                    last, begun, attempts = _id(fresh[-1]), True, 0
                    yield fresh
            return  # noqa: TRY300 - the loop is for lost connections, and this is the end of it
        except AutoReconnect:
            attempts += 1
            if attempts == _ATTEMPTS:
                raise
        finally:
            cursor.close()


def _at_one_moment(db: Database[Document], folder: Path, manifest: Manifest, changes: _Changes) -> Manifest:
    """Read again what changed, as of one moment; a transaction that the server broke off begins anew."""
    for attempts_left in range(_ATTEMPTS, 0, -1):
        changes.drain()
        with db.client.start_session() as session:
            try:
                with session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority")):
                    return _changed(db, folder, manifest, changes, session)
            except PyMongoError as error:
                if attempts_left == 1 or not error.has_error_label("TransientTransactionError"):
                    raise
    raise AssertionError("the last attempt returns or raises")


def _changed(
    db: Database[Document], folder: Path, manifest: Manifest, changes: _Changes, moment: ClientSession
) -> Manifest:
    shapes = [_shape(db, name) for name in _names(db)]
    shapes = [replace(shape, documents=_count(db, shape.name, moment)) for shape in shapes]
    changes.reach_mark(db)
    for shape in shapes:
        ids = sorted(changes.ids.get(shape.name, ()))
        for start in range(0, len(ids), _IDS_A_QUERY):
            wanted = ids[start : start + _IDS_A_QUERY]
            found = _find(db, shape.name, wanted, moment)
            gone = set(wanted) - {bson.encode({"_id": _id(one)}) for one in found}
            manifest = _add(folder, manifest, shape.name, "changed", found)
            manifest = _add(folder, manifest, shape.name, "gone", sorted(gone))
    return replace(manifest, shapes=tuple(shapes), views=tuple(_views(db)))


def _views(db: Database[Document]) -> list[View]:
    found = db.list_collections(filter={"type": "view"})
    return [View(one["name"], dict(one["options"])) for one in found]


def _shape(db: Database[Document], name: str) -> Shape:
    (found,) = db.list_collections(filter={"name": name})
    indexes = [dict(index) for index in db[name].list_indexes() if index["name"] != "_id_"]
    return Shape(name, dict(found.get("options", {})), indexes, 0)


def _count(db: Database[Document], name: str, moment: ClientSession) -> int:
    by_index: list[Document] = [
        {"$project": {"_id": 1}},
        {"$count": "documents"},
    ]  # without a look at the documents themselves
    found = list(db[name].aggregate(by_index, hint={"_id": 1}, session=moment))
    return int(found[0]["documents"]) if found else 0


def _find(db: Database[Document], name: str, ids: list[bytes], moment: ClientSession) -> list[bytes]:
    wanted = {"_id": {"$in": [bson.decode(one)["_id"] for one in ids]}}
    return [one for batch in _raw(db[name].find_raw_batches(wanted, session=moment)) for one in files.split(batch)]


def _raw(cursor: RawBatchCursor[Document]) -> Iterator[bytes]:
    """The driver says that raw batches are documents; they are bytes."""
    return cast("Iterator[bytes]", cursor)


def _add(folder: Path, manifest: Manifest, name: str, kind: Kind, documents: list[bytes]) -> Manifest:
    """Write a chunk of these documents; without any, nothing."""
    if not documents:
        return manifest
    file = f"{quote(name, safe='').lstrip('.')}.{len(manifest.chunks) + 1:06}.bson.gz"
    chunk = Chunk(file, name, kind, len(documents), 0, "", _id(documents[-1]))
    return replace(manifest, chunks=(*manifest.chunks, files.write(folder, chunk, documents)))


def _id(document: bytes) -> Any:
    found = RawBSONDocument(document)["_id"]
    return bson.decode(found.raw) if isinstance(found, RawBSONDocument) else found


def _explained(error: PyMongoError, folder: Path) -> AttentionError:
    code = error.code if isinstance(error, OperationFailure) else None
    if code in _HISTORY_LOST:
        return AttentionError(
            "the server no longer knows what changed since the backup began: its oplog is too short. Begin anew in an "
            f"empty folder (not {folder}), at a calmer time or with a larger oplog."
        )
    if code in _SNAPSHOT_GONE:
        return AttentionError(
            "so much changed while the backup ran that the server dropped the snapshot before all of it was read. "
            "Run the same command again, at a calmer time; what is copied stays."
        )
    if code == _NO_CHANGE_STREAMS:
        return AttentionError("this MongoDB is no replica set, and only one can be backed up while it is in use.")
    return AttentionError(f"the backup broke off: {error}. Run the same command again: it goes on.")
