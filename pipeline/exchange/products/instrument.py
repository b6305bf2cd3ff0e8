"""One thing that is traded, and its sums: exact, in the asset that its profit is paid in. No I/O and no clock.

Quantities of a position are signed: a short is negative. Nothing is rounded: whoever sends or shows it does that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.exchange.products.arithmetic import Arithmetic, Side
from pipeline.exchange.products.product import NotOfferedError, Product
from schemas.symbols import Filters, Symbol

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol of a market, and what its numbers mean."""

    symbol: str
    base: str
    quote: str
    margin_asset: str
    arithmetic: Arithmetic
    size: Decimal = ONE
    """What one contract is a contract of, in the quote asset; 1 where quantities are coins."""
    filters: Filters | None = None

    @classmethod
    def of(cls, product: Product, symbol: Symbol) -> "Instrument":
        """The symbol as its market counts it."""
        size = symbol.contract_size or ONE
        names = (symbol.symbol, symbol.base_asset, symbol.quote_asset, symbol.margin_asset)
        return cls(*names, product.arithmetic, size, symbol.filters)

    @property
    def rules(self) -> Filters:
        """The filters of what can be traded."""
        if self.filters is None:
            raise NotOfferedError(f"the exchange has set no filters for {self.symbol} yet")
        return self.filters

    @property
    def unit(self) -> str:
        """What a quantity is a number of."""
        return self.base if self.arithmetic.counts == "base" else "contracts"

    def fee_asset(self, side: Side) -> str:
        """What a fee is paid in, unless the account pays its fees in another coin."""
        if self.arithmetic.is_borrowed:
            return self.margin_asset
        return self.base if side == "BUY" else self.quote

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """What so much is worth at that price, long or short."""
        return abs(quantity * self._value(price))

    def quoted(self, quantity: Decimal, price: Decimal) -> Decimal:
        """The same in the asset that prices are in: what a person has in mind who says how much he will risk."""
        contracts = self.arithmetic.counts == "contracts"
        return abs(quantity) * self.size * (ONE if contracts else price)

    def pnl(self, quantity: Decimal, entry: Decimal, exit_: Decimal) -> Decimal:
        """What a position that was entered at one price gains by leaving at the other; before fees."""
        return quantity * (self._value(exit_) - self._value(entry))

    def average_entry(self, fills: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        """The one price that costs what these quantities at their prices cost."""
        return self.arithmetic.average(fills)

    def liquidation(
        self, quantity: Decimal, entry: Decimal, margin: Decimal, rate: Decimal, cum: Decimal = Decimal()
    ) -> Decimal | None:
        """The price at which what is left of the margin is no more than the maintenance margin: notional x rate - cum.
        None where no price does that. `margin`: what the position can lose, other positions' part taken off."""
        if not self.arithmetic.is_borrowed:
            raise NotOfferedError(f"{self.symbol} is bought with what is paid for it: it cannot be liquidated")
        entered = self._value(entry)
        kept = abs(quantity) * rate if entered > 0 else -abs(quantity) * rate
        value = (quantity * entered - margin - cum) / (quantity - kept)
        if value == 0 or (value > 0) != (entered > 0):
            return None
        return self.arithmetic.price_at(value, self.size)

    def amount(self, money: Decimal) -> str:
        """Money of the margin asset, as a person reads it: a coin is divided further than a dollar."""
        return f"{money:.2f}" if self.margin_asset == self.quote else f"{money:.8f}"

    def _value(self, price: Decimal) -> Decimal:
        return self.arithmetic.value(price, self.size)
