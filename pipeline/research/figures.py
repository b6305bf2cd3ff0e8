"""The figures of a run, one function each, its definition in its first sentence. Pure.

Returns are of marked equity, day by day (UTC), days without a trade included; a year has 365 of them. A figure that so
little data cannot tell is None.
"""

from collections.abc import Sequence
from math import exp, lgamma, log, log1p, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats

DAYS_A_YEAR: Final = 365
FEWEST_DAYS: Final = 30
"""Of fewer days nothing is said about a year."""
FEWEST_TRADES: Final = 2
_TERMS: Final = 400
_TINY: Final = 1e-30
_SAME: Final = 1e-12
_ROUNDING: Final = 1e-9
"""Days that differ by no larger a share of their mean are alike."""


def returns_of(equity: Floats) -> Floats:
    """What each day brought, as a share of what it began with."""
    changes: Floats = equity[1:] / equity[:-1] - 1
    return changes


def total_return(equity: Floats) -> float:
    """The last equity against the first, in percent."""
    return float(equity[-1] / equity[0] - 1) * 100


def yearly_return(equity: Floats) -> float | None:
    """The return that, compounded for a year, is that of these days, in percent (CAGR)."""
    days = len(equity) - 1
    if days < FEWEST_DAYS or equity[-1] <= 0:
        return None
    return float((equity[-1] / equity[0]) ** (DAYS_A_YEAR / days) - 1) * 100


def volatility(daily: Floats) -> float | None:
    """The standard deviation of the daily returns, scaled to a year, in percent."""
    return None if len(daily) < FEWEST_DAYS else float(daily.std(ddof=1)) * sqrt(DAYS_A_YEAR) * 100


def sharpe(daily: Floats) -> float | None:
    """The mean daily return by its standard deviation, scaled to a year; no interest is taken off."""
    if len(daily) < FEWEST_DAYS:
        return None
    deviation = float(daily.std(ddof=1))
    mean = float(daily.mean())
    return None if deviation <= _ROUNDING * abs(mean) else mean / deviation * sqrt(DAYS_A_YEAR)


def sortino(daily: Floats) -> float | None:
    """The mean daily return by the root mean square of the losing days (others count as 0), scaled to a year."""
    if len(daily) < FEWEST_DAYS:
        return None
    downside = sqrt(float(np.mean(np.minimum(daily, 0.0) ** 2)))
    return None if downside == 0 else float(daily.mean()) / downside * sqrt(DAYS_A_YEAR)


def calmar(equity: Floats, deepest: float) -> float | None:
    """The yearly return by the deepest drawdown."""
    yearly = yearly_return(equity)
    return None if yearly is None or deepest == 0 else yearly / deepest


def drawdowns(equity: Floats, lows: Floats | None = None) -> Floats:
    """How far below its highest so far the equity is at each point, in percent. `lows`: how low it went there."""
    peak = np.maximum.accumulate(equity)
    low = equity if lows is None else np.minimum(lows, equity)
    under: Floats = (peak - low) / peak * 100
    return under


def longest_under_water(equity: Floats) -> int:
    """The longest stretch, in points, from a peak until it is reached again, or until the end."""
    peak = np.maximum.accumulate(equity)
    at_peak = np.flatnonzero(equity >= peak)
    return int(np.diff(np.append(at_peak, len(equity) - 1)).max(initial=0))


def profit_factor(profits: Values) -> float | None:
    """What the winners won by what the losers lost; None while nothing was lost."""
    won, lost = _won_and_lost(profits)
    return -float(won.sum()) / float(lost.sum()) if len(lost) else None


def win_rate(profits: Values) -> float | None:
    """The share of trades with a profit, in percent."""
    return len(_won_and_lost(profits)[0]) / len(profits) * 100 if len(profits) else None


def expectancy(profits: Values) -> float | None:
    """What a trade brings on average."""
    return float(np.sum(profits)) / len(profits) if len(profits) else None


def quality(profits: Values) -> float | None:
    """The mean profit of a trade by its standard deviation, times the root of their number (SQN)."""
    if len(profits) < FEWEST_TRADES:
        return None
    deviation = float(np.std(profits, ddof=1))
    return float(np.mean(profits)) / deviation * sqrt(len(profits)) if deviation else None


