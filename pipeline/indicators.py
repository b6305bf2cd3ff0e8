"""Indicator columns from candles: RSI, MACD, averages, ATR and Bollinger bands. Numbers in, numbers out.

The law of this module: **the value at a candle is a function of the candles near it, not of where the caller's data
happen to begin**. So the live window, the whole history and a repaired day give the same doubles, to the last bit:

- Averages and bands are computed on prices as whole ticks, with exact integer sums.
- RSI, MACD and Wilder's ATR never forget, so TA-Lib is started anew at fixed places: a candle whose number
  (`Interval.index`) lies in block `number // block` is computed from `settle` candles before that block. After that
  warm-up the value equals TA-Lib's over the full history; where it would not (a market that stands still for hours) it
  is still one value, not two.
- The simple ATR adds up its true ranges anew at each candle, from the oldest to the newest.
- A hole or the first listing is a beginning: the warm-up starts there again, and is NaN.

It never guesses a number, never fills a hole, and does no I/O. `docs/strategies.md` has the measurements.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import talib

from pipeline.errors import TidemarkError
from pipeline.periods import PERIODS, TAIL, Columns, Floats, Integers, Periods

_CHUNK: Final = 16_384  # averages are worked in pieces that stay in the processor's cache


class PriceScaleError(TidemarkError):
    """A close is not a whole number of ticks: the caller gave too few decimals for this symbol."""


def compute(
    numbers: Integers, high: Floats, low: Floats, close: Floats, *, decimals: int, periods: Periods = PERIODS
) -> Columns:
    """Every column over a history. `numbers` are the candles' numbers, ascending; where one is missing is a hole."""
    if not math.isfinite(high.sum() + low.sum() + close.sum()):
        raise ValueError("a price is not a number: leave that candle out, so that it counts as a hole")
    out = np.empty((len(periods.columns), len(close)))
    for begin, end in segments(numbers):
        part = slice(begin, end)
        _fill(out[:, part], int(numbers[begin]), (high[part], low[part], close[part]), decimals, periods)
    return dict(zip(periods.columns, out, strict=True))


def tail(
    first: int,
    high: Floats,
    low: Floats,
    close: Floats,
    *,
    decimals: int,
    periods: Periods = PERIODS,
    keep: int = TAIL,
) -> Columns:
    """The last `keep` values of every column: what `compute` gives for those candles over any history.

    The window starts at candle number `first`, has no hole, and holds either `periods.window` candles or all there are
    since the listing or the last hole.
    """
    keep = min(keep, len(close), TAIL)
    out = np.empty((len(periods.columns), keep))
    _fill(out, first, (high, low, close), decimals, periods)
    return dict(zip(periods.columns, out, strict=True))


def newest(
    first: int, high: Floats, low: Floats, close: Floats, *, decimals: int, periods: Periods = PERIODS
) -> tuple[float, ...]:
    """The last value of every column but the bands, in the order of `periods.columns`: what `tail` gives, for the live
    side that needs nothing else many thousand times a second. The window is as `tail` wants it."""
    block = (first + len(close) - 1) // periods.block
    begin = max(0, block * periods.block - periods.settle - first)
    since = close[begin:]
    ranging = slice(begin if periods.atr_kind == "wilder" else -periods.atr - 1, None)  # the mean needs no more
    macd, signal, histogram = talib.MACD(since, periods.macd_fast, periods.macd_slow, periods.macd_signal)
    ticks = _ticks(close[-max(periods.lengths) :], decimals).tolist()
    scale = 10.0**decimals
    return (
        float(talib.RSI(since, periods.rsi)[-1]),
        float(macd[-1]),
        float(signal[-1]),
        float(histogram[-1]),
        float(_atr((high[ranging], low[ranging], close[ranging]), periods)[-1]),
        *(float(sum(ticks[-length:])) / length / scale if len(ticks) >= length else math.nan for length in periods.sma),
    )


def average(numbers: Integers, close: Floats, length: int, *, decimals: int) -> Floats:
    """One average over a history: what `compute` gives, for whoever needs many that are not all known beforehand."""
    out = np.full(len(close), np.nan)
    for begin, end in segments(numbers):
        if end - begin >= length:
            ticks = _ticks(close[begin:end], decimals)
            sums = _sums(ticks, length - 1, (length,))[0]
            out[begin + length - 1 : end] = sums / float(length) / 10.0**decimals
    return out


def newest_average(close: Floats, length: int, *, decimals: int) -> float:
    """The last value of an average: what `tail` gives."""
    if len(close) < length:
        return math.nan
    return float(sum(_ticks(close[-length:], decimals).tolist())) / length / 10.0**decimals


def newest_bands(close: Floats, *, decimals: int, periods: Periods = PERIODS) -> tuple[float, float, float]:
    """The last values of the bands, upper, middle, lower: what `tail` gives."""
    length = periods.bollinger
    if len(close) < length:
        return math.nan, math.nan, math.nan
    ticks = _ticks(close[-length:], decimals).tolist()
    total, scale = sum(ticks), 10.0**decimals
    spread = length * sum(tick * tick for tick in ticks) - total * total
    half = math.sqrt(spread) * (periods.bollinger_width / length)
    middle = float(total) / length
    return (middle + half) / scale, middle / scale, (middle - half) / scale


def segments(numbers: Integers) -> list[tuple[int, int]]:
    """Runs of consecutive candles, as positions."""
    if not len(numbers):
        return []
    steps = np.diff(numbers)
    breaks = np.flatnonzero(steps != 1)
    backwards = breaks[steps[breaks] < 1]
    if len(backwards):
        at = int(backwards[0])
        raise ValueError(f"candle {numbers[at + 1]} follows candle {numbers[at]}: sort the candles and drop repeats")
    bounds = [0, *(breaks + 1).tolist(), len(numbers)]
    return list(pairwise(bounds))


