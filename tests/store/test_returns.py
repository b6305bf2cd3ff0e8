"""Returns in the store: after any sequence of refreshes they are what one look at all candles says, and a refresh costs
what is new."""

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from pipeline.candle import Candle, CandleWrite
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.series import Progress, SeriesStore, progress_operations
from pipeline.store.signals.corrections import send_back
from pipeline.store.signals.returns import MOVED, ReturnStore, returns_at_birth
from pipeline.timeline import DAY, HOUR, MINUTE, Window, interval, to_datetime, to_ms
from schemas.series import SeriesKey
from schemas.signals import Signal
from tests.live_writer import write_live

Db = Database[dict[str, Any]]
Make = Callable[..., dict[str, Any]]
Bar = tuple[float, float, float]

START = 1_760_000_000_000 // DAY * DAY
WEEK = 7 * DAY
HORIZONS = {"return_1h": HOUR, "return_4h": 4 * HOUR, "return_1d": DAY, "return_7d": WEEK}
SETTLED = ("best_pct", "worst_pct", *HORIZONS, "returns_due")


class Market:
    """Writes candles as high, low, close, and knows what it wrote. What comes late is marked, as `CandleStore` and the
    ingester do, and the returns that saw it are sent back, as `Derivation` does."""

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
        newest = max((t for t in self.bars.get(code, {}) if t not in self.opened.get(code, {})), default=0)
        late = [t for t in bars if t <= newest]
        self.bars.setdefault(code, {}).update(bars)
        self.opened[code] = {t: event for t, event in self.opened.get(code, {}).items() if t not in bars}
        if late:
            late_ones = [(self.key(code), Window(min(late), max(late)))]
            send_back(self.db, late_ones, "sim", self.symbol)

    def open(self, code: str, t: int, event: int, bar: Bar) -> None:
        """A state of the open candle."""
        high, low, close = bar
        live = CandleWrite(
            self.key(code), Candle(t, close, high, low, close, 1.0, 1.0, 1, 1.0, 1.0, closed=False, u=event)
        )
        write_live(self.db, [live])
        self.db.series.bulk_write(progress_operations([Progress(self.key(code), event)]))
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

    def closed(self) -> pl.DataFrame:
        """All closed candles."""
        rows = [
            (interval(code).milliseconds, t, interval(code).after(t), *bar)
            for code, bars in self.bars.items()
            for t, bar in bars.items()
            if t not in self.opened[code]
        ]
        return pl.DataFrame(rows, schema=["length", "open", "end", "high", "low", "close"], orient="row")


