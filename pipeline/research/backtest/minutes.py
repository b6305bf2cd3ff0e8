"""The minutes of a symbol as columns of whole ticks: what fills are decided on. Pure."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pipeline.timeline import MINUTE

Ticks = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MOST_TICKS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Minutes:
    """One after the other, from `start` on. A minute that is not stored is a hole: nothing can trade in it, and its
    prices are the last close."""

    symbol: str
    tick: Decimal
    start: int
    open: Ticks
    high: Ticks
    low: Ticks
    close: Ticks
    there: Flags

    @classmethod
    def of(
        cls, symbol: str, tick: Decimal, times: Integers, opens: Floats, highs: Floats, lows: Floats, closes: Floats
    ) -> Self:
        """From stored candles, in order of time. `times`: when they open."""
        if not len(times):
            raise ValueError(f"{symbol} has no minutes")
        start = int(times[0])
        places = (times - start) // MINUTE
        length = int(places[-1]) + 1
        there = np.zeros(length, np.bool_)
        there[places] = True
        last = np.maximum.accumulate(np.where(there, np.arange(length), 0))
        size = float(tick)
        if (highs / size).max() > _MOST_TICKS:
            raise ValueError(f"{symbol} is at {highs.max():f}: more than {_MOST_TICKS:,} of its ticks of {tick}")
        columns = [_spread(np.rint(one / size), places, length) for one in (opens, highs, lows, closes)]
        close = columns[3][last]
        opened, high, low = (np.where(there, one, close) for one in columns[:3])
        return cls(symbol, tick, start, opened, high, low, close, there)

    def marked(self, times: Integers, opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> Self:
        """The same minutes with these prices, the mark prices; those that are not stored stay the last prices."""
        places = (times - self.start) // MINUTE
        inside = (places >= 0) & (places < len(self.close))
        inside[inside] = self.there[places[inside]]
        size = float(self.tick)
        columns = []
        for own, given in ((self.open, opens), (self.high, highs), (self.low, lows), (self.close, closes)):
            column = own.copy()
            column[places[inside]] = np.rint(given[inside] / size)
            columns.append(column)
        return replace(self, open=columns[0], high=columns[1], low=columns[2], close=columns[3])

    def reaching(self, other: "Minutes") -> Self:
        """The same minutes as far as either goes."""
        return replace(self, high=np.maximum(self.high, other.high), low=np.minimum(self.low, other.low))

    @property
    def end(self) -> int:
        """When the last of them is over."""
        return self.start + len(self.close) * MINUTE

    def at(self, time: int) -> int:
        """The place of the minute that holds that moment."""
        return (time - self.start) // MINUTE

    def opened(self, place: int) -> int:
        """When the minute at that place opens."""
        return self.start + place * MINUTE


def _spread(values: Floats, places: Integers, length: int) -> Ticks:
    column = np.zeros(length, np.int32)
    column[places] = values
    return column
