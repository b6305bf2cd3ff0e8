"""What a quantity at a price is worth in the asset of the account, in doubles, for figures and curves. Pure.

`size` is 0 where a contract is worth its price. Else it is so many dollars of a coin, paid in that coin: its value
rises with the price, and is what is owed for it, with a minus.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", float, npt.NDArray[np.floating[Any]])


def value(price: T, size: float) -> T:
    """Of one; it rises with the price."""
    return -size / price if size else price


def notional(quantity: T, price: T, size: float) -> T:
    """What so much is worth."""
    return quantity * size / price if size else quantity * price