def expected(market: Market, signal: dict[str, Any], through: int | None = None) -> dict[str, Any]:
    """The plain way: look at every candle. `through`: until when they were all there."""
    at, entry = to_ms(signal["at"]), signal["price"]
    sign = 1.0 if signal["side"] == "long" else -1.0
    candles = market.closed()
    candles = candles.with_columns(pl.Series("entry", [entry] * candles.height))  # by a scalar polars divides inexactly
    finest = candles.filter(pl.col("length") == pl.col("length").min())
    through = int(finest["end"].max()) if through is None else through  # type: ignore[arg-type]
    gain = lambda column: (pl.col(column) / pl.col("entry") - 1.0) * 100.0 * sign  # noqa: E731

    found: dict[str, Any] = dict.fromkeys(SETTLED)
    for name, length in reversed(HORIZONS.items()):
        if at + length > through:
            found["returns_due"] = to_datetime(at + length)
            continue
        usable = candles.filter(pl.col("end").is_between(at + length, at + length + length // 10))
        if usable.height:
            found[name] = usable.sort("length", "end").select(gain("close"))["close"][0]
        if found["best_pct"] is None:
            seen = candles.filter(pl.col("open") >= at, pl.col("end") <= at + length)
            gains = seen.select(high=gain("high"), low=gain("low"))
            found["best_pct"], found["worst_pct"] = gains.max_horizontal().max(), gains.min_horizontal().min()
    return found


def check(db: Db, market: Market, through: int | None = None) -> None:
    """What is settled is as by hand; the return against the current price is no further off than it may be, and is that
    of the moment it names."""
    moment, price = market.known()
    for signal in db.signals.find({"symbol": market.symbol}):
        assert {name: signal.get(name) for name in SETTLED} == expected(market, signal, through), signal["_id"]
        sign = 1.0 if signal["side"] == "long" else -1.0
        assert signal["return_pct"] == (signal["current_price"] / signal["price"] - 1.0) * 100.0 * sign
        assert signal["return_at"] <= to_datetime(moment)
        if to_ms(signal["at"]) > moment - WEEK:
            assert abs(signal["return_pct"] - (price / signal["price"] - 1.0) * 100.0 * sign) < MOVED, signal["_id"]
        Signal.from_mongo(signal)


@pytest.fixture
def prepared(db: Db) -> Db:
    prepare(db)
    return db


@pytest.fixture
def born(signal_document: Make) -> Make:
    """A signal as it is first stored."""
    return lambda at, **changes: signal_document(at, **{**_birth(at, changes), **changes})


def _birth(at: int, changes: dict[str, Any]) -> dict[str, Any]:
    return returns_at_birth(at, changes.get("price", 100.0))


def bar(price: float) -> Bar:
    return price * 1.01, price * 0.99, price


def hours(first: int, last: int, price: float = 100.0) -> dict[int, Bar]:
    return {START + number * HOUR: bar(price + number) for number in range(first, last + 1)}


def changed(db: Db, key: SeriesKey, window: Window) -> list[int]:
    """The signals that a change of these candles sends back, by their hour."""
    before = {one["_id"]: one.get("returns_due") for one in db.signals.find()}
    send_back(db, [(key, window)], key.exchange, key.symbol)
    return [
        (to_ms(one["at"]) - START) / HOUR
        for one in db.signals.find().sort("at")
        if one.get("returns_due") != before[one["_id"]]
    ]


def values_of(signal: dict[str, Any]) -> list[float | None]:
    return [signal.get(name) for name in ("best_pct", "worst_pct", *HORIZONS)]


def counts(store: ReturnStore, *arguments: Any, **options: Any) -> tuple[int, int, int]:
    done = store.refresh(*arguments, **options)
    return done.symbols, done.worked_out, done.moved


@pytest.mark.parametrize(
    ("last", "fallen"),
    [(1, 0), (2, 1), (4, 1), (5, 2), (24, 2), (25, 3), (168, 3), (169, 4), (300, 4)],
)
def test_each_horizon_is_worked_out_when_it_falls_due(prepared: Db, born: Make, last: int, fallen: int) -> None:
    """Signals after two hours; `last` hours have passed."""
    market = Market(prepared)
    prepared.signals.insert_many([born(START + HOUR, side=side) for side in ("long", "short")])
    market.close("1h", hours(0, last - 1))
    assert counts(ReturnStore(prepared), "sim")[:2] == (1, 2 if fallen else 0)
    check(prepared, market)
    one = prepared.signals.find_one() or {}
    assert [one.get(name) is not None for name in HORIZONS] == [True] * fallen + [False] * (4 - fallen)
    assert ("returns_due" in one) == (fallen < 4)


def test_hour_by_hour_each_signal_is_worked_out_four_times(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 2))
    prepared.signals.insert_many([born(START + n * HOUR, side=s) for n in (2, 9) for s in ("long", "short")])
    worked_out = 0
    for hour in range(3, 200):
        market.close("1h", hours(hour, hour))
        worked_out += store.refresh("sim").worked_out
        if hour % 20 == 0:
            check(prepared, market)
    check(prepared, market)
    assert worked_out == 4 * 4


def test_between_its_horizons_a_signal_follows_the_price_for_a_week(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 169))
    prepared.signals.insert_many([born(START + n * HOUR) for n in (1, 3, 170)])
    store.refresh("sim")
    check(prepared, market)
    market.open("1h", START + 170 * HOUR, START + 170 * HOUR + MINUTE, (190.0, 90.0, 120.0))
    assert counts(store, "sim") == (1, 0, 2), "the first is older than a week"
    check(prepared, market)


