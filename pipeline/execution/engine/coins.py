"""How many coins of ours lie among others in one balance: what the exchange says was filled of our orders, less what it
kept of that. A balance tells only that some of ours are gone; it never makes more of them ours.

Pure. It asks for nothing, and what it changes is kept by `memory`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.execution.engine import holdings, sizing
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.state import ZERO, By, OrderRecord, OrderTold, PositionRecord, PositionTold, TradeTold
from schemas.symbols import Filters


@dataclass(frozen=True, slots=True)
class Holding:
    """Coins that orders have bought, less those that they have sold. `certain`: it is known what was kept of them."""

    quantity: Decimal
    price: Decimal
    certain: bool


def holding(position: PositionRecord, orders: Mapping[str, OrderRecord]) -> Holding:
    """What the orders of a position have brought together, and the average price that was paid."""
    quantity, bought, paid, certain = ZERO, ZERO, ZERO, True
    for order in (orders[name] for name in position.parts if name in orders):
        if order.side == "SELL":
            quantity -= order.filled
            continue
        quantity += order.filled - (order.kept or ZERO)
        bought += order.filled
        paid += order.filled * (order.average_price or (order.plan.price if order.plan else ZERO))
        certain &= order.kept is not None or not order.filled
    return Holding(quantity, paid / bought if bought else ZERO, certain)


def is_dust(quantity: Decimal, price: Decimal, filters: Filters) -> bool:
    """Whether the exchange takes no order for so little."""
    lots = sellable(quantity, filters)
    least = max(filters.min_quantity, filters.market_min_quantity)
    return not lots or lots < least or lots * price < filters.min_notional


def sellable(quantity: Decimal, filters: Filters) -> Decimal:
    """As much of it as orders can sell."""
    return sizing.floor_to(quantity, sizing.market_step(filters))


def since_dust(
    before: Collection[OrderRecord], orders: Iterable[OrderRecord], trades: Iterable[TradeTold], filters: Filters | None
) -> tuple[str, ...]:
    """The orders of ours that made what is left of all that was bought, from the one before which there was none; none
    if nothing is left. `before`: what had made it up to the first of these trades."""
    mine = {one.exchange_id: one for one in orders}
    parts = [one.id for one in before]
    left = sum((-one.filled if one.side == "SELL" else one.filled - (one.kept or ZERO) for one in before), ZERO)
    for trade in sorted(trades, key=lambda one: one.at):
        order = mine.get(trade.exchange_id)
        if order is None:
            continue
        if order.id not in parts:
            parts.append(order.id)
        left += trade.quantity - trade.kept if trade.side == "BUY" else -trade.quantity
        if trade.side == "SELL" and (left <= 0 or (filters is not None and is_dust(left, trade.price, filters))):
            parts, left = [], ZERO
    return tuple(parts)


def with_kept(order: OrderRecord, trades: Iterable[TradeTold]) -> OrderRecord:
    """The order, with what its trades say was kept of what it bought, if all of them are there."""
    mine = [one for one in trades if one.exchange_id == order.exchange_id]
    if order.kept is not None or not order.filled or sum((one.quantity for one in mine), ZERO) < order.filled:
        return order
    return replace(order, kept=sum((one.kept for one in mine), ZERO))


def with_part(position: PositionRecord, order: OrderRecord) -> PositionRecord:
    """The position, to which that order has added, or from which it has taken."""
    if not position.managed or order.id in position.parts:
        return position
    return replace(position, parts=(*position.parts, order.id))


def with_gain(order: OrderRecord, position: PositionRecord) -> OrderRecord:
    """A sale of what is held, with what it has brought above what was paid for that; its fee is not in it."""
    if order.side != "SELL" or order.average_price is None or not position.managed:
        return order
    return replace(order, realized=order.filled * (order.average_price - position.entry_price))


class Coins:
    """Keeps what is held equal to what the exchange says of our orders."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def restate(self, symbol: str) -> None:
        """Count again what is held. What is too little to be sold is told, and left."""
        for position in self._memory.each(symbol):
            self._restate(position)

    def _restate(self, position: PositionRecord) -> None:
        symbol = position.symbol
        known = max(position.as_of, position.entered_at, position.reduced_at, position.unheard_at + 1)
        if not position.managed and known > position.as_of:
            self._memory.put(replace(position, as_of=known))
        if not position.managed:
            return
        held = holding(position, self._memory.orders)
        quantity = max(ZERO, held.quantity - position.missing)
        filters = self._memory.market(symbol).filters
        price = self._memory.market(symbol).price or held.price
        under_way = bool(self._memory.unsettled_of(position)) or not held.certain
        if filters is not None and not under_way and is_dust(quantity, price, filters):
            if quantity:
                self._memory.warn_once(f"dust {symbol} {position.signal}", f"{quantity} is too little to sell: left")
            quantity = ZERO
        as_of = known if held.certain else min(position.as_of, position.entered_at - 1)
        if quantity:
            self._memory.held_at[symbol] = as_of
        self._memory.put(replace(position, quantity=quantity, entry_price=held.price, as_of=as_of))

    def others(self, orders: Iterable[OrderTold]) -> None:
        """What stands at the exchange: others' stops take the place of ours."""
        theirs = Counter(
            one.symbol for one in orders if one.trigger_price is not None and not self._memory.identity.owns(one.id)
        )
        for symbol in {*self._memory.markets, *theirs}:
            self._memory.market(symbol).others_stops = theirs[symbol]

    def balances(self, told: Iterable[PositionTold], asof: int, by: By) -> None:
        """What lies on the account, whosever it is, by a comparison: only that is read together with what is open."""
        for one in told if by == "reconcile" else ():
            self.restate(one.symbol)
            if self._memory.compared:
                self._miss(self._memory.position(one.symbol), one.quantity, asof)
            else:
                self._wonder(self._memory.position(one.symbol), one.quantity)

    def _miss(self, position: PositionRecord, there: Decimal, asof: int) -> None:
        """Less lies there than is ours: somebody else took it. Not while an order of ours may have."""
        gone, under_way = position.quantity - there, self._memory.unsettled(position.symbol)
        unsure = any(one.in_doubt or one.fired or one.id in self._memory.doubts for one in under_way)
        if gone <= 0 or not position.managed or unsure or not position.settled or position.as_of > asof:
            return
        title = f"{gone} {position.symbol} of ours are gone"
        self._memory.warn(title, f"{position.quantity} were ours, and {there} are there: somebody else took them")
        self._memory.corrections += 1
        self._take(position, gone)
        self.restate(position.symbol)

    def _take(self, position: PositionRecord, gone: Decimal) -> None:
        if not self._memory.policy.apart:
            self._memory.put(replace(position, missing=position.missing + gone))
            return
        books = holdings.taken(position.books, gone, self._memory.lot(position.symbol))
        self._memory.put_books(position.symbol, books)

    def _wonder(self, position: PositionRecord, there: Decimal) -> None:
        """More lies there than the journal explains: it may be ours, and the journal lost. Or it has what
        is sold by now, and is an old one. The past is asked."""
        market = self._memory.market(position.symbol)
        more, price = there - position.quantity, market.price or position.entry_price
        is_much = more > 0 and (market.filters is None or not is_dust(more, price, market.filters))
        if is_much or position.managed:
            self._memory.recall(position.symbol)
