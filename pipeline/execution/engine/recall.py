"""Finds out again what the journal does not know: after a restore, a take-over, or an answer that came after all.

It asks the exchange for a symbol's past where what is open or held there is not explained, and before a signal from
before its time is acted on. What follows from the answers is `rebuilding`'s; it places and cancels nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.books import Books, carried, opened_as, total, view, without_past
from pipeline.execution.engine.client_ids import leg_of
from pipeline.execution.engine.effects import Query, Recall
from pipeline.execution.engine.found_stop import with_stop
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.order_life import merged
from pipeline.execution.engine.provenance import fill_of, since_flat
from pipeline.execution.engine.rebuild import found, guarded, rebuilt, theirs, unit_of
from pipeline.execution.engine.recount import Recount
from pipeline.execution.engine.state import (
    DECIDED,
    ENTERING,
    ZERO,
    OrderRecord,
    OrderTold,
    PlanRecord,
    PositionRecord,
    SignalView,
    entry_side,
    exit_side,
)
from pipeline.timeline import DAY, HOUR, SECOND
from schemas.orders import Leg

REACH: Final = 7 * DAY - HOUR
"""How far back is asked: the exchange lists less than seven days at once."""
_AGAIN: Final = 5 * SECOND
_TRIES: Final = 12
_ASK_AGAIN: Final = SECOND


class Recaller:
    """Asks, and puts what it learns into the memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._began = 0
        self._absent: set[str] = set()
        self._asked: Counter[str] = Counter()

    # A symbol that the journal does not explain

    def ask(self, symbol: str, now: int) -> None:
        """Ask for the past of a symbol where that is wanted, unless it was done just now."""
        if symbol not in self._memory.recalling or not self._memory.may(symbol, "recall", now, _AGAIN):
            return
        self._asked[symbol] += 1
        if self._asked[symbol] <= _TRIES or self._memory.policy.owned:  # without it, somebody else's may be sold
            self._memory.emit(Recall(symbol, now - REACH))
        else:
            self._learnt(symbol)
            position = self._memory.position(symbol)
            if position.ours and position.quantity:
                self._memory.put(guarded(position, self._memory.unsettled(symbol)))
            self._memory.warn(
                f"the past of {symbol} is not known", "it could not be read; the journal and what stands have to do"
            )

    def recalled(self, event: ev.Recalled, now: int) -> None:
        """The symbol's past: what the journal lacks is written into it, and what is held gets what belongs to it."""
        held = self._memory.position(event.symbol)
        if self._memory.policy.netted and held.quantity and not (held.settled and self._is_listed(event, now)):
            return  # what is found again is counted at once, and it has to be known of what
        orders = self._orders(event, now)
        position = self._memory.position(event.symbol)
        if self._memory.policy.owned:
            if self._is_too_old(event, now):
                return
            self._learnt(event.symbol)
            self._count_coins(position, orders, event, now)
            return
        if position.quantity and not self._is_listed(event, now):
            return
        self._learnt(event.symbol)
        signals = self._signals_of(orders, event.signals)
        if self._memory.policy.netted:
            orders = [self._planned(one, signals.get(one.id)) for one in orders]
        if position.quantity:
            self._find_again(position, orders, event, signals, now)

    def _find_again(
        self,
        position: PositionRecord,
        orders: list[OrderRecord],
        event: ev.Recalled,
        signals: Mapping[str, SignalView],
        now: int,
    ) -> None:
        """Whose is what is held, and what belongs to it."""
        made = since_flat(position.quantity, [fill_of(one) for one in event.trades])
        position = without_past(position, orders, made, now)
        seen = _as_told(orders, event.orders, now)
        if again := self._closed_again(position, seen, now):
            self._memory.put(again)
            return
        left = self._left(position, now)
        mended = rebuilt(position, seen, event.trades, signals, self._memory.policy.risk, left)
        if mended is None:
            self._memory.put(theirs(position))
            self._memory.warn_once(
                f"position {event.symbol}", f"{position.quantity} {event.symbol} is not ours: it is left alone"
            )
            return
        if (mended.ours, mended.signal, mended.opened_at) != (position.ours, position.signal, position.opened_at):
            self._memory.warn(f"position {event.symbol} was found again", _said(mended))
        if self._memory.policy.netted and not mended.books:
            mended = opened_as(mended, seen, now)
        self._memory.put(mended)

    def _left(self, position: PositionRecord, now: int) -> Books:
        """What is in its books on the side of what is held, once all that is known by now is counted in them."""
        if not position.books:
            return ()
        return tuple(one for one in self._carried(position, now).books if one.quantity * position.quantity > 0)

    def _closed_again(self, position: PositionRecord, orders: Iterable[OrderRecord], now: int) -> PositionRecord | None:
        """What is held where nothing is in the books, if it is what strategies have closed a second time: no entry has
        opened that, and theirs are the orders that close it again."""
        if position.books or not (self._memory.policy.netted and position.counted):
            return None
        known = self._carried(position, now)
        if total(known.books) != position.quantity or not all(one.closing for one in known.books):
            return None
        return guarded(replace(known, ours=True, signal=None, opened_at=position.opened_at or now), orders)

    def _carried(self, position: PositionRecord, now: int) -> PositionRecord:
        memory, symbol = self._memory, position.symbol
        return carried(position, memory.of(symbol), memory.policy.arithmetic, memory.lot(symbol), now)

    def _planned(self, order: OrderRecord, signal: SignalView | None) -> OrderRecord:
        """An entry that was found again, with what its signal would have planned: its book is as its owner left it."""
        if order.plan is not None or signal is None or signal.atr is None or order.leg not in ENTERING:
            return order
        quantity = order.quantity or order.filled
        signed = quantity if order.side == entry_side("long") else -quantity
        bare = PositionRecord(order.symbol, signed, order.average_price or signal.price, atr=signal.atr)
        stop = with_stop(bare, self._memory).stop_price
        if stop is None:
            return order
        unit = unit_of([order], self._memory.policy.risk)
        plan = PlanRecord(signal.strategy, signal.price, signal.atr, unit, stop, None, order.created_at)
        planned = replace(order, plan=plan)
        if order.id in self._memory.orders:
            self._memory.write(planned, "reconcile", "planned as its signal would have it")
        return planned

    def _is_too_old(self, event: ev.Recalled, now: int) -> bool:
        """Whether a fill of ours was told since it was read, that would have to be among its trades, or soon will."""
        memory = self._memory
        traded: dict[int, Decimal] = {}
        for trade in event.trades:
            traded[trade.exchange_id] = traded.get(trade.exchange_id, ZERO) + trade.quantity
        told = [(one.symbol, one.exchange_id, one.filled, one.seen_at) for one in memory.orders.values()]
        told += [
            (one.symbol, one.exchange_id, one.filled, one.at)
            for one in memory.others.values()
            if memory.identity.owns(one.id)
        ]
        return any(
            filled > traded.get(number, ZERO) and now < at + memory.policy.surely_listed
            for symbol, number, filled, at in told
            if symbol == event.symbol and number is not None
        )

    def _count_coins(self, position: PositionRecord, orders: list[OrderRecord], event: ev.Recalled, now: int) -> None:
        """What lies there is ours as far as orders of ours have bought it, and not sold it again."""
        memory = self._memory
        for told in event.orders:
            order = memory.orders.get(told.id)
            if order is not None and (changed := merged(order, told, now)) is not order:
                memory.write(changed, "reconcile")
        over = {one.order for one in position.counted}
        orders = [memory.orders.get(one.id, one) for one in orders if one.id not in over]
        counted = Recount(memory, event, orders, self._signals_of(orders, event.signals))
        if memory.policy.apart:
            books, before = counted.books(position), position.books
            memory.put_books(event.symbol, books)
        else:
            books, before = (counted.of(position),), (position,)
            memory.put(books[0])
        if [one.parts for one in books] != [one.parts for one in before]:
            for one in books:
                memory.warn(f"position {event.symbol} was found again", _said(one))

    def _is_listed(self, event: ev.Recalled, now: int) -> bool:
        """Whether the trades go up to the last change, or the one that made it would have been listed by now."""
        memory, symbol = self._memory, event.symbol
        changed_at, newest = memory.changed_at[symbol], max((one.at for one in event.trades), default=0)
        is_listed = newest >= changed_at or now >= changed_at + memory.policy.surely_listed
        if is_listed:
            memory.heard_to[symbol] = max(memory.heard_to[symbol], changed_at, newest)
        return is_listed

    def _learnt(self, symbol: str) -> None:
        self._memory.recalling.discard(symbol)
        self._memory.touched.add(symbol)
        del self._asked[symbol]

    def _orders(self, event: ev.Recalled, now: int) -> list[OrderRecord]:
        """Ours in the symbol, also those that are not in memory any more; oldest first."""
        known = {one.id: one for one in event.known} | {
            one.id: one for one in self._memory.orders.values() if one.symbol == event.symbol
        }
        lost: dict[str, OrderRecord] = {}
        for told in event.orders:
            if self._memory.identity.owns(told.id) and told.id not in known:
                lost[told.id] = merged(lost[told.id], told, now) if told.id in lost else found(told, now)
        orders = known | lost
        signals = self._signals_of(orders.values(), event.signals)
        for name, order in orders.items():
            if order.owner[0] is None and name in signals:
                one = signals[name]
                orders[name] = replace(order, signal=one.id, interval=one.interval, strategy=one.strategy)
        for name, order in orders.items():
            if name in lost or (name in self._memory.orders and order != self._memory.orders[name]):
                self._memory.write(order, "reconcile", "it was at the exchange, and not in the journal")
        return sorted(orders.values(), key=lambda one: one.created_at)

    # A signal that was said before this term

    def begin(self, now: int) -> None:
        """The exchange was compared first: before, nothing was sent. Its clock has taken ours for right by then; what
        ours said earlier may have been anything."""
        self._began = now

    def orders_of(self, signal: SignalView) -> tuple[str, ...]:
        """The orders that were made of it by one who had another journal."""
        names = (
            self._names(signal, ("exit", signal.kind)) if signal.kind in ENTERING else self._names(signal, ("exit",))
        )
        return tuple(one for one in names if one in self._memory.orders and not self._memory.orders[one].turns)

    def is_new(self, signal: SignalView, now: int) -> bool:
        """Whether it was surely not acted on yet. What was said before this term began may have been, by one whose
        journal is lost: the exchange is asked first."""
        if signal.at >= self._began or self._memory.mode == "signal-only":
            return True
        known = self._absent | self._memory.orders.keys()
        unsure = [one for one in self._names(signal, self._wanted(signal, now)) if one not in known]
        for name in unsure:
            if self._memory.may(signal.symbol, f"ask {name}", now, _ASK_AGAIN):
                self._memory.emit(Query(_sought(name, signal)))
        return not unsure

    def _wanted(self, signal: SignalView, now: int) -> Iterator[Leg]:
        """What may have to be done about it, as far as is known now."""
        position, late = self._memory.position(signal.symbol), signal.is_late(now)
        if self._memory.policy.books:
            position = view(position, signal)
        held = position.ours and position.quantity != 0
        if held and position.is_left_by(signal) and position.belongs_to(signal) and (signal.last_word or not late):
            yield "exit"
        if signal.kind in ENTERING and not late:
            yield signal.kind

    def _names(self, signal: SignalView, legs: Iterable[Leg]) -> list[str]:
        return [name for leg in legs for name in self._memory.identity.order_ids(signal.id, leg)]

    def absent(self, order_id: str) -> None:
        """The exchange has no such order."""
        self._absent.add(order_id)

    def _signals_of(self, orders: Iterable[OrderRecord], signals: Iterable[SignalView]) -> dict[str, SignalView]:
        """The signals that these orders were made of, by the order's id."""
        made = [one for one in orders if one.leg in DECIDED]
        is_of = self._memory.identity.is_of
        return {order.id: one for one in signals for order in made if is_of(order.id, one.id, order.leg)}


def _as_told(orders: Iterable[OrderRecord], told: Iterable[OrderTold], now: int) -> list[OrderRecord]:
    """The orders as the past has them: what became of one in doubt may not have been told otherwise yet."""
    seen = {one.id: one for one in orders}
    for one in told:
        if one.id in seen:
            seen[one.id] = merged(seen[one.id], one, now)
    return list(seen.values())


def _sought(name: str, signal: SignalView) -> OrderRecord:
    leg = leg_of(name) or signal.kind
    side = exit_side(signal.leaves or signal.side) if leg == "exit" else entry_side(signal.side)
    return OrderRecord(name, signal.symbol, signal.id, leg, side, "MARKET", None, signal.at, signal.at)


def _said(position: PositionRecord) -> str:
    what = f"{position.quantity} {position.symbol} is ours"
    if position.strategy is None:
        return f"{what}; nobody knows its signal: it is closed by its stop, by a halt or by you, and nothing is added"
    return f"{what}, of {position.strategy} by {position.signal}"
