"""What a quantity at a price is worth, and in which asset: of a linear contract, of an inverse one. Pure arithmetic.

A position keeps what it cost in *values*, which rise with the price. A linear contract has the value of its price. A
long of an inverse one owes so many coins for every contract, fewer the higher the price: its value is that with a
minus. Profit, average entry and liquidation are then the same sums for both.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol


class Worth(Protocol):
    """How a contract is counted."""

    @property
    def asset(self) -> str:
        """What it is margined, paid and settled in."""
        ...

    @property
    def sign(self) -> int:
        """-1 where what one is worth is its value with a minus."""
        ...

    @property
    def grain(self) -> Decimal:
        """How exactly the cost of a part of a position is kept."""
        ...

    def booked(self, profit: Decimal) -> Decimal:
        """A profit as it goes into the books."""
        ...

    def value(self, price: Decimal) -> Decimal:
        """The value of one at that price; it rises with the price."""
        ...

    def price_at(self, value: Decimal) -> Decimal:
        """The price at which one has that value."""
        ...

    def notional(self, price: Decimal) -> Decimal:
        """What one is worth at that price, in the margin asset."""
        ...

    def turnover(self, price: Decimal) -> Decimal:
        """What one is worth at that price, in the quote asset."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """A contract of a coin, or the coin itself, priced and paid in the quote asset."""

    asset: str = "USDT"

    @property
    def sign(self) -> int:
        """It is worth its value."""
        return 1

    @property
    def grain(self) -> Decimal:
        """To the smallest amount of money."""
        return _CENT

    def booked(self, profit: Decimal) -> Decimal:
        """As it is: prices and quantities have few digits, and so has what they make."""
        return profit

    def value(self, price: Decimal) -> Decimal:
        """Its price."""
        return price

    def price_at(self, value: Decimal) -> Decimal:
        """Its value."""
        return value

    def notional(self, price: Decimal) -> Decimal:
        """Its price."""
        return price

    def turnover(self, price: Decimal) -> Decimal:
        """Its price."""
        return price


@dataclass(frozen=True, slots=True)
class Inverse:
    """A contract of `size` in the quote asset, paid in coins."""

    asset: str
    size: Decimal

    @property
    def sign(self) -> int:
        """It is worth the coins that are owed."""
        return -1

    @property
    def grain(self) -> Decimal:
        """A quotient has no last digit: enough of them that an average entry comes out as it went in."""
        return _FINE

    def booked(self, profit: Decimal) -> Decimal:
        """To the smallest part of a coin."""
        return profit.quantize(_CENT)

    def value(self, price: Decimal) -> Decimal:
        """The coins owed for it, with a minus."""
        return -self.size / price

    def price_at(self, value: Decimal) -> Decimal:
        """The price at which so many coins are owed."""
        return -self.size / value

    def notional(self, price: Decimal) -> Decimal:
        """The coins that it is worth."""
        return self.size / price

    def turnover(self, price: Decimal) -> Decimal:
        """Its size, whatever the price."""
        del price
        return self.size


_CENT: Final = Decimal("0.00000001")
_FINE: Final = Decimal("1e-20")

LINEAR: Final = Linear()
"""A contract that is paid in USDT."""