@pytest.mark.parametrize(("price", "moved"), [(120.0, 0), (120.009, 0), (120.011, 1)])
def test_only_what_has_moved_is_written(prepared: Db, born: Make, price: float, moved: int) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.open("1h", START, START + MINUTE, (120.0, 120.0, 120.0))
    market.close("15m", {START - HOUR: bar(99.0)})
    prepared.signals.insert_one(born(START))
    assert counts(store, "sim") == (1, 0, 1)
    market.open("1h", START, START + 2 * MINUTE, (price, price, price))
    assert counts(store, "sim") == (1, 0, moved)
    check(prepared, market)


def test_the_budget_is_for_the_newest(prepared: Db, born: Make) -> None:
    """Of each symbol the newest are worked out first, and the newest of all are moved with what is left over."""
    markets = [Market(prepared, symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    for market in markets:
        market.close("1h", hours(0, 30))
        prepared.signals.insert_many([born(START + n * HOUR, symbol=market.symbol) for n in range(1, 31)])
    store = ReturnStore(prepared)
    assert counts(store, "sim", budget=10) == (2, 10, 0)
    assert counts(store, "sim", budget=40) == (2, 40, 0)
    done = prepared.signals.distinct("at", {"return_1h": {"$ne": None}})
    assert min(done) == to_datetime(START + 6 * HOUR)
    assert counts(store, "sim", budget=20)[:2] == (2, 10)
    for market in markets:
        market.open("1h", START + 31 * HOUR, START + 31 * HOUR + MINUTE, (190.0, 90.0, 120.0))
    assert counts(store, "sim", budget=21) == (2, 0, 20), "of the 21st, another is as old"
    newest = {"current_price": 120.0, "at": {"$gt": to_datetime(START + 20 * HOUR)}}
    assert prepared.signals.count_documents(newest) == 20
    for market in markets:
        market.open("1h", START + 31 * HOUR, START + 31 * HOUR + 2 * MINUTE, (190.0, 90.0, 130.0))
    store.refresh("sim")
    for market in markets:
        check(prepared, market)


def test_a_horizon_waits_for_the_close_of_its_candle(prepared: Db, born: Make) -> None:
    """The next candle may be known already."""
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 3))
    prepared.signals.insert_one(born(START + 4 * HOUR))
    market.open("1h", START + 5 * HOUR, START + 5 * HOUR + MINUTE, (101.0, 99.0, 100.5))
    assert store.refresh("sim").worked_out == 0
    market.close("1h", hours(4, 4))
    assert store.refresh("sim").worked_out == 1
    check(prepared, market)


def test_a_gap_that_is_filled_behind_newer_candles_counts(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 3))
    prepared.signals.insert_one(born(START + HOUR))
    store.refresh("sim")
    market.close("1h", hours(6, 7))
    assert store.refresh("sim").worked_out == 1
    check(prepared, market)
    market.close("1h", {START + 4 * HOUR: (500.0, 1.0, 100.0)} | hours(5, 5))
    store.refresh("sim")
    check(prepared, market)


def test_a_price_that_was_late_gives_way_to_the_right_one(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 23) | hours(25, 26))
    prepared.signals.insert_one(born(START + HOUR))
    store.refresh("sim")
    check(prepared, market)
    late = prepared.signals.find_one() or {}
    market.close("1h", hours(24, 24) | hours(27, 27))
    store.refresh("sim")
    check(prepared, market)
    assert late["return_1d"] != (prepared.signals.find_one() or {})["return_1d"]


