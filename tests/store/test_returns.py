"""Returns in the store: after any sequence of refreshes they are what one look at all candles says."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.live import LiveCandle
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.returns import Refreshed, ReturnStore
from pipeline.timeline import DAY, HOUR, MINUTE, interval, to_datetime, to_ms
from schemas.series import SeriesKey
from schemas.signals import Signal
from tests.live_writer import write_live

Db = Database[dict[str, Any]]
Make = Callable[..., dict[str, Any]]
Bar = tuple[float, float, float]

START = 1_760_000_000_000 // DAY * DAY
HORIZONS = {"return_1h": HOUR, "return_4h": 4 * HOUR, "return_1d": DAY, "return_7d": 7 * DAY}
RESULTS = ("current_price", "return_pct", "best_pct", "worst_pct", *HORIZONS, "return_at")


class Market:
    """Writes candles as high, low, close, and knows what it wrote."""

    def __init__(self, db: Db, symbol: str = "BTCUSDT") -> None:
        self.db, self.symbol = db, symbol
        self.bars: dict[str, dict[int, Bar]] = {}
        self.opened: dict[str, dict[int, int]] = {}

    def key(self, code: str) -> SeriesKey:
        return SeriesKey("sim", self.symbol, code)

    def close(self, code: str, bars: dict[int, Bar]) -> None:
        """Closed candles by opening time."""
        step = interval(code)
        rows = [
            dict.fromkeys(FRAME_SCHEMA, 1.0)
            | {"t": t, "te": step.close_time(t), "u": step.after(t), "trades": 1, "closed": True}
            | {"open": close, "high": high, "low": low, "close": close}
            for t, (high, low, close) in sorted(bars.items())
        ]
        frame = pl.DataFrame(rows).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
        CandleStore(self.db).replace_closed(self.key(code), frame)
        SeriesStore(self.db).recount(self.key(code), "rest", START)
        self.bars.setdefault(code, {}).update(bars)
        self.opened[code] = {t: event for t, event in self.opened.get(code, {}).items() if t not in bars}

    def open(self, code: str, t: int, event: int, bar: Bar) -> None:
        """A state of the open candle."""
        high, low, close = bar
        live = LiveCandle(self.key(code), t, close, high, low, close, 1.0, 1.0, 1, 1.0, 1.0, closed=False, u=event)
        write_live(self.db, [live])
        self.bars.setdefault(code, {})[t] = bar
        self.opened.setdefault(code, {})[t] = event

    def known(self) -> tuple[int, float]:
        """The moment of the newest price, and the price: the finest series wins."""
        told = []
        for code, bars in self.bars.items():
            t = max(bars)
            moment = self.opened[code].get(t, interval(code).after(t))
            told.append((moment, -(interval(code).milliseconds or 0), bars[t][2]))
        moment, _, price = max(told)
        return moment, price


def expected(market: Market, signal: dict[str, Any]) -> dict[str, Any]:
    """The plain way: look at every candle."""
    at, entry = to_ms(signal["at"]), signal["price"]
    sign = 1.0 if signal["side"] == "long" else -1.0
    moment, price = market.known()

    def gain(value: float) -> float:
        return (value / entry - 1.0) * 100.0 * sign

    since = [bar for bars in market.bars.values() for t, bar in bars.items() if t >= at]
    gains = [gain(price), *(gain(bar[place]) for bar in since for place in (0, 1))]
    found = {"current_price": price, "return_pct": gain(price), "best_pct": max(gains), "worst_pct": min(gains)}
    for name, length in HORIZONS.items():
        found[name] = next(
            (
                gain(market.bars[code][min(ends)[1]][2])
                for code in sorted(market.bars, key=lambda code: interval(code).milliseconds or 0)
                if (ends := _ends(market, code, at + length, length // 10))
            ),
            None,
        )
    return found | {"return_at": to_datetime(moment)}


def _ends(market: Market, code: str, target: int, late: int) -> list[tuple[int, int]]:
    ends = [(interval(code).after(t), t) for t in market.bars[code] if t not in market.opened[code]]
    return [one for one in ends if target <= one[0] <= target + late]


def check(db: Db, market: Market) -> None:
    for signal in db.signals.find({"symbol": market.symbol}):
        found = {name: signal[name] for name in RESULTS}
        assert found == expected(market, signal), signal["_id"]
        Signal.from_mongo(signal)


@pytest.fixture
def prepared(db: Db) -> Db:
    prepare(db)
    return db


def bar(price: float) -> Bar:
    return price * 1.01, price * 0.99, price


def hours(first: int, last: int, price: float = 100.0) -> dict[int, Bar]:
    return {START + number * HOUR: bar(price + number) for number in range(first, last + 1)}


def test_worked_out_once_and_then_moved_along(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 30))
    prepared.signals.insert_many([signal_document(START + n * HOUR, side=s) for n in (2, 9) for s in ("long", "short")])
    assert store.refresh("sim") == Refreshed(symbols=1, worked_out=4, moved=0)
    check(prepared, market)
    market.open("1h", START + 31 * HOUR, START + 31 * HOUR + MINUTE, (190.0, 90.0, 120.0))
    assert store.refresh("sim") == Refreshed(symbols=1, worked_out=0, moved=4)
    check(prepared, market)
    assert store.refresh("sim") == Refreshed(symbols=1, worked_out=0, moved=0), "nothing is newer"


def test_a_horizon_that_falls_due_is_worked_out(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 3))
    prepared.signals.insert_many([signal_document(START + n * HOUR) for n in (1, 2)])
    store.refresh("sim")
    market.close("1h", hours(4, 4))
    assert store.refresh("sim") == Refreshed(symbols=1, worked_out=1, moved=2 - 1)
    check(prepared, market)
    due = [signal["returns_due"] for signal in prepared.signals.find().sort("at")]
    assert due == [to_datetime(START + (1 + 24) * HOUR), to_datetime(START + (2 + 4) * HOUR)]


def test_a_signal_waits_for_the_candle_after_it(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 3))
    prepared.signals.insert_one(signal_document(START + 4 * HOUR))
    assert store.refresh("sim").worked_out == 0
    market.open("1h", START + 4 * HOUR, START + 4 * HOUR + 1, (101.0, 99.0, 100.5))
    assert store.refresh("sim").worked_out == 1
    check(prepared, market)


def test_a_gap_that_is_filled_behind_newer_candles_counts(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 3))
    prepared.signals.insert_one(signal_document(START + HOUR))
    store.refresh("sim")
    market.close("1h", hours(6, 7))
    assert store.refresh("sim").moved == 1
    check(prepared, market)
    market.close("1h", {START + 4 * HOUR: (500.0, 1.0, 100.0)} | hours(5, 5) | hours(8, 8))
    store.refresh("sim")
    check(prepared, market)


def test_a_price_that_was_late_gives_way_to_the_right_one(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 23) | hours(25, 26))
    prepared.signals.insert_one(signal_document(START + HOUR))
    store.refresh("sim")
    check(prepared, market)
    market.close("1h", hours(24, 24) | hours(27, 27))
    store.refresh("sim")
    check(prepared, market)


def test_candles_corrected_behind_its_back_are_seen_when_forgotten(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 9))
    prepared.signals.insert_many([signal_document(START + n * HOUR) for n in (2, 8)])
    store.refresh("sim")
    market.close("1h", {START + 3 * HOUR: (500.0, 1.0, 100.0)})
    corrected = {"since": START + 3 * HOUR, "until": START + 4 * HOUR}
    assert store.forget("sim", ["ETHUSDT"], **corrected) == 0
    assert store.forget("sim", ["BTCUSDT"], **corrected) == 1
    assert store.refresh("sim").worked_out == 1
    check(prepared, market)
    assert store.forget("sim", since=START + 10 * HOUR) == 0, "nothing has come so far"
    assert store.forget("other") == 0
    assert store.forget("sim") == 2


def test_only_the_symbols_and_the_exchange_asked_for(prepared: Db, signal_document: Make) -> None:
    store = ReturnStore(prepared)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        Market(prepared, symbol).close("1h", hours(0, 5))
        prepared.signals.insert_one(signal_document(START + HOUR, symbol=symbol))
    prepared.signals.insert_one(signal_document(START + HOUR, symbol="NEWUSDT"))
    assert store.refresh("binance-um") == Refreshed()
    assert store.refresh("sim", ["ETHUSDT"]) == Refreshed(1, 1, 0)
    assert prepared.signals.count_documents({"returns_through": None}) == 2
    assert store.refresh("sim") == Refreshed(3, 1, 0), "no candle of NEWUSDT is stored"


def test_a_finer_series_takes_over_and_goes_again(prepared: Db, signal_document: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 9))
    prepared.signals.insert_many([signal_document(START + n * HOUR) for n in (2, 8)])
    store.refresh("sim")
    quarter = HOUR // 4
    market.close("15m", {START + n * quarter: bar(90.0 + n) for n in range(42, 47)})
    assert store.refresh("sim").worked_out == 2, "the 15m series begins after what was known"
    check(prepared, market)
    market.close("15m", {START + 47 * quarter: bar(300.0)})
    assert store.refresh("sim") == Refreshed(1, 1, 1), "four hours have passed for one of them"
    check(prepared, market)
    market.close("1h", hours(10, 30))
    store.refresh("sim")
    check(prepared, market)
    market.close("1h", hours(31, 31))
    store.refresh("sim")
    check(prepared, market)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_events_ends_with_the_truth(prepared: Db, signal_document: Make, seed: int) -> None:
    """Candles late and out of order, new signals, refreshes whenever: at the end all is as it should be."""
    rng, market, store = random.Random(seed), Market(prepared), ReturnStore(prepared)
    quarter, number, price, late = HOUR // 4, 0, 100.0, list[int]()
    truth: dict[int, Bar] = {}
    for _ in range(45):
        for _ in range(rng.choice((1, 1, 2, 7, 50))):
            price *= 1 + rng.uniform(-0.03, 0.03)
            truth[START + number * quarter] = (price * (1 + rng.random() / 50), price * (1 - rng.random() / 50), price)
            late.append(START + number * quarter)
            number += 1
        rng.shuffle(late)
        ready = late[rng.choice((0, 0, 0, 1, 2)) :]
        late = [t for t in late if t not in ready and t > START + (number - 90) * quarter]
        ready += [t for t in truth if t not in late and t not in market.bars.get("15m", {})]
        if ready:
            market.close("15m", {t: truth[t] for t in ready})
        if rng.random() < 0.3:
            t = START + number * quarter
            high, low, close = truth.setdefault(t, (price * 1.02, price * 0.98, price))
            market.open(
                "15m", t, t + rng.randrange(1, quarter), (rng.uniform(close, high), rng.uniform(low, close), close)
            )
            number, late = number + 1, [*late, t]
        if rng.random() < 0.4:
            at = START + rng.randrange(max(0, number - 30), number + 1) * quarter
            signal = signal_document(at, interval="15m", side=rng.choice(("long", "short")), price=price)
            prepared.signals.replace_one({"_id": signal["_id"]}, signal, upsert=True)
        if rng.random() < 0.7:
            store.refresh("sim", ["BTCUSDT"] if rng.random() < 0.5 else None)
    market.close("15m", truth | {START + number * quarter: bar(price)})
    store.refresh("sim")
    check(prepared, market)
    assert prepared.signals.count_documents({"returns_through": {"$ne": None}}) == prepared.signals.count_documents({})


def test_two_at_once_do_no_harm(prepared: Db, mongo: MongoClient[dict[str, Any]], signal_document: Make) -> None:
    market = Market(prepared)
    market.close("1h", hours(0, 40))
    prepared.signals.insert_many([signal_document(START + n * HOUR) for n in range(1, 40)])
    for number in range(41, 46):
        market.close("1h", hours(number, number))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: ReturnStore(mongo[prepared.name]).refresh("sim"), range(3)))
    ReturnStore(prepared).refresh("sim")
    check(prepared, market)


def test_the_update_of_a_symbol_uses_its_index(prepared: Db, signal_document: Make) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        prepared.signals.insert_many([signal_document(START + n * HOUR, symbol=symbol) for n in range(50)])
    matches = {"exchange": "sim", "symbol": "BTCUSDT", "returns_through": None}
    plan = prepared.command(
        "explain", {"update": "signals", "updates": [{"q": matches, "u": [{"$set": {"best_pct": 1.0}}], "multi": True}]}
    )
    assert plan["executionStats"]["totalDocsExamined"] == 50
