"""The stops and targets of a position that several strategies hold, each at its own price. Pure.

The stop that lies farthest closes whatever there is (`protect`). Nearer ones, and every target, are for their owner's
quantity and only reduce. What faces the position, or is more than it, has nothing at the exchange: an order for it
would open something there when the others are gone. Its price is watched instead.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from pipeline.execution.engine import books
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import (
    CLOSING,
    PROTECTING,
    OrderRecord,
    Owner,
    PositionRecord,
    exit_side,
)
from schemas.orders import Leg, OrderType

_TYPES: Final[dict[Leg, OrderType]] = {"stop": "STOP_MARKET", "take_profit": "TAKE_PROFIT_MARKET"}


@dataclass(frozen=True, slots=True)
class Guard:
    """What should stand for a book."""

    book: PositionRecord
    leg: Leg
    trigger: Decimal
    quantity: Decimal

    def is_made_by(self, order: OrderRecord) -> bool:
        """Whether that order is it."""
        wanted = (self.book.owner, self.leg, self.trigger, self.quantity)
        return wanted == (order.owner, order.leg, order.trigger_price, order.quantity)


def is_guard(order: OrderRecord) -> bool:
    """Whether it protects one book, and not the position as a whole."""
    return order.leg in PROTECTING and order.strategy is not None


def wanted(position: PositionRecord) -> list[Guard]:
    """What should stand beside the closing stop: nothing where one holds all of it."""
    if len(position.books) < 2 or not position.quantity:
        return []
    mine = [one for one in position.books if one.quantity * position.quantity > 0]
    return [*_stops(position, mine), *_targets(position, mine)] if mine else []


def reached(book: PositionRecord, price: Decimal) -> str | None:
    """What of the book's own the price has come to."""
    stop, target = book.stop_price, book.take_profit_price
    if stop is not None and (price <= stop if book.side == "long" else price >= stop):
        return books.reached("stop", stop)
    if target is not None and (price >= target if book.side == "long" else price <= target):
        return books.reached("take_profit", target)
    return None


def is_reached(order: OrderRecord, price: Decimal) -> bool:
    """Whether the price has come to what would close something there."""
    falls = (order.leg == "stop") == (order.side == "SELL")
    trigger = order.trigger_price
    return trigger is not None and (price <= trigger if falls else price >= trigger)


def is_kept(position: PositionRecord, book: PositionRecord, orders: Iterable[OrderRecord]) -> bool:
    """Whether the exchange watches the book's stop: with an order of its own, or with the one that closes it all, as
    also of what nobody knows whose it is."""
    if book.quantity * position.quantity <= 0:
        return False
    if any(one.leg == "stop" and one.owner == book.owner and one.unsettled for one in orders if is_guard(one)):
        return True
    mine = [one for one in position.books if one.side == book.side]
    return position.stop_order is not None and (book.strategy is None or book.stop_price == books.farthest(mine))


def unkept(position: PositionRecord, orders: Collection[OrderRecord]) -> list[PositionRecord]:
    """The books whose prices the exchange does not watch."""
    return [one for one in position.books if not is_kept(position, one, orders)]


def levels(book: PositionRecord) -> Iterator[tuple[Decimal, bool]]:
    """Its stop and its target, each with whether the price has to rise to it."""
    is_long = book.side == "long"
    if book.stop_price is not None:
        yield book.stop_price, not is_long
    if book.take_profit_price is not None:
        yield book.take_profit_price, is_long


def placed(identity: Identity, guard: Guard, now: int) -> OrderRecord:
    """The order for it."""
    order = order_of(identity, guard.book, guard.leg, _TYPES[guard.leg], guard.quantity, now)
    return replace(order, algo=True, trigger_price=guard.trigger, reduce_only=True)


def order_of(
    identity: Identity, book: PositionRecord, leg: Leg, type_: OrderType, quantity: Decimal, now: int
) -> OrderRecord:
    """An order that makes the book smaller: its owner's own."""
    of = f"{book.signal or book.symbol} {book.strategy} {book.interval}"
    return OrderRecord(
        id=identity.order_id(of, leg, now),
        symbol=book.symbol,
        signal=book.signal,
        interval=book.interval,
        strategy=book.strategy,
        leg=leg,
        side=exit_side(book.side or "long"),
        type=type_,
        quantity=quantity,
        created_at=now,
        updated_at=now,
    )


def pace_of(leg: Leg, owner: Owner) -> str:
    """What is not tried too often for that owner's book: each stop, each target, and its close."""
    strategy, interval = owner
    return f"{'close' if leg in CLOSING else leg} {strategy} {interval}"


def _stops(position: PositionRecord, mine: list[PositionRecord]) -> Iterable[Guard]:
    """The nearest is reached first, and finds most of the position."""
    last, left = books.farthest(mine), abs(position.quantity)
    nearer = [one for one in mine if one.stop_price not in {None, last} and one.strategy is not None]
    for one in sorted(nearer, key=lambda one: one.stop_price or Decimal(0), reverse=mine[0].side == "long"):
        quantity = min(abs(one.quantity), left)
        left -= quantity
        if quantity and one.stop_price is not None:
            yield Guard(one, "stop", one.stop_price, quantity)


def _targets(position: PositionRecord, mine: list[PositionRecord]) -> Iterable[Guard]:
    left = abs(position.quantity)
    aimed = [one for one in mine if one.take_profit_price is not None and one.strategy is not None]
    for one in sorted(aimed, key=lambda one: one.take_profit_price or Decimal(0), reverse=mine[0].side == "short"):
        quantity = min(abs(one.quantity), left)
        left -= quantity
        if quantity and one.take_profit_price is not None:
            yield Guard(one, "take_profit", one.take_profit_price, quantity)
