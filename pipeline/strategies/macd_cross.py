"""The MACD line crosses its signal line."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.errors import UsageError
from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import NOISE, REACH, coded, crossing, may_cross, rising, without_noise
from pipeline.strategies.ranges import searched


@dataclass(frozen=True, slots=True)
class MacdCross:
    """A trial where the MACD line crosses its signal line: rising it is a long, falling a short.

    - Golden cross: the MACD line comes from below its signal line and is now above it. Dead cross: its mirror.
    - Which way the MACD line slopes is not asked, because the cross implies it: the signal line follows the MACD line
      part of the way, so whoever gets across has moved that way.
    - With `average` set, the average of so many closes must slope the same way too; 0, the default, asks for none.
    - Lines that only touch have not crossed; a histogram smaller than the rounding of doubles is a touch.
    """

    name: ClassVar[str] = "macd_cross"

    average: int = searched(0, range(0, 121, 10))

    def __post_init__(self) -> None:
        if self.average != 0 and self.average < 2:
            raise UsageError(f"{self.name}: average must be 0 (none) or at least 2 closes, not {self.average}")

    @property
    def needs(self) -> tuple[str, ...]:
        return ("close", "macd_hist", *((f"sma{self.average}",) if self.average else ()))

    @property
    def lookback(self) -> int:
        return REACH + 1

    def may_signal(self, columns: Prices, _before: Codes) -> bool:
        previous, last = columns["macd_hist"][-2:].tolist()
        return may_cross(previous, last, NOISE * float(columns["close"][-2:].max()))

    def signals(self, columns: Prices) -> Codes:
        crossed = crossing(without_noise(columns["macd_hist"], columns["close"]))
        if self.average:
            crossed = crossed * (crossed == rising(columns[f"sma{self.average}"]))
        return coded(crossed, Kind.TRIAL)
