"""What retention forgets, and what it leaves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.errors import UsageError
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted
from pipeline.history.retention import Keep, Retention
from pipeline.store.series import SeriesStore
from pipeline.timeline import interval, to_ms


def retention(db: Database[Any], history_days: int = 10) -> Retention:
    return Retention(db, "sim", history_days=history_days)


def test_whole_documents_of_old_candles_go_and_the_series_says_so(
    prepared: Database[Any], work: Backfill, series: Callable[[str, str], Wanted]
) -> None:
    wanted = series("BTCUSDT", "1h")
    work.fill(wanted, 40, "rest")
    before = SeriesStore(prepared).get(wanted.key)
    now = datetime.now(UTC)
    gone = {one.what: one.count for one in retention(prepared).forget(Keep(candles=15), now)}
    after = SeriesStore(prepared).get(wanted.key)
    assert before is not None
    assert after is not None
    oldest_kept = interval("1h").bucket(to_ms(now - timedelta(days=15))).start
    assert gone[f"candle documents of {wanted.key}"] >= 2
    assert to_ms(after.first) == oldest_kept
    assert after.last_closed == before.last_closed
    assert 15 * 24 <= after.stored < 15 * 24 + 240
    assert all(one.count == 0 for one in retention(prepared).forget(Keep(candles=15), now))


def test_a_clock_that_is_set_years_ahead_makes_nothing_old(
    prepared: Database[Any],
    work: Backfill,
    series: Callable[[str, str], Wanted],
    signal_document: Callable[..., dict[str, Any]],
) -> None:
    wanted = series("BTCUSDT", "1h")
    work.fill(wanted, 40, "rest")
    now = datetime.now(UTC)
    retention(prepared).forget(Keep(candles=15), now)
    prepared["signals"].insert_one(signal_document(to_ms(now - timedelta(days=5))))
    set_ahead = now + timedelta(days=4_000)
    gone = {one.what: one.count for one in retention(prepared).forget(Keep(candles=15, signals=10), set_ahead)}
    assert gone[f"candle documents of {wanted.key}"] == gone["signals nobody acted on"] == 0


def test_a_signal_somebody_acted_on_stays(db: Database[Any]) -> None:
    now = datetime.now(UTC)
    nobody = {"exchange": "sim", "at": now - timedelta(days=20), "verdict": "expired", "decision": None, "orders": []}
    db["signals"].insert_many(
        [
            nobody | {"_id": "expired"},
            nobody | {"_id": "taken", "verdict": "taken", "orders": ["one"]},
            nobody | {"_id": "skipped", "verdict": "skipped", "reason": "the halt"},
            nobody | {"_id": "worked out", "decision": {"side": "long"}},
            nobody | {"_id": "ordered", "orders": ["one"]},
            nobody | {"_id": "elsewhere", "exchange": "binance-um"},
            nobody | {"_id": "young", "at": now - timedelta(days=5)},
        ]
    )
    gone = {one.what: one.count for one in retention(db).forget(Keep(signals=10), now)}
    assert gone["signals nobody acted on"] == 1
    assert "expired" not in {one["_id"] for one in db["signals"].find()}


def test_nothing_is_forgotten_that_was_not_asked_for(db: Database[Any]) -> None:
    now = datetime.now(UTC)
    db["signals"].insert_one({"_id": "old", "exchange": "sim", "at": now - timedelta(days=900), "verdict": "expired"})
    db["accounts"].insert_one({"_id": "old", "environment": "sim", "at": now - timedelta(days=900)})
    retention(db).forget(Keep(snapshots=None), now)
    assert db["signals"].count_documents({}) == db["accounts"].count_documents({}) == 1


def test_what_the_next_backfill_would_fetch_again_is_not_forgotten(db: Database[Any]) -> None:
    with pytest.raises(UsageError, match="history_days is 300"):
        retention(db, history_days=300).forget(Keep(candles=30), datetime.now(UTC))
