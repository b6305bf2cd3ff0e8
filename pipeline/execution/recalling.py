"""Finds out again what the journal does not know: after a restore, a take-over, or an answer that came after all.

It asks the exchange for a symbol's past where what is open or held there is not explained, and before a signal from
before its time is acted on. What follows from the answers is `rebuilding`'s; it places and cancels nothing.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pipeline.execution import events as ev
from pipeline.execution.effects import Query, Recall
from pipeline.execution.ledger import Ledger
from pipeline.execution.rebuilding import found, guarded, rebuilt
from pipeline.execution.records import ENTERING, OrderRecord, PositionRecord, SignalView, entry_side
from pipeline.execution.states import merged
from pipeline.timeline import DAY, HOUR, SECOND

REACH: Final = 7 * DAY - HOUR
"""How far back is asked: the exchange lists less than seven days at once."""
_AGAIN: Final = 5 * SECOND
_TRIES: Final = 12
_ASK_AGAIN: Final = SECOND


class Recaller:
    """Asks, and puts what it learns into the ledger."""

    def __init__(self, ledger: Ledger, began: int) -> None:
        self._ledger = ledger
        self._began = began
        self._absent: set[str] = set()
        self._asked: Counter[str] = Counter()

    # A symbol that the journal does not explain

    def ask(self, symbol: str, now: int) -> None:
        """Ask for the past of a symbol where that is wanted, unless it was done just now."""
        if symbol not in self._ledger.recalling or not self._ledger.may(symbol, "recall", now, _AGAIN):
            return
        self._asked[symbol] += 1
        if self._asked[symbol] <= _TRIES:
            self._ledger.emit(Recall(symbol, now - REACH))
        else:
            self._learnt(symbol)
            position = self._ledger.position(symbol)
            if position.ours and position.quantity:
                self._ledger.put(guarded(position, self._ledger.unsettled(symbol)))
            self._ledger.warn(
                f"the past of {symbol} is not known", "it could not be read; the journal and what stands have to do"
            )

    def recalled(self, event: ev.Recalled, now: int) -> None:
        """The symbol's past: what the journal lacks is written into it, and what is held gets what belongs to it."""
        self._learnt(event.symbol)
        orders = self._orders(event, now)
        position = self._ledger.position(event.symbol)
        if not position.quantity:
            return
        mended = rebuilt(
            position, orders, event.trades, self._signals_of(orders, event.signals), self._ledger.policy.risk
        )
        if mended is None:
            self._ledger.warn_once(
                f"position {event.symbol}", f"{position.quantity} {event.symbol} is not ours: it is left alone"
            )
            return
        if (mended.ours, mended.signal, mended.opened_at) != (position.ours, position.signal, position.opened_at):
            self._ledger.warn(f"position {event.symbol} was found again", _said(mended))
        self._ledger.put(mended)

    def _learnt(self, symbol: str) -> None:
        self._ledger.recalling.discard(symbol)
        self._ledger.touched.add(symbol)
        del self._asked[symbol]

    def _orders(self, event: ev.Recalled, now: int) -> list[OrderRecord]:
        """Ours in the symbol, also those that are not in memory any more; oldest first."""
        known = {one.id: one for one in event.known} | {
            one.id: one for one in self._ledger.orders.values() if one.symbol == event.symbol
        }
        lost: dict[str, OrderRecord] = {}
        for told in event.orders:
            if self._ledger.identity.owns(told.id) and told.id not in known:
                lost[told.id] = merged(lost[told.id], told, now) if told.id in lost else found(told, now)
        orders = known | lost
        signals = self._signals_of(orders.values(), event.signals)
        for name, order in orders.items():
            if order.signal is None and name in signals:
                orders[name] = replace(order, signal=signals[name].id, interval=signals[name].interval)
        for name, order in orders.items():
            if name in lost or (name in self._ledger.orders and order != self._ledger.orders[name]):
                self._ledger.write(order, "reconcile", "it was at the exchange, and not in the journal")
        return sorted(orders.values(), key=lambda one: one.created_at)

    # A signal that was said before this term

    def order_of(self, signal: SignalView) -> OrderRecord | None:
        """The order that was made of it by one who had another journal."""
        names = self._ledger.identity.order_ids(signal.id, signal.kind)
        return next((self._ledger.orders[name] for name in names if name in self._ledger.orders), None)

    def is_new(self, signal: SignalView, now: int) -> bool:
        """Whether it was surely not acted on yet. What was said before this term began may have been, by one whose
        journal is lost: the exchange is asked first."""
        if signal.at >= self._began or signal.kind not in ENTERING or self._ledger.mode == "signal-only":
            return True
        unsure = [one for one in self._ledger.identity.order_ids(signal.id, signal.kind) if one not in self._absent]
        for name in unsure:
            if self._ledger.may(signal.symbol, f"ask {name}", now, _ASK_AGAIN):
                self._ledger.emit(Query(_sought(name, signal)))
        return not unsure

    def absent(self, order_id: str) -> None:
        """The exchange has no such order."""
        self._absent.add(order_id)

    def _signals_of(self, orders: Iterable[OrderRecord], signals: Iterable[SignalView]) -> dict[str, SignalView]:
        """The signals that these orders were made of, by the order's id."""
        entries = [one.id for one in orders if one.leg in ENTERING]
        is_of = self._ledger.identity.is_of
        return {name: one for one in signals for name in entries if is_of(name, one.id, one.kind)}


def _sought(name: str, signal: SignalView) -> OrderRecord:
    return OrderRecord(
        name, signal.symbol, signal.id, signal.kind, entry_side(signal.side), "MARKET", None, signal.at, signal.at
    )


def _said(position: PositionRecord) -> str:
    what = f"{position.quantity} {position.symbol} is ours"
    if position.strategy is None:
        return f"{what}; nobody knows its signal: it is closed by its stop, by a halt or by you, and nothing is added"
    return f"{what}, of {position.strategy} by {position.signal}"
