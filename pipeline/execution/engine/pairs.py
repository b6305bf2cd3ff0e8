"""The next step towards coins of ours that have their stop, and their target in one pair with it. Decides only; sends
nothing. The other way to protect is `protect`, for positions that the exchange itself keeps.

Coins are locked by the order that would sell them, so nothing stands beside a pair: it goes before the next one comes,
and before what closes is sent. What is to follow it is journaled first, so that between the two there is one answer and
one request; a stop alone is replaced by one request. Nothing is sent while it is not known what became of the one
before: two that sell the same coins would sell somebody else's.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from pipeline.execution.engine import client_ids
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.coins import sellable
from pipeline.execution.engine.protect import (
    CancelProtection,
    DropProtection,
    MoveProtection,
    PlaceProtection,
    Step,
)
from pipeline.execution.engine.state import CLOSING, ENTERING, PROTECTING, OrderRecord, PositionRecord
from schemas.symbols import Filters


def stop_of(
    position: PositionRecord, orders: Iterable[OrderRecord], filters: Filters | None = None
) -> OrderRecord | None:
    """The stop that would sell all that can be sold, if one stands."""
    stops = (one for one in orders if one.leg == "stop" and one.waits)
    return next((one for one in stops if _covers(one, position, filters)), None)


def steps(position: PositionRecord, orders: Collection[OrderRecord], filters: Filters | None) -> list[Step]:
    """What to do next. `orders`: the unsettled ones of the symbol; of those that have not been sent yet, nothing else
    is known."""
    protecting = [one for one in orders if one.leg in PROTECTING]
    placed = [one for one in protecting if one.state != "intended"]
    if any(not one.waits for one in placed) or not position.settled or filters is None:
        return []
    following = next((one for one in protecting if one.leg == "stop" and one not in placed), None)
    standing = _standing(placed)
    drop: list[Step] = [] if following is None else [DropProtection(following)]
    if position.closing or any(one.leg in CLOSING for one in orders):
        return [*drop, *map(CancelProtection, standing)] if position.closing else []
    wanted = position.stop_price
    if wanted is None or not position.quantity:
        return []
    right = [one for one in standing if _is_right(one, position, protecting, filters)]
    if right:
        return [*drop, *(CancelProtection(one) for one in standing if one is not right[0])]
    if standing and any(one.leg in ENTERING for one in orders):
        return []
    if following is None:
        return [PlaceProtection("stop", wanted, sellable(position.quantity, filters), position.take_profit_price)]
    if not standing:
        return []
    if not _is_right(following, position, protecting, filters):
        return drop
    alone = len(standing) == 1 and position.take_profit_price is None
    return [MoveProtection(following, tuple(standing), at_once=alone)]


def placed(identity: Identity, position: PositionRecord, step: PlaceProtection, now: int) -> tuple[OrderRecord, ...]:
    """The pair, its target first; or the stop alone."""
    stop = OrderRecord(
        id=identity.order_id(position.signal or position.symbol, "stop", now),
        symbol=position.symbol,
        signal=position.signal,
        interval=position.interval,
        leg="stop",
        side="SELL",
        type="STOP_MARKET",
        quantity=step.quantity,
        algo=True,
        trigger_price=step.trigger,
        close_position=True,
        created_at=now,
        updated_at=now,
    )
    return (stop,) if step.target is None else (_target(stop, step.target), stop)


def locks(orders: Iterable[OrderRecord]) -> bool:
    """Whether something stands, or may stand, that keeps the coins: before it is gone nothing else can sell them."""
    return any(one.leg in PROTECTING and one.unsettled for one in orders)


def halves(orders: Iterable[OrderRecord]) -> list[OrderRecord]:
    """What stands though the other one of its pair has ended, as far as we know: it has ended as well, or soon will."""
    known = {one.id: one for one in orders if one.leg in PROTECTING}
    return [one for one in known.values() if one.stands and (other := _other(one, known)) and not other.unsettled]


def _target(stop: OrderRecord, trigger: Decimal) -> OrderRecord:
    return OrderRecord(
        id=client_ids.beside(stop.id),
        symbol=stop.symbol,
        signal=stop.signal,
        interval=stop.interval,
        leg="take_profit",
        side=stop.side,
        type="TAKE_PROFIT_MARKET",
        quantity=stop.quantity,
        algo=True,
        trigger_price=trigger,
        close_position=True,
        created_at=stop.created_at,
        updated_at=stop.updated_at,
    )


def _other(order: OrderRecord, known: Mapping[str, OrderRecord]) -> OrderRecord | None:
    name = client_ids.beside(order.id) if order.leg == "stop" else client_ids.stop_beside(order.id)
    return known.get(name)


def _standing(placed: Collection[OrderRecord]) -> list[OrderRecord]:
    """Each stop, which stands for its pair, and each target without one."""
    stops = [one for one in placed if one.leg == "stop"]
    return [*stops, *(one for one in placed if one.leg == "take_profit" and not _beside_any(one, stops))]


def _is_right(stop: OrderRecord, position: PositionRecord, protecting: Iterable[OrderRecord], filters: Filters) -> bool:
    """Whether it is a stop as it should be, with its target if there should be one."""
    targets = {one.id: one.trigger_price for one in protecting if one.leg == "take_profit"}
    as_wanted = (position.stop_price, sellable(position.quantity, filters), position.take_profit_price)
    found = (stop.trigger_price, stop.quantity, targets.get(client_ids.beside(stop.id)))
    return stop.leg == "stop" and found == as_wanted


def _beside_any(target: OrderRecord, stops: Iterable[OrderRecord]) -> bool:
    return any(client_ids.beside(one.id) == target.id for one in stops)


def _covers(stop: OrderRecord, position: PositionRecord, filters: Filters | None) -> bool:
    most = position.quantity if filters is None else sellable(position.quantity, filters)
    return stop.quantity is not None and stop.quantity >= most
