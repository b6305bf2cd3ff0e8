"""Positions that were traded, from the journal of orders: from the first fill until nothing is held. Pure.

The journal knows what its own orders brought and cost, and of nothing that others closed. Funding it does not know:
that follows from what was held at each settlement.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from pipeline.research.backtest.funding import Due
from pipeline.timeline import to_ms
from schemas.orders import Order


class Step(NamedTuple):
    """What was held from then on; a short is negative."""

    at: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Traded:
    """A position; None: it is still open. `profit`: realised, less fees, with the funding that is known."""

    symbol: str
    side: str
    strategy: str
    opened_at: int
    closed_at: int | None
    profit: Decimal
    steps: tuple[Step, ...] = ()

    def settled(self, dues: Iterable[Due], worth: Callable[[Decimal], Decimal], now: int) -> tuple["Traded", int]:
        """The same with what it paid and was paid at these settlements; and of how many that is not known, for their
        rate or their price is not stored. `worth`: of one, at a price. One at the moment of a fill is that of what was
        held before."""
        until, times = self.closed_at or now, [one.at for one in self.steps]
        profit, unknown = self.profit, 0
        for due in dues:
            before = bisect_left(times, due.time)
            if not before or due.time > until:
                continue
            if due.known and due.mark is not None:
                profit -= self.steps[before - 1].quantity * worth(due.mark) * due.rate
            else:
                unknown += 1
        return replace(self, profit=profit), unknown


@dataclass(slots=True)
class _Held:
    opened: Order
    steps: list[Step] = field(default_factory=list)
    quantity: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    last: int = 0

    def add(self, order: Order) -> None:
        self.quantity += _signed(order)
        self.profit += (order.realized or 0) - (order.fee or 0)
        self.last = _filled_at(order)
        self.steps.append(Step(self.last, self.quantity))

    def told(self, *, is_over: bool) -> Traded:
        opened = self.opened
        return Traded(
            symbol=opened.symbol,
            side="long" if opened.side == "BUY" else "short",
            strategy=opened.plan.strategy if opened.plan is not None else "",
            opened_at=_filled_at(opened),
            closed_at=self.last if is_over else None,
            profit=self.profit,
            steps=tuple(self.steps),
        )


@dataclass(slots=True)
class Traces:
    """What the journal tells. `unseen`: positions whose end it does not know, for an order entered the other way, or
    another position began, while by the journal something was held."""

    traded: list[Traded] = field(default_factory=list)
    unseen: int = 0


def traded(orders: Iterable[Order]) -> Traces:
    """In the order in which they were opened."""
    found, held = Traces(), dict[str, _Held]()
    for order in sorted((one for one in orders if one.filled), key=_filled_at):
        one = held.get(order.symbol)
        if one is not None and order.plan is not None and _begins_anew(one, order):
            found.unseen += 1
            found.traded.append(held.pop(order.symbol).told(is_over=True))
            one = None
        if one is None:
            if order.plan is None:
                continue
            one = held[order.symbol] = _Held(order)
        one.add(order)
        if not one.quantity:
            found.traded.append(held.pop(order.symbol).told(is_over=True))
    found.traded += (one.told(is_over=False) for one in held.values())
    found.traded.sort(key=lambda one: (one.opened_at, one.symbol))
    return found


def symbols_of(found: Sequence[Traded]) -> list[str]:
    """Each once."""
    return sorted({one.symbol for one in found})


def _begins_anew(held: _Held, order: Order) -> bool:
    is_other_way = (_signed(order) > 0) is not (held.quantity > 0)
    return is_other_way or order.leg == "trial"


def _signed(order: Order) -> Decimal:
    return order.filled if order.side == "BUY" else -order.filled


def _filled_at(order: Order) -> int:
    """When it was first known to be filled."""
    return to_ms(order.filled_at or order.updated_at)
