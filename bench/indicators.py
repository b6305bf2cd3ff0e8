"""Indicators and strategies: a history against the bare TA-Lib calls, and one live update from window to signals."""

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np
import talib

from bench.table import Row, alternate, rate
from pipeline.indicators import compute
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.signals import LiveSignals
from pipeline.periods import PERIODS, WINDOW, Floats, Integers
from pipeline.strategies import registry, runner
from schemas.series import SeriesKey

GROUP = "indicators and strategies"
ALLOWED = 1.3  # times what the bare calls take
BUDGET = 100.0  # microseconds for a live update
KEY = SeriesKey("sim", "LIVEUSDT", "1m")
_RUN = 100

Prices = tuple[Floats, Floats, Floats]


def run(quick: bool) -> list[Row]:
    """The history, then the present."""
    numbers, prices = history(43_200 if quick else 432_000)
    return [computing(numbers, prices, rounds=9), deciding(numbers, prices), *updating(prices, 500 if quick else 5_000)]


def history(count: int) -> tuple[Integers, Prices]:
    """A random walk with the tick of BTCUSDT: high, low and close."""
    rng = np.random.default_rng(3)
    close = np.round(60_000 * np.exp(np.cumsum(rng.normal(0.0, 0.0008, count))), 1)
    high = np.round(close + rng.exponential(15.0, count), 1)
    low = np.round(close - rng.exponential(15.0, count), 1)
    return np.arange(28_000_000, 28_000_000 + count), (high, low, close)


def bare(prices: Prices) -> tuple[Any, ...]:
    """The same columns as plain TA-Lib calls give them: not equal live, not across a hole."""
    high, low, close = prices
    return (
        talib.RSI(close, PERIODS.rsi),
        talib.MACD(close, PERIODS.macd_fast, PERIODS.macd_slow, PERIODS.macd_signal),
        talib.ATR(high, low, close, PERIODS.atr),
        *(talib.SMA(close, period) for period in PERIODS.sma),
        talib.BBANDS(close, PERIODS.bollinger, PERIODS.bollinger_width, PERIODS.bollinger_width),
    )


def computing(numbers: Integers, prices: Prices, rounds: int) -> Row:
    """All columns of a history."""
    count = len(numbers)
    ours, peer = alternate(
        rounds,
        lambda: rate(count, lambda: compute(numbers, *prices, decimals=1)),
        lambda: rate(count, lambda: bare(prices)),
    )
    return Row(
        group=GROUP,
        name=f"compute {len(PERIODS.columns)} columns, {count:,} candles",
        ours=ours,
        unit="candles/s",
        peer_name="bare TA-Lib calls",
        peer=peer,
        times_peer=1 / ALLOWED,
        note=f"the target allows {ALLOWED:g} times the bare calls' time. Here both wait for fresh memory. Where the "
        "allocator has kept enough of it, the bare calls take a third of that, and ours hardly less: every block is "
        "computed with its warm-up",
    )


def deciding(numbers: Integers, prices: Prices) -> Row:
    """All shipped strategies over a history."""
    columns = compute(numbers, *prices, decimals=1) | {"close": prices[2]}
    strategies = [registry.get(name) for name in registry.SHIPPED]

    def decide() -> None:
        for strategy in strategies:
            runner.run_history(strategy, columns, numbers)

    (ours,) = alternate(3, lambda: rate(len(numbers), decide))
    return Row(group=GROUP, name=f"{len(strategies)} strategies, {len(numbers):,} candles", ours=ours, unit="candles/s")


def updating(prices: Prices, updates: int) -> list[Row]:
    """What the ingester does with a frame: the stored indicators of the window's last candle, then what every strategy
    says of it; each candle once while it is open, and at its close."""
    indicators, signals = LiveIndicators(), LiveSignals([registry.get(name) for name in registry.SHIPPED])
    high, low, close = prices
    candles = np.array([np.concatenate((close[:1], close[:-1])), high, low, close, np.ones(len(close))])
    times: dict[str, list[float]] = {"open": [], "close": [], "indicators": [], "bare": []}
    rng = np.random.default_rng(4)
    for start in rng.integers(WINDOW, len(close) - _RUN, updates // _RUN).tolist():
        series = signals(KEY, 1)
        for end in range(start, start + _RUN):
            first, window = 28_000_000 + end - WINDOW, candles[:, end - WINDOW : end]
            while_open = window.copy()
            while_open[3, -1] = low[end - 1]
            for moment, ask, columns in (("open", series.opened, while_open), ("close", series.closed, window)):
                begun = perf_counter()
                stored = indicators(first, columns, 1)
                computed = perf_counter()
                ask(first, columns, stored)
                ended = perf_counter()
                if end > start:  # the first one looks back, as a start does
                    times[moment].append(ended - begun)
                    times["indicators"].append(computed - begun)
            begun = perf_counter()
            bare((high[end - 601 : end], low[end - 601 : end], close[end - 601 : end]))
            times["bare"].append(perf_counter() - begun)
    return [
        *(
            _microseconds(f"{what}: window to signals, {name}", times[moment], figure, at_most=limit)
            for moment, what in (("open", "live update of the open candle"), ("close", "live update at a close"))
            for name, figure, limit in (("median", median, BUDGET), ("p99", _p99, None))
        ),
        _microseconds(
            "live update: the stored indicators alone, median",
            times["indicators"],
            median,
            peer=median(times["bare"]) * 1e6,
        ),
    ]


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[-1]


def _microseconds(
    name: str,
    times: list[float],
    figure: Callable[[list[float]], float],
    at_most: float | None = None,
    peer: float | None = None,
) -> Row:
    return Row(
        group=GROUP,
        name=name,
        ours=figure(times) * 1e6,
        unit="us",
        at_most=at_most,
        peer=peer,
        peer_name="" if peer is None else "bare TA-Lib calls on 601 candles",
        lower_is_better=True,
    )
