"""Keeps the books of each position true to it, and each book's own stop and target; closes a book that is to end.

The position as a whole is kept and protected as ever (`reconcile`). Here is what lies inside it: see `books`, `guards`.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.execution.engine import books, guards, sizing
from pipeline.execution.engine.effects import Cancel, Notify, Reconcile
from pipeline.execution.engine.endings import UNTOLD, by_other, by_ours
from pipeline.execution.engine.found_stop import with_stop
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.state import (
    CLOSING,
    DECIDED,
    ENTERING,
    PROTECTING,
    OrderRecord,
    PositionRecord,
    exit_side,
)
from pipeline.timeline import MINUTE, SECOND

_TOLD_WITHIN: Final = 2 * SECOND
"""So long after the position, or before it, the stream may tell the fill that moved it."""
_LOOK_AGAIN: Final = 2 * SECOND
_AGAIN: Final = SECOND
_CANCEL_AGAIN: Final = 2 * SECOND
_NOBODYS: Final = "more of it was closed than any strategy holds"


def asks_what_has_fired(memory: Memory, book: PositionRecord, now: int) -> bool:
    """Whether something that stands may have closed the book unheard, because the price has come to it: that is asked
    first. A close beside its own stop or target would take what the others hold; one that opens something, beside the
    stop of all that is held, would open as much again."""
    price, opens = memory.market(book.symbol).price, not books.reduces(memory.position(book.symbol), book)
    standing = [one for one in memory.unsettled(book.symbol, *PROTECTING) if one.waits]
    its_own = [one for one in standing if (one.owner == book.owner if guards.is_guard(one) else opens)]
    closing = [one for one in its_own if one.side == exit_side(book.side or "long")]
    reached = [one for one in closing if price is not None and guards.is_reached(one, price)]
    for one in reached:
        if memory.may(book.symbol, f"fired {one.id}", now, _LOOK_AGAIN):
            memory.doubt(one, now)
    return any(one.id in memory.doubts for one in closing if one.close_position or one in reached)


def watched(memory: Memory, position: PositionRecord) -> list[PositionRecord]:
    """Its books that end at a price which only the executor watches, and which has not been reached yet."""
    if not memory.policy.netted or not position.books or not _is_shared(position):
        return []
    unkept = guards.unkept(position, memory.unsettled(position.symbol))
    return [one for one in unkept if one.closing is None]


def _is_shared(position: PositionRecord) -> bool:
    """Whether the exchange's one stop does not stand for all of it."""
    return len(position.books) > 1 or not position.exposed


