"""Makes a database what a backup holds. Writes nothing before every file of the backup has been read through.

Documents go into collections of their own (`restoring.candles`, ...) and take the place of the old ones only when all
of them are in and counted; until then what was there stays untouched. Interrupted, the same command goes on.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, IndexModel, ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

from pipeline.errors import AttentionError, UsageError
from pipeline.store.backup import files
from pipeline.store.backup.files import BrokenBackupError, Chunk, Manifest, Progress, Shape, unheard
from pipeline.store.backup.take import NOTES, RESTORING, Document, belongs
from schemas.control import ALIVE_FOR, CONTROL

_NOTE: Final = "restore"
_OF_ANOTHER_LIFE: Final = {"kind": "heartbeat"}
"""Who lived when the backup was made says nothing about who should live now."""
_BATCH_DOCUMENTS: Final = 1_000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_DUPLICATE_KEY: Final = 11000


def read(folder: Path, progress: Progress = unheard) -> Manifest:
    """The manifest of a finished backup every file of which is in order; else an error that names the file."""
    manifest = files.load(folder)
    if manifest is None:
        raise UsageError(f"{folder} holds no backup: there is no {files.MANIFEST} in it.")
    if manifest.finished_at is None:
        raise BrokenBackupError(f"the backup in {folder} was not finished. `tidemark backup {folder}` goes on with it.")
    files.check(folder, manifest, progress)
    return manifest


def restore(
    db: Database[Document],
    folder: Path,
    *,
    clock: Callable[[], datetime],
    force: bool = False,
    progress: Progress = unheard,
) -> Manifest:
    """Check the backup, then put it into the database. What is there already is replaced only with `force`."""
    manifest = read(folder)
    try:
        _put(db, folder, manifest, clock(), force=force, progress=progress)
    except PyMongoError as error:
        raise AttentionError(f"the restore broke off: {error}. Run the same command again: it goes on.") from error
    return manifest


def _put(
    db: Database[Document], folder: Path, manifest: Manifest, now: datetime, *, force: bool, progress: Progress
) -> None:
    _refuse_in_use(db, now)
    note = db[NOTES].find_one({"_id": _NOTE, "backup": manifest.id})
    if note is None or not note["placing"]:
        if not force:
            _refuse_overwriting(db)
        done = set(note["done"]) if note else _begin(db, manifest)
        for shape in manifest.shapes:
            _fill(db, folder, manifest, shape, done, progress)
        db[NOTES].update_one({"_id": _NOTE}, {"$set": {"placing": True}})
    _place(db, manifest)


def _refuse_in_use(db: Database[Document], now: datetime) -> None:
    beat = db["control"].find_one({"kind": "heartbeat", "at": {"$gte": now - ALIVE_FOR}})
    if beat is not None:
        raise AttentionError(
            f"{beat['role']} (process {beat['pid']} on {beat['host']}) works on the database {db.name!r}. "
            "Stop it, then restore."
        )


def _refuse_overwriting(db: Database[Document]) -> None:
    held = [name for name in _there(db) if db[name].find_one({}, {"_id": 1}) is not None]
    if held:
        raise UsageError(
            f"the database {db.name!r} is not empty ({', '.join(held[:5])}). Name another with TIDEMARK_DATABASE, or "
            "replace everything in it with --force."
        )


def _there(db: Database[Document]) -> list[str]:
    names = (one["name"] for one in db.list_collections(filter={"type": "collection"}))
    return sorted(name for name in names if belongs(name) and name != "meta")


def _begin(db: Database[Document], manifest: Manifest) -> set[str]:
    """Drop what a restore of another backup left, and note that this one is under way: no file of it is in yet."""
    for name in db.list_collection_names():
        if name.startswith(RESTORING):
            db.drop_collection(name)
    db[NOTES].replace_one({"_id": _NOTE}, {"backup": manifest.id, "done": [], "placing": False}, upsert=True)
    return set()


def _fill(
    db: Database[Document], folder: Path, manifest: Manifest, shape: Shape, done: set[str], progress: Progress
) -> None:
    name = RESTORING + shape.name
    if name not in db.list_collection_names():
        db.create_collection(name, **shape.options)
    target = db[name]
    filled = 0
    for chunk in manifest.of(shape.name):
        if chunk.file not in done:
            _apply(target, folder, chunk)
            db[NOTES].update_one({"_id": _NOTE}, {"$addToSet": {"done": chunk.file}})
        filled += chunk.documents
        progress(shape.name, filled)
    if shape.indexes:
        target.create_indexes([_index(index) for index in shape.indexes])
    count = target.count_documents({})
    if count != shape.documents:
        db[NOTES].delete_one({"_id": _NOTE})
        raise AttentionError(
            f"{shape.name} has {count:,} documents after the restore instead of {shape.documents:,}: something else "
            "writes to the database. The old data are untouched; stop it and run the same command again."
        )


def _apply(target: Collection[Document], folder: Path, chunk: Chunk) -> None:
    for batch in _batches(files.documents(folder, chunk)):
        raw = [RawBSONDocument(one) for one in batch]
        if chunk.kind == "copied":
            _insert(target, raw)
        elif chunk.kind == "changed":
            replacing = [ReplaceOne[Any]({"_id": one["_id"]}, one, upsert=True) for one in raw]
            target.bulk_write(replacing, ordered=False, bypass_document_validation=True)
        else:
            target.bulk_write([DeleteMany({"_id": {"$in": [one["_id"] for one in raw]}})])


def _insert(target: Collection[Document], raw: list[RawBSONDocument]) -> None:
    """Insert. What an interrupted run has put in already is the same document."""
    try:
        target.insert_many(raw, ordered=False, bypass_document_validation=True)
    except BulkWriteError as error:
        if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise AttentionError(f"{target.name} takes no documents: {error.details['writeErrors'][0]}") from error


def _batches(documents: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if len(batch) == _BATCH_DOCUMENTS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _index(index: dict[str, Any]) -> IndexModel:
    rest = {name: value for name, value in index.items() if name not in ("v", "key", "ns")}
    return IndexModel(list(index["key"].items()), **rest)


def _place(db: Database[Document], manifest: Manifest) -> None:
    """Put the restored collections in the place of the old ones, and drop what the backup does not have."""
    restored = {shape.name for shape in manifest.shapes}
    for old in db.list_collections(filter={"type": "view"}):
        db.drop_collection(old["name"])
    there = set(db.list_collection_names())
    if RESTORING + CONTROL.name in there:
        db[RESTORING + CONTROL.name].delete_many(_OF_ANOTHER_LIFE)
    for name in sorted(restored):
        if RESTORING + name in there:
            db[RESTORING + name].rename(name, dropTarget=True)
    for name in sorted(there - restored):
        if belongs(name):
            db.drop_collection(name)
    for view in manifest.views:
        db.create_collection(view.name, **view.options)
    db[NOTES].delete_one({"_id": _NOTE})
