"""What trades turn over, in whole numbers that add up: ticks x steps, or of an inverse contract coins by the step.

The turnover of a candle is known without making its trades, because pairs of them lie mirrored around its middle. So
the coins of an inverse contract follow the straight line between those at the low and those at the high: of a candle
that spans two thousandths of its price that is within a millionth of size / price.
"""

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.simulator.types import SymbolSpec

Integers = npt.NDArray[np.int64]


class Turnover(Protocol):
    """Of one step at a price, given the range of its candle. Two prices mirrored in the range make low and high."""

    def __call__(self, price: Integers, low: Integers, high: Integers) -> Integers: ...


def turnover_of(spec: SymbolSpec) -> Turnover:
    """How that contract is counted."""
    if spec.coins is None:
        return _ticks
    return _Coins(float(spec.worth.turnover(spec.tick) * spec.step / spec.tick) * 10.0**spec.coins)


def _ticks(price: Integers, low: Integers, high: Integers) -> Integers:
    del low, high
    return price


class _Coins:
    """`owed` is what one step of the contract owes at a price of one tick."""

    def __init__(self, owed: float) -> None:
        self._half = owed / 2

    def __call__(self, price: Integers, low: Integers, high: Integers) -> Integers:
        most, least = self._at(low), self._at(high)
        is_upper = 2 * price > low + high
        lower = np.where(is_upper, low + high - price, price)
        coins = most - (most - least) * (lower - low) // np.maximum(high - low, 1)
        turned_over: Integers = np.where(is_upper, most + least - coins, coins)
        return turned_over

    def _at(self, price: Integers) -> Integers:
        """An even number, so that the middle of a range is a whole one."""
        return _PAIR * np.rint(self._half / price).astype(np.int64)


_PAIR: Final = 2
