"""Backup and restore: everything is lost and comes back, document for document; nothing damaged is ever put in."""

import gzip
import json
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure

from pipeline.errors import AttentionError, UsageError
from pipeline.store.backup import files as backup_files
from pipeline.store.backup.files import BrokenBackupError
from pipeline.store.backup.restore import read, restore
from pipeline.store.backup.take import NOTES, take
from pipeline.store.prepare import prepare

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SMALL = 15_000
"""A chunk of so few bytes that the data of these tests need many."""

ODD_IDS: list[Any] = [
    1, Int64(2**40), 2.5, "text", "ümlaut/..", ObjectId(), NOW, {"a": 1, "b": [2]}, True, None, Decimal128("7.1"), b"x"
]  # fmt: skip

Content = dict[str, dict[bytes, bytes]]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.backup.take._BATCH", 20)


def clock() -> datetime:
    return NOW


def collections(db: Database) -> list[str]:
    return [name for name in db.list_collection_names() if name != NOTES and not name.startswith("system.")]


def content(db: Database) -> Content:
    """Every document as its bytes, by collection and id; what a backup is not about left out."""
    raw = db.with_options(db.codec_options.with_options(document_class=RawBSONDocument))
    return {name: {bson.encode({"_id": one["_id"]}): one.raw for one in raw[name].find()} for name in collections(db)}


def shapes(db: Database) -> dict[str, Any]:
    found = {one["name"]: one for one in db.list_collections() if one["name"] in collections(db)}
    return {
        name: (one["options"], one["type"] == "view" or list(db[name].list_indexes())) for name, one in found.items()
    }


def fill(db: Database, rows: int = 300) -> None:
    """What a used database has, and what a stranger may have put beside it."""
    prepare(db)
    random = Random(7)
    db["candles"].insert_many(
        [
            {"_id": f"sim:BTCUSDT:1m:{row:05}", "exchange": "sim", "symbol": "BTCUSDT", "interval": "1m", "rev": 1,
             "start": NOW + timedelta(hours=4 * row), "candles": [None, {"t": NOW, "close": random.random()}],
             "pad": random.randbytes(200)}
            for row in range(rows)
        ],
        bypass_document_validation=True,
    )  # fmt: skip
    db["accounts"].insert_one({"_id": "a", "equity": Decimal128(Decimal("10000.00"))}, bypass_document_validation=True)
    db["runs"].insert_one(
        {"_id": "r", "at": NOW, "kept": True, "equity": [1.5, 0.1], "inputs": {"equity": Decimal128("10000.00")}},
        bypass_document_validation=True,
    )
    db["run_trades"].insert_many(
        [{"_id": f"r:{each}", "run": "r", "number": each, "trades": [{"profit": "1.10"}]} for each in range(3)],
        bypass_document_validation=True,
    )
    db["of a stranger's"].insert_many([{"_id": each, "n": number} for number, each in enumerate(ODD_IDS)])
    db["of a stranger's"].create_index([("n", ASCENDING)], name="mine", unique=True, sparse=True)
    db["empty"].create_index("when", expireAfterSeconds=10_000_000)
    db.command("create", "a view", viewOn="accounts", pipeline=[{"$limit": 1}])


