"""Candles nobody traded: deterministic markets of several tempers, for holding a strategy against."""

from dataclasses import dataclass

import numpy as np

from pipeline.indicators import compute
from pipeline.periods import PERIODS, Floats, Integers, Periods
from pipeline.strategies.base import CANDLE_COLUMNS


@dataclass(frozen=True, slots=True)
class Sample:
    """Consecutive candles of one series, and how many decimals its prices have."""

    name: str
    numbers: Integers
    candles: dict[str, Floats]
    decimals: int

    def columns(self, periods: Periods = PERIODS) -> dict[str, Floats]:
        """The candles and every indicator column."""
        high, low, close = (self.candles[name] for name in ("high", "low", "close"))
        return self.candles | compute(self.numbers, high, low, close, decimals=self.decimals, periods=periods)


def samples(count: int = 1_500) -> tuple[Sample, ...]:
    """A calm walk, a wild one, waves, a staircase, a market that hardly moves, and one that stops for hours."""
    rng = np.random.default_rng(20_240_229)
    steps = rng.normal(0.0, 1.0, count)
    time = np.arange(count)
    still = steps * (rng.random(count) < 0.05) * (time % 500 < 400)
    return (
        _sample("walk", 60_000 * np.exp(np.cumsum(steps * 0.001)), 1, rng),
        _sample("wild", 0.0123 * np.exp(np.cumsum(rng.standard_t(3, count) * 0.004)), 6, rng),
        _sample("waves", 100 + 8 * np.sin(time / 17) + 15 * np.sin(time / 90) + steps * 0.2, 2, rng),
        _sample("stairs", 5 + np.abs((time // 40) % 20 - 10) * 0.1 + (time % 40 == 0) * 0.05, 3, rng),
        _sample("quiet", 1 + np.cumsum(still) * 0.0001, 4, rng),
    )


def _sample(name: str, path: Floats, decimals: int, rng: np.random.Generator) -> Sample:
    tick = 10.0**-decimals
    close = np.round(path, decimals)
    opened = np.concatenate((close[:1], close[:-1]))
    moved = np.abs(np.diff(close, prepend=close[0])) > tick / 2
    reach = np.abs(rng.normal(0.0, 1.0, (2, len(close)))) * np.abs(close - opened) * moved
    return Sample(
        name,
        np.arange(1_000, 1_000 + len(close), dtype=np.int64),
        dict(
            zip(
                CANDLE_COLUMNS,
                (
                    opened,
                    np.round(np.maximum(opened, close) + reach[0], decimals),
                    np.maximum(np.round(np.minimum(opened, close) - reach[1], decimals), tick),
                    close,
                    np.round(rng.exponential(100.0, len(close)) * moved, 3),
                ),
                strict=True,
            )
        ),
        decimals,
    )
