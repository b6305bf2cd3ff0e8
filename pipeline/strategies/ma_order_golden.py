"""Short, mid and long averages: the trend was down and now is up, or the other way. The beginning of a trend."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import REACH, all_rising, at_least, before, in_order, last_true, side, way_of
from pipeline.strategies.ranges import searched


@dataclass(frozen=True, slots=True)
class MaOrderGolden:
    """An entry at the turn of a trend, once a turn.

    - The trend is up where the short average is above the mid one and short, mid and long all rise; it is down in the
      mirror of that. In between there is none.
    - Long: the first candle of an up trend after a down trend. So the short average has crossed the mid one, all three
      have turned, and the signal comes with whichever was last, at most `memory` candles after the trend was down.
    - Short: the mirror, the first candle of a down trend after an up trend.
    - Not again before the trend has been the other way: a pause in which the short average dips below the mid one and
      crosses it again is no turn.
    """

    name: ClassVar[str] = "ma_order_golden"
    edition: ClassVar[int] = 2

    short: int = searched(7, range(3, 22, 2))
    mid: int = searched(20, range(10, 51, 5))
    long: int = searched(60, range(30, 121, 15))
    memory: int = searched(60, range(20, 121, 20))

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
        short, mid, _ = lines = [columns[name][-3:].tolist() for name in self.needs]
        way = way_of(lines, -1)
        if way == 0 or way * (short[-1] - mid[-1]) < 0:
            return False
        went_on = len(short) == 3 and way_of(lines, -2) == way and way * (short[-2] - mid[-2]) > 0
        return not went_on

    def signals(self, columns: Prices) -> Codes:
        short, mid, long = (columns[name] for name in self.needs)
        trend = all_rising(short, mid, long)
        trend = trend * (trend == side(short - mid))
        last = before(last_true(trend != 0))
        turns = (last >= 0) & (np.arange(len(trend)) - last <= self.memory) & (trend * trend[last] < 0)
        codes = np.zeros(len(trend), dtype=np.int8)
        codes[turns] = trend[turns] * np.int8(Kind.ENTRY)
        return codes
