"""Positions that were traded live, as the journal of orders has them: the orders of each, and how it ended. Pure.

The journal knows nothing of what others did. Where a position has ended, and by no order of ours, its stops say when:
they are settled, none of them was filled, and none stands any more.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.execution.engine.coins import is_dust
from pipeline.execution.engine.state import DECIDED, ENTERING, PROTECTING
from pipeline.research.backtest.funding import Due
from pipeline.research.explain.deals import ZERO, Deal, Leg, by_guards, crumbs, gained, gained_of_coins, left_of_coins
from pipeline.research.explain.heard import Decided, Heard
from pipeline.timeline import to_ms
from schemas.orders import UNSETTLED, Order


class Known(NamedTuple):
    """What else is known of a symbol. `price_at`: what it traded at, from its minutes; `end`: of the window."""

    one: Instrument
    price_at: Callable[[int], Decimal]
    dues: Sequence[Due]
    end: int


def deals(orders: Iterable[Order], signals: Mapping[str, Heard], known: Known) -> list[Deal]:
    """Those of one symbol, in the order in which they were opened. What closes something that was opened before the
    first of these orders is left out."""
    journal = sorted(orders, key=lambda one: one.created_at)
    return [_deal(held, signals, known) for held in _positions(journal, known.end, known.one)]


def held_at(orders: Iterable[Order], moment: int, one: Instrument) -> Order | None:
    """The order that opened what was held then."""
    *_, last = (None, *_positions(sorted(orders, key=lambda each: each.created_at), moment, one))
    return None if last is None or last.ended_at is not None else last.filled[0]


def filled_at(order: Order) -> int:
    """When it was first known to be filled."""
    known = (one.at for one in order.history if one.state in {"partially_filled", "filled"})
    return to_ms(next(known, order.updated_at))


def decided_at(decided: Decided | None, quantity: Decimal | None, one: Instrument) -> Decimal | None:
    """The price by which an order of that quantity was decided, where the decision is that order's; on the grid."""
    if decided is None or not decided.quantity or decided.quantity != quantity:
        return None
    worth = decided.notional / decided.quantity
    rises = one.arithmetic.value(ONE, one.size) > 0
    price = one.arithmetic.price_at(worth if rises else -worth, one.size)
    tick = one.rules.tick_size
    return (price / tick).to_integral_value() * tick if tick else price


@dataclass(slots=True)
class _Held:
    filled: list[Order] = field(default_factory=list)
    quantity: Decimal = ZERO
    steps: list[tuple[int, Decimal]] = field(default_factory=list)
    stops: list[Order] = field(default_factory=list)
    ended_at: int | None = None

    def add(self, order: Order, one: Instrument) -> None:
        self.filled.append(order)
        self.quantity += _signed(order) - (order.kept or ZERO)
        if order.side == "SELL" and _is_left_over(self.quantity, order, one):
            self.quantity = ZERO
        self.steps.append((filled_at(order), self.quantity))
        if not self.quantity:
            self.ended_at = filled_at(order)


def _is_left_over(quantity: Decimal, order: Order, one: Instrument) -> bool:
    """Coins, and too few to be sold after that sale."""
    if one.arithmetic.is_borrowed:
        return False
    return is_dust(quantity, order.average_price or ONE, one.rules)


def _positions(journal: Sequence[Order], end: int, one: Instrument) -> Iterator[_Held]:
    """Told apart: a position is over when nothing is held, or when another begins without its own end being known."""
    protecting = [one for one in journal if one.leg in PROTECTING]
    held: _Held | None = None
    for order in sorted((one for one in journal if one.filled and filled_at(one) < end), key=filled_at):
        if held is not None and order.leg in ENTERING and _begins_anew(held, order, protecting):
            yield _over(held, protecting, to_ms(order.created_at), is_over=True)
            held = None
        if held is None:
            if order.plan is None:
                continue
            held = _Held()
        held.add(order, one)
        if not held.quantity:
            yield _over(held, protecting, to_ms(order.updated_at) + 1, is_over=True)
            held = None
    if held is not None:
        yield _over(held, protecting, end, is_over=False)


def _begins_anew(held: _Held, order: Order, protecting: Sequence[Order]) -> bool:
    is_other_way = (_signed(order) > 0) is not (held.quantity > 0)
    began, asked = to_ms(held.filled[0].created_at), to_ms(order.created_at)
    return is_other_way or order.leg == "trial" or _left_at(_between(protecting, began, asked), asked) is not None


def _over(held: _Held, protecting: Sequence[Order], until: int, *, is_over: bool) -> _Held:
    """With its stops, and when it ended, if it did."""
    held.stops = _between(protecting, to_ms(held.filled[0].created_at), until)
    if held.quantity:
        left = _left_at(held.stops, until)
        held.ended_at = until if left is None and is_over else left
    return held


