"""The close crosses an average."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import REACH, at_least, coded, crossing, may_cross
from pipeline.strategies.ranges import searched


@dataclass(frozen=True, slots=True)
class MaBreakout:
    """An entry where the close crosses the average of `n` closes.

    - Long: the close was below the average and is now above it. Short: the mirror.
    - A close exactly on the average keeps the side it had: touching it and turning back is no cross.
    """

    name: ClassVar[str] = "ma_breakout"

    n: int = searched(20, range(5, 121, 5))

    def __post_init__(self) -> None:
        at_least(self.name, n=(self.n, 2))

    @property
    def needs(self) -> tuple[str, ...]:
        return ("close", f"sma{self.n}")

    @property
    def lookback(self) -> int:
        return REACH + 1

    def may_signal(self, columns: Prices, _before: Codes) -> bool:
        close, average = (columns[name][-2:].tolist() for name in self.needs)
        return may_cross(close[0] - average[0], close[1] - average[1])

    def signals(self, columns: Prices) -> Codes:
        return coded(crossing(columns["close"] - columns[f"sma{self.n}"]), Kind.ENTRY)