@pytest.mark.parametrize(
    ("corrected", "sent_back"),
    [
        (0, []),
        (1, [1]),
        (4, [1]),
        (8, [1, 8]),
        (9, [1, 8]),
        (30, [1, 8, 30]),
        (168, [1, 8, 30]),
        (169, [8, 30]),
        (185, [30, 185]),
        (192, [30, 192]),
        (195, [30, 192]),
        (196, [30]),
        (197, [30]),
        (198, []),
        (199, [199]),
    ],
)
def test_a_correction_sends_back_the_signals_whose_value_it_can_change(
    prepared: Db, born: Make, corrected: int, sent_back: list[int]
) -> None:
    """200 hours have passed."""
    market, store = Market(prepared), ReturnStore(prepared)
    window = Window(START + corrected * HOUR, START + corrected * HOUR)
    market.close("1h", hours(0, 199))
    prepared.signals.insert_many([born(START + n * HOUR) for n in (1, 8, 30, 185, 192, 199)])
    prepared.signals.insert_one(born(START + 8 * HOUR, confirmed=False, strategy="open"))
    prepared.signals.update_one({"confirmed": False}, {"$unset": {"returns_due": 1}})
    store.refresh("sim")
    for other in (SeriesKey("sim", "ETHUSDT", "1h"), SeriesKey("other", "BTCUSDT", "1h")):
        assert changed(prepared, other, window) == []
    assert changed(prepared, market.key("1h"), window) == sent_back
    market.close("1h", {START + corrected * HOUR: (500.0, 1.0, 100.0)})
    assert store.refresh("sim").worked_out == len(sent_back)
    prepared.signals.delete_one({"confirmed": False})
    check(prepared, market)


@pytest.mark.parametrize(
    ("code", "first", "last", "missing", "sent_back"),
    [
        ("1h", 200, 200, None, [33, 177, 197]),  # the next one: what falls due with it, and may be at work
        ("1h", 200, 229, None, [*range(33, 63), *range(177, 200)]),  # an outage is filled: what fell due meanwhile
        ("1h", 199, 199, None, [32, 176, 196, 199]),
        ("1h", 199, 199, 198, [31, 32, 175, 176, 196, 199]),  # behind a gap, also the first price of what ends in it
        ("4h", 196, 196, None, [32, 176, 196]),  # where a return ends meanwhile, the hours have the say
        ("4h", 192, 192, None, [*range(28, 33), *range(172, 177), 192]),
        ("1d", 192, 192, None, [*range(33, 49), 190, 191, 192]),  # no hours are there beside its end
        ("1d", 0, 168, None, [*range(169)]),
    ],
)
def test_a_new_candle_sends_back_the_signals_whose_value_it_can_change(
    prepared: Db, born: Make, code: str, first: int, last: int, missing: int | None, sent_back: list[int]
) -> None:
    """A signal an hour beside 200 hours of candles, less the one that is `missing`."""
    market, step = Market(prepared), interval(code)
    market.close("1h", {t: bar for t, bar in hours(0, 199).items() if t != START + (missing or -1) * HOUR})
    prepared.signals.insert_many([born(START + n * HOUR) for n in range(200)])
    ReturnStore(prepared).refresh("sim")
    window = Window(START + first * HOUR, START + last * HOUR)
    market.close(code, {t: bar(200.0) for t in range(window.start, window.end + 1, step.milliseconds or 0)})
    assert changed(prepared, market.key(code), window) == sent_back


