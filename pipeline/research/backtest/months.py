"""What each month of a run brought, days without a trade included. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.research.backtest.curve import Curve
from pipeline.research.backtest.trades import Trade
from pipeline.research.figures import drawdowns
from pipeline.timeline import MINUTE, interval, to_datetime


@dataclass(frozen=True, slots=True)
class Month:
    """`return_pct` is of what the month began with; trades count where they ended, all of their profit there."""

    month: str
    return_pct: float
    max_drawdown_pct: float
    trades: int
    profit: float


def months_of(curve: Curve, trades: Sequence[Trade]) -> list[Month]:
    """One after the other; the first and the last may be parts of one."""
    moments = bounds(curve.start, curve.start + len(curve.close) * MINUTE)
    found: list[Month] = []
    begun = curve.begun
    for start, end in pairwise(moments):
        of_it = slice((start - curve.start) // MINUTE, (end - curve.start) // MINUTE)
        close = curve.close[of_it]
        ended = [one for one in trades if one.closed_at is not None and start < one.closed_at <= end]
        equity = np.append(begun, close)
        deepest = float(drawdowns(equity, np.append(begun, curve.worst[of_it])).max())
        profit = float(sum(one.profit for one in ended))
        found.append(
            Month(f"{to_datetime(start):%Y-%m}", float(close[-1] / begun - 1) * 100, deepest, len(ended), profit)
        )
        begun = float(close[-1])
    return found


def bounds(start: int, end: int) -> list[int]:
    """The start, every first of a month after it, and the end."""
    month = interval("1M")
    found = [start]
    while found[-1] < end:
        found.append(min(month.after(found[-1]), end))
    return found
