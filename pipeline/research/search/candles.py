"""The candles of a series for a search: each column is computed once, whichever trials need it. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from pipeline.indicators import average, compute
from pipeline.periods import Columns, Floats, Integers, Periods
from pipeline.strategies.base import Codes, Strategy
from pipeline.strategies.runner import run_history

KEPT: Final = 64
"""Averages that are kept at once; beyond, the one that was needed longest ago is computed again when it is needed."""


@dataclass(slots=True)
class Candles:
    """`numbers` counts them; `prices` are open, high, low, close, volume; `fresh` is how long a signal may be acted on,
    in milliseconds."""

    symbol: str
    interval: str
    numbers: Integers
    prices: Columns
    periods: Periods
    decimals: int
    fresh: int
    _settled: Columns = field(default_factory=dict)
    _averages: OrderedDict[int, Floats] = field(default_factory=OrderedDict)

    def column(self, name: str) -> Floats:
        """One of them, by its name."""
        if name in self.prices:
            return self.prices[name]
        if name.startswith("sma") and name[3:].isdecimal():
            return self._average(int(name[3:]))
        if not self._settled:
            high, low, close = (self.prices[one] for one in ("high", "low", "close"))
            self._settled = compute(self.numbers, high, low, close, decimals=self.decimals, periods=self.periods)
        return self._settled[name]

    def codes(self, strategy: Strategy) -> Codes:
        """What the strategy says at each of them."""
        self.periods.including(strategy.needs)
        known = {name for name in strategy.needs if self._is_known(name)}
        return run_history(strategy, {name: self.column(name) for name in known}, self.numbers)

    def _is_known(self, name: str) -> bool:
        is_average = name.startswith("sma") and name[3:].isdecimal()
        return is_average or name in self.prices or name in self.periods.columns

    def _average(self, length: int) -> Floats:
        found = self._averages.pop(length, None)
        if found is None:
            found = average(self.numbers, self.prices["close"], length, decimals=self.decimals)
            if len(self._averages) >= KEPT:
                self._averages.popitem(last=False)
        self._averages[length] = found
        return found
