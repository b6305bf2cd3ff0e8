"""The next step towards a position whose one stop stands where it should. Decides only; sends nothing.

The exchange takes one closing stop (`closePosition`) a symbol and side, so a stop cannot be moved by placing the new
one first. A bridge is laid instead: a reduce-only stop for the whole quantity at the new price; then the old stop is
cancelled, the new one placed, and the bridge cancelled. At every moment at least one of them stands.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.sizing import closing_quantity
from pipeline.execution.engine.state import OrderRecord, PositionRecord, exit_side, side_of
from schemas.orders import Leg
from schemas.symbols import Filters


@dataclass(frozen=True, slots=True)
class PlaceProtection:
    """Place this. `quantity` None: it closes whatever there is. `target`: the price of a take-profit beside it, where
    both are one request."""

    leg: Leg
    trigger: Decimal
    quantity: Decimal | None = None
    target: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelProtection:
    """Cancel that."""

    order: OrderRecord


@dataclass(frozen=True, slots=True)
class MoveProtection:
    """Let that, which is journaled, take the place of what stands. `at_once`: one request can do both."""

    order: OrderRecord
    standing: tuple[OrderRecord, ...]
    at_once: bool


@dataclass(frozen=True, slots=True)
class DropProtection:
    """That has not been sent, and is not wanted any more."""

    order: OrderRecord


Step = PlaceProtection | CancelProtection | MoveProtection | DropProtection


def steps(position: PositionRecord, orders: Collection[OrderRecord], filters: Filters | None) -> list[Step]:
    """What to do next about stop and take-profit. No bridge is laid where no one order closes all of it: the old stop
    stays where it is."""
    found = stop_steps(position, orders)
    if filters is not None:
        found = [one for one in found if not _is_partial(one, filters)]
    return [*found, *target_steps(position, orders)]


def placed(identity: Identity, position: PositionRecord, step: PlaceProtection, now: int) -> tuple[OrderRecord, ...]:
    """The order that the step is to place."""
    whole = step.quantity is None
    order = OrderRecord(
        id=identity.order_id(position.signal or position.symbol, step.leg, now),
        symbol=position.symbol,
        signal=position.signal,
        interval=position.interval,
        leg=step.leg,
        side=exit_side(position.side or "long"),
        type="STOP_MARKET" if step.leg == "stop" else "TAKE_PROFIT_MARKET",
        quantity=step.quantity,
        algo=True,
        trigger_price=step.trigger,
        close_position=whole,
        reduce_only=not whole,
        created_at=now,
        updated_at=now,
    )
    return (order,)


def locks(_orders: Iterable[OrderRecord]) -> bool:
    """Whether something has to go before what closes is sent: nothing has, a stop stays until the position is flat."""
    return False


def stop_of(
    position: PositionRecord, orders: Iterable[OrderRecord], _filters: Filters | None = None
) -> OrderRecord | None:
    """The order that protects the position now, if one stands: the closing stop, else a bridge for all of it."""
    stops = [one for one in orders if one.leg == "stop" and one.waits]
    closing = next((one for one in stops if one.close_position), None)
    return closing or next((one for one in stops if _covers(one, position)), None)


def stop_steps(position: PositionRecord, orders: Collection[OrderRecord]) -> list[Step]:
    """What to do next about the stop. Nothing while the outcome of an earlier step is not known; and what stands is not
    moved while the position may still grow: a bridge would be too small."""
    stops = [one for one in orders if one.leg == "stop" and one.unsettled]
    wanted = position.stop_price
    if wanted is None or any(one.in_doubt or one.fired for one in stops):
        return []
    grows = any(one.unsettled and one.may_open for one in orders)
    closing = next((one for one in stops if one.close_position), None)
    bridges = [one for one in stops if not one.close_position]
    if closing is None:
        return [PlaceProtection("stop", wanted)]
    if grows:
        return []
    if closing.trigger_price == wanted:
        return [CancelProtection(one) for one in bridges]
    if any(one.trigger_price == wanted and _covers(one, position) for one in bridges):
        return [CancelProtection(closing)]
    return [PlaceProtection("stop", wanted, abs(position.quantity))] if position.settled else []


def target_steps(position: PositionRecord, orders: Iterable[OrderRecord]) -> list[Step]:
    """What to do next about the take-profit. It guards nothing, so the old one goes before the new one comes."""
    targets = [one for one in orders if one.leg == "take_profit" and one.unsettled]
    if any(one.in_doubt or one.fired for one in targets):
        return []
    wrong = [one for one in targets if one.trigger_price != position.take_profit_price or not one.close_position]
    if wrong:
        return [CancelProtection(one) for one in wrong]
    if targets or position.take_profit_price is None:
        return []
    return [PlaceProtection("take_profit", position.take_profit_price)]


def stops_loss_of(order: OrderRecord, position: PositionRecord) -> bool:
    """Whether the order is a stop that would close what is held now, whoever opened it."""
    return order.leg == "stop" and position.quantity != 0 and order.side == exit_side(side_of(position.quantity))


def pace_of(leg: Leg, *, closing: bool) -> str:
    """What is not tried too often: each leg for itself, and a bridge for itself."""
    return leg if closing else f"{leg} bridge"


def tightened(old: Decimal | None, new: Decimal, *, long: bool) -> Decimal:
    """A stop follows the position's favour; it never loosens."""
    if old is None:
        return new
    return max(old, new) if long else min(old, new)


def _is_partial(step: Step, filters: Filters) -> bool:
    if not isinstance(step, PlaceProtection) or step.quantity is None:
        return False
    return closing_quantity(step.quantity, filters) != step.quantity


def _covers(bridge: OrderRecord, position: PositionRecord) -> bool:
    return bridge.quantity is not None and bridge.quantity >= abs(position.quantity)
