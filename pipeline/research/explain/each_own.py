"""The orders of a contract that several strategies held together, as each one's own: what an order filled of whose
book, shared out as the executor shared it. Of coins each order is one's own. Pure.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine import books, holdings, sizing
from pipeline.execution.engine.state import PROTECTING, ZERO, OrderRecord, PlanRecord, PositionRecord, flat
from pipeline.research.explain.live import filled_at
from pipeline.timeline import to_ms
from schemas.orders import UNSETTLED, Order

Owner = tuple[str | None, str | None]


def each_own(orders: Sequence[Order], one: Instrument) -> dict[Owner, list[Order]]:
    """By strategy and interval. What protects a contract, and filled nothing, is everybody's to know."""
    if not one.arithmetic.is_borrowed:
        return _of_coins(orders)
    found: dict[Owner, list[Order]] = {}
    facing: list[tuple[int, bool]] = []
    lot, position = sizing.market_step(one.rules), None
    for order in sorted((each for each in orders if each.filled), key=filled_at):
        position = position or flat(order.symbol)
        record = _record(order)
        before = {each.owner: each.quantity for each in position.books}
        signed = record.filled if record.side == "BUY" else -record.filled
        position = _after(
            position, signed, books.carried(position, [record], one.arithmetic, lot, filled_at(order)), lot
        )
        facing.append((filled_at(order), bool(position.books) and not position.quantity))
        after = {each.owner: each.quantity for each in position.books}
        moved = {each: after.get(each, ZERO) - before.get(each, ZERO) for each in dict.fromkeys([*before, *after])}
        every = sum(map(abs, moved.values()), ZERO)
        for owner, change in moved.items():
            if change:
                found.setdefault(owner, []).append(_part(order, change, every))
    unfilled = [_as_it_stood(each, facing) for each in orders if each.leg in PROTECTING and not each.filled]
    return {owner: [*mine, *unfilled] for owner, mine in found.items()}


def _of_coins(orders: Sequence[Order]) -> dict[Owner, list[Order]]:
    whose = holdings.owners([_record(one) for one in orders])
    found: dict[Owner, list[Order]] = {}
    for order in orders:
        found.setdefault(whose[order.id], []).append(order)
    return found


def _record(order: Order) -> OrderRecord:
    """As far as the books look at it."""
    at, plan = filled_at(order), order.plan
    return OrderRecord(
        order.id, order.symbol, order.signal, order.leg, order.side, order.type, order.quantity, at, at,
        interval=order.interval, strategy=order.strategy, trigger_price=order.trigger_price, filled=order.filled,
        average_price=order.average_price,
        plan=None if plan is None else PlanRecord(
            plan.strategy, plan.price, plan.atr, plan.unit_quantity, plan.stop_price, plan.take_profit_price, at
        ),
    )  # fmt: skip


def _after(before: PositionRecord, signed: Decimal, carried: PositionRecord, lot: Decimal) -> PositionRecord:
    if carried.books is before.books:
        return replace(carried, quantity=before.quantity)  # it closed what was opened before the first of these
    return books.even(replace(carried, quantity=before.quantity + signed), lot)


def _as_it_stood(order: Order, facing: Sequence[tuple[int, bool]]) -> Order:
    """What was taken away because strategies hold as much against each other is no sign that one of them holds nothing:
    as if it still stood. `facing`: since when they do, and since when not."""
    place = bisect_right(facing, to_ms(order.updated_at), key=lambda each: each[0]) - 1
    if place < 0 or not facing[place][1] or order.state in UNSETTLED:
        return order
    return order.model_copy(update={"state": "accepted"})


def _part(order: Order, change: Decimal, every: Decimal) -> Order:
    """What the order was to that one; what it brought is told by its prices."""
    if abs(change) == order.filled == every:
        return order.model_copy(update={"realized": None})
    share = abs(change) / every
    return order.model_copy(
        update={
            "side": "BUY" if change > 0 else "SELL",
            "filled": abs(change),
            "fee": None if order.fee is None else order.fee * share,
            "realized": None,
        }
    )
