"""The three views: what they show, on data made for it, and how they come to be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.candle import Candle, CandleWrite
from pipeline.errors import AttentionError
from pipeline.store.prepare import Changes, prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.views import CANDLES_CHARTED, CANDLES_SHOWN, VIEWS, prepare_views
from pipeline.timeline import HOUR, interval, to_datetime
from schemas.candles import CANDLE_FIELDS
from schemas.series import SeriesKey
from tests.live_writer import write_live

Db = Database[dict[str, Any]]
Make = Callable[..., dict[str, Any]]

STEP = interval("1h")
START = STEP.bucket(1_760_000_000_000).start


@pytest.fixture
def prepared(db: Db) -> Db:
    prepare(db)
    return db


def test_only_what_can_be_acted_on_is_fresh_the_newest_first(prepared: Db, signal_document: Make) -> None:
    soon, gone = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (5, -1))
    fresh = {"verdict": "fresh", "fresh_until": soon}
    prepared.signals.insert_many(
        [
            signal_document(START, **fresh),
            signal_document(START + HOUR, **fresh),
            signal_document(START, symbol="LATE", verdict="fresh", fresh_until=gone),
            signal_document(START, symbol="TAKEN", verdict="taken", fresh_until=soon),
            signal_document(START, symbol="OPEN", confirmed=False, **fresh),
            signal_document(START, symbol="OLD"),
        ]
    )
    found = list(prepared.fresh_signals.find())
    assert [one["at"] for one in found] == [to_datetime(START + HOUR), to_datetime(START)]
    plan = str(prepared.command("explain", {"find": "fresh_signals"}, verbosity="queryPlanner"))
    assert "'indexName': 'at'" in plan or "'indexName': 'fresh'" in plan


@pytest.mark.parametrize(
    ("returns", "count", "hit_rate", "mean", "median"),
    [
        ([3.0], 1, 1.0, 3.0, 3.0),
        ([1.0, -2.0], 2, 0.5, -0.5, -0.5),
        ([5.0, -1.0, 2.0], 3, 2 / 3, 2.0, 2.0),
        ([4.0, None, 1.0, -3.0, 0.0], 4, 0.5, 0.5, 0.5),
        ([None], 0, None, None, None),
    ],
)
def test_how_signals_did(
    prepared: Db,
    signal_document: Make,
    returns: list[float | None],
    count: int,
    hit_rate: float | None,
    mean: float | None,
    median: float | None,
) -> None:
    prepared.signals.insert_many(
        [
            *(signal_document(START + n * HOUR, return_4h=value) for n, value in enumerate(returns)),
            signal_document(START, kind="exit", return_4h=99.0),
            signal_document(START, side="short", confirmed=False, return_4h=99.0),
            signal_document(START, strategy="other"),
        ]
    )
    one, other = prepared.signal_performance.find().sort("strategy", 1)
    assert (one["strategy"], one["symbol"], one["interval"], one["signals"]) == (
        *("macd_cross", "BTCUSDT", "1h"),
        len(returns),
    )
    assert one["last"] == to_datetime(START + (len(returns) - 1) * HOUR)
    expected = {"count": count, "hit_rate": hit_rate, "mean": mean, "median": median}
    assert one["return_4h"] == pytest.approx(expected)
    assert other["signals"] == 1


def candle(key: SeriesKey, number: int) -> CandleWrite:
    t = STEP.after(START, number)
    close = 100.0 + number
    return CandleWrite(key, Candle(t, close, close, close, close, 1.0, 1.0, 1, 1.0, 1.0, closed=True, u=t + HOUR))


def test_the_newest_candles_of_every_series(prepared: Db) -> None:
    """Also where a bucket has just begun, and across a hole."""
    numbers = {"BTCUSDT": [0, 1, *range(230, 242)], "ETHUSDT": [3], "NEWUSDT": []}
    for symbol, stored in numbers.items():
        key = SeriesKey("sim", symbol, "1h")
        write_live(prepared, [candle(key, number) for number in stored])
        SeriesStore(prepared).recount(key, "stream", START)
    found = list(prepared.latest_candles.find({"symbol": "BTCUSDT"}))
    assert [one["close"] - 100 for one in found] == list(range(241, 241 - CANDLES_SHOWN, -1))
    assert set(found[0]) == {"exchange", "symbol", "interval", *CANDLE_FIELDS}
    assert [one["symbol"] for one in prepared.latest_candles.find({"symbol": {"$ne": "BTCUSDT"}})] == ["ETHUSDT"]
    stages = prepared.command("explain", {"find": "latest_candles"}, verbosity="executionStats")["stages"]
    lookup = next(stage for stage in stages if "$lookup" in stage)
    assert lookup["indexesUsed"] == ["series_start"]
    assert lookup["totalDocsExamined"] <= 2 * len(numbers)


def test_the_chart_of_a_series_is_one_document(prepared: Db) -> None:
    """Its newest candles, the oldest first, also where a bucket has just begun, and across holes."""
    numbers = [0, 5, *range(300, 300 + CANDLES_CHARTED - 2), 961]
    for symbol, stored in {"BTCUSDT": numbers, "ETHUSDT": [3], "NEWUSDT": []}.items():
        key = SeriesKey("sim", symbol, "1h")
        write_live(prepared, [candle(key, number) for number in stored])
        SeriesStore(prepared).recount(key, "stream", START)
    (chart,) = prepared.charts.find({"symbol": "BTCUSDT", "interval": "1h"})
    assert set(chart) == {"exchange", "symbol", "interval", "candles"}
    assert [one["close"] - 100 for one in chart["candles"]] == numbers[2:], "of the last buckets"
    assert list(chart["candles"][0])[:7] == ["t", "te", "open", "high", "low", "close", "volume"]
    assert set(chart["candles"][0]) == set(CANDLE_FIELDS)
    assert [len(one["candles"]) for one in prepared.charts.find({"symbol": {"$ne": "BTCUSDT"}})] == [1]


def test_a_view_that_differs_is_changed_and_one_that_is_gone_is_made_again(prepared: Db) -> None:
    older = replace(VIEWS[0], pipeline=({"$match": {"verdict": "fresh"}},))
    assert prepare_views(prepared, [older]) == ([], ["signals.fresh_signals"])
    prepared.drop_collection("latest_candles")
    assert prepare(prepared) == Changes(created=("series.latest_candles",), changed=("signals.fresh_signals",))
    assert prepare(prepared) == Changes()


def test_a_collection_of_that_name_is_not_touched(db: Db) -> None:
    db.fresh_signals.insert_one({"_id": "mine"})
    with pytest.raises(AttentionError, match=r"collection 'fresh_signals'.*Rename it"):
        prepare(db)
    assert db.fresh_signals.find_one() == {"_id": "mine"}