@pytest.mark.parametrize("seed", range(3))
def test_however_candles_lie_one_sends_back_what_it_changes_and_nothing_else(
    prepared: Db, born: Make, seed: int
) -> None:
    """Series with holes, a signal each half hour. The candle is as far from all others as none that is stored."""
    rng, market, through = random.Random(seed), Market(prepared), START + 240 * HOUR
    for code, kept in (("15m", rng.choice((0.0, 0.8, 1.0))), ("1h", rng.choice((0.5, 1.0))), ("4h", 0.8)):
        step = interval(code)
        opened = range(START, through, step.milliseconds or 0)
        market.close(code, {t: bar(100.0 + rng.random()) for t in opened if rng.random() < kept or t > through - DAY})
    prepared.signals.insert_many([born(START + n * HOUR // 2, interval="15m") for n in range(480)])
    store = ReturnStore(prepared)
    store.refresh("sim")
    for far in range(1, 5):
        code = rng.choice(tuple(market.bars))
        step = interval(code)
        t = step.floor(rng.randrange(START, through))
        sent_back = changed(prepared, market.key(code), Window(t, t))
        store.forget("sim")
        store.refresh("sim")
        before = {one["_id"]: values_of(one) for one in prepared.signals.find()}
        market.close(code, {t: (1e3**far, 1e-3**far, 500.0 + far)})
        store.forget("sim")
        store.refresh("sim")
        others = [
            (to_ms(one["at"]) - START) / HOUR
            for one in prepared.signals.find().sort("at")
            if before[one["_id"]] != values_of(one)
        ]
        assert sent_back == others, (code, (t - START) / HOUR)


def test_a_correction_while_it_is_being_worked_out_is_not_lost(
    prepared: Db, born: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 2))
    prepared.signals.insert_one(born(START + HOUR))
    values = ReturnStore._values

    def corrected_meanwhile(*arguments: Any) -> Iterable[Any]:
        worked_out = list(values(*arguments))
        monkeypatch.setattr(ReturnStore, "_values", values)
        market.close("1h", {START + HOUR: (500.0, 1.0, 100.0)})
        return worked_out

    monkeypatch.setattr(ReturnStore, "_values", corrected_meanwhile)
    store.refresh("sim")
    store.refresh("sim")
    check(prepared, market)


def test_everything_anew(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 300))
    prepared.signals.insert_many([born(START + n * HOUR) for n in (1, 200, 299)])
    store.refresh("sim")
    prepared.signals.update_many({}, {"$set": {"best_pct": 77.0, "return_4h": 77.0}})
    assert store.forget("other") == 0
    assert store.forget("sim") == 3
    assert store.refresh("sim").worked_out == 3
    check(prepared, market)


def test_only_the_symbols_and_the_exchange_asked_for(prepared: Db, born: Make) -> None:
    store = ReturnStore(prepared)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        Market(prepared, symbol).close("1h", hours(0, 5))
        prepared.signals.insert_one(born(START + HOUR, symbol=symbol))
    prepared.signals.insert_one(born(START + HOUR, symbol="NEWUSDT"))
    assert counts(store, "binance-um") == (0, 0, 0)
    assert counts(store, "sim", ["ETHUSDT"]) == (1, 1, 0)
    assert counts(store, "sim") == (2, 1, 0), "no candle of NEWUSDT is stored"
    assert (prepared.signals.find_one({"symbol": "NEWUSDT"}) or {})["return_pct"] == 0.0


def test_a_finer_series_takes_over_and_goes_again(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 9))
    prepared.signals.insert_many([born(START + n * HOUR) for n in (2, 8)])
    store.refresh("sim")
    quarter = HOUR // 4
    market.close("15m", {START + n * quarter: bar(90.0 + n) for n in range(42, 48)})
    assert counts(store, "sim") == (1, 1, 1), "four hours have passed for one of them"
    market.close("1h", hours(10, 30))
    store.refresh("sim")
    market.close("1h", hours(31, 31))
    store.refresh("sim")
    check(prepared, market, through=START + 32 * HOUR)


