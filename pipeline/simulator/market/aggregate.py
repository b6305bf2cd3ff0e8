"""Small candles into large ones: exact, in whole numbers. Never fills a gap."""

import numpy as np
import numpy.typing as npt

from pipeline.simulator.types import KLINE, Klines
from pipeline.timeline import DAY, Interval

SUMS = ("volume", "quote", "trades", "taker_base", "taker_quote")


def aggregate(candles: Klines, interval: Interval) -> Klines:
    """The candles of `interval` that those candles, in order, make up."""
    if not len(candles):
        return candles.copy()
    opened = _floor(candles["t"], interval)
    starts = np.flatnonzero(np.diff(opened, prepend=opened[0] - 1))
    made = np.empty(len(starts), KLINE)
    made["t"], made["open"] = opened[starts], candles["open"][starts]
    made["close"] = candles["close"][np.append(starts[1:], len(candles)) - 1]
    made["high"] = np.maximum.reduceat(candles["high"], starts)
    made["low"] = np.minimum.reduceat(candles["low"], starts)
    for name in SUMS:
        made[name] = np.add.reduceat(candles[name], starts)
    return made


def whole(candles: Klines, opened: int) -> Klines:
    """All those candles as the one that opens at `opened`."""
    made = np.empty(1, KLINE)
    made["t"], made["open"], made["close"] = opened, candles["open"][0], candles["close"][-1]
    made["high"], made["low"] = candles["high"].max(), candles["low"].min()
    for name in SUMS:
        made[name] = candles[name].sum()
    return made


def _floor(times: npt.NDArray[np.int64], interval: Interval) -> npt.NDArray[np.int64]:
    if interval.milliseconds is not None:
        return times - (times - interval.origin) % interval.milliseconds
    months = times.astype("M8[ms]").astype("M8[M]")
    first_days: npt.NDArray[np.int64] = months.astype("M8[D]").astype(np.int64) * DAY
    return first_days
