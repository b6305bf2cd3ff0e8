"""How many decimals prices have. A price is the double nearest to a decimal number, so that can be told exactly.

It knows no symbol and rounds nothing: what has too many decimals is no price, and what becomes of it is the caller's
affair.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST: Final = 10
"""No price has more: such a number came out of a calculation, or was garbled on its way."""


def decimals_in(prices: Floats, at_least: int) -> Integers:
    """The decimals that each of these needs, `at_least` so many; more than `MOST` where it is no price."""
    found = np.full(len(prices), at_least)
    rest = np.arange(len(prices))
    for decimals in range(at_least, MOST + 1):
        scale = 10.0**decimals
        rest = rest[np.rint(prices[rest] * scale) / scale != prices[rest]]
        if not len(rest):
            break
        found[rest] = decimals + 1
    return found


def decimals_of_price(price: float, at_least: int) -> int:
    """The same of one."""
    for decimals in range(at_least, MOST + 1):
        scale = 10.0**decimals
        if round(price * scale) / scale == price:
            return decimals
    return MOST + 1
