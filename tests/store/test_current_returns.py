"""Whoever reads signals gets each one's return against the newest stored price, whatever is stored with it: by every
way of reading the same, and the same as a plain recomputation at that moment."""

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from pymongo.database import Database

from pipeline.candle import Candle, CandleWrite
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.queries import Asked, find_documents, find_signals
from pipeline.timeline import DAY, HOUR, MINUTE, interval, to_datetime, to_ms
from schemas.series import SeriesKey
from tests.live_writer import write_live
from tests.mongosh import Shell, query

Db = Database[dict[str, Any]]
Make = Callable[..., dict[str, Any]]

START = 1_760_000_000_000 // DAY * DAY
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def closed(db: Db, symbol: str, code: str, closes: dict[int, float]) -> None:
    key, step = SeriesKey("sim", symbol, code), interval(code)
    rows = [
        dict.fromkeys(FRAME_SCHEMA, price)
        | {"t": t, "te": step.close_time(t), "u": step.after(t), "trades": 1, "closed": True}
        for t, price in sorted(closes.items())
    ]
    frame = pl.DataFrame(rows).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
    CandleStore(db).replace_closed(key, frame)
    SeriesStore(db).recount(key, "rest", START)


def opened(db: Db, symbol: str, code: str, t: int, event: int, price: float) -> None:
    key = SeriesKey("sim", symbol, code)
    SeriesStore(db).recount(key, "rest", START)
    write_live(db, [CandleWrite(key, Candle(t, *(price,) * 6, 1, price, price, closed=False, u=event))])


@pytest.fixture
def market(db: Db, signal_document: Make) -> Db:
    """BTCUSDT: the open 15m candle knows the newest price. ETHUSDT: its 1h candle does, the 15m series stood still
    hours ago. SOLUSDT: two series know it equally late. NOPRICE has no candles. All of it is stored as worth 99."""
    prepare(db)
    quarter, random_ = HOUR // 4, random.Random(5)
    closed(db, "BTCUSDT", "1h", {START + n * HOUR: 100.0 + n for n in range(250)})
    closed(db, "BTCUSDT", "15m", {START + n * quarter: 100.0 + n / 4 for n in range(990, 1_000)})
    opened(db, "BTCUSDT", "15m", START + 1_000 * quarter, START + 1_000 * quarter + MINUTE, 333.0)
    closed(db, "ETHUSDT", "15m", {START + n * quarter: 50.0 for n in range(980, 990)})
    opened(db, "ETHUSDT", "1h", START + 250 * HOUR, START + 250 * HOUR + 30 * MINUTE, 44.0)
    closed(db, "SOLUSDT", "1h", {START + 249 * HOUR: 10.0})
    closed(db, "SOLUSDT", "15m", {START + 999 * quarter: 11.0})
    wrong = {"return_pct": 99.0, "current_price": 1.0, "return_at": to_datetime(START)}
    db.signals.insert_many(
        signal_document(
            START + n * HOUR,
            symbol=(*SYMBOLS, "NOPRICE")[n % 4],
            side=random_.choice(("long", "short")),
            price=random_.uniform(5, 400),
            **wrong,
        )
        for n in range(1, 250)
    )
    return db


def expected(db: Db) -> dict[str, tuple[float, float, datetime]]:
    """By `_id`: current price, return and moment, from every stored candle, in polars."""
    rows = [
        {"symbol": bucket["symbol"], "length": one["te"] - one["t"], "end": to_ms(one["te"]) + 1, **one}
        for bucket in db.candles.find()
        for one in bucket["candles"]
        if one
    ]
    candles = pl.DataFrame([{name: row[name] for name in NEEDED} for row in rows])
    at = pl.when("closed").then("end").otherwise(pl.min_horizontal(pl.col("u").dt.epoch("ms"), "end"))
    newest = candles.with_columns(at.alias("known")).sort("known", pl.col("length") * -1).group_by("symbol").last()
    signals = pl.DataFrame(list(db.signals.find({}, dict.fromkeys(("symbol", "price", "side"), 1))))
    sign = pl.when(pl.col("side") == "long").then(1.0).otherwise(-1.0)
    worth = signals.join(newest, on="symbol").with_columns(
        ((pl.col("close") / pl.col("price") - 1.0) * 100.0 * sign).alias("worth")
    )
    return {row["_id"]: (row["close"], row["worth"], to_datetime(row["known"])) for row in worth.iter_rows(named=True)}


