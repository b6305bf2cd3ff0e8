"""Which indicators there are, by their periods, and how far each of them looks back. No arithmetic: whoever only needs
their names loads nothing that computes them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from schemas.shared import SLOTS_PER_BUCKET

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Columns = dict[str, Floats]
AtrKind = Literal["wilder", "simple"]

TAIL: Final = 240
"""How many finished columns the live window can give a strategy to look back over."""

LONGEST_AVERAGE: Final = 500
"""Candles in the longest average a strategy may ask for: the live window of every series grows with it."""

_MEMORY: Final = 51  # time constants until the start is forgotten: 37 reach the last bit, the slowest seen needed 45
_DEFINITION: Final = "1"  # counts up when the meaning of a column changes, so that stored columns are computed again


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods of every column, in candles. They are recorded with the data as `code`."""

    rsi: int = 14
    macd_fast: int = 12
    macd_slow: int = 26
    macd_signal: int = 9
    sma: tuple[int, ...] = (7, 20, 60, 120)
    atr: int = 14
    bollinger: int = 20
    bollinger_width: float = 2.0
    atr_kind: AtrKind = "wilder"
    """Of the true ranges: `simple` is the mean of the last `atr` of them, in `wilder` each older one counts less."""
    columns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The names of the columns, in the order `compute` gives them."""
    settle: int = field(init=False, repr=False, compare=False)
    """Warm-up of the columns that never forget: their start shows no more in any bit."""
    block: int = field(init=False, repr=False, compare=False)
    """Distance between the fixed places where they begin."""
    lengths: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """The lengths of the averages, the middle of the bands last."""
    divisors: Floats = field(init=False, repr=False, compare=False)
    """The lengths as a column."""

    def __post_init__(self) -> None:
        lengths = (self.rsi, self.macd_fast, self.macd_slow, self.atr, self.bollinger, *self.sma)
        if min(lengths) < 2 or self.macd_signal < 1 or not self.bollinger_width > 0:
            raise UsageError(f"a period is at least 2 candles and a width is above 0, but these are {self}")
        if self.macd_fast >= self.macd_slow:
            raise UsageError(f"macd_fast ({self.macd_fast}) must be shorter than macd_slow ({self.macd_slow})")
        if self.atr_kind not in get_args(AtrKind):
            raise UsageError(f"atr_kind must be wilder or simple, not {self.atr_kind!r}")
        if len(set(self.sma)) != len(self.sma):
            raise UsageError(f"sma names a period twice: {', '.join(map(str, self.sma))}")
        averages = (f"sma{period}" for period in self.sma)
        columns = ("rsi", "macd", "macd_signal", "macd_hist", "atr", *averages, "bb_upper", "bb_middle", "bb_lower")
        object.__setattr__(self, "columns", columns)
        slowest = max(self.rsi, self.atr, (self.macd_slow + 1) / 2)
        warm_up = math.ceil(_MEMORY * slowest / SLOTS_PER_BUCKET)  # whole buckets of the store
        object.__setattr__(self, "settle", SLOTS_PER_BUCKET * warm_up)
        object.__setattr__(self, "block", self.settle + SLOTS_PER_BUCKET)
        object.__setattr__(self, "lengths", (*self.sma, self.bollinger))
        object.__setattr__(self, "divisors", np.array(self.lengths, dtype=np.float64)[:, np.newaxis])

    @property
    def code(self) -> str:
        """Everything the values depend on besides the candles and their decimals, as one stable text."""
        averages = "-".join(map(str, self.sma))
        kind = "" if self.atr_kind == "wilder" else f"-{self.atr_kind}"
        return (
            f"v{_DEFINITION} rsi{self.rsi} macd{self.macd_fast}-{self.macd_slow}-{self.macd_signal} sma{averages} "
            f"atr{self.atr}{kind} bb{self.bollinger}x{self.bollinger_width:g} settle{self.settle}-{self.block}"
        )

    @property
    def window(self) -> int:
        """Candles the live side must hold, the open one included, for `TAIL` right values at its end."""
        return max(self.settle + self.block, *self.lengths) + TAIL

    def including(self, needs: Iterable[str]) -> "Periods":
        """These periods, and beside them those of the averages that are needed: `sma50` is the average of 50 closes."""
        named = {int(name[3:]) for name in needs if name.startswith("sma") and name[3:].isdecimal()}
        strange = sorted(period for period in named if not 2 <= period <= LONGEST_AVERAGE)
        if strange:
            raise UsageError(f"an average is of 2 to {LONGEST_AVERAGE} closes, not of {strange[0]}")
        return replace(self, sma=tuple(sorted({*self.sma, *named})))

    def first_needed(self, number: int) -> int:
        """The earliest candle that the values at this one, or later, depend on: compute from there."""
        return min(number // self.block * self.block - self.settle, number + 1 - max(self.lengths))

    def last_affected(self, number: int) -> int:
        """The last candle whose values can change when this one is corrected, filled in or taken away."""
        return max(((number + self.settle) // self.block + 1) * self.block, number + max(self.lengths)) - 1


PERIODS: Final = Periods()
WINDOW: Final = PERIODS.window
