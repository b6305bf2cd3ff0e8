"""Short average crosses mid while short, mid and long all turn: the beginning of a trend."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import REACH, all_rising, at_least, before, crossing, in_order, last_true, may_cross


@dataclass(frozen=True, slots=True)
class MaOrderGolden:
    """An entry at the turn of a trend, once a turn.

    - Long: the short average crosses above the mid one while short, mid and long all rise.
    - Short: its mirror, short crosses below mid while all three fall.
    - Only at the turn: within the last `memory` candles the averages stood in the old order (for a long, from the top:
      long, mid, short; for a short, from the top: short, mid, long).
    - Not again until the order has changed: since they last stood so, there was no such cross yet.
    """

    name: ClassVar[str] = "ma_order_golden"

    short: int = 7
    mid: int = 20
    long: int = 60
    memory: int = 60

    def __post_init__(self) -> None:
        in_order(self.name, self.short, self.mid, self.long)
        at_least(self.name, memory=(self.memory, 1))

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"sma{self.short}", f"sma{self.mid}", f"sma{self.long}")

    @property
    def lookback(self) -> int:
        return self.memory + REACH + 1

    def may_signal(self, columns: Prices, _before: Codes) -> bool:
        short, mid = columns[f"sma{self.short}"][-2:].tolist(), columns[f"sma{self.mid}"][-2:].tolist()
        return may_cross(short[0] - mid[0], short[1] - mid[1])

    def signals(self, columns: Prices) -> Codes:
        short, mid, long = (columns[name] for name in self.needs)
        crossed = crossing(short - mid)
        codes = np.zeros(len(short), dtype=np.int8)
        if not crossed.any():
            return codes
        turned = crossed * (crossed == all_rising(short, mid, long))
        old_order_of_long = (long > mid) & (mid > short)
        old_order_of_short = (short > mid) & (mid > long)
        for sign, old_order in ((1, old_order_of_long), (-1, old_order_of_short)):
            turns = turned == sign
            ordered, turned_before = before(last_true(old_order)), before(last_true(turns))
            recent = (ordered >= 0) & (np.arange(len(short)) - ordered <= self.memory)
            codes[turns & recent & (turned_before < ordered)] = sign * Kind.ENTRY
        return codes
