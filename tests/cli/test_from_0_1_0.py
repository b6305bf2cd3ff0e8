"""A database that 0.1.0 (schema 4) wrote itself is taken up: `tests/from_0_1_0.tar.xz` is a backup by its own command.

Four days of hours of two contracts, a day of 5m of one; signals; at the end two positions that its executor held on the
simulated exchange of then, with their stops.
"""

import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import bson
import polars as pl
import pytest
from bson.codec_options import CodecOptions
from pymongo.database import Database

import tidemark as door
from pipeline.errors import AttentionError
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import Policy
from pipeline.execution.runtime.documents import order_record, position_record
from pipeline.settings import Risk
from pipeline.store.backup.files import documents, load
from pipeline.store.backup.restore import restore
from pipeline.store.prepare import prepare
from pipeline.store.upgrade import upgrade
from pipeline.timeline import to_ms
from schemas.orders import Order
from schemas.positions import Position
from schemas.registry import SCHEMA_VERSION
from tests.cli.conftest import Run

BACKUP = Path(__file__).parents[1] / "from_0_1_0.tar.xz"
Documents = dict[str, Any]
SIGNAL_FIELDS = (
    "symbol", "interval", "strategy", "kind", "side", "at", "price", "verdict", "reason", "orders", "return_1h",
    "return_4h", "return_1d",
)  # fmt: skip


@pytest.fixture
def backup(home: Path) -> Path:
    with tarfile.open(BACKUP) as packed:
        packed.extractall(home, filter="data")
    return home / "backup"


def written(backup: Path) -> dict[str, dict[str, Documents]]:
    """By collection and id, as 0.1.0 wrote it."""
    manifest = load(backup)
    assert manifest is not None
    found: dict[str, dict[str, Documents]] = {}
    for chunk in manifest.chunks:
        into = found.setdefault(chunk.collection, {})
        for raw in documents(backup, chunk):
            one = bson.decode(raw, CodecOptions(tz_aware=True))
            if chunk.kind == "gone":
                into.pop(one["_id"], None)
            else:
                into[one["_id"]] = one
    return found


@pytest.fixture
def tm(
    chosen: dict[str, str], backup: Path, db: Database[Documents], monkeypatch: pytest.MonkeyPatch
) -> Iterator[door.Tidemark]:
    """Python's door to it, after it was restored and brought into today's form."""
    restore(db, backup, clock=lambda: datetime.now(UTC))
    prepare(db)
    assert db["meta"].find_one({"_id": "schema"})["version"] == SCHEMA_VERSION  # type: ignore[index]
    upgrade(db)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    with door.open() as opened:
        yield opened


def test_every_candle_and_every_signal_is_what_it_was(tm: door.Tidemark, backup: Path, db: Database[Documents]) -> None:
    old = written(backup)
    candles = {
        (bucket["symbol"], bucket["interval"], candle["t"]): candle
        for bucket in old["candles"].values()
        for candle in bucket["candles"]
        if candle
    }
    for symbol, interval in (("BTCUSDT", "1h"), ("ETHUSDT", "1h"), ("BTCUSDT", "5m")):
        shown = tm.candles(symbol, interval)
        series = [one for (*key, _), one in sorted(candles.items()) if key == [symbol, interval]]
        assert shown["t"].to_list() == [one["t"] for one in series]
        for name in (name for name in shown.columns if name in series[0]):
            was = [one.get(name) for one in series]
            assert all(a == b or (a != a and b != b) for a, b in zip(shown[name], was, strict=True)), name
    assert len(candles) > 450

    signals = {one["_id"]: one for one in db["signals"].find()}
    assert signals.keys() == old["signals"].keys()
    for name, one in signals.items():
        kept = [field for field in SIGNAL_FIELDS if old["signals"][name].get(field) is not None]
        assert {field: one[field] for field in kept} == {field: old["signals"][name][field] for field in kept}
        assert db["signal_settings"].find_one({"_id": one["settings"]})["text"] == old["signals"][name]["settings"]  # type: ignore[index]
    shown = tm.signals(limit=None)
    assert shown.height == len([one for one in signals.values() if one["confirmed"]])
    assert shown["return_pct"].null_count() < shown.height
    assert shown.filter(pl.col("verdict") == "taken").height == 4


def test_what_was_held_is_known_and_gone_on_with(tm: door.Tidemark, backup: Path, tidemark: Run, db: Any) -> None:
    old = written(backup)
    held = {one["symbol"]: one for one in old["positions"].values()}
    shown = {one["symbol"]: one for one in tm.positions().to_dicts()}
    assert shown.keys() == held.keys() == {"BTCUSDT", "ETHUSDT"}
    for symbol, one in held.items():
        assert Decimal(str(shown[symbol]["quantity"])) == one["quantity"].to_decimal()
    orders = [Order.from_mongo(one) for one in db["orders"].find()]
    assert {one.id: one.state for one in orders} == {name: one["state"] for name, one in old["orders"].items()}

    core = Core(
        Policy("sim", Risk()), to_ms(orders[-1].updated_at), identity=Identity("sim", "abcdef"), mode="auto-execute",
        orders=map(order_record, orders),
        positions=[position_record(Position.from_mongo(one)) for one in db["positions"].find()],
    )  # fmt: skip
    held_by_it = {one.symbol: one for one in core.positions()}
    for symbol, one in held.items():
        position = held_by_it[symbol]
        assert position.managed
        assert position.quantity == one["quantity"].to_decimal()
        assert position.stop_order == one["stop_order"]
        stop = core.order(one["stop_order"])
        assert stop is not None
        assert stop.unsettled

    for command in (["status"], ["signals"], ["account"], ["positions"], ["orders"], ["performance"], ["mode"]):
        done = tidemark(*command, "--json")
        assert done.exit_code == 0, (command, done.output)
        assert json.loads(done.stdout)
    assert json.loads(tidemark("mode", "--json").stdout)["mode"] == "auto-execute"


def test_an_older_version_refuses_it_from_then_on(tidemark: Run, backup: Path, db: Database[Documents]) -> None:
    """By the words that 0.1.0 has, too: what it asks before it prepares is what is asked today."""
    restored = tidemark("restore", str(backup))
    assert restored.exit_code == 0, restored.output
    with pytest.raises(AttentionError, match=rf"by a newer Tidemark \(schema {SCHEMA_VERSION}, this one knows 4\)"):
        prepare(db, version=4)
