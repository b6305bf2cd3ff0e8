"""What signals cost beside 10,000, 100,000 and 1,000,000 that are stored, of which the same 5,000 are of this week."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
from pymongo.database import Database

from bench.returns import STEP, fill, price, timed
from bench.store import mongod
from bench.table import Row
from pipeline.store.signals.queries import Asked, Fees, find_signals, performance
from pipeline.store.signals.returns import ReturnStore
from pipeline.timeline import DAY, to_datetime
from schemas.series import SeriesKey
from schemas.signals import SIGNALS, settings_id

GROUP = "scale"
SYMBOLS = 50
DAYS = 300
OF_THIS_WEEK = 5_000
STRATEGIES = ("macd_cross", "ma_order_golden", "macd_turtle", "ma_breakout", "bollinger", "rsi_reversal")
FLAT = 1.5
ROUNDS = 5


def run(quick: bool) -> list[Row]:
    """The same passes and questions at each size; every one ten times the one before."""
    sizes = (2_000, 20_000) if quick else (10_000, 100_000, 1_000_000)
    of_week = OF_THIS_WEEK // 10 if quick else OF_THIS_WEEK
    keys = [SeriesKey("sim", f"S{number}USDT", STEP.code) for number in range(SYMBOLS)]
    rows: list[Row] = []
    with mongod() as database:
        end = fill(database, keys, 30 if quick else DAYS)
        store = ReturnStore(database)
        random = np.random.default_rng(12)
        insert(database, signals(random, keys, end - 7 * DAY, end, of_week, 0, is_settled=False))
        store.refresh("sim")
        stored, minute, first = of_week, 0, 0.0
        for size in sizes:
            start = end - (30 if quick else DAYS) * DAY
            insert(database, signals(random, keys, start, end - 8 * DAY, size - stored, stored, is_settled=True))
            stored = size
            times = []
            for _ in range(ROUNDS):
                minute += 1
                price(database, keys, end, minute)
                times.append(timed(lambda: store.refresh("sim", budget=20_000)))
            took = median(times)
            first = first or took
            rows += [
                _row(f"refresh beside {size:,}: {of_week:,} of the week, {SYMBOLS} symbols", took, "s", FLAT * first),
                _row(f"the same again, no price has moved, {size:,} stored", _again(store), "ms"),
                _row(f"last 20 signals of a symbol, exact, of {size:,}", _last(database, keys[3].symbol), "ms", 5.0),
            ]
        stats = database.command("collStats", SIGNALS.name)
        newest = Asked(exchange="sim", strategy="macd_cross")
        rows += [
            _row(f"performance of {stored:,}", timed(lambda: _performance(database)), "s", 5.0),
            _row(
                f"the 20 best of a strategy at this moment, of {stored:,}",
                timed(lambda: find_signals(database, newest, "return", 20)),
                "s",
            ),
            _row("a signal, uncompressed", stats["avgObjSize"], "bytes"),
        ]
    return rows


def _again(store: ReturnStore) -> float:
    return 1e3 * median(timed(lambda: store.refresh("sim", budget=20_000)) for _ in range(ROUNDS))


def _last(database: Database[dict[str, Any]], symbol: str) -> float:
    asked = Asked(exchange="sim", symbol=symbol)
    return 1e3 * median(timed(lambda: find_signals(database, asked, "at", 20)) for _ in range(20))


def _performance(database: Database[dict[str, Any]]) -> None:
    performance(database, Asked(exchange="sim"), ["strategy"], Fees({}, Decimal("0.05")))


def insert(database: Database[dict[str, Any]], documents: Iterator[dict[str, Any]]) -> None:
    """Ten thousand at a time."""
    while portion := list(islice(documents, 10_000)):
        database[SIGNALS.name].insert_many(portion, ordered=False)


def signals(
    random: np.random.Generator,
    keys: list[SeriesKey],
    start: int,
    end: int,
    count: int,
    begin: int,
    *,
    is_settled: bool,
) -> Iterator[dict[str, Any]]:
    """As the history leaves them, numbered from `begin` on: those that are settled with all their returns."""
    settings = [settings_id(name) for name in STRATEGIES]
    first, last = STEP.index(start) + 1, STEP.index(end)
    ats = random.integers(first, last, count).tolist()
    returns = random.normal(0, 2, (count, 7)).tolist()
    names = ("return_pct", "best_pct", "worst_pct", "return_1h", "return_4h", "return_1d", "return_7d")
    for number, (at, values) in enumerate(zip(ats, returns, strict=True), begin):
        key, strategy = keys[number % len(keys)], number % len(STRATEGIES)
        opened, closed = to_datetime(STEP.open_time(at - 1)), to_datetime(STEP.open_time(at))
        side = "long" if number % 2 else "short"
        yield {
            "_id": f"{key}:{opened:%Y-%m-%dT%H:%M:%SZ}:{STRATEGIES[strategy]}:entry:{side}:{number}",
            "exchange": "sim",
            "symbol": key.symbol,
            "interval": key.interval,
            "strategy": STRATEGIES[strategy],
            "kind": "entry",
            "side": side,
            "candle": opened,
            "at": closed,
            "price": 100.0,
            "strength": 0.5,
            "indicators": {"close": 100.0, "macd": 1.0, "macd_signal": 0.5, "atr": 2.0},
            "settings": settings[strategy],
            "confirmed": True,
            "orders": [],
            "source": "history",
            "created_at": closed,
            "verdict": "expired",
            "reason": "found in the history",
            **(
                dict(zip(names, values, strict=True)) | {"current_price": 100.0, "return_at": closed}
                if is_settled
                else {}
            ),
            **({} if is_settled else {"returns_due": closed + timedelta(hours=1)}),
        }


def _row(name: str, ours: float, unit: str, at_most: float | None = None) -> Row:
    return Row(group=GROUP, name=name, ours=ours, unit=unit, at_most=at_most, lower_is_better=True)
