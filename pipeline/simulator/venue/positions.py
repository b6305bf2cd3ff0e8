"""The arithmetic of one position. Keeps what was paid rather than an average price, so that nothing is ever rounded
away: realised + quantity x value - cost is exact whatever the order of the fills. An inverse contract realises whole
parts of a coin: there it is exact to half of one for each fill."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline.simulator.venue.orders import ZERO, PositionSide
from pipeline.simulator.worth import LINEAR, Worth

CENT: Final = Decimal("0.00000001")
"""The smallest amount of money on the books."""


@dataclass(slots=True)
class Position:
    """A position: `quantity` is signed, negative for a short; `cost` is what that quantity had as its value."""

    symbol: str
    side: PositionSide
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    updated: int = 0
    worth: Worth = LINEAR

    @property
    def entry(self) -> Decimal:
        """The average price paid for what is still held, 0 when flat."""
        return self.worth.price_at(self.cost / self.quantity) if self.quantity else ZERO

    @property
    def break_even(self) -> Decimal:
        """The price at which closing returns what was paid, the fees since it was opened included: the entry, moved by
        the share that the fees are of it."""
        return self.entry * (1 + self.fees / (self.cost * self.worth.sign)) if self.quantity else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit if it were closed at that price."""
        return self.quantity * self.worth.value(mark) - self.cost

    def notional(self, mark: Decimal) -> Decimal:
        """What it is worth at that price: less than nothing for a short."""
        return self.quantity * self.worth.notional(mark)

    def fill(self, change: Decimal, price: Decimal, leverage: int, isolated: bool) -> Decimal:
        """Add a signed quantity at a price; returns the profit realised. An isolated position takes margin for what
        is opened and gives back its share for what is closed."""
        closed = self._closing(change)
        realised = self._close(closed, price) if closed else ZERO
        opened = change - closed
        if opened:
            self.quantity += opened
            self.cost += opened * self.worth.value(price)
            if isolated:
                self.isolated_wallet += (abs(opened) * self.worth.notional(price) / leverage).quantize(CENT)
        self.realised += realised
        return realised

    def _closing(self, change: Decimal) -> Decimal:
        if self.quantity * change >= 0:
            return ZERO
        return change if abs(change) <= abs(self.quantity) else -self.quantity

    def _close(self, closed: Decimal, price: Decimal) -> Decimal:
        if closed == -self.quantity:
            paid, released = self.cost, self.isolated_wallet
            self.fees = ZERO
        else:
            share = -closed / self.quantity
            paid = (self.cost * share).quantize(self.worth.grain)
            released = (self.isolated_wallet * share).quantize(CENT)
        self.quantity += closed
        self.cost -= paid
        self.isolated_wallet -= released
        return self.worth.booked(-closed * self.worth.value(price) - paid)