@pytest.fixture
def other(mongo: MongoClient, db: Database) -> Iterator[Database]:
    """A second database, for what is restored."""
    name = f"{db.name}_restored"
    yield mongo[name]
    mongo.drop_database(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def test_all_is_lost_and_comes_back_document_for_document(db: Database, folder: Path) -> None:
    fill(db)
    before, made = content(db), shapes(db)
    manifest = take(db, folder, clock=clock, chunk_size=SMALL)
    assert len(manifest.of("candles")) > 5
    db.client.drop_database(db.name)

    restore(db, folder, clock=clock)
    assert content(db) == before
    assert shapes(db) == made
    assert prepare(db).created == prepare(db).changed == ()
    assert list(db[NOTES].find()) == []


def test_the_files_are_private_and_plain_bson(db: Database, folder: Path) -> None:
    fill(db)
    take(db, folder, clock=clock)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    (file,) = folder.glob("candles.*")
    with gzip.open(file) as packed:
        assert len(list(bson.decode_file_iter(packed))) == 300


def test_it_is_the_database_as_of_one_moment_while_others_write(db: Database, other: Database, folder: Path) -> None:
    """Each transaction moves an amount between a document that is copied already and one that is not."""
    wallets = [db[f"wallet{number}"] for number in range(3)]
    for wallet in wallets:
        wallet.insert_many([{"_id": row, "amount": 100, "pad": "x" * 500} for row in range(100)])
    random = Random(3)
    moves = 0

    def meanwhile(_collection: str, _documents: int) -> None:
        nonlocal moves
        for _ in range(5):
            giver, taker, amount = random.choice(wallets), random.choice(wallets), random.randint(1, 50)
            with db.client.start_session() as session, session.start_transaction():
                giver.update_one({"_id": random.randrange(100)}, {"$inc": {"amount": -amount}}, session=session)
                taker.update_one({"_id": random.randrange(100)}, {"$inc": {"amount": amount}}, session=session)
            moves += 1
        merged = wallets[0].find_one_and_delete({"_id": {"$gte": moves // 3}})
        wallets[2].insert_one({"_id": f"merged {moves}", "amount": merged["amount"] if merged else 0})
        db["late"].insert_one({"_id": moves, "moves": moves})

    take(db, folder, clock=clock, chunk_size=SMALL, progress=meanwhile)
    assert moves > 20
    restore(other, folder, clock=clock)
    total = sum(document["amount"] for wallet in wallets for document in other[wallet.name].find())
    assert total == 3 * 100 * 100
    assert content(other) == content(db)


class Interrupted(Exception):
    pass


def interrupt_at(number: int) -> Callable[[str, int], None]:
    calls = iter(range(1_000))

    def progress(_collection: str, _documents: int) -> None:
        if next(calls) == number:
            raise Interrupted

    return progress


def test_an_interrupted_backup_goes_on_and_forgets_nothing(db: Database, other: Database, folder: Path) -> None:
    fill(db)
    written: dict[Path, int] = {}
    for number in (0, 2, 3):
        with pytest.raises(Interrupted):
            take(db, folder, clock=clock, chunk_size=SMALL, progress=interrupt_at(number))
        with pytest.raises(BrokenBackupError, match="not finished"):
            restore(other, folder, clock=clock)
        db["accounts"].delete_one({"_id": "a"})
        db["accounts"].insert_one({"_id": "a", "number": number}, bypass_document_validation=True)
        db["candles"].delete_one({"_id": f"sim:BTCUSDT:1m:0000{number + 1}"})
        now = {file: file.stat().st_mtime_ns for file in folder.glob("*.gz")}
        assert now.items() >= written.items()
        written = now
    manifest = take(db, folder, clock=clock, chunk_size=SMALL)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert sum(chunk.documents for chunk in manifest.of("candles") if chunk.kind == "copied") == 299
    restore(other, folder, clock=clock)
    assert content(other) == content(db)


def test_memory_is_bound_by_the_chunk_not_by_the_data(db: Database, other: Database, folder: Path) -> None:
    random = Random(1)
    for _ in range(8):
        db["large"].insert_many([{"pad": random.randbytes(64_000)} for _ in range(90)])
    tracemalloc.start()
    take(db, folder, clock=clock, chunk_size=2_000_000)
    restore(other, folder, clock=clock)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert db.command("collStats", "large")["size"] > 45e6
    assert peak < 33e6


def flip(path: Path, at: int = -40) -> None:
    held = bytearray(path.read_bytes())
    held[at] ^= 0x10
    path.write_bytes(held)


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A manifest changed by someone who knows how to seal it."""
    manifest = backup_files.load(folder)
    assert manifest is not None
    sealed = json.loads((folder / "manifest.json").read_text())
    said = json.loads(sealed["manifest"])
    change(said)
    text = json.dumps(said)
    sealed = {"sha256": backup_files.hashlib.sha256(text.encode()).hexdigest(), "manifest": text}
    (folder / "manifest.json").write_text(json.dumps(sealed))


def first(folder: Path) -> Path:
    return min(folder.glob("candles.*"))


def with_long_length(folder: Path) -> None:
    """A whole, well-sealed file whose first document claims to be larger than any can be."""
    file = first(folder)
    file.write_bytes(gzip.compress(b"\xff\xff\xff\x7f" + b"x" * 50))

    def seal(said: dict[str, Any]) -> None:
        (chunk,) = [one for one in said["chunks"] if one["file"] == file.name]
        chunk["size"] = {"$numberInt": str(file.stat().st_size)}
        chunk["sha256"] = backup_files.hashlib.sha256(file.read_bytes()).hexdigest()

    edit(folder, seal)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda folder: flip(first(folder)), "damaged"),
    "a truncated file": (lambda folder: first(folder).write_bytes(first(folder).read_bytes()[:-9]), "bytes instead of"),
    "a missing file": (lambda folder: first(folder).unlink(), "missing"),
    "a flipped bit in the manifest": (lambda folder: flip(folder / "manifest.json", 300), "damaged"),
    "half a manifest": (
        lambda folder: (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes()[:500]),
        "damaged",
    ),
    "a manifest that is something else": (lambda folder: (folder / "manifest.json").write_text("[]"), "damaged"),
    "a path that leads away": (
        lambda folder: edit(folder, lambda said: said["chunks"][0].update(file="../../etc/passwd")),
        "no backup has",
    ),
    "a count that is wrong": (
        lambda folder: edit(folder, lambda said: said["chunks"][0].update(documents={"$numberInt": "3"})),
        "documents instead of",
    ),
    "a document of two gigabytes": (with_long_length, "cannot be"),
    "a format of the future": (lambda folder: edit(folder, lambda said: said.update(format=9)), "format 9"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_before_anything_is_written(damage: str, db: Database, other: Database, folder: Path) -> None:
    fill(db, rows=20)
    take(db, folder, clock=clock, chunk_size=SMALL)
    strike, said = DAMAGE[damage]
    strike(folder)
    with pytest.raises(AttentionError, match=said):
        restore(other, folder, clock=clock, force=True)
    assert other.list_collection_names() == []


def test_a_folder_without_a_backup_is_said_to_have_none(folder: Path) -> None:
    with pytest.raises(UsageError, match="holds no backup"):
        read(folder)


def test_what_is_there_is_replaced_only_by_force(db: Database, other: Database, folder: Path) -> None:
    fill(db, rows=20)
    take(db, folder, clock=clock)
    other["precious"].insert_one({"_id": 1})
    with pytest.raises(UsageError, match=r"not empty \(precious\).*--force"):
        restore(other, folder, clock=clock)
    assert other.list_collection_names() == ["precious"]
    restore(other, folder, clock=clock, force=True)
    assert content(other) == content(db)


def test_until_all_is_in_nothing_old_is_touched(db: Database, other: Database, folder: Path) -> None:
    fill(db)
    take(db, folder, clock=clock, chunk_size=SMALL)
    other["candles"].insert_one({"_id": "precious"})
    other["restoring.candles"].insert_one({"_id": "left by a restore of another backup"})
    for number in (1, 3):
        with pytest.raises(Interrupted):
            restore(other, folder, clock=clock, force=True, progress=interrupt_at(number))
        assert list(other["candles"].find()) == [{"_id": "precious"}]
    restore(other, folder, clock=clock, force=True)
    assert content(other) == content(db)


def test_a_restore_interrupted_while_it_puts_things_in_place_goes_on(
    db: Database, other: Database, folder: Path
) -> None:
    fill(db, rows=20)
    manifest = take(db, folder, clock=clock)
    last = manifest.shapes[-1].name
    other[last].insert_one({"_id": "old"})
    with pytest.raises(Interrupted):
        restore(other, folder, clock=clock, force=True, progress=interrupt_at(len(manifest.chunks) - 1))
    other[NOTES].update_one({"_id": "restore"}, {"$set": {"placing": True}})
    for name in ("accounts", "candles"):
        other[f"restoring.{name}"].rename(name)
    done = content(other)
    restore(other, folder, clock=clock)
    assert content(other)["candles"] == done["candles"] == content(db)["candles"]
    assert not [name for name in other.list_collection_names() if name.startswith("restoring.")]


def test_a_database_in_use_is_not_restored_over(db: Database, other: Database, folder: Path) -> None:
    take(db, folder, clock=clock)
    beat = {"_id": "b", "kind": "heartbeat", "role": "ingester", "pid": 7, "host": "here", "at": NOW}
    other["control"].insert_one(beat)
    with pytest.raises(AttentionError, match=r"ingester \(process 7 on here\) works on the database"):
        restore(other, folder, clock=clock, force=True)
    restore(other, folder, clock=lambda: NOW + timedelta(minutes=1), force=True)


def test_folders_that_are_not_for_this_backup(db: Database, other: Database, folder: Path, tmp_path: Path) -> None:
    fill(db, rows=20)
    with pytest.raises(Interrupted):
        take(db, folder, clock=clock, progress=interrupt_at(0))
    with pytest.raises(UsageError, match="of another database"):
        take(other, folder, clock=clock)
    with backup_files.opened(folder), pytest.raises(AttentionError, match="another backup writes"):
        take(db, folder, clock=clock)
    take(db, folder, clock=clock)
    with pytest.raises(UsageError, match="finished backup of 2026-11-20"):
        take(db, folder, clock=clock)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        take(db, tmp_path / "file" / "below", clock=clock)


REFUSALS = [
    (286, "oplog is too short"),
    (239, "dropped the snapshot"),
    (40573, "no replica set"),
    (13, "the backup broke off: .*Run the same command again"),
    (None, "the backup broke off: connection closed. Run the same command again"),
]


@pytest.mark.parametrize(("code", "said"), REFUSALS)
def test_what_the_server_refuses_is_explained(
    code: int | None, said: str, db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationFailure("no", code) if code else AutoReconnect("connection closed")

    monkeypatch.setattr(Database, "watch", refuse)
    with pytest.raises(AttentionError, match=said):
        take(db, folder, clock=clock)


def test_a_restore_that_loses_its_server_says_so(
    db: Database, other: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db["held"].insert_one({"_id": 1})
    take(db, folder, clock=clock)

    def refuse(*_: Any, **__: Any) -> None:
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(Database, "create_collection", refuse)
    with pytest.raises(AttentionError, match="the restore broke off: connection closed"):
        restore(other, folder, clock=clock)


def test_a_collection_dropped_meanwhile_ends_the_backup(db: Database, folder: Path) -> None:
    fill(db)

    def drop(_collection: str, _documents: int) -> None:
        db["candles"].drop()

    with pytest.raises(AttentionError, match="'candles' was changed as a whole"):
        take(db, folder, clock=clock, chunk_size=SMALL, progress=drop)


def tidemark(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
    return subprocess.run(program, capture_output=True, text=True, cwd=home, timeout=120, check=False)


def test_as_a_person_does_it(db: Database, mongo_uri: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", mongo_uri)
    monkeypatch.setenv("TIDEMARK_DATABASE", db.name)
    fill(db, rows=20)
    before = content(db)
    backed = tidemark(home, "backup", "mine", "--json")
    assert backed.returncode == 0, backed.stderr
    assert json.loads(backed.stdout)["documents"]["candles"] == 20
    again = tidemark(home, "backup", "mine")
    assert (again.returncode, "finished backup" in again.stderr) == (2, True)
    refused = tidemark(home, "restore", "mine")
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    db.client.drop_database(db.name)
    restored = tidemark(home, "restore", "mine")
    assert restored.returncode == 0, restored.stderr
    assert content(db) == before
    flip(first(home / "mine"))
    checked = tidemark(home, "restore", "mine", "--check")
    assert (checked.returncode, "damaged" in checked.stderr) == (3, True)
    password = urlsplit(mongo_uri).password
    assert password
    spoken = "".join(one.stdout + one.stderr for one in (backed, again, checked, refused, restored))
    assert password not in spoken
