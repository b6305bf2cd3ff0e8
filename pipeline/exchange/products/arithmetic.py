"""What a quantity at a price is worth: three kinds of contracts, each a value that rises with its price.

A linear contract is worth its price. An inverse one is so many dollars paid in a coin: a long of it owes `size / price`
coins, which is less the higher the price, so its value is that with a minus. Everything else (profit, average entry,
liquidation) is the same sum over values for all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

Side = Literal["BUY", "SELL"]
_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a market counts. `value` and `price_at` take a price, or a value, and the size of a contract; what they
    are is told by the rest, and where they lie in memory is nobody's settings."""

    value: Callable[[Decimal, Decimal], Decimal] = field(repr=False)
    price_at: Callable[[Decimal, Decimal], Decimal] = field(repr=False)
    counts: Literal["base", "contracts"]
    """What a quantity is a number of."""
    is_borrowed: bool
    """Whether a position is held against a margin: fees are paid from it, and it can be liquidated. Else coins change
    hands, and the fee is taken from the coins received."""

    def average(self, fills: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        """The one price that costs what these quantities at their prices cost, whatever the size of a contract."""
        bought = list(fills)
        quantity = sum((each for each, _ in bought), Decimal())
        cost = sum((each * self.value(price, _ONE) for each, price in bought), Decimal())
        return self.price_at(cost / quantity, _ONE)


def _price(price: Decimal, size: Decimal) -> Decimal:
    return price * size


def _price_of(value: Decimal, size: Decimal) -> Decimal:
    return value / size


def _owed(price: Decimal, size: Decimal) -> Decimal:
    return -size / price


LINEAR: Final = Arithmetic(_price, _price_of, "base", is_borrowed=True)
INVERSE: Final = Arithmetic(_owed, _owed, "contracts", is_borrowed=True)
SPOT_COINS: Final = Arithmetic(_price, _price_of, "base", is_borrowed=False)
