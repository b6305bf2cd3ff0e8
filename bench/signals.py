"""Indicators and signals of stored history: load, compute, write back. And a closing frame until its signal is kept."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import polars as pl
from pymongo.database import Database

from bench.table import Row
from pipeline.candle import Candle
from pipeline.history import indicators, signals
from pipeline.history.derive import Derivation, Derived
from pipeline.ingest.core import Core
from pipeline.ingest.events import ClosedCandles
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.signals import LiveSignals
from pipeline.ingest.telemetry import Metrics
from pipeline.ingest.window import Recipe
from pipeline.ingest.writer import Writer
from pipeline.periods import PERIODS, WINDOW
from pipeline.store import connect
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.signals.write import SignalStore
from pipeline.store.symbols import SymbolStore
from pipeline.strategies import registry
from pipeline.strategies.base import Codes, Kind, Prices, Strategy
from pipeline.timeline import DAY, interval
from schemas.series import SeriesKey
from tests.contracts import contract

GROUP = "signals"
STEP = interval("15m")
END = STEP.bucket(1_760_000_000_000).start
DECIMALS = 4
LIVE = SeriesKey("sim", "LIVEUSDT", STEP.code)

PARTS: list[tuple[str, Any, str]] = [
    ("load candles", CandleStore, "load"),
    ("compute indicators", indicators, "compute"),
    ("write indicators", CandleStore, "set_indicators"),
    ("run strategies", signals, "run_history"),
    ("describe signals", signals, "findings"),
    ("write signals", SignalStore, "reconcile"),
]


def run(quick: bool) -> list[Row]:
    """The past, then the present."""
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=1.0, oplog_mb=990))
        with server.running() as uri, connect.client(uri) as client:
            prepare(client["bench"])
            past = history(client["bench"], 4 if quick else 50, 30 if quick else 300)
            return [*past, *asyncio.run(present(uri, 200 if quick else 1_000))]


# --- the past ------------------------------------------------------------------------------------------------------


class Stopwatch:
    """How long each part took, all threads together."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((name for name, _, _ in PARTS), 0.0)
        self._lock = threading.Lock()

    def around(self, name: str, truly: Callable[..., Any]) -> Callable[..., Any]:
        """The same, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            began = perf_counter()
            try:
                return truly(*arguments, **options)
            finally:
                with self._lock:
                    self.seconds[name] += perf_counter() - began

        return timed


def history(database: Database[dict[str, Any]], series: int, days: int) -> list[Row]:
    """Everything for the first time, its parts, and a fifth of it once more when nothing has changed."""
    keys = [SeriesKey("sim", f"S{number}USDT", STEP.code) for number in range(series)]
    count = days * DAY // STEP.after(0)
    fill(database, keys, count)
    derivation = Derivation(database, [registry.get(name) for name in registry.SHIPPED], PERIODS)
    watch = Stopwatch()
    patches = [patch.object(where, name, watch.around(part, getattr(where, name))) for part, where, name in PARTS]
    for one in patches:
        one.start()
    first, reports = timed(lambda: derivation.bring_up_all(keys, END))
    for one in patches:
        one.stop()
    fifth = keys[: -(-series // 5)]
    again, _ = timed(lambda: derivation.bring_up_all(fifth, END, anew=True))
    candles, found = sum(one.candles for one in reports), sum(one.signals.added for one in reports)
    whole = sum(watch.seconds.values())
    return [
        _row(f"load, compute, write back: {series} series x {days} days of 15m", candles / first, "candles/s"),
        _row(f"the same, {found:,} signals written with it", found / first, "signals/s"),
        _row(
            f"the same again for {len(fifth)} of the series, nothing differs", len(fifth) * count / again, "candles/s"
        ),
        *(_row(f"share of the time: {name}", 100 * spent / whole, "%") for name, spent in watch.seconds.items()),
    ]


def fill(database: Database[dict[str, Any]], keys: list[SeriesKey], count: int) -> None:
    """A random walk in each series, on whole ticks."""
    SymbolStore(database).save(contract(key.symbol, exchange=key.exchange, price_precision=DECIMALS) for key in keys)
    random = np.random.default_rng(11)
    t = END + (np.arange(count) - count) * STEP.after(0)
    for key in keys:
        close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.003, count))), DECIMALS)
        columns: dict[str, Any] = dict.fromkeys(FRAME_SCHEMA, np.full(count, np.nan))
        columns |= dict.fromkeys(("volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote"), close)
        opened = np.concatenate((close[:1], close[:-1]))
        high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
        columns |= {"open": opened, "close": close, "high": np.round(high, DECIMALS), "low": np.round(low, DECIMALS)}
        columns |= {"t": t, "te": t + STEP.after(0) - 1, "u": t + STEP.after(0), "closed": np.ones(count, np.bool_)}
        frame = pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
        CandleStore(database).replace_closed(key, frame)


def timed(work: Callable[[], list[Derived]]) -> tuple[float, list[Derived]]:
    """Seconds, and what came of it."""
    began = perf_counter()
    done = work()
    return perf_counter() - began, done


# --- the present ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Every:
    """Says something at every candle, so that every close can be timed."""

    name: ClassVar[str] = "every"
    needs: ClassVar[tuple[str, ...]] = ("close", "rsi")
    lookback: ClassVar[int] = 0

    def signals(self, columns: Prices) -> Codes:
        return np.full(len(columns["close"]), int(Kind.ENTRY), dtype=np.int8)


async def present(uri: str, closes: int) -> list[Row]:
    """From a closing frame, decoded, to the acknowledged write of its candle and then of its signals."""
    client = connect.async_client(uri)
    strategies: list[Strategy] = [*(registry.get(name) for name in registry.SHIPPED), Every()]
    core = Core(Recipe(LiveIndicators(), WINDOW, LiveSignals(strategies)))
    writer = Writer(
        core,
        client["bench"],
        Metrics(),
        every=1.0,
        write_timeout=10.0,
        refill=lambda: None,
        now=lambda: END,
        corrected=lambda _: None,
    )
    market = list(candles(WINDOW + closes))
    core.watch(LIVE, settled=market[WINDOW - 1].t, history=ClosedCandles.of(market[:WINDOW]), decimals=DECIMALS)
    await writer.flush()
    deciding: list[float] = []
    stored: list[float] = []
    for candle in market[WINDOW:]:
        began = perf_counter()
        core.frame(LIVE, candle, candle.u)
        deciding.append(perf_counter() - began)
        await writer.flush()
        stored.append(perf_counter() - began)
    found = await client["bench"]["signals"].count_documents({"source": "live"})
    await connect.close(client)
    if found < closes:
        raise RuntimeError(f"{found} signals were stored after {closes} closes that each had one")
    return [
        _row("closing frame to its signal in MongoDB, p50", 1e3 * median(stored), "ms", lower=True),
        _row("closing frame to its signal in MongoDB, p99", 1e3 * quantiles(stored, n=100)[-1], "ms", lower=True),
        _row("of it: book, indicators, seven strategies, p50", 1e3 * median(deciding), "ms", lower=True),
    ]


def candles(count: int) -> Iterator[Candle]:
    """Closed candles of a random walk."""
    random = np.random.default_rng(12)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.003, count))), DECIMALS).tolist()
    opened = close[0]
    for place, price in enumerate(close):
        t = END + place * STEP.after(0)
        high, low = max(opened, price), min(opened, price)
        yield Candle(t, opened, high, low, price, 1.0, price, 1, 0.5, price / 2, True, STEP.after(t))
        opened = price


def _row(name: str, ours: float, unit: str, *, lower: bool = False) -> Row:
    return Row(group=GROUP, name=name, ours=ours, unit=unit, lower_is_better=lower)
