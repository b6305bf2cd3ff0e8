"""The MACD line crosses its signal line."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import NOISE, REACH, coded, crossing, may_cross, rising, without_noise


@dataclass(frozen=True, slots=True)
class MacdCross:
    """A trial entry where the MACD line crosses its signal line and slopes the same way.

    - Golden cross: the MACD line comes from below its signal line and is now above it. With the MACD line above its
      value one candle ago, that is a trial long.
    - Dead cross: its mirror, a trial short.
    - Lines that only touch have not crossed; a histogram smaller than the rounding of doubles is a touch.
    """

    name: ClassVar[str] = "macd_cross"

    @property
    def needs(self) -> tuple[str, ...]:
        return ("close", "macd", "macd_hist")

    @property
    def lookback(self) -> int:
        return REACH + 1

    def may_signal(self, columns: Prices, _before: Codes) -> bool:
        previous, last = columns["macd_hist"][-2:].tolist()
        return may_cross(previous, last, NOISE * float(columns["close"][-2:].max()))

    def signals(self, columns: Prices) -> Codes:
        crossed = crossing(without_noise(columns["macd_hist"], columns["close"]))
        return coded(crossed * (crossed == rising(columns["macd"])), Kind.TRIAL)