def test_what_the_history_finds_is_stored_with_its_returns(prepared: Db, born: Make) -> None:
    """The same as those that are worked out later."""
    market, store = Market(prepared), ReturnStore(prepared)
    assert store.of_new("sim", "BTCUSDT", [(START, 100.0, "long")]) == [returns_at_birth(START, 100.0)]
    market.close("1h", hours(0, 250))
    told = [(START + n * HOUR, 90.0 + n, side) for n in (1, 70, 200, 249, 251) for side in ("long", "short")]
    for (at, price, side), returns in zip(told, store.of_new("sim", "BTCUSDT", told), strict=True):
        one = {name: value for name, value in born(at, price=price, side=side).items() if value is not None}
        prepared.signals.insert_one(one | {"returns_due": None} | returns)
    check(prepared, market)
    assert store.refresh("sim").worked_out == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_events_ends_with_the_truth(prepared: Db, born: Make, seed: int) -> None:
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
            signal = born(at, interval="15m", side=rng.choice(("long", "short")), price=price)
            prepared.signals.replace_one({"_id": signal["_id"]}, signal, upsert=True)
        if rng.random() < 0.7:
            store.refresh("sim", ["BTCUSDT"] if rng.random() < 0.5 else None, budget=rng.choice((1, 5, 100, None)))
    market.close("15m", truth | {START + number * quarter: bar(price)})
    store.refresh("sim")
    check(prepared, market)
    assert prepared.signals.count_documents({"return_1h": {"$ne": None}}) > 3


def test_two_at_once_do_no_harm(prepared: Db, mongo: MongoClient[dict[str, Any]], born: Make) -> None:
    market = Market(prepared)
    market.close("1h", hours(0, 40))
    prepared.signals.insert_many([born(START + n * HOUR) for n in range(1, 40)])
    for number in range(41, 46):
        market.close("1h", hours(number, number))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: ReturnStore(mongo[prepared.name]).refresh("sim"), range(3)))
    ReturnStore(prepared).refresh("sim")
    check(prepared, market)


# --- the law: a recurring job reads and writes nothing that did not change -----------------------------------------


def work_of(db: Db, job: Callable[[], Any]) -> tuple[int, int]:
    """How many documents the server looked at for it, and how many it wrote."""
    db.create_collection("system.profile", capped=True, size=1 << 26)
    db.command("profile", 2)
    job()
    db.command("profile", 0)
    told = list(db["system.profile"].find({"ns": {"$ne": f"{db.name}.system.profile"}}))
    db.drop_collection("system.profile")
    written = sum(one.get(name, 0) for one in told for name in ("nModified", "ninserted", "ndeleted", "nUpserted"))
    return sum(one.get("docsExamined", 0) for one in told), written


@pytest.mark.parametrize("stored", [100, 1_000])
def test_a_second_pass_over_an_unchanged_history_reads_a_constant_and_writes_nothing(
    prepared: Db, born: Make, stored: int
) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 1_100))
    market.close("1d", {START + n * DAY: bar(50.0) for n in range(45)})
    prepared.signals.insert_many([born(START + n * HOUR) for n in range(1, stored + 1)])
    read, written = work_of(prepared, lambda: store.refresh("sim", budget=20_000))
    assert read > stored <= written
    assert work_of(prepared, lambda: store.refresh("sim", budget=20_000)) == (6, 0), (
        "the two series, their newest prices, and the note of what they were"
    )


def test_a_pass_over_a_price_that_moved_reads_the_newest_alone(prepared: Db, born: Make) -> None:
    market, store = Market(prepared), ReturnStore(prepared)
    market.close("1h", hours(0, 1_100))
    prepared.signals.insert_many([born(START + n * HOUR) for n in range(1, 1_101)])
    store.refresh("sim")
    market.open("1h", START + 1_101 * HOUR, START + 1_101 * HOUR + MINUTE, (1.0, 1.0, 1.0))
    read, written = work_of(prepared, lambda: store.refresh("sim", budget=50))
    assert written == 50 + 1
    assert 50 <= read <= 50 + 5
