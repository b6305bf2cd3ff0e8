"""The close comes back into the Bollinger band."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.strategies.base import Codes, Kind, Prices


@dataclass(frozen=True, slots=True)
class Bollinger:
    """An entry where the close re-enters the band from outside.

    - Long: the last close was below the lower band, this one is inside. Short: above the upper band, now inside.
    - On the band is inside. Jumping from one side of the band to the other is no re-entry.
    """

    name: ClassVar[str] = "bollinger"

    @property
    def needs(self) -> tuple[str, ...]:
        return ("close", "bb_upper", "bb_lower")

    @property
    def lookback(self) -> int:
        return 1

    def may_signal(self, columns: Prices, _before: Codes) -> bool:
        close, upper, lower = (columns[name][-2:].tolist() for name in self.needs)
        return not lower[0] <= close[0] <= upper[0] and lower[1] <= close[1] <= upper[1]

    def signals(self, columns: Prices) -> Codes:
        close, upper, lower = (columns[name] for name in self.needs)
        below, above = close < lower, close > upper
        inside = (close >= lower) & (close <= upper)
        codes = np.zeros(len(close), dtype=np.int8)
        codes[1:][inside[1:] & below[:-1]] = Kind.ENTRY
        codes[1:][inside[1:] & above[:-1]] = -Kind.ENTRY
        return codes
