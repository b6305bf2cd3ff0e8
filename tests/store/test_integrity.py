"""Bucket documents that are not what their place says: each kind is told, sound ones never are."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from pipeline.store.candles.integrity import Integrity
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import INTERVALS, MINUTE, Interval, Window, interval
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
START = interval("1m").bucket(1_763_596_800_000).start


def candles(step: Interval, count: int) -> pl.DataFrame:
    first = step.floor(START)
    opened = [step.after(first, number) for number in range(count)]
    prices = dict.fromkeys(("open", "high", "low", "close"), 1.0)
    sums = dict.fromkeys(("volume", "quote_volume", "taker_buy_base", "taker_buy_quote"), 1.0)
    times = {"t": opened, "te": [step.close_time(time) for time in opened], "u": opened}
    return pl.DataFrame({**times, **prices, **sums, "trades": 1, "closed": True})


@pytest.mark.parametrize("code", sorted(INTERVALS))
def test_what_the_store_wrote_is_sound_also_with_holes(db: Any, code: str) -> None:
    key = SeriesKey("sim", "BTCUSDT", code)
    table = candles(interval(code), 300)
    CandleStore(db).replace_closed(key, table.filter(pl.int_range(300) % 7 != 0))
    assert list(Integrity(db).broken(key)) == []


BROKEN = [
    ({"candles.5.t": datetime(2020, 1, 1, tzinfo=UTC)}, "slot 5 holds the candle of 2020-01-01T00:00:00Z"),
    ({"candles.5": {"open": 1.0}}, "slot 5 holds no candle"),
    ({"candles.5": "text"}, "slot 5 holds no candle"),
    ({"candles.240": None}, "more than 240 slots"),
    ({"candles": "text"}, "more than 240 slots, or none"),
    ({"symbol": "ETHUSDT"}, "another series"),
    ({"start": datetime(2020, 1, 1, tzinfo=UTC)}, "its name does not tell its start"),
    ({"start": datetime(2020, 1, 1, 0, 1, tzinfo=UTC)}, "no bucket of 1m starts at"),
    ({"start": "text"}, "it has no start"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_each_kind_of_damage_is_told_and_can_be_taken_out(db: Any, change: dict[str, Any], said: str) -> None:
    CandleStore(db).replace_closed(KEY, candles(interval("1m"), 480))
    CandleStore(db).replace_closed(SeriesKey("sim", "BTCUSDT", "1h"), candles(interval("1h"), 10))
    second = db.candles.find_one(
        {"start": datetime.fromtimestamp((START + 240 * MINUTE) / 1000, UTC), "interval": "1m"}
    )
    db.candles.update_one({"_id": second["_id"]}, {"$set": change})

    integrity = Integrity(db)
    (broken,) = integrity.broken(KEY)
    assert broken.id == second["_id"]
    assert said in broken.what
    integrity.remove(broken)
    assert list(integrity.broken(KEY)) == []
    assert db.candles.count_documents({"interval": "1m"}) == 1


@pytest.mark.parametrize("among", [None, Window(START, START + 479 * MINUTE)])
@pytest.mark.parametrize("beside", [True, False])
def test_a_bucket_under_a_strangers_name_is_told_too(db: Any, among: Window | None, beside: bool) -> None:
    """Two buckets of one series and start have one name, so we write no second one; another hand can."""
    CandleStore(db).replace_closed(KEY, candles(interval("1m"), 480))
    second = db.candles.find_one({}, sort=[("start", -1)])
    if not beside:
        db.candles.delete_one({"_id": second["_id"]})
    db.candles.insert_one(second | {"_id": "copy of it"})

    integrity = Integrity(db)
    (broken,) = integrity.broken(KEY, among)
    assert (broken.id, broken.what) == ("copy of it", "its name does not tell its start")
    integrity.remove(broken)
    assert list(integrity.broken(KEY, among)) == []
