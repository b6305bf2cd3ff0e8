"""Why a position ended, and what settled the moment and the price of that. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal, Protocol

from pipeline.execution.engine.books import reached_by
from pipeline.execution.engine.state import CLOSING, OrderRecord
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.record import Record
from pipeline.simulator.venue.liquidation import Force
from schemas.orders import Leg

Reason = Literal["signal", "stop", "take-profit", "liquidation", "flatten", "open", "settlement"]
"""Why a position ended. `open`: it did not; `settlement`: trading of its symbol did; `flatten`: the executor closed it,
and not because its stop or its target was reached."""
DecidedBy = Literal["signal", "candle", "gap", "assumption"]
"""What settled the moment and the price of an end. `candle`: its minute can have had no other; `gap`: it opened beyond
what waited for it; `assumption`: stop and target lie in one minute, and it does not tell which came first. The minute
is that of the fill; of what the executor closed by itself, that in which it saw that it had to."""

STILL_OPEN: Final[tuple[Reason, DecidedBy]] = ("open", "signal")
_REASONS: Final[Mapping[Leg, Reason]] = {
    "stop": "stop", "take_profit": "take-profit", "exit": "signal", "flatten": "flatten",
}  # fmt: skip


class Filled(Protocol):
    """A fill, as far as it says what ended a position."""

    @property
    def time(self) -> int:
        """When it was."""
        ...

    @property
    def client_id(self) -> str:
        """Of which order."""
        ...


def end_of(fills: Sequence[Filled], record: Record, minutes: Minutes) -> tuple[Reason, DecidedBy]:
    """Of a position that is over, and was made of these."""
    last = fills[-1]
    if last.client_id.startswith(Force.LIQUIDATION):
        return "liquidation", "candle"
    if last.client_id.startswith(Force.SETTLEMENT):
        return "settlement", "candle"
    order = record.orders[last.client_id]
    leg = reached_by(record.why.get(order.id, "")) or order.leg
    if leg in CLOSING:
        return _REASONS[leg], "signal"
    seen_at = last.time if leg == order.leg else order.created_at
    return _REASONS[leg], _settled_by(leg, order, seen_at, _its_own(fills, record.orders), minutes)


def planned(sign: int, plans: Iterable[tuple[Decimal | None, Decimal | None]]) -> dict[str, Decimal]:
    """Where its stop and its target stood in the end, by what those of its entries say: a stop never loosens; a target
    is that of the last."""
    found: dict[str, Decimal] = {}
    for stop, target in plans:
        if stop is not None:
            found["stop"] = sign * max(sign * stop, sign * found.get("stop", stop))
        if target is not None:
            found["take_profit"] = target
    return found


def _its_own(fills: Iterable[Filled], orders: Mapping[str, OrderRecord]) -> list[OrderRecord]:
    """The orders that it was made of, and those that waited for it."""
    made_of = [orders[one] for one in dict.fromkeys(fill.client_id for fill in fills) if one in orders]
    waited = (one for one in orders.values() if one.signal == made_of[0].signal and one not in made_of)
    return [*made_of, *waited]


def _settled_by(
    leg: Leg, order: OrderRecord, seen_at: int, its_own: Collection[OrderRecord], minutes: Minutes
) -> DecidedBy:
    """Where the exchange has no order for what it had come to, only a plan says where that stood."""
    sign = 1 if order.side == "SELL" else -1
    plans = planned(sign, ((one.plan.stop_price, one.plan.take_profit_price) for one in its_own if one.plan))
    place = minutes.at(seen_at - 1)  # at the very turn it is still the minute before
    opened, low, high = (int(prices[place]) * minutes.tick for prices in (minutes.open, minutes.low, minutes.high))
    level, way = order.trigger_price or plans.get(leg), -sign if leg == "stop" else sign
    if level is not None and way * (opened - level) >= 0:
        return "gap"
    other = "take_profit" if leg == "stop" else "stop"
    rivals = (plans.get(other), *(one.trigger_price for one in its_own if one.leg == other))
    return "assumption" if any(one is not None and low <= one <= high for one in rivals) else "candle"
