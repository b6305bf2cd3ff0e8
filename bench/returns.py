"""Returns of 100,000 signals: those of this week by one update a symbol in the server, against one update a signal."""

from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from pymongo import UpdateOne
from pymongo.database import Database

from bench.store import mongod
from bench.table import Row
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.returns import ReturnStore, returns_at_birth
from pipeline.timeline import DAY, MINUTE, interval, to_datetime
from schemas.series import SeriesKey
from schemas.signals import SIGNALS, Signal

SYMBOLS = 50
STEP = interval("15m")
START = STEP.bucket(1_760_000_000_000).start
BUDGET = 10.0
GROUP = "Returns"


def run(quick: bool) -> list[Row]:
    """Work out a history of signals, then move all of them along; the plain way does the same to the same signals."""
    count, days = (3_000, 10) if quick else (100_000, 300)
    keys = [SeriesKey("sim", f"S{number}USDT", STEP.code) for number in range(SYMBOLS)]
    with mongod() as database:
        end = fill(database, keys, days)
        database[SIGNALS.name].insert_many(signals(keys, count, end))
        store = ReturnStore(database)
        worked_out = timed(lambda: store.refresh("sim"))
        times, peers = [], []
        for minute in range(1, 7, 2):
            price(database, keys, end, minute)
            times.append(timed(lambda: store.refresh("sim")))
            price(database, keys, end, minute + 1)
            peers.append(timed(lambda: one_each(database, keys, end)))
    return [
        Row(
            group=GROUP,
            name=f"refresh {count:,} signals of {SYMBOLS} symbols: those of this week",
            ours=float(np.median(times)),
            unit="s",
            peer_name="an update a signal",
            peer=float(np.median(peers)),
            at_most=BUDGET,
            lower_is_better=True,
        ),
        Row(
            group=GROUP,
            name=f"work out {count:,} signals over {days} days of {STEP.code}: all horizons, best and worst",
            ours=worked_out,
            unit="s",
            lower_is_better=True,
        ),
    ]


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


def fill(database: Database[dict[str, Any]], keys: list[SeriesKey], days: int) -> int:
    """Closed candles of every series; when the next one opens."""
    random = np.random.default_rng(11)
    count = days * DAY // STEP.after(0)
    t = START + np.arange(count) * STEP.after(0)
    for key in keys:
        close = 100 * np.exp(np.cumsum(random.normal(0, 0.003, count)))
        columns: dict[str, Any] = dict.fromkeys(FRAME_SCHEMA, close)
        columns |= {"high": close * 1.002, "low": close * 0.998}
        columns |= {"t": t, "te": t + STEP.after(0) - 1, "u": t + STEP.after(0), "closed": np.ones(count, np.bool_)}
        frame = pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
        CandleStore(database).replace_closed(key, frame)
        SeriesStore(database).recount(key, "rest", int(t[-1]))
    return int(t[-1]) + STEP.after(0)


def signals(keys: list[SeriesKey], count: int, end: int) -> list[dict[str, Any]]:
    """Signals all over the stored time."""
    random = np.random.default_rng(12)
    first, last = STEP.index(START) + 1, STEP.index(end)
    return [
        _signal(keys[number % len(keys)], number, STEP.open_time(int(random.integers(first, last))))
        for number in range(count)
    ]


def _signal(key: SeriesKey, number: int, at: int) -> dict[str, Any]:
    moment = to_datetime(at)
    return Signal(
        id=f"{key}:{number}",
        exchange=key.exchange,
        symbol=key.symbol,
        interval=key.interval,
        strategy=("macd_cross", "ma_breakout", "bollinger")[number % 3],
        kind="entry",
        side="long" if number % 2 else "short",
        candle=moment - timedelta(minutes=15),
        at=moment,
        price=100.0,
        strength=1.0,
        indicators={"close": 100.0, "macd": 1.0, "macd_signal": 0.5},
        settings="v1",
        source="history",
        confirmed=True,
        created_at=moment,
        verdict="expired",
        **returns_at_birth(at, 100.0),
    ).to_mongo()


def price(database: Database[dict[str, Any]], keys: list[SeriesKey], opened: int, minute: int) -> None:
    """A newer state of every open candle."""
    state = dict.fromkeys(FRAME_SCHEMA, 1.0) | {"open": 100.0, "high": 101.0 + minute, "low": 99.0 - minute}
    state |= {"close": 100.0 + minute, "t": opened, "te": STEP.close_time(opened), "trades": 3}
    state |= {"u": opened + minute * MINUTE, "closed": False}
    frame = pl.DataFrame([state]).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
    for key in keys:
        CandleStore(database).replace_closed(key, frame)


def one_each(database: Database[dict[str, Any]], keys: list[SeriesKey], opened: int) -> None:
    """The plain way: read every signal of the week and every price, compute in Python, write every signal."""
    found = CandleStore(database)
    latest = {key.symbol: found.load(key, opened, opened).row(0, named=True) for key in keys}
    updates = []
    week = {"at": {"$gt": to_datetime(opened - 7 * DAY)}}
    for one in database[SIGNALS.name].find(week, {"symbol": 1, "price": 1, "side": 1}):
        candle = latest[one["symbol"]]
        gain = (candle["close"] / one["price"] - 1.0) * 100.0 * (1.0 if one["side"] == "long" else -1.0)
        change = {"current_price": candle["close"], "return_pct": gain, "return_at": candle["u"]}
        updates.append(UpdateOne({"_id": one["_id"]}, {"$set": change}))
    database[SIGNALS.name].bulk_write(updates, ordered=False)
