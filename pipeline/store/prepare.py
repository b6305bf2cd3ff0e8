"""Makes the collections what the models say: validators, indexes, storage, views. It touches no document: what an older
version stored otherwise is the affair of `upgrade`.

Everything is looked at first and changed only where it differs, so `prepare` costs a few milliseconds when there is
nothing to do, and two processes may do it at once. What was made is noted in `meta`, so that an index of ours that no
model wants any more is dropped, and one that somebody else made is left alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo import IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import OperationFailure

from pipeline.errors import AttentionError
from pipeline.store.signals.views import VIEWS, prepare_views
from pipeline.store.upgrade import META, SCHEMA
from schemas.base import Collection
from schemas.registry import COLLECTIONS, SCHEMA_VERSION

Document = dict[str, Any]

_STORAGE: Final[Mapping[str, str]] = {"candles": "block_compressor=zstd"}  # a third smaller than snappy, as fast

_INDEX_NOT_FOUND: Final = 27
_NAMESPACE_EXISTS: Final = 48
_DUPLICATE_KEY: Final = 11000


@dataclass(frozen=True, slots=True)
class Changes:
    """What `prepare` had to do, as `collection`, `collection.index` or `collection.view`. All empty: nothing."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def prepare(
    db: Database[Document], collections: Iterable[Collection] = COLLECTIONS, version: int = SCHEMA_VERSION
) -> Changes:
    """Create what is missing, change what differs. Refuses a database that newer code has prepared."""
    wanted = tuple(collections)
    _refuse_newer(db, version)
    ours = _claim(db, wanted, version)
    _refuse_newer(db, version)
    found = {one["name"]: one.get("options", {}) for one in db.list_collections(filter={"type": "collection"})}
    created: list[str] = []
    changed: list[str] = []
    dropped: list[str] = []
    for collection in wanted:
        name = collection.name
        if name not in found:
            _create(db, collection)
            created.append(name)
        elif found[name].get("validator") != collection.validator():
            db.command("collMod", name, validator=collection.validator())
            changed.append(name)
        stale, missing = compare(collection.indexes, list(db[name].list_indexes()), ours.get(name, ()))
        for index in stale:
            _drop_index(db, name, index)
            dropped.append(f"{name}.{index}")
        if missing:
            _create_indexes(db, name, missing)
            created.extend(f"{name}.{index.document['name']}" for index in missing)
        _forget(db, collection, ours.get(name, ()))
    names = {one.name for one in wanted}
    new_views, changed_views = prepare_views(db, [view for view in VIEWS if view.source in names])
    created += new_views
    changed += changed_views
    return Changes(tuple(created), tuple(changed), tuple(dropped))


def compare(
    wanted: Iterable[IndexModel], existing: Iterable[Mapping[str, Any]], ours: Iterable[str]
) -> tuple[list[str], list[IndexModel]]:
    """The names of indexes to drop, and the indexes to create. A stranger's index that does the work is enough."""
    models = {model.document["name"]: model for model in wanted}
    present = {index["name"]: _meaning(index) for index in existing}
    stale = [
        name
        for name, meaning in present.items()
        if (name in models and meaning != _meaning(models[name].document)) or (name in set(ours) - set(models))
    ]
    kept = [meaning for name, meaning in present.items() if name not in stale]
    return stale, [model for model in models.values() if _meaning(model.document) not in kept]


def _meaning(index: Mapping[str, Any]) -> Document:
    rest = {field: value for field, value in index.items() if field not in ("v", "ns", "name", "key", "background")}
    return rest | {"key": list(index["key"].items())}


def _refuse_newer(db: Database[Document], version: int) -> None:
    stored = db[META].find_one({"_id": SCHEMA}) or {}
    if stored.get("version", 0) > version:
        raise AttentionError(
            f"the database {db.name!r} was prepared by a newer Tidemark (schema {stored['version']}, this one knows "
            f"{version}). Update Tidemark, or name another database with TIDEMARK_DATABASE."
        )


def _claim(db: Database[Document], wanted: Iterable[Collection], version: int) -> dict[str, list[str]]:
    """Note the version and the indexes before they are made, so that an interrupted run still knows its own."""
    names = {
        f"indexes.{one.name}": {"$each": [index.document["name"] for index in one.indexes]}
        for one in wanted
        if one.indexes
    }
    update: Document = {"$max": {"version": version}} | ({"$addToSet": names} if names else {})
    noted = db[META].find_one_and_update({"_id": SCHEMA}, update, upsert=True, return_document=ReturnDocument.AFTER)
    indexes: dict[str, list[str]] = (noted or {}).get("indexes", {})
    return indexes


def _forget(db: Database[Document], collection: Collection, noted: Iterable[str]) -> None:
    gone = sorted(set(noted) - {index.document["name"] for index in collection.indexes})
    if gone:
        db[META].update_one({"_id": SCHEMA}, {"$pullAll": {f"indexes.{collection.name}": gone}})


def _create(db: Database[Document], collection: Collection) -> None:
    options: Document = {"validator": collection.validator()}
    if collection.name in _STORAGE:
        options["storageEngine"] = {"wiredTiger": {"configString": _STORAGE[collection.name]}}
    try:
        db.command("create", collection.name, **options)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        db.command("collMod", collection.name, validator=collection.validator())


def _drop_index(db: Database[Document], name: str, index: str) -> None:
    try:
        db[name].drop_index(index)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise


def _create_indexes(db: Database[Document], name: str, missing: list[IndexModel]) -> None:
    try:
        db[name].create_indexes(missing)
    except OperationFailure as error:
        if error.code != _DUPLICATE_KEY:
            raise
        raise AttentionError(
            f"collection {name!r} of database {db.name!r} holds documents twice that may exist once: "
            f"{(error.details or {}).get('keyValue')}. Remove one of them and start again."
        ) from error
