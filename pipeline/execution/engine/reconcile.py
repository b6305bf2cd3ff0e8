"""Compares what is with what should be, symbol by symbol, and does the next thing: asks, sends again, protects, closes,
tidies up. Safe to call at any time, any number of times.
"""

from dataclasses import replace
from decimal import Decimal

from pipeline.execution.engine import holdings, pairs, protect, resolve, risk, sizing
from pipeline.execution.engine.breakers import Breakers
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.coins import Coins
from pipeline.execution.engine.effects import Cancel, CloseDone, Notify, Query, QueryFills, QueryPositions, Reconcile
from pipeline.execution.engine.endings import BY_HAND, UNTOLD, how_it_ended
from pipeline.execution.engine.found_stop import with_stop
from pipeline.execution.engine.guards import is_guard
from pipeline.execution.engine.ledger import Ledger
from pipeline.execution.engine.memory import Ended, Memory
from pipeline.execution.engine.obstacles import ended_by, obstacle
from pipeline.execution.engine.protect import (
    CancelProtection,
    DropProtection,
    MoveProtection,
    PlaceProtection,
    Step,
    pace_of,
    stops_loss_of,
)
from pipeline.execution.engine.recall import REACH
from pipeline.execution.engine.resolve import Doubt, trades_since
from pipeline.execution.engine.state import (
    CLOSING,
    ENTERING,
    PROTECTING,
    OrderRecord,
    PositionRecord,
    exit_side,
    flat,
)
from pipeline.timeline import DAY, MINUTE, SECOND

_CANCEL_AGAIN = 2 * SECOND
_PLACE_AGAIN = SECOND
_DUST_AGAIN = 60 * SECOND
_STREAM_LATE = SECOND
_ASK_AGAIN = 2 * SECOND
_PATIENCE = {UNTOLD: 30 * SECOND, BY_HAND: _STREAM_LATE}
"""So long something newer may come that says better how a position has ended."""