def _fill(out: Floats, first: int, prices: tuple[Floats, Floats, Floats], decimals: int, periods: Periods) -> None:
    """Compute the last `out.shape[1]` candles of one run without a hole."""
    close = prices[2]
    since = len(close) - out.shape[1]
    _exponential(out[:5], since, first, prices, periods)
    for start in range(since, len(close), _CHUNK):
        stop = min(start + _CHUNK, len(close))
        _moving(out[5:, start - since : stop - since], start, close[:stop], decimals, periods)


def _exponential(out: Floats, since: int, first: int, prices: tuple[Floats, Floats, Floats], periods: Periods) -> None:
    """RSI, MACD and ATR, each block from the beginning of the block before it."""
    for begin, start, stop in _runs(first, since, len(prices[2]), periods):
        high, low, close = (price[begin:stop] for price in prices)
        rows = (
            talib.RSI(close, periods.rsi),
            *talib.MACD(close, periods.macd_fast, periods.macd_slow, periods.macd_signal),
            _atr((high, low, close), periods),
        )
        for row, values in zip(out[:, start - since : stop - since], rows, strict=True):
            row[:] = values[start - begin :]


def _atr(prices: tuple[Floats, Floats, Floats], periods: Periods) -> Floats:
    """The average true range."""
    if periods.atr_kind == "wilder":
        wilder: Floats = talib.ATR(*prices, periods.atr)
        return wilder
    high, low, close = prices
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    total = np.zeros(max(0, len(close) - periods.atr))
    for place in range(periods.atr):
        total += ranges[place : place + len(total)]
    mean = np.full(len(close), np.nan)
    mean[periods.atr :] = total / periods.atr
    return mean


def _runs(first: int, since: int, count: int, periods: Periods) -> Iterator[tuple[int, int, int]]:
    """(where TA-Lib begins, first value wanted, end), as positions in a run of candles numbered from `first`."""
    start = since
    while start < count:
        block = (first + start) // periods.block
        begin = max(0, block * periods.block - periods.settle - first)
        if begin == 0:
            block = (first + periods.settle) // periods.block  # the last block to begin here: one call does them all
        stop = min(count, (block + 1) * periods.block - first)
        yield begin, start, stop
        start = stop


def _moving(out: Floats, start: int, close: Floats, decimals: int, periods: Periods) -> None:
    """Averages and bands of the closes from `start` on."""
    lengths = periods.lengths
    origin = max(0, start + 1 - max(lengths))
    ticks = _ticks(close[origin:], decimals)
    wanted = start - origin
    sums = _sums(ticks, wanted, lengths)
    np.divide(sums, periods.divisors, out=out[:-2])
    half = np.sqrt(_spread(ticks, sums[-1], wanted, periods.bollinger))
    half *= periods.bollinger_width / periods.bollinger
    upper, middle, lower = out[-3:]
    middle[:] = upper  # the divide left the average of the last length in the row of the upper band
    np.subtract(middle, half, out=lower)
    upper += half
    out /= 10.0**decimals
    if wanted < max(lengths) - 1:
        for row, length in zip(out, (*lengths, periods.bollinger, periods.bollinger), strict=True):
            row[: max(0, length - 1 - wanted)] = np.nan


def _ticks(close: Floats, decimals: int) -> Integers:
    """Prices as whole ticks. A price in decimals is the double nearest to ticks / 10^decimals, so this is exact."""
    scale = 10.0**decimals
    ticks = np.rint(close * scale)
    off = ticks / scale != close
    if np.count_nonzero(off):
        raise PriceScaleError(
            f"close {float(close[off][0])!r} is not a whole number of ticks at {decimals} decimals: "
            "give the number of decimals of the symbol's prices (also of its older ones)"
        )
    return ticks.astype(np.int64)


def _running(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Running totals, before the first value and after each. Integers: even a total that wraps differs exactly."""
    total = np.zeros(len(values) + 1, dtype=values.dtype)
    values.cumsum(out=total[1:])
    return total


def _sums(ticks: Integers, wanted: int, lengths: tuple[int, ...]) -> Integers:
    """A row of sums for each window length, from position `wanted` on; 0 before the first full window."""
    total = _running(ticks)
    sums = np.zeros((len(lengths), len(ticks) - wanted), dtype=np.int64)
    for row, length in zip(sums, lengths, strict=True):
        full = max(wanted, length - 1)
        if full < len(ticks):
            np.subtract(total[full + 1 :], total[full + 1 - length : -length], out=row[full - wanted :])
    return sums


def _spread(ticks: Integers, sums: Integers, wanted: int, length: int) -> Floats:
    """The variance of each window, times the length squared: a whole number, rounded to a double once.

    64-bit arithmetic wraps on the way, which does no harm while the result itself fits; beyond that, Python's integers.
    """
    spread = np.zeros(len(sums))
    full = max(wanted, length - 1)
    near: npt.NDArray[Any] = ticks[full + 1 - length :]
    if full >= len(ticks):
        return spread
    whole: npt.NDArray[Any] = sums[full - wanted :]
    highest = int(near.max())
    if length * highest >= 2**32 and length * (highest - int(near.min())) >= 2**32:
        near, whole = near.astype(object), whole.astype(object)
    squares = _running(near * near)
    spread[full - wanted :] = length * (squares[length:] - squares[:-length]) - whole * whole
    return spread