def kelly(profits: Values) -> float | None:
    """The share of the equity that grows it fastest: the win rate less the loss rate by the ratio of the average win to
    the average loss, in percent."""
    won, lost = _won_and_lost(profits)
    if not len(won) or not len(lost):
        return None
    rate = len(won) / len(profits)
    ratio = (float(won.sum()) / len(won)) / (-float(lost.sum()) / len(lost))
    return (rate - (1 - rate) / ratio) * 100


def longest_streak(profits: Values, *, won: bool) -> int:
    """The most trades won, or lost, one after the other."""
    breaks = (np.asarray(profits, np.float64) > 0) != won
    places = np.flatnonzero(np.concatenate(([True], breaks, [True])))
    return int(np.diff(places).max()) - 1


def _won_and_lost(profits: Values) -> tuple[Floats, Floats]:
    values = np.asarray(profits, np.float64)
    return values[values > 0], values[values < 0]


def chance(profits: Values) -> float | None:
    """How often trades that bring nothing on average would have a mean this far from 0 by chance (p, two-sided)."""
    if len(profits) < FEWEST_TRADES or (deviation := float(np.std(profits, ddof=1))) == 0:
        return None
    free = len(profits) - 1
    t = float(np.mean(profits)) / deviation * sqrt(len(profits))
    return _incomplete_beta(free / (free + t * t), free / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    if x <= 0:
        return 0.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    upper, lower = 1.0, 0.0
    value = 1.0
    for step in range(_TERMS):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / ((1 + term * lower) or _TINY)
        upper = (1 + term / upper) or _TINY
        value *= upper * lower
        if step and abs(1 - upper * lower) < _SAME:
            break
    return front * (value - 1)


def expectancy_ratio(profits: Values) -> float | None:
    """What a trade brings by what a losing one costs, both on average."""
    brings, lost = expectancy(profits), mean_lost(profits)
    return None if brings is None or lost is None else brings / -lost


def mean_won(profits: Values) -> float | None:
    """The mean profit of the trades that won."""
    return expectancy(_won_and_lost(profits)[0])


def mean_lost(profits: Values) -> float | None:
    """The mean profit of the trades that lost: negative."""
    return expectancy(_won_and_lost(profits)[1])


def omega(daily: Floats) -> float | None:
    """What the winning days brought by what the losing days cost."""
    lost = -float(daily[daily < 0].sum())
    return float(daily[daily > 0].sum()) / lost if lost and len(daily) >= FEWEST_DAYS else None


def beta(daily: Floats, market: Floats) -> float | None:
    """By how much a day changes with a day of the symbols: the covariance by the variance of the symbols."""
    if len(daily) < FEWEST_DAYS or (variance := float(market.var(ddof=1))) == 0:
        return None
    return float(np.cov(daily, market)[0, 1]) / variance


def alpha(returned: float, market: float, moves: float | None) -> float | None:
    """The return less what beta times that of the symbols explains, in percent."""
    return None if moves is None else returned - moves * market


def falls(equity: Floats) -> list[tuple[int, int]]:
    """From each peak to where it was reached again, or to the end."""
    first, last, _ = _falls(equity)
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _falls(equity: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Where each begins and ends, and the lowest point of it."""
    peak = np.maximum.accumulate(equity)
    tops = np.append(np.flatnonzero(equity >= peak), len(equity) - 1)
    first, last = tops[:-1], tops[1:]
    lowest = np.minimum(np.minimum.reduceat(equity, first), equity[last])
    fell = lowest < equity[first]
    return first[fell], last[fell], lowest[fell]


def mean_drawdown(equity: Floats) -> float | None:
    """The mean of the deepest points of all falls, in percent."""
    first, _, lowest = _falls(equity)
    return expectancy((1 - lowest / equity[first]) * 100)


def mean_under_water(equity: Floats) -> float | None:
    """The mean length of all falls, in points."""
    first, last, _ = _falls(equity)
    return expectancy((last - first).astype(np.float64))


def deepest_fall(equity: Floats, lows: Floats) -> tuple[int, int]:
    """The points of the peak before the deepest drawdown, and of its bottom."""
    bottom = int(np.argmax(drawdowns(equity, lows)))
    return int(np.argmax(equity[: bottom + 1])), bottom
