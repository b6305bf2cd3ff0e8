"""Candles smaller than those a market is made of: cut out of the trades of its base candles. Exact, in whole numbers.

One in which nothing traded is a candle too: it has volume 0 and repeats the last price.
"""

import numpy as np

from pipeline.simulator.market.aggregate import SUMS
from pipeline.simulator.market.trades import Tape
from pipeline.simulator.types import KLINE, Klines


def cut(tape: Tape, first: int, until: int, length: int, before: int) -> Klines:
    """The candles of that length that open from `first` until before `until`, all within the candle of that tape.
    `before`: the last price before that one."""
    opened = np.arange(first, until, length, dtype=np.int64)
    prices = np.array([before, *(tick.price for tick in tape.ticks)], dtype=np.int64)
    begun, ended = (1 + np.searchsorted(tape.times, edges) for edges in (opened, opened + length))
    made = np.zeros(len(opened), KLINE)
    made["t"] = opened
    for name in ("open", "high", "low", "close"):
        made[name] = prices[ended - 1]
    traded = np.flatnonzero(ended > begun)
    if len(traded):
        starts, within = begun[traded], prices[: ended[-1]]
        made["open"][traded] = within[starts]
        made["high"][traded] = np.maximum.reduceat(within, starts)
        made["low"][traded] = np.minimum.reduceat(within, starts)
        for name in SUMS:
            so_far = np.concatenate(([0], tape.so_far[name]))
            made[name] = so_far[ended - 1] - so_far[begun - 1]
    return made
