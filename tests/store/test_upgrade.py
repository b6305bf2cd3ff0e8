"""A database of an older version is brought into today's form, once, and nothing in it is lost."""

from typing import Any

import polars as pl
import pytest

from pipeline.store import upgrade as module
from pipeline.store.candles import CandleStore
from pipeline.store.live import LiveCandle
from pipeline.store.prepare import META, prepare
from pipeline.timeline import MINUTE, interval
from schemas.candles import CANDLE_FIELDS
from schemas.series import SeriesKey

KEYS = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(3)]
T0 = interval("1m").bucket(1_700_000_000_000).start
OLD_ORDER = sorted(CANDLE_FIELDS[2:], key=lambda name: (name not in ("open", "high", "low", "close"), name))


def live(key: SeriesKey, number: int, price: float, u: int, *, closed: bool) -> LiveCandle:
    t = T0 + number * MINUTE
    return LiveCandle(key, t, *(price,) * 6, 7, price, price, closed, t + u, authority=closed)


def everything(db: Any) -> list[pl.DataFrame]:
    return [CandleStore(db).load(key, T0, T0 + 1_000 * MINUTE) for key in KEYS]


def make_old(db: Any) -> list[pl.DataFrame]:
    """What an older version left: holes, an open candle, and a bucket that somebody made by hand."""
    prepare(db)
    store = CandleStore(db)
    store.upsert_open([live(key, number, 2.0, 9, closed=number != 250) for key in KEYS for number in (0, 3, 239, 250)])
    for bucket in db.candles.find():
        old = [
            candle and {name: candle[name] for name in ("t", "te", *OLD_ORDER) if name in candle}
            for candle in bucket["candles"]
        ]
        db.candles.update_one({"_id": bucket["_id"]}, {"$set": {"candles": old, "rev": 1}})
    db.candles.update_one({"symbol": "S1USDT"}, {"$unset": {"rev": 1, "candles.0.atr": 1}})
    db[META].update_one({"_id": "schema"}, {"$set": {"version": 3}, "$unset": {"upgraded": 1}})
    return everything(db)


def orders(db: Any) -> set[tuple[str, ...]]:
    return {tuple(one) for bucket in db.candles.find() for one in bucket["candles"] if one and "atr" in one}


def test_candles_get_the_new_order_of_fields_and_keep_their_values(db: Any) -> None:
    before = make_old(db)
    assert orders(db) == {("t", "te", *OLD_ORDER)}
    prepare(db)
    assert orders(db) == {CANDLE_FIELDS}
    assert [frame.height for frame in before] == [4, 4, 4]
    assert all(old.equals(new) for old, new in zip(before, everything(db), strict=True))
    assert {len(bucket["candles"]) for bucket in db.candles.find()} == {240}
    assert db.candles.count_documents({"rev": {"$lt": 1}}) == 0


def test_the_guard_holds_for_candles_of_before(db: Any) -> None:
    make_old(db)
    prepare(db)
    CandleStore(db).upsert_open([live(KEYS[0], number, 5.0, 99, closed=False) for number in (0, 3, 250)])
    assert everything(db)[0]["close"].to_list() == [2.0, 2.0, 2.0, 5.0]


def test_it_is_done_once(db: Any) -> None:
    make_old(db)
    prepare(db)
    revisions = list(db.candles.find({}, {"rev": 1}))
    prepare(db)
    assert list(db.candles.find({}, {"rev": 1})) == revisions


def test_an_interrupted_upgrade_is_begun_again(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_old(db)
    monkeypatch.setattr(module, "_BUCKETS_AT_ONCE", 2)
    monkeypatch.setattr(module.log, "info", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(db)
    assert len(orders(db)) == 2
    monkeypatch.undo()
    prepare(db)
    assert orders(db) == {CANDLE_FIELDS}
    assert all(old.equals(new) for old, new in zip(before, everything(db), strict=True))


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