class Reconciler:
    """Does the next thing for a symbol."""

    def __init__(self, memory: Memory, breakers: Breakers) -> None:
        self._memory = memory
        self._breakers = breakers
        self._coins = Coins(memory)
        self._cover = pairs if memory.policy.owned else protect
        self._ledger = Ledger(memory)
        self._has_ended = False

    def keep(self, symbol: str, now: int) -> None:
        """Whatever the symbol needs now."""
        if self._memory.policy.owned:
            self._coins.restate(symbol)
        if self._memory.policy.netted:
            self._ledger.keep(symbol, now)
        self._resolve(symbol, now)
        self._end_entries(symbol, now)
        position = self._memory.position(symbol)
        if not position.settled and self._memory.may(symbol, "position", now, self._memory.policy.ask_first * 2):
            self._memory.emit(self._question(position, now))
        for held in self._memory.each(symbol):
            if held.guarded:
                self._guard(held, now)
            elif held.settled:
                self._tidy(held, now)
        if self._memory.policy.netted:
            self._ledger.guard(symbol, now)
        self._end_closing(symbol)
        if symbol in self._memory.ended:
            self._say_how_it_ended(self._memory.ended[symbol], now)
        if symbol in self._memory.unpaid and (self._memory.policy.owned or self._is_quiet(symbol)):
            self._memory.emit(QueryFills(symbol, self._memory.unpaid.pop(symbol)))

    def take_ended(self) -> bool:
        """Whether a position has ended since this was asked last."""
        ended, self._has_ended = self._has_ended, False
        return self._ledger.take_ended() or ended

    def _question(self, position: PositionRecord, now: int) -> QueryPositions | QueryFills:
        """What tells how much is held: of coins, what was filled of our orders, and kept of it."""
        if not self._memory.policy.owned:
            return QueryPositions(position.symbol)
        made = (self._memory.orders[one].created_at for one in position.parts if one in self._memory.orders)
        return QueryFills(position.symbol, min(made, default=now) - SECOND)

    def _is_quiet(self, symbol: str) -> bool:
        """Whether nothing is under way, and what is held has its stop. A question counts against the address: one on
        which nothing depends must not use up what a stop may need. Of coins, what they cost says how many there are."""
        position = self._memory.position(symbol)
        is_covered = not position.guarded or position.stop_order is not None
        return position.settled and is_covered and not any(one.in_doubt for one in self._memory.unsettled(symbol))

    # Doubts

    def _resolve(self, symbol: str, now: int) -> None:
        for order in self._memory.unsettled(symbol):
            if order.id in self._memory.unjournaled:
                continue
            self._look_at_stop(order, now)
            wait = self._memory.doubts.get(order.id)
            if wait is not None and now >= wait.ask_at:
                self._ask(order, wait, now)
            due = self._memory.resend_at.get(order.id)
            if due is not None and now >= due and not self._locked(order):
                self._send_again(order, now)

    def _look_at_stop(self, order: OrderRecord, now: int) -> None:
        """One that nobody would tell of if it were gone is asked for from time to time."""
        every = self._memory.policy.look_at_stops_every
        if every is None or not (order.algo and order.waits) or order.id in self._memory.doubts:
            return
        if now >= order.updated_at + every and self._memory.may(order.symbol, f"look at {order.id}", now, every):
            self._memory.doubt(order, now)

    def _ask(self, order: OrderRecord, wait: Doubt, now: int) -> None:
        if order.state == "sent":
            self._memory.move(order, "unknown", "executor", "no answer came", now)
        if wait.absent and not wait.unlisted:
            self._memory.emit(Reconcile(f"{order.id} may rest"))
        elif wait.absent:
            self._memory.emit(QueryFills(order.symbol, trades_since(order, wait)))
            self._memory.emit(QueryPositions(order.symbol))
        else:
            self._memory.emit(Query(order))
            if order.leg in ENTERING:
                self._memory.emit(QueryPositions(order.symbol))
        wait.asked(self._memory.policy, now)

    def send(self, order: OrderRecord, now: int) -> None:
        """The order leaves, as soon as nothing keeps what it would sell."""
        if self._locked(order):
            self._memory.resend_at[order.id] = now
            self._memory.touched.add(order.symbol)
        else:
            self._memory.send(order, now)

    def _send_again(self, order: OrderRecord, now: int, instead: OrderRecord | None = None) -> None:
        reason = obstacle(self._memory, order, now)
        if reason is None:
            self._memory.send(order, now, instead)
            return
        for one in self._memory.together(order):
            self._memory.move(one, "abandoned", "executor", f"it never arrived, and is not sent again: {reason}", now)

    def _locked(self, order: OrderRecord) -> bool:
        """Whether what it would sell is kept by something else, or not known to be ours."""
        if order.leg in ENTERING:
            return False
        together = {one.id for one in self._memory.together(order)}
        every = self._memory.locking(self._memory.moved_by(order))
        others = [one for one in every if one.id not in together]
        unknown = order.leg in PROTECTING and self._memory.policy.owned and order.symbol in self._memory.recalling
        return unknown or self._cover.locks(others)

    # Entries that rest

    def _end_entries(self, symbol: str, now: int) -> None:
        for order in self._memory.unsettled(symbol, *ENTERING):
            if order.rests and (reason := ended_by(self._memory, self._breakers.tripped(), order, now)):
                self.withdraw(order, reason, now)

    def withdraw(self, order: OrderRecord, reason: str, now: int) -> None:
        """Cancel an entry that rests, until it has its end."""
        self._memory.withdrawn.setdefault(order.id, reason)
        self._cancel(order, now)

    # A position that is there

    def _guard(self, position: PositionRecord, now: int) -> None:
        orders = self._without_strays(position, now)
        filters = self._memory.market(position.symbol).filters
        stop = self._cover.stop_of(position, orders, filters)
        position = _with_standing(with_stop(position, self._memory), stop, orders, now)
        doom = self._doom(position, now)
        position = replace(position, closing=position.closing or doom)
        self._memory.put(position)
        unexplained = position.symbol in self._memory.recalling and stop is not None
        if position.reduced_at <= position.as_of and not unexplained and not self._unsure_of_a_pair(position, now):
            for step in self._cover.steps(position, orders, filters):
                self._protect(position, step, now)
        if position.stop_order is None:
            close = self._memory.pace("close", position)
            self._memory.hold_at_most(position.symbol, close, now + self._memory.policy.naked_again)
        ours = not (self._memory.policy.owned and position.symbol in self._memory.recalling)
        if position.closing and position.settled and ours and (doom or not unexplained):
            self._close(position, now)

    def _unsure_of_a_pair(self, position: PositionRecord, now: int) -> bool:
        """Whether it has still to be asked how the other one of a pair has ended, or whether what stands does; or what
        of the coins is ours."""
        memory = self._memory
        if not memory.policy.owned:
            return False
        if position.symbol in memory.recalling:
            return True
        every = memory.orders_of(position)
        for one in pairs.halves(every):
            if one.id not in memory.halved:
                memory.halved.add(one.id)
                wait = resolve.lost(memory.policy, resolve.held_by(position, memory.compared_at), now)
                wait.ask_at, wait.gone_at = now, now + memory.policy.surely_listed
                memory.doubts.setdefault(one.id, wait)
        return any(one.id in memory.doubts for one in every if one.leg in PROTECTING and one.unsettled)

    def _without_strays(self, position: PositionRecord, now: int) -> list[OrderRecord]:
        """The symbol's orders, but what was to protect an earlier position on the other side: that is cancelled, once
        the position has a stop of its own."""
        closes = exit_side(position.side or "long")
        orders = self._memory.unsettled_of(position)
        strays = [one for one in orders if one.leg in PROTECTING and one.side != closes]
        ours = [one for one in orders if one not in strays and not (self._memory.policy.netted and is_guard(one))]
        stands = self._cover.stop_of(position, ours, self._memory.market(position.symbol).filters)
        turning = not position.settled or any(one.may_open for one in orders) or position.symbol in self._memory.uneven
        if stands and not (self._memory.policy.netted and turning):
            for stray in strays:
                if stray.waits and not stops_loss_of(stray, position):
                    self._cancel(stray, now)
        return ours

    def _doom(self, position: PositionRecord, now: int) -> str | None:
        """Why whatever is held is to be closed now: it is asked for, or it has been naked for too long."""
        naked = risk.unprotected(position, self._memory.policy.risk, now)
        if naked is not None:
            self._breakers.trip(naked)
        market = self._memory.market(position.symbol)
        asked = "asked for by a person" if market.close_due else None
        if market.trading.when_reached == "close":
            asked = asked or self._breakers.reason_of(risk.profit_breaker(position.symbol))
        if self._memory.goal.when_reached == "close":
            won = risk.of_coin(risk.ACCOUNT_PROFIT, self._memory.policy, market.asset)
            asked = asked or self._breakers.reason_of(won)
        return "halt with flatten" if self._memory.flatten else asked or (naked.reason if naked else None)

    def _protect(self, position: PositionRecord, step: Step, now: int) -> None:
        match step:
            case CancelProtection(order) if not self._memory.doubted_beside(order, now):
                self._cancel(order, now)
            case DropProtection(order) if order.id not in self._memory.unjournaled:
                for one in self._memory.together(order):
                    self._memory.move(one, "abandoned", "executor", "not sent: it is not wanted any more", now)
            case MoveProtection():
                self._move(step, now)
            case PlaceProtection():
                self._intend(position, step, now)

    def _intend(self, position: PositionRecord, step: PlaceProtection, now: int) -> None:
        orders = self._cover.placed(self._memory.identity, position, step, now)
        pace = self._memory.pace(pace_of(step.leg, closing=orders[-1].close_position), position)
        if self._memory.may(position.symbol, pace, now, _PLACE_AGAIN):
            for order in orders:
                self._memory.intend(self._signed(order, position))

    def _signed(self, order: OrderRecord, position: PositionRecord) -> OrderRecord:
        """The order, with whose it is where each strategy's coins are a position of their own."""
        return replace(order, strategy=position.strategy) if self._memory.policy.apart else order

    def _move(self, step: MoveProtection, now: int) -> None:
        """Once it is journaled, what stands goes: by the same request, or by one before it."""
        due = self._memory.resend_at.get(step.order.id)
        if due is None or now < due:
            return
        if step.at_once and step.order.symbol not in self._memory.one_by_one:
            self._send_again(step.order, now, step.standing[0])
            return
        for one in step.standing:
            self._cancel(one, now)

    def _cancel(self, order: OrderRecord, now: int) -> None:
        if self._memory.may(order.symbol, f"cancel {order.id}", now, _CANCEL_AGAIN):
            self._memory.emit(Cancel(order))

    def _close(self, position: PositionRecord, now: int) -> None:
        if self._memory.unsettled_of(position, *CLOSING) or self._cover.locks(self._memory.locking(position)):
            return
        if not self._memory.may(position.symbol, self._memory.pace("close", position), now, _PLACE_AGAIN):
            return
        filters = self._memory.market(position.symbol).filters
        quantity = sizing.closing_quantity(position.quantity, filters) if filters else abs(position.quantity)
        if not quantity:
            if self._memory.may(position.symbol, self._memory.pace("dust", position), now, _DUST_AGAIN):
                self._memory.warn(f"{position.symbol} cannot be closed", f"{position.quantity} is less than a lot")
            return
        self._memory.emit(Notify("warning", f"closing {position.symbol}", position.closing or ""))
        closing = _closing(self._memory.identity, position, quantity, now)
        self._memory.intend(self._signed(closing, position), position.closing)

    def _end_closing(self, symbol: str) -> None:
        """It is done when nothing of ours is held in the symbol and nothing can come any more: what stands under what
        is not ours brings nothing."""
        market, position = self._memory.market(symbol), self._memory.position(symbol)
        unknown = not position.settled or symbol in self._memory.recalling
        held = unknown or (position.ours and (position.exposed or position.books))
        coming = any(not (one.waits and stops_loss_of(one, position)) for one in self._memory.unsettled(symbol))
        if (asked := market.close_due) and not held and not coming:
            market.close_done = asked
            self._memory.emit(CloseDone(symbol, asked))

    # A position that is gone, or not ours

    def _tidy(self, position: PositionRecord, now: int) -> None:
        if any(one.may_open for one in self._memory.unsettled_of(position)):
            return  # it may be filled at this moment: what stands would protect it
        if position.symbol in self._memory.recalling:
            return  # what stands may belong to what is held
        for order in self._memory.unsettled_of(position, *PROTECTING):
            if order.waits and not stops_loss_of(order, position):
                self._cancel(order, now)
        under_way = self._memory.unsettled_of(position)
        if position.managed and not under_way and self._memory.policy.apart:
            self._end(position, now)
        elif position.managed and not under_way:
            self._has_ended = True
            self._memory.hold_no_more(position.symbol)
            as_of, entered, reduced = position.as_of, position.entered_at, position.reduced_at
            gone = replace(flat(position.symbol, as_of), entered_at=entered, reduced_at=reduced)
            counted = holdings.over(position, position, now) if self._memory.policy.owned else position.counted
            gone = replace(gone, books=position.books, counted=counted, evened_at=position.evened_at)
            self._memory.put(gone)
        elif position.books and not under_way and (reason := self._doom(position, now)):
            self._ledger.cross(position.symbol, reason)

    def _end(self, book: PositionRecord, now: int) -> None:
        """Nothing is left of a strategy's coins: that is said at once, for only an order of its own ends them, or
        somebody who has taken them."""
        memory = self._memory
        self._has_ended = True
        memory.hold_no_more(book.symbol, memory.pace("stop", book), memory.pace("close", book))
        other = memory.newest_other(book.symbol) if book.missing else None
        ending = how_it_ended(book, memory.orders_of(book), other, 0, book.reduced_at)
        title = f"{book.symbol} of {book.strategy} {book.interval or ''}".rstrip()
        memory.end(book, Notify(ending.level, f"{title} is closed", ending.words), now)

    def _say_how_it_ended(self, ended: Ended, now: int) -> None:
        """The stream tells of the position first, and of the order that closed it right after. Where it does not, as
        over a gap, the trades name that order. What comes once something is held again has closed that."""
        memory, position = self._memory, ended.position
        symbol, since = position.symbol, now if ended.since is None else ended.since
        ended.since = since
        next_one = memory.position(symbol)
        reduced_at = max(position.reduced_at, next_one.reduced_at)
        other = memory.newest_other(symbol)
        ending = how_it_ended(position, memory.orders.values(), other, ended.held_at, reduced_at)
        waits = now < since + _PATIENCE.get(ending, 0) and not ended.cannot_be_asked
        if not waits or next_one.managed or next_one.quantity:
            memory.say_end(symbol, Notify(ending.level, f"{symbol} is closed", ending.words))
        elif ending is UNTOLD and now >= since + _STREAM_LATE and memory.may(symbol, "how it ended", now, _ASK_AGAIN):
            since = (position.opened_at or now - DAY) - MINUTE
            memory.emit(QueryFills(symbol, max(since, now - REACH)))


def _with_standing(
    position: PositionRecord, stop: OrderRecord | None, orders: list[OrderRecord], now: int
) -> PositionRecord:
    """The position with what stands for it, and since when nothing does."""
    target = next((one for one in orders if one.leg == "take_profit" and one.waits), None)
    since = None if stop else min(position.unprotected_since or now, now)
    standing = (stop.id if stop else None, target.id if target else None, since)
    if standing == (position.stop_order, position.take_profit_order, position.unprotected_since):
        return position
    return replace(position, stop_order=standing[0], take_profit_order=standing[1], unprotected_since=since)


def _closing(identity: Identity, position: PositionRecord, quantity: Decimal, now: int) -> OrderRecord:
    own = position.books[0] if len(position.books) == 1 and position.books[0].closing is not None else None
    return OrderRecord(
        id=identity.order_id(position.signal or position.symbol, "flatten", now),
        symbol=position.symbol,
        signal=position.signal,
        interval=position.interval if own is None else own.interval,
        strategy=None if own is None else own.strategy,
        leg="flatten",
        side="SELL" if position.quantity > 0 else "BUY",
        type="MARKET",
        quantity=quantity,
        reduce_only=True,
        created_at=now,
        updated_at=now,
    )