def _left_at(stops: Sequence[Order], until: int) -> int | None:
    """When the last of these stops was taken away, where none stands and none was filled."""
    own = [one for one in stops if one.leg == "stop"]
    stands = any(one.state in UNSETTLED or one.filled or to_ms(one.updated_at) >= until for one in own)
    return None if stands or not own else max(to_ms(one.updated_at) for one in own)


def _between(orders: Sequence[Order], since: int, until: int) -> list[Order]:
    return [one for one in orders if since <= to_ms(one.created_at) < until]


def _deal(held: _Held, signals: Mapping[str, Heard], known: Known) -> Deal:
    first, one = held.filled[0], known.one
    entering = [_leg(each, signals, one) for each in held.filled if each.leg in ENTERING]
    closing = [_leg(each, signals, one) for each in held.filled if each.leg not in ENTERING]
    sign = 1 if first.side == "BUY" else -1
    closing = by_guards(sign, entering, closing)
    booked = [each.realized for each in held.filled if each.leg not in ENTERING]
    average = one.average_entry((each.quantity, each.price) for each in entering)
    brought = [_brought(each, average, sign, one) for each in closing]
    if held.quantity:
        left = _left(held, known)
        closing.append(left)
        brought.append(_brought(left, average, sign, one))
        booked.append(None)
    gross = sum((told if said is None else said for said, told in zip(booked, brought, strict=True)), ZERO)
    if not one.arithmetic.is_borrowed:
        gross = gained_of_coins(entering, closing)
        closing += [crumbs(left_of_coins(entering, closing), filled_at(held.filled[-1]))] * (not held.quantity)
    return Deal(
        symbol=first.symbol,
        side="long" if sign > 0 else "short",
        strategy=first.plan.strategy if first.plan else "",
        interval=first.interval or "",
        signal=first.signal or "",
        opened_at=filled_at(first),
        closed_at=held.ended_at,
        entering=entering,
        closing=closing,
        gross=gross,
        funding=_funding(held, known),
        levels=_levels(held.stops),
    )


def _leg(order: Order, signals: Mapping[str, Heard], one: Instrument) -> Leg:
    heard = signals.get(order.signal or "") if order.leg in DECIDED else None
    decided = None if heard is None else heard.live.decided
    said = None if heard is None else heard.price
    usual = order.trigger_price or said or (order.plan.price if order.plan else ZERO)
    price = order.average_price or usual
    return Leg(
        order=order.id,
        signal=order.signal,
        leg=order.leg,
        quantity=order.filled,
        price=price,
        at=filled_at(order),
        fee=order.kept * price if order.kept else order.fee,
        kept=order.kept or ZERO,
        wanted=order.quantity,
        decided=decided_at(decided, order.quantity, one),
        said=said,
        trigger=order.trigger_price,
        late=None if heard is None or decided is None else decided.at - heard.at,
        equity=None if decided is None else decided.equity,
        bound=None if decided is None else decided.bound,
        is_priced=order.average_price is not None,
        why=order.history[0].detail if order.leg == "flatten" and order.history[0].state == "intended" else None,
        stop=order.plan.stop_price if order.plan else None,
        target=order.plan.take_profit_price if order.plan else None,
    )


def _left(held: _Held, known: Known) -> Leg:
    """What of it no order of ours closed."""
    at = known.end if held.ended_at is None else held.ended_at
    price, quantity = known.price_at(at), abs(held.quantity)
    if held.ended_at is None:
        return Leg(order="", signal=None, leg="open", quantity=quantity, price=price, at=at, fee=ZERO)
    return Leg(order="", signal=None, leg="hand", quantity=quantity, price=price, at=at, fee=None)


def _brought(leg: Leg, average: Decimal, sign: int, one: Instrument) -> Decimal:
    return gained(one, sign, [(leg.quantity, average)], [(leg.quantity, leg.price)])


def _funding(held: _Held, known: Known) -> Decimal:
    """One at the moment of a fill is that of what was held before."""
    times, until = [at for at, _ in held.steps], held.ended_at or known.end
    paid = ZERO
    for due in known.dues:
        before = bisect_left(times, due.time)
        if before and due.time <= until and due.known and due.mark is not None:
            paid += held.steps[before - 1][1] * known.one.notional(ONE, due.mark) * due.rate
    return -paid


def _levels(stops: Iterable[Order]) -> dict[str, list[Decimal]]:
    found: dict[str, list[Decimal]] = {}
    for one in stops:
        if one.trigger_price is not None:
            found.setdefault(one.leg, []).append(one.trigger_price)
    return found


def _signed(order: Order) -> Decimal:
    return order.filled if order.side == "BUY" else -order.filled
