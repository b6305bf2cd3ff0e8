"""Collections follow their models: made, changed, left alone, refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient
from pymongo.database import Database
from pymongo.errors import WriteError

from pipeline.errors import AttentionError
from pipeline.store.prepare import Changes, compare, prepare
from pipeline.store.signals.views import VIEWS
from pipeline.store.upgrade import META
from schemas.base import Collection
from schemas.base import Document as Model
from schemas.registry import COLLECTIONS

Db = Database[dict[str, Any]]


class Note(Model):
    text: str


class RatedNote(Model):
    text: str
    stars: int = 0


BY_TEXT = IndexModel([("text", ASCENDING)], name="by_text")
BY_TEXT_UNIQUE = IndexModel([("text", ASCENDING)], name="by_text", unique=True)
BY_STARS = IndexModel([("stars", DESCENDING)], name="by_stars")


def notes(*indexes: IndexModel, model: type[Model] = Note) -> list[Collection]:
    return [Collection("notes", model, indexes)]


def index_names(db: Db) -> set[str]:
    return {index["name"] for index in db.notes.list_indexes()} - {"_id_"}


def test_every_collection_is_made_as_its_model_says(db: Db) -> None:
    prepare(db)
    found = {one["name"]: one["options"] for one in db.list_collections()}
    views = {view.name for view in VIEWS}
    assert set(found) == {collection.name for collection in COLLECTIONS} | views | {META, "system.views"}
    for collection in COLLECTIONS:
        assert found[collection.name]["validator"] == collection.validator()
        made = {index["name"] for index in db[collection.name].list_indexes()} - {"_id_"}
        assert made == {index.document["name"] for index in collection.indexes}


def test_candles_are_stored_with_zstd(db: Db) -> None:
    prepare(db)
    creation = db.command("collStats", "candles")["wiredTiger"]["creationString"]
    assert "block_compressor=zstd" in creation


def test_the_second_time_there_is_nothing_to_do(db: Db) -> None:
    assert prepare(db).created
    assert prepare(db) == Changes()


def test_the_server_refuses_what_the_model_refuses(db: Db) -> None:
    prepare(db, notes())
    db.notes.insert_one({"text": "a"})
    with pytest.raises(WriteError, match="failed validation"):
        db.notes.insert_one({"text": 1})
    with pytest.raises(WriteError, match="failed validation"):
        db.notes.insert_one({"text": "a", "stars": 5})


def test_a_changed_model_changes_the_validator_and_keeps_the_documents(db: Db) -> None:
    prepare(db, notes())
    db.notes.insert_one({"_id": 1, "text": "a"})
    assert prepare(db, notes(model=RatedNote)) == Changes(changed=("notes",))
    db.notes.insert_one({"_id": 2, "text": "a", "stars": 5})
    assert db.notes.count_documents({}) == 2


def test_a_collection_that_was_there_before_is_taken_over(db: Db) -> None:
    db.notes.insert_one({"text": "a"})
    assert prepare(db, notes(BY_TEXT)) == Changes(created=("notes.by_text",), changed=("notes",))


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ([BY_TEXT], [BY_TEXT, BY_STARS], Changes(created=("notes.by_stars",))),
        ([BY_TEXT, BY_STARS], [BY_TEXT], Changes(dropped=("notes.by_stars",))),
        ([BY_TEXT], [BY_TEXT_UNIQUE], Changes(created=("notes.by_text",), dropped=("notes.by_text",))),
        ([BY_TEXT], [], Changes(dropped=("notes.by_text",))),
    ],
)
def test_indexes_follow_the_model(db: Db, before: list[IndexModel], after: list[IndexModel], changes: Changes) -> None:
    prepare(db, notes(*before))
    assert prepare(db, notes(*after)) == changes
    assert prepare(db, notes(*after)) == Changes()
    assert index_names(db) == {index.document["name"] for index in after}


def test_a_strangers_index_stays_and_is_used_where_it_does_the_work(db: Db) -> None:
    db.notes.create_index([("mine", ASCENDING)], name="mine")
    db.notes.create_index([("text", ASCENDING)], name="their_text")
    assert prepare(db, notes(BY_TEXT)) == Changes(changed=("notes",))
    prepare(db, notes())
    assert index_names(db) == {"mine", "their_text"}


def test_an_interrupted_run_still_knows_its_own_index(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.store.prepare._forget", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(db, notes(BY_TEXT))
    assert index_names(db) == {"by_text"}
    assert prepare(db, notes()) == Changes(dropped=("notes.by_text",))


def test_documents_that_a_unique_index_forbids_are_named(db: Db) -> None:
    prepare(db, notes())
    db.notes.insert_many([{"text": "twice"}, {"text": "twice"}])
    with pytest.raises(AttentionError, match=r"'twice'.*Remove one"):
        prepare(db, notes(BY_TEXT_UNIQUE))


def test_a_newer_database_is_refused_and_left_as_it_is(db: Db) -> None:
    prepare(db, notes(BY_TEXT), version=3)
    before = db[META].find_one()
    with pytest.raises(AttentionError, match=r"newer Tidemark \(schema 3, this one knows 2\).*TIDEMARK_DATABASE"):
        prepare(db, notes(BY_STARS), version=2)
    assert db[META].find_one() == before
    assert index_names(db) == {"by_text"}


def test_newer_code_raises_the_version(db: Db) -> None:
    prepare(db, notes(), version=1)
    prepare(db, notes(), version=2)
    assert db[META].find_one()["version"] == 2  # type: ignore[index]


def test_many_may_prepare_at_once(db: Db, mongo: MongoClient[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: prepare(mongo[db.name]), range(6)))
    assert prepare(db) == Changes()


def test_only_what_no_model_wants_and_we_made_is_stale() -> None:
    existing = [
        {"v": 2, "key": {"_id": 1}, "name": "_id_"},
        {"v": 2, "key": {"old": 1}, "name": "ours_before"},
        {"v": 2, "key": {"else": 1}, "name": "theirs"},
    ]
    stale, missing = compare([BY_TEXT], existing, ["ours_before", "by_text"])
    assert stale == ["ours_before"]
    assert missing == [BY_TEXT]
