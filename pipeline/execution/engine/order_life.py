"""The life of an order: which state follows which, and how what the exchange says changes what the journal has.

Whatever comes twice, late or out of order changes nothing that is known better already. See docs/execution.md.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.execution.engine.state import OrderRecord, OrderTold
from schemas.orders import SETTLED, UNSETTLED, State

_RANK: Final[dict[State, int]] = {
    "intended": 0,
    "sent": 1,
    "unknown": 2,
    "accepted": 3,
    "partially_filled": 4,
    "filled": 5,
    "cancelled": 5,
    "expired": 5,
    "rejected": 5,
    "abandoned": 5,
}

_WORDS: Final[dict[str, State]] = {
    "NEW": "accepted",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
    "REJECTED": "rejected",
    "TRIGGERING": "partially_filled",  # it has fired, and its order is in the market, or soon will be
    "TRIGGERED": "partially_filled",
    "FINISHED": "partially_filled",  # its order has ended, and how only that says
}


def state_of(status: str) -> State | None:
    """Our word for the exchange's, of an order or a conditional order; None for a word that is new."""
    return _WORDS.get(status)


def merged(order: OrderRecord, told: OrderTold, now: int) -> OrderRecord:
    """The order after the exchange said this; the same object where that says nothing new."""
    if _speaks_of_another(order, told):
        return _again(order, told, now) if told.state == "accepted" and told.at > order.seen_at else order
    filled = max(order.filled, told.filled)
    state = _next_state(order, told)
    newer = told.at >= order.seen_at
    average = told.average_price if told.average_price and (newer or filled > order.filled) else order.average_price
    exchange_id = _exchange_id(order, told)
    changed = replace(
        order,
        state=state,
        filled=filled,
        kept=_kept(order, told, filled),
        average_price=average,
        exchange_id=exchange_id,
        seen_at=max(order.seen_at, told.at),
    )
    if replace(changed, seen_at=order.seen_at) == order:
        return changed if changed.seen_at != order.seen_at else order
    return with_slippage(replace(changed, updated_at=now))


def _speaks_of_another(order: OrderRecord, told: OrderTold) -> bool:
    """What only closes may be sent twice under one id, and the copy that was lost may come when the other has ended; or
    it stands already, and that the other has ended is told later."""
    both_known = order.exchange_id is not None and told.exchange_id is not None
    ended = order.state not in UNSETTLED or told.at < order.seen_at or order.state == told.state == "accepted"
    return both_known and told.algo == order.algo and told.exchange_id != order.exchange_id and ended


def _again(order: OrderRecord, told: OrderTold, now: int) -> OrderRecord:
    return replace(order, state="accepted", exchange_id=told.exchange_id, seen_at=told.at, updated_at=now)


def with_slippage(order: OrderRecord) -> OrderRecord:
    """The order with its fill against the price that was decided on, in percent; positive is worse."""
    if order.plan is None or order.average_price is None or not order.filled:
        return order
    worse = order.average_price - order.plan.price if order.side == "BUY" else order.plan.price - order.average_price
    return replace(order, slippage_pct=float(worse / order.plan.price * 100))


def _next_state(order: OrderRecord, told: OrderTold) -> State:
    said = _state_said(order, told)
    if _never_was(order):
        return said
    return said if _RANK[said] > _RANK[order.state] else order.state


def _state_said(order: OrderRecord, told: OrderTold) -> State:
    """How a conditional order ends, the order says that it placed when it fired, whichever of them is told first."""
    if told.algo != order.algo:
        return told.state if told.state in SETTLED else "partially_filled"
    if told.state is None:
        return "partially_filled" if told.filled > 0 else "accepted"
    return told.state


def _exchange_id(order: OrderRecord, told: OrderTold) -> int | None:
    """The number its trades go by: of a conditional order that has fired, the one of the order it placed."""
    names_trades = order.exchange_id is None or told.algo != order.algo
    return told.exchange_id if names_trades and told.exchange_id is not None else order.exchange_id


def _kept(order: OrderRecord, told: OrderTold, filled: Decimal) -> Decimal | None:
    """It is said of so much that was filled: of more it is not known."""
    if told.kept is not None and told.filled == filled:
        return told.kept
    return order.kept if filled == order.filled else None


def _never_was(order: OrderRecord) -> bool:
    """Whether we took it that the exchange does not have it: hearing of it from there is proof that it has."""
    return order.state == "abandoned" or (order.state == "rejected" and order.exchange_id is None)


def filled_by(order: OrderRecord, quantity: Decimal, price: Decimal | None, at: int) -> OrderTold:
    """What an order's trades, or the position they made, say about it. What is not filled by now never will be."""
    whole = order.quantity is None or quantity >= order.quantity
    return OrderTold(
        id=order.id,
        symbol=order.symbol,
        side=order.side,
        state="filled" if whole else "cancelled" if order.type == "LIMIT" else "expired",
        filled=quantity,
        at=at,
        algo=order.algo,
        average_price=price,
    )
