"""What the exchange did to an account, told apart by whose it was: where strategies hold a contract together, each fill
is shared out as the executor's books share it, and so are its fee and the funding.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine import books, sizing
from pipeline.execution.engine.state import ZERO, OrderRecord, PositionRecord, flat
from pipeline.simulator.venue.ledger import Fill, Funding, LedgerEntry
from pipeline.simulator.venue.orders import Side

Whose = tuple[str, str | None, str | None]
"""A symbol, and the strategy and the interval that hold it."""


@dataclass(slots=True)
class _Shared:
    """What is held of a symbol."""

    one: Instrument
    position: PositionRecord
    filled: dict[str, Decimal] = field(default_factory=dict)
    paid: dict[tuple[str | None, str | None], Decimal] = field(default_factory=dict)

    def fill(self, fill: Fill, order: OrderRecord | None) -> list[tuple[Whose, Fill]]:
        before = {one.owner: one for one in self.position.books}
        lot = sizing.market_step(self.one.rules)
        change = fill.quantity if fill.side == Side.BUY else -fill.quantity
        position = replace(self.position, quantity=self.position.quantity + change)
        if order is not None:
            self.filled[order.id] = self.filled.get(order.id, ZERO) + fill.quantity
            so_far = replace(order, filled=self.filled[order.id], average_price=fill.price)
            position = books.carried(position, [so_far], self.one.arithmetic, lot, fill.time)
        self.position = position = books.even(position, lot)
        return self._parts(fill, before, {one.owner: one for one in position.books})

    def _parts(
        self,
        fill: Fill,
        before: Mapping[tuple[str | None, str | None], PositionRecord],
        after: Mapping[tuple[str | None, str | None], PositionRecord],
    ) -> list[tuple[Whose, Fill]]:
        moved = {
            owner: _quantity(after.get(owner)) - _quantity(before.get(owner))
            for owner in dict.fromkeys([*before, *after])
        }
        every = sum((abs(one) for one in moved.values()), ZERO)
        parts = []
        for owner, change in moved.items():
            held = before.get(owner)
            if change:
                part = replace(
                    fill,
                    side=Side.BUY if change > 0 else Side.SELL,
                    quantity=abs(change),
                    fee=fill.fee * abs(change) / every,
                    realised=self._realised(owner, _quantity(held), change, fill.price),
                )
                parts.append(((fill.symbol, *owner), part))
        return parts

    def _realised(
        self, owner: tuple[str | None, str | None], held: Decimal, change: Decimal, price: Decimal
    ) -> Decimal:
        """What it brought: what was paid for it goes with it, and with the last of it all that is left."""
        worth = change * self.one.arithmetic.value(price, self.one.size)
        paid = self.paid.get(owner, ZERO)
        if held * change >= 0:
            self.paid[owner] = paid + worth
            return ZERO
        gone = paid if held + change == 0 else -paid * change / held
        self.paid[owner] = paid - gone
        return -worth - gone

    def fund(self, paid: Funding) -> list[tuple[Whose, Funding]]:
        held = self.position.quantity
        return [
            ((paid.symbol, *one.owner), replace(paid, amount=paid.amount * one.quantity / held))
            for one in (self.position.books if held else ())
        ]


def by_book(
    ledger: Iterable[LedgerEntry], orders: Mapping[str, OrderRecord], instruments: Mapping[str, Instrument]
) -> Iterator[tuple[Whose, LedgerEntry]]:
    """Each fill and funding in its parts, with whose they are; everything else as it is."""
    held = {symbol: _Shared(one, flat(symbol)) for symbol, one in instruments.items()}
    for entry in ledger:
        match entry:
            case Fill():
                yield from held[entry.symbol].fill(entry, orders.get(entry.client_id))
            case Funding() if entry.symbol in held:
                yield from held[entry.symbol].fund(entry)
            case _:
                yield ("", None, None), entry


def _quantity(book: PositionRecord | None) -> Decimal:
    return ZERO if book is None else book.quantity
