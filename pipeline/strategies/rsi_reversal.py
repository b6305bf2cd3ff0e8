"""The RSI leaves an extreme."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.errors import UsageError
from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import REACH, coded, crossing, may_cross
from pipeline.strategies.ranges import searched, steps

_NO_MOVE = (0.0, 100.0)


@dataclass(frozen=True, slots=True)
class RsiReversal:
    """An entry where the RSI leaves the oversold or the overbought zone.

    - Long: the RSI was below `low` and is now above it. Short: it was above `high` and is now below it.
    - An RSI of exactly 0 or 100 has seen no move the other way (a market that stands still has 0): it says nothing.
    """

    name: ClassVar[str] = "rsi_reversal"

    low: float = searched(30.0, steps(15, 45, 2.5))
    high: float = searched(70.0, steps(55, 85, 2.5))

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < 100:
            raise UsageError(f"{self.name}: 0 < low < high < 100, but low is {self.low} and high is {self.high}")

    @property
    def needs(self) -> tuple[str, ...]:
        return ("rsi",)

    @property
    def lookback(self) -> int:
        return REACH + 1

    def may_signal(self, columns: Prices, _before: Codes) -> bool:
        previous, last = columns["rsi"][-2:].tolist()
        return (
            previous in _NO_MOVE
            or may_cross(previous - self.low, last - self.low)
            or may_cross(previous - self.high, last - self.high)
        )

    def signals(self, columns: Prices) -> Codes:
        raw = columns["rsi"]
        rsi = np.where((raw > 0) & (raw < 100), raw, np.nan)
        left_low, left_high = crossing(rsi - self.low) > 0, crossing(rsi - self.high) < 0
        return coded(left_low.view(np.int8) - left_high.view(np.int8), Kind.ENTRY)
