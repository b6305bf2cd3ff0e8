"""Live equals history: the same candles, frame by frame through the ingester's core into one database and in one piece
into another, give the same candles, indicators and signals, field by field and to the last bit."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pymongo.database import Database

from pipeline.app.wiring import derivation_of, periods_of, strategies_of
from pipeline.candle import Candle
from pipeline.finding import SAID
from pipeline.ingest.core import Core
from pipeline.ingest.events import Answer, FetchCandles, FinerPrices
from pipeline.ingest.history import Opening, open_series
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.signals import LiveSignals
from pipeline.ingest.telemetry import Metrics
from pipeline.ingest.window import Recipe
from pipeline.ingest.writer import Writer
from pipeline.settings import Indicators, Settings
from pipeline.store import connect
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from pipeline.strategies import registry
from pipeline.strategies.synthetic import samples
from pipeline.timeline import DAY, HOUR, MINUTE, Window, interval
from schemas.series import SeriesKey
from tests.history.house import described

RECORDED = Path(__file__).parents[3] / "shared" / "realdata" / "btcusdt_perp_1h_2023-12_2024-12.feather"
LIVE, PAST = SeriesKey("sim", "BTCUSDT", "1h"), SeriesKey("binance-um", "BTCUSDT", "1h")
STEP = interval("1h")
DECIMALS = 6

AS_SHIPPED = Settings()
TUNED = Settings(
    indicators=Indicators(rsi=10, macd_fast=8, macd_slow=21, atr_kind="simple"),
    strategy_parameters={
        "macd_cross": {"average": 30},
        "ma_breakout": {"n": 33},
        "ma_order_golden": {"short": 5, "mid": 13, "long": 45, "memory": 40},
        "macd_turtle": {"short": 5, "mid": 13, "long": 45, "criterion": "both", "small": 0.01, "adds": 3, "memory": 90},
        "rsi_reversal": {"low": 40, "high": 65},
    },
)


def recorded() -> list[Candle]:
    if not RECORDED.exists():
        pytest.skip(f"the recorded candles are not here: {RECORDED}")
    table = pl.read_ipc(RECORDED.read_bytes())
    times = (table["date"].dt.epoch("ms")).to_list()
    return [closed(t, *prices) for t, prices in zip(times, table.drop("date").iter_rows(), strict=True)]


def made_up() -> list[Candle]:
    """A wild market of 2,600 hours, in which the exchange lacks four stretches."""
    market = samples(2_600)[1]
    rows = zip(*(market.candles[name].tolist() for name in ("open", "high", "low", "close", "volume")), strict=True)
    every = [closed(STEP.open_time(400_000 + place), *row) for place, row in enumerate(rows)]
    lacking = {300, 301, *range(1_200, 1_230), 1_260, 2_100}
    return [candle for place, candle in enumerate(every) if place not in lacking]


def finer_later() -> list[Candle]:
    """The same market; in the middle of it a few prices have a decimal more, and one is no price."""
    candles = made_up()
    for place, close in ((1_500, 0.0123456789), (1_501, 7.1234567), (1_900, 0.1 + 0.2)):
        one = candles[place]
        candles[place] = one._replace(close=close, high=max(one.high, close), low=min(one.low, close))
    return candles


def closed(t: int, opened: float, high: float, low: float, close: float, volume: float) -> Candle:
    said = STEP.after(t) + 40
    return Candle(t, opened, high, low, close, volume, volume * close, 9, volume / 2, volume * close / 2, True, said)


def while_open(candle: Candle) -> Iterator[Candle]:
    """How the candle looked before it closed."""
    middle = round((candle.high + candle.low) / 2, DECIMALS)
    for minute, price in ((1, candle.open), (20, middle)):
        high, low = max(candle.open, price), min(candle.open, price)
        yield candle._replace(high=high, low=low, close=price, closed=False, u=candle.t + minute * MINUTE)


@dataclass
class Exchange:
    """What truly happened, for REST to tell."""

    candles: dict[int, Candle]
    now: int = 0

    def klines(self, window: Window) -> tuple[Candle, ...]:
        return tuple(
            c for t, c in self.candles.items() if window.start <= t <= window.end and STEP.after(t) <= self.now
        )


class Ingesting:
    """The ingester without its sockets: the core, the writer, and restarts."""

    def __init__(self, settings: Settings, exchange: Exchange, db: Database[Any], asynchronous: Any) -> None:
        self.strategies = strategies_of(settings)
        self.periods = periods_of(settings, self.strategies)
        self.exchange = exchange
        self.store = CandleStore(db)
        self.symbols = SymbolStore(db)
        self.asynchronous = asynchronous
        self.holes = 0
        self.derivation = derivation_of(settings, db)
        self.is_finer = self.owes = False

    def start(self) -> None:
        self.core = Core(
            Recipe(
                LiveIndicators(self.periods),
                self.periods.window,
                LiveSignals(self.strategies, self.periods),
                shows_open=True,
            )
        )
        self.writer = Writer(
            self.core,
            self.asynchronous,
            Metrics(),
            every=1,
            write_timeout=60,
            refill=lambda: None,
            now=lambda: self.exchange.now,
            corrected=lambda _: None,
        )
        found = open_series(self.store, LIVE, holes=(), window=self.periods.window, now=self.exchange.now)
        begun = found or Opening(min(self.exchange.candles) - HOUR)
        known = self.symbols.get(LIVE.exchange, LIVE.symbol)
        assert known is not None
        self.core.watch(LIVE, settled=begun.settled, history=begun.history, ahead=begun.ahead, decimals=known.decimals)
        self.core.connected([LIVE], self.exchange.now)

    def tend(self) -> None:
        self.core.time(self.exchange.now)
        for effect in self.core.effects():
            if isinstance(effect, FetchCandles):
                told = self.exchange.klines(effect.window)
                self.core.answer(Answer(LIVE, effect.window, told, self.exchange.now), self.exchange.now)
            elif isinstance(effect, FinerPrices):
                self.is_finer = self.owes = True
                for exchange in (LIVE.exchange, PAST.exchange):
                    self.symbols.note_finest(exchange, LIVE.symbol, effect.decimals)
            else:
                self.holes += 1

    async def run(self, chance: random.Random, *, restarts: float, flush_every: int) -> None:
        """Every frame of every candle; now and then the process is killed with what it had not written."""
        self.start()
        for place, candle in enumerate(self.exchange.candles.values()):
            for frame in (*while_open(candle), candle):
                self.exchange.now = frame.u
                self.core.frame(LIVE, frame, frame.u)
            self.exchange.now += MINUTE
            self.tend()
            if place % flush_every == 0:
                await self.flush()
            if chance.random() < restarts:
                self.start()
                self.tend()
        self.exchange.now += MINUTE
        self.tend()
        await self.flush()

    async def flush(self) -> None:
        assert await self.writer.flush()
        if self.owes:
            await asyncio.to_thread(self.derivation.bring_up, LIVE, self.exchange.now)
            self.owes = False


def in_one_piece(settings: Settings, db: Database[Any], candles: list[Candle]) -> None:
    times = pl.Datetime("ms", "UTC")
    table = pl.DataFrame(candles, schema=list(Candle._fields), orient="row", infer_schema_length=None)
    ends = pl.col("t").map_elements(STEP.close_time, return_dtype=pl.Int64)
    table = table.with_columns(ends.alias("te")).with_columns(pl.col("t", "te", "u").cast(times))
    CandleStore(db).replace_closed(PAST, table)
    derived = derivation_of(settings, db).bring_up(PAST, max(candle.u for candle in candles) + DAY)
    assert derived.candles == len(candles)


def stored_candles(db: Database[Any], key: SeriesKey) -> pl.DataFrame:
    return CandleStore(db).load(key, 0, 1 << 41)


def stored_signals(db: Database[Any], key: SeriesKey) -> list[dict[str, Any]]:
    stored = db["signals"].find({"exchange": key.exchange, "confirmed": True}, dict.fromkeys(SAID, 1)).sort("_id", 1)
    texts = {one["_id"]: one["text"] for one in db["signal_settings"].find()}
    found = [one | {"settings": texts[one["settings"]]} for one in stored]
    return [
        {name: value for name, value in one.items() if name != "exchange"} | {"_id": one["_id"].removeprefix(str(key))}
        for one in found
    ]


def recorded_lately() -> list[Candle]:
    return recorded()[-3_000:]


@pytest.mark.parametrize(
    ("settings", "market", "restarts", "flush_every", "holes", "at_least"),
    [
        pytest.param(AS_SHIPPED, recorded, 0.0, 150, 0, 3_000, id="recorded"),
        pytest.param(AS_SHIPPED, recorded_lately, 0.01, 150, 0, 1_000, id="recorded, restarted"),
        pytest.param(TUNED, made_up, 0.03, 40, 4, 400, id="made up, with holes, restarted, other parameters"),
        pytest.param(
            AS_SHIPPED, finer_later, 0.01, 40, 4, 400, id="made up, prices that grow finer, and one that is none"
        ),
    ],
)
async def test_live_equals_history(
    db: Database[Any],
    mongo_uri: str,
    settings: Settings,
    market: Callable[[], list[Candle]],
    restarts: float,
    flush_every: int,
    holes: int,
    at_least: int,
) -> None:
    prepare(db)
    SymbolStore(db).save([described("sim"), described("binance-um")])
    candles = market()
    asynchronous = connect.async_client(mongo_uri)
    live = Ingesting(settings, Exchange({candle.t: candle for candle in candles}), db, asynchronous[db.name])
    await live.run(random.Random(7), restarts=restarts, flush_every=flush_every)
    await connect.close(asynchronous)
    assert live.is_finer is (market is finer_later)
    in_one_piece(settings, db, candles)

    ours, theirs = stored_candles(db, LIVE), stored_candles(db, PAST)
    assert ours.height == len(candles)
    for name in ours.columns:
        np.testing.assert_array_equal(ours[name].to_numpy(), theirs[name].to_numpy(), name)
    assert stored_signals(db, LIVE) == stored_signals(db, PAST)
    assert len(stored_signals(db, LIVE)) > at_least
    said_with = {one["strategy"]: one["settings"] for one in stored_signals(db, LIVE)}
    assert said_with.keys() == set(registry.SHIPPED)
    assert ("ma_breakout(n=33) on " in said_with["ma_breakout"]) is (settings is TUNED)
    assert live.holes >= holes
