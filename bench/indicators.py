"""Indicators and strategies: a history against the bare TA-Lib calls, and one live update from window to codes."""

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np
import talib

from bench.table import Row, alternate, rate
from pipeline.indicators import PERIODS, WINDOW, Floats, Integers, compute, tail
from pipeline.strategies import registry, runner

GROUP = "indicators and strategies"
ALLOWED = 1.3  # times what the bare calls take
BUDGET = 100.0  # microseconds for a live update

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
        note=f"the target allows {ALLOWED:g} times the bare calls' time",
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
    """One frame of the open candle: indicators on the window, then every strategy's code at the open candle."""
    strategies = [registry.get(name) for name in registry.SHIPPED]
    keep = 1 + max(strategy.lookback for strategy in strategies)
    rng = np.random.default_rng(4)
    whole: list[float] = []
    indicators: list[float] = []
    calls: list[float] = []
    closing: list[float] = []
    for end in rng.integers(WINDOW, len(prices[0]), updates).tolist():
        high, low, close = (price[end - WINDOW : end].copy() for price in prices)
        first = 28_000_000 + end - WINDOW
        closed = tail(first, high[:-1], low[:-1], close[:-1], decimals=1, keep=keep) | {"close": close[-keep - 1 : -1]}
        begun = perf_counter()
        before = [runner.run(strategy, closed) for strategy in strategies]
        closing.append(perf_counter() - begun)
        begun = perf_counter()
        columns = tail(first, high, low, close, decimals=1, keep=keep)
        computed = perf_counter()
        columns["close"] = close[-keep:]
        for strategy, codes in zip(strategies, before, strict=True):
            runner.last_code(strategy, columns, codes)
        ended = perf_counter()
        bare((high[-601:], low[-601:], close[-601:]))
        calls.append(perf_counter() - ended)
        whole.append(ended - begun)
        indicators.append(computed - begun)
    return [
        _microseconds("live update: window to codes, median", whole, median, at_most=BUDGET),
        _microseconds("live update: window to codes, p99", whole, lambda times: quantiles(times, n=100)[-1]),
        _microseconds("at a close: the codes of the closed window, median", closing, median),
        _microseconds("live update: the indicators alone, median", indicators, median, peer=median(calls) * 1e6),
    ]


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