class Ledger:
    """Of all symbols."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._ended = False
        self._uneven: dict[str, tuple[Decimal, int, bool]] = {}

    def keep(self, symbol: str, now: int) -> None:
        """What was filled is in the books, and the position is as they make it."""
        position = self._memory.position(symbol)
        if position.is_theirs:
            self._memory.uneven.discard(symbol)
            return
        orders, lot = self._whose_is_known(symbol), self._memory.lot(symbol)
        carried = books.carried(position, orders, self._memory.policy.arithmetic, lot, now)
        carried = books.without_closing(carried, position.books)
        even = self._evened(carried, orders, lot, now)
        self._tell_ends(position.books, carried, orders)
        self._tell_ends(carried.books, even, ())
        self._memory.put(books.dressed(self._with_stops(even)))

    def _whose_is_known(self, symbol: str) -> list[OrderRecord]:
        """Its orders. Of an entry that was found again its past is to say whose it is."""
        orders = self._memory.of(symbol)
        if symbol not in self._memory.recalling:
            return orders
        return [one for one in orders if one.leg not in ENTERING or one.owner[0] is not None]

    def _with_stops(self, position: PositionRecord) -> PositionRecord:
        """One that was found again has the stop of what stands, else as its entry would have had."""
        for book in position.books:
            if book.stop_price is None:
                known = position.stop_price if len(position.books) == 1 else None
                price = book.entry_price or position.entry_price or self._memory.market(position.symbol).price
                priced = replace(book, stop_price=known, entry_price=price or book.entry_price)
                position = books.changed(position, with_stop(priced, self._memory) if priced.entry_price else priced)
        return position

    def guard(self, symbol: str, now: int) -> None:
        """Each book has what protects it, and ends when it is to."""
        position = self._memory.position(symbol)
        if position.is_theirs or symbol in self._memory.recalling:
            return
        orders = self._memory.unsettled(symbol)
        if _is_shared(position):
            self._watch(position, orders, now)
        if symbol in self._memory.uneven:
            return  # what was filled is not told yet: nothing is closed twice
        wanted = guards.wanted(position) if position.settled else None
        if wanted is not None:
            self._place(position, wanted, orders, now)
        if not position.closing and position.settled:
            if self._has_ended(position):
                self.cross(symbol, "the exchange does not trade it any more")
            for book in self._memory.position(symbol).books:
                if book.closing is not None:
                    self._close(position, book, orders, now)

    def cross(self, symbol: str, reason: str) -> None:
        """Nothing is held, and everything is to be closed: what they hold against each other ends."""
        position = self._memory.position(symbol)
        self._memory.put(replace(position, books=()))
        self._memory.emit(
            Notify("info", f"{symbol} is crossed", f"{reason}: what its strategies held against each other is gone")
        )

    def take_ended(self) -> bool:
        """Whether a book has ended since this was asked last."""
        ended, self._ended = self._ended, False
        return ended

    def _tell_ends(
        self, before: Iterable[PositionRecord], position: PositionRecord, orders: Iterable[OrderRecord]
    ) -> None:
        """What is not in them any more was closed: by the newest of these orders, or by nobody's that is known."""
        held = {one.owner for one in position.books}
        for book in before:
            if book.owner not in held:
                self._ended = True
                newest = max((one for one in orders if one.filled), key=lambda one: one.seen_at, default=None)
                other = self._memory.newest_other(book.symbol)
                ending = by_ours(newest, book) if newest else by_other(other) if other else UNTOLD
                title = f"{book.symbol} of {book.strategy} {book.interval or ''}".rstrip()
                self._memory.emit(Notify(ending.level, f"{title} is closed", ending.words))

    def _has_ended(self, position: PositionRecord) -> bool:
        """Whether what is to be closed cannot be, and nothing is held at the exchange."""
        untraded = self._memory.market(position.symbol).instrument is None
        return untraded and not position.quantity and any(one.closing for one in position.books)

    # As much as is held

    def _evened(
        self, position: PositionRecord, orders: Iterable[OrderRecord], lot: Decimal, now: int
    ) -> PositionRecord:
        """Where they do not add up to what is held, a fill has not been told yet, or somebody else has traded: which of
        the two, two comparisons with the exchange say, between which nothing of ours has moved; and a third, where the
        exchange had forgotten something: that is asked for again with each."""
        symbol, missing = position.symbol, position.quantity - books.total(position.books)
        if not missing:
            self._memory.uneven.discard(symbol)
            self._uneven.pop(symbol, None)
            return position
        if symbol not in self._memory.uneven:
            self._memory.uneven.add(symbol)
            self._memory.hold(symbol, "even", now + _TOLD_WITHIN)
        if symbol in self._memory.recalling or not position.settled or any(map(self._moves, orders)):
            self._uneven.pop(symbol, None)
            return position
        compared_at = self._memory.compared_at
        is_sure = not any(map(self._memory.may_have_fired, self._memory.of(symbol)))
        before, since, was_sure = self._uneven.setdefault(symbol, (missing, compared_at, is_sure))
        if before != missing or position.as_of > compared_at:
            self._uneven[symbol] = missing, compared_at, is_sure
        elif compared_at > since and was_sure:
            return self._followed(position, lot)
        elif compared_at > since:
            self._uneven[symbol] = missing, compared_at, True
        if self._memory.may(symbol, "even", now, _LOOK_AGAIN):
            self._memory.emit(Reconcile(f"{symbol}: {missing} is in no strategy's book"))
        return position

    def _followed(self, position: PositionRecord, lot: Decimal) -> PositionRecord:
        symbol = position.symbol
        even = books.evened(position, lot)
        self._memory.warn(
            f"the books of {symbol} follow the exchange",
            f"{books.total(position.books)} was in them, {position.quantity} is held",
        )
        self._memory.uneven.discard(symbol)
        followed = replace(position, books=even, evened_at=self._memory.compared_at)
        if books.total(even) != position.quantity:
            return replace(followed, closing=position.closing or _NOBODYS)
        return followed

    def _moves(self, order: OrderRecord) -> bool:
        """Whether it may have filled something that was not told."""
        in_doubt = order.id in self._memory.doubts or order.in_doubt or order.fired
        return order.unsettled and (in_doubt or order.leg in {*DECIDED, *CLOSING})

    # Stops and targets of their own

    def _place(
        self, position: PositionRecord, wanted: Iterable[guards.Guard], orders: Iterable[OrderRecord], now: int
    ) -> None:
        """The new one first: each only reduces, and the closing stop stands beside them."""
        standing = [one for one in orders if guards.is_guard(one)]
        coming = any(one.leg in ENTERING for one in orders)
        kept: set[str] = set()
        missing = set()
        for each in wanted:
            made = [one for one in standing if each.is_made_by(one)]
            kept.update(one.id for one in made[:1])
            if not any(one.waits for one in made):
                missing.add(each.book.owner)
            pace = guards.pace_of(each.leg, each.book.owner)
            is_new = not made and each.book.closing is None
            if is_new and self._memory.may(position.symbol, pace, now, _AGAIN):
                self._memory.intend(guards.placed(self._memory.identity, each, now))
        for one in standing:
            alone = not position.quantity or self._closing_stands(position)
            if one.id not in kept and one.waits and one.owner not in missing and alone and not coming:
                self._cancel(one, now)

    def _closing_stands(self, position: PositionRecord) -> bool:
        stop = self._memory.orders.get(position.stop_order or "")
        return stop is not None and stop.waits and stop.trigger_price == position.stop_price

    def _cancel(self, order: OrderRecord, now: int) -> None:
        doubted = self._memory.doubted_beside(order, now)
        if not doubted and self._memory.may(order.symbol, f"cancel {order.id}", now, _CANCEL_AGAIN):
            self._memory.emit(Cancel(order))

    def _watch(self, position: PositionRecord, orders: list[OrderRecord], now: int) -> None:
        market = self._memory.market(position.symbol)
        price, silent = market.price, now - market.price_at
        facing = guards.unkept(position, orders)
        if facing and silent > self._memory.policy.risk.stale_feed_seconds * SECOND:
            self._memory.warn_once(
                f"{position.symbol} is watched in vain",
                f"its price was heard {silent // SECOND} s ago, and strategies hold it against each other",
            )
        for book in facing:
            if book.closing is None and price is not None and (reason := guards.reached(book, price)):
                self.end(book, reason)

    # Its end

    def end(self, book: PositionRecord, reason: str) -> None:
        """The book is to be closed."""
        position = self._memory.position(book.symbol)
        self._memory.put(books.dressed(books.changed(position, replace(book, closing=reason))))

    def _close(self, position: PositionRecord, book: PositionRecord, orders: Iterable[OrderRecord], now: int) -> None:
        opens = not books.reduces(position, book)
        may_be_more = opens and any(_is_bridge(one) or _may_have_fired(one, book) for one in orders)
        if may_be_more or any(self._may_close(one, book) for one in orders):
            return
        if asks_what_has_fired(self._memory, book, now):
            return
        pace = guards.pace_of("flatten", book.owner)
        if not self._memory.may(position.symbol, pace, now, _AGAIN):
            return
        market = self._memory.market(position.symbol)
        filters, one = market.filters, market.instrument
        quantity = sizing.closing_quantity(book.quantity, filters) if filters else abs(book.quantity)
        reason = None if quantity else f"{book.quantity} is less than a lot"
        if one is not None and market.price is not None and not books.reduces(position, book):
            reason = reason or sizing.too_small_alone(quantity, market.price, one)
        if reason is not None:
            if self._memory.may(position.symbol, f"dust {pace}", now, MINUTE):
                self._memory.warn(f"{book.symbol} of {book.strategy} cannot be closed", reason)
            return
        self._memory.emit(Notify("warning", f"closing {book.symbol} of {book.strategy}", book.closing or ""))
        order = guards.order_of(self._memory.identity, book, "flatten", "MARKET", quantity, now)
        self._memory.intend(replace(order, reduce_only=books.reduces(position, book)), book.closing)

    def _may_close(self, order: OrderRecord, book: PositionRecord) -> bool:
        """Whether it closes the book, or may have."""
        if guards.is_guard(order):
            return order.owner == book.owner and not order.waits
        if order.leg in CLOSING:
            return order.strategy is None or order.owner == book.owner
        return order.fired and order.side == exit_side(book.side or "long")


def _is_bridge(order: OrderRecord) -> bool:
    """Whether it stands for all that is held while the closing stop is moved, and would be too small for more."""
    return order.leg == "stop" and not order.close_position and order.strategy is None


def _may_have_fired(order: OrderRecord, book: PositionRecord) -> bool:
    """Whether it would close the book with all that is held, and nobody knows whether it stands, or has done it."""
    is_asked_for = order.in_doubt and order.attempts > 0
    return is_asked_for and order.close_position and order.side == exit_side(book.side or "long")