NEEDED = ("symbol", "length", "end", "close", "closed", "u")


def told(rows: Any) -> dict[str, tuple[float, float, datetime]]:
    return {one["_id"]: (one["current_price"], one["return_pct"], one["return_at"]) for one in rows}


def test_the_newest_have_exact_returns(market: Db) -> None:
    found = find_signals(market, Asked(exchange="sim"), "at", 200)
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    exact = expected(market)
    assert len({one.symbol for one in found}) == 4
    for one in found:
        assert (one.current_price, one.return_pct, one.return_at) == exact.get(
            one.id, (1.0, 99.0, to_datetime(START))
        ), one.symbol


def test_the_moment_is_that_of_the_newest_price(market: Db) -> None:
    exact = {one.symbol: one for one in find_signals(market, Asked(exchange="sim"), "at", 200)}
    assert [(exact[name].current_price, exact[name].return_at) for name in SYMBOLS] == [
        (333.0, to_datetime(START + 250 * HOUR + MINUTE)),
        (44.0, to_datetime(START + 250 * HOUR + 30 * MINUTE)),
        (11.0, to_datetime(START + 250 * HOUR)),
    ]


@pytest.mark.parametrize("symbol", [None, *SYMBOLS])
def test_the_best_are_the_best_at_this_moment(market: Db, symbol: str | None) -> None:
    market.signals.delete_many({"symbol": "NOPRICE"})
    found = find_documents(market, Asked(exchange="sim", symbol=symbol), "return", 15)
    exact = {
        one["_id"]: expected(market)[one["_id"]]
        for one in market.signals.find({} if symbol is None else {"symbol": symbol})
    }
    best = sorted(exact, key=lambda name: (-exact[name][1], name))[:15]
    assert [one["_id"] for one in found] == best
    assert told(found) == {name: exact[name] for name in best}


def test_only_the_fields_asked_for(market: Db) -> None:
    (one,) = find_documents(market, Asked(exchange="sim", symbol="ETHUSDT"), "at", 1, ("strategy", "return_pct"))
    assert one.keys() == {
        *("_id", "exchange", "symbol", "at", "price", "side", "strategy"),
        *("return_pct", "current_price", "return_at"),
    }


def test_a_signal_of_the_open_candle_is_worth_nothing_yet(market: Db, signal_document: Make) -> None:
    market.signals.insert_one(signal_document(START + 251 * HOUR, symbol="ETHUSDT", confirmed=False))
    (one,) = find_signals(market, Asked(exchange="sim", symbol="ETHUSDT", include_open=True), "at", 1)
    assert (one.confirmed, one.return_pct) == (False, None)


@pytest.mark.parametrize("sort", ["at", "return"])
def test_another_exchange_has_its_own_prices(market: Db, signal_document: Make, sort: Any) -> None:
    market.signals.insert_one(signal_document(START + 2 * HOUR, exchange="binance-um"))
    (one,) = find_signals(market, Asked(exchange="binance-um"), sort, 5)
    assert one.return_pct is None


def test_the_documented_aggregation_says_the_same(market: Db) -> None:
    rows = Shell(query(3), to_datetime(START)).run(market)
    exact = {one.id: one for one in find_signals(market, Asked(exchange="sim", symbol="BTCUSDT"), "at", 20)}
    assert len(rows) == 20
    assert [row["_id"] for row in rows] == list(exact)
    for row in rows:
        one = exact[row["_id"]]
        assert (row["current_price"], row["return_at"]) == (one.current_price, one.return_at)
        assert row["return_pct"] == one.return_pct


def test_the_price_is_looked_up_once_a_symbol_by_its_index(market: Db) -> None:
    """What reading costs is what is asked for, not what is stored."""
    market.command("profile", 2)
    find_signals(market, Asked(exchange="sim", symbol="BTCUSDT"), "at", 20)
    market.command("profile", 0)
    examined = {"signals": 0, "series": 0}
    for one in market["system.profile"].find({"op": {"$in": ["command", "query", "getmore"]}}):
        name = one["ns"].rpartition(".")[2]
        examined[name] = examined.get(name, 0) + one.get("docsExamined", 0)
    assert examined["signals"] == 20
    assert examined["series"] <= 2 + 2, "two series, and the newest bucket of each"
