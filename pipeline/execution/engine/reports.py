"""Takes in what the exchange says about orders, fills and positions, in whatever order it comes. Sends nothing; what
should follow from it is decided by comparing (`reconcile`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from pipeline.execution.engine import coins, guards, resolve, risk
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.books import book_of, changed, overtaken
from pipeline.execution.engine.breakers import Breakers
from pipeline.execution.engine.client_ids import leg_of
from pipeline.execution.engine.effects import Explain, Query, QueryNumber, QueryPositions, Reconcile
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.order_life import merged, with_slippage
from pipeline.execution.engine.others import Others, others_in, said
from pipeline.execution.engine.protect import pace_of
from pipeline.execution.engine.rebuild import entered, found, theirs
from pipeline.execution.engine.refusals import Reaction, reaction
from pipeline.execution.engine.resolve import Absent, Doubt
from pipeline.execution.engine.state import (
    CLOSING,
    DECIDED,
    ENTERING,
    PROTECTING,
    STANDING,
    ZERO,
    By,
    OrderRecord,
    OrderTold,
    PositionRecord,
    PositionTold,
    TradeTold,
    side_of,
)
from pipeline.timeline import SECOND


class Reports:
    """Keeps the memory equal to the exchange."""

    def __init__(self, memory: Memory, breakers: Breakers) -> None:
        self._memory = memory
        self._breakers = breakers
        self._coins = coins.Coins(memory)

    # One order

    def seen(self, told: OrderTold, by: By, now: int) -> None:
        """The exchange has the order."""
        order = self._memory.orders.get(told.id)
        if order is not None:
            self._follow(order, told, by, now)
        elif leg_of(told.id) in DECIDED and self._memory.identity.owns(told.id):
            self._adopt(told, by, now)
        elif told.filled:
            self._memory.keep_other(told)

    def past(self, told: Iterable[OrderTold], now: int) -> None:
        """What became of orders that are in doubt, or were given up: it is counted before what is held is explained by
        them. What stands may be a copy of one that was filled, and is left as it is."""
        for one in told:
            order = self._memory.orders.get(one.id)
            if not self._memory.policy.netted or order is None or order.stands:
                continue
            if order.in_doubt or one.filled > order.filled:
                self._follow(order, one, "reconcile", now)

    def _follow(self, order: OrderRecord, told: OrderTold, by: By, now: int) -> None:
        if by == "stream" and told.filled and told.filled >= order.filled:
            self._streamed(order, told.at)
        if order.stands and not order.fired and told.state in STANDING and by != "stream":
            self._memory.doubts.pop(order.id, None)
        changed = self._merged(order, told, now)
        if changed is order:
            return
        if order.state == "abandoned":
            self._memory.warn("an order came late", f"{order.id} ({order.leg} {order.symbol}) was given up, and exists")
        if changed.filled > order.filled or (changed.state == "filled" and order.state != "filled"):
            self._filled(changed, told.at, by, now)
        if changed.type == "LIMIT" and (order.unsettled or changed.filled > order.filled):
            self._say_what_was_filled(changed)
        if changed.updated_at == order.updated_at and changed.state == order.state:
            self._memory.keep(changed)
        else:
            self._memory.write(changed, by)
        if _unpaid(changed):
            self._ask_what_was_paid(changed)
        if changed.fired:
            held = resolve.held_by(self._memory.position(changed.symbol), self._memory.compared_at)
            self._memory.doubts[changed.id] = resolve.lost(self._memory.policy, held, now)

    def _merged(self, order: OrderRecord, told: OrderTold, now: int) -> OrderRecord:
        changed = merged(order, told, now)
        if not self._memory.policy.owned or changed.filled == order.filled:
            return changed
        return coins.with_gain(changed, self._memory.moved_by(order))

    def _say_what_was_filled(self, order: OrderRecord) -> None:
        if order.signal is not None and order.state in {"cancelled", "expired"}:
            why = self._memory.withdrawn.get(order.id, order.state)
            why = "expired at the exchange" if order.state == "expired" else why
            filled = f"filled {order.filled} of {order.quantity} at {order.price}"
            self._memory.emit(Explain(order.signal, f"{filled}: {why}"))

    def rejected(self, order: OrderRecord, code: int, text: str, now: int) -> None:
        """A request to place it was refused."""
        meaning = reaction(code, text)
        if meaning is Reaction.WAIT:
            self.failed(order, f"{code}: {text}", None, now)
            return
        if meaning is Reaction.EXISTS:
            self.unknown(order, f"{code}: {text}", now)
            return
        stands_behind = self._memory.stands_behind(order)
        order, *_ = [
            self._memory.move(replace(one, error_code=code), "rejected", "answer", f"{code}: {text}", now)
            for one in self._memory.together(order)
        ]
        self._follow_refusal(order, meaning, code, text, now)
        if stands_behind:
            self._memory.one_by_one.add(order.symbol)
            self._memory.hold(order.symbol, self._pace(order), now)
        elif order.leg in PROTECTING:
            self._protection_refused(order, meaning, f"{code} {text}", now)
        elif order.leg in CLOSING:
            self._memory.hold_longer(order.symbol, self._pace(order), now, self._memory.policy.retry_after)

    def _pace(self, order: OrderRecord) -> str:
        """What is not tried too often, where the order protects or closes."""
        netted = self._memory.policy.netted
        several = netted and len(self._memory.position(order.symbol).books) > 1
        if (netted and guards.is_guard(order)) or (several and order.leg in CLOSING and order.strategy):
            return guards.pace_of(order.leg, order.owner)
        what = pace_of(order.leg, closing=order.close_position) if order.leg in PROTECTING else "close"
        return self._memory.pace(what, order)

    def _follow_refusal(self, order: OrderRecord, meaning: Reaction, code: int, text: str, now: int) -> None:
        told = f"{order.leg} {order.side} {order.quantity or ''} {order.symbol}: {code} {text}"
        self._memory.warn("an order was refused", told)
        match meaning:
            case Reaction.KEY:
                self._breakers.trip(risk.by_hand("key", f"the exchange refused our key: {code} {text}", now))
            case Reaction.POSITION_MODE:
                self._breakers.trip(risk.by_hand("position-mode", f"one-way mode is needed: {code} {text}", now))
            case Reaction.BUG:
                self._breakers.trip(risk.by_hand("refused", told, now, order.symbol))
            case Reaction.NOTHING_TO_REDUCE:
                self._disbelieve(order, text)
            case Reaction.STOP_STANDS:
                self._stands_already(order, now)

    def _stands_already(self, refused: OrderRecord, now: int) -> None:
        """One of its kind stands: ours that the exchange had forgotten, or one that only a look at everything shows."""
        alike = [one for one in self._memory.orders.values() if one.forgotten and _same_close(one, refused)]
        if alike:
            why = f"no other is taken beside it: {refused.id} got {refused.error_code}"
            self._memory.move(max(alike, key=lambda one: one.updated_at), "accepted", "answer", why, now)
        else:
            self._memory.emit(Reconcile(f"{refused.symbol}: an unknown stop stands"))

    def _disbelieve(self, order: OrderRecord, text: str) -> None:
        """What it should close is not held: no other is sent before the position was told anew. Coins are compared."""
        if order.leg in CLOSING:
            position = self._memory.moved_by(order)
            self._memory.put(replace(position, reduced_at=max(position.reduced_at, position.as_of + 1)))
        compared = self._memory.policy.owned
        self._memory.emit(Reconcile(f"{order.symbol}: {text}") if compared else QueryPositions(order.symbol))

    def _protection_refused(self, order: OrderRecord, meaning: Reaction, why: str, now: int) -> None:
        pace = self._pace(order)
        stands = order.leg != "stop" or not order.close_position or meaning is Reaction.STOP_STANDS
        most = self._memory.policy.retry_after if stands else self._memory.policy.naked_again
        self._memory.hold_longer(order.symbol, pace, now, most)
        if meaning is Reaction.WOULD_TRIGGER:
            self._overtaken(order)
        elif order.leg == "stop" and order.close_position:
            if meaning not in {Reaction.NOTHING_TO_REDUCE, Reaction.STOP_STANDS}:
                self._close(self._memory.moved_by(order), f"its stop was refused: {why}")
        else:
            self._memory.hold(order.symbol, pace, now + self._memory.policy.retry_after)

    def _overtaken(self, order: OrderRecord) -> None:
        """The price was beyond it before it stood: what it is of is closed; of several those whose stop it is. The one
        for all before it may have done that, which a close that may open something would not find out."""
        reason = overtaken(order.leg)
        position = self._memory.moved_by(order)
        if not position.books:
            self._close(position, reason)
            return
        if order.close_position and len(position.books) > 1:
            self._memory.emit(QueryPositions(order.symbol))
        mine = book_of(position, order)
        for book in position.books:
            price = book.stop_price if order.leg == "stop" else book.take_profit_price
            is_meant = book is mine if order.strategy else price == order.trigger_price
            if is_meant and book.closing is None:
                position = changed(position, replace(book, closing=reason))
        self._memory.put(position)

    def _close(self, position: PositionRecord, reason: str) -> None:
        if position.exposed and position.ours and not position.closing:
            self._memory.put(replace(position, closing=reason))

    def unknown(self, order: OrderRecord, reason: str, now: int) -> None:
        """The answer to its request was lost."""
        for one in self._memory.together(order):
            wait = self._memory.doubts.get(one.id)
            before = wait.held if wait else resolve.held_by(self._memory.position(one.symbol), self._memory.compared_at)
            self._memory.move(one, "unknown", "answer", reason, now)
            self._memory.doubts[one.id] = resolve.lost(self._memory.policy, before, now, wait.seen if wait else ())

    def failed(self, order: OrderRecord, reason: str, until: int | None, now: int) -> None:
        """It surely did not arrive. An entry is sent again a few times while its signal is fresh; what protects or
        closes, until it has arrived."""
        pause = min(200 * 2 ** max(order.attempts - 1, 0), 2 * SECOND)
        again = max(until or 0, now + pause)
        for one in self._memory.together(order):
            self._memory.doubts.pop(one.id, None)
        if order.leg in ENTERING:
            late = order.plan is None or again > order.plan.send_by
            if late or order.attempts > self._memory.policy.resend_most:
                self._memory.move(order, "abandoned", "answer", f"it did not arrive, and is late now: {reason}", now)
                return
        for one in self._memory.together(order):
            self._memory.move(one, "intended", "answer", f"it did not arrive: {reason}", now)
        self._memory.resend_at[order.id] = again

    # Proving that an order is not there

    def not_found(self, order: OrderRecord, asof: int, now: int) -> None:
        """The exchange knows no order of that id. Right after it was sent, that proves nothing."""
        wait = self._memory.doubts.get(order.id)
        if wait is None:
            return
        if order.leg in PROTECTING:
            self._protection_not_found(order, asof, wait.gone_at, now)
        elif asof >= wait.gone_at:
            if not wait.absent:
                wait.absent, wait.ask_at = True, now  # its trades and the position are asked for at once
                wait.unlisted = order.type != "LIMIT"
            self._conclude(order, now)

    def symbol_gone(self, symbol: str, asof: int, now: int) -> None:
        """Nothing of the symbol can be asked any more, and nothing can be held in it: whatever became of its orders is
        over, so none waits for proof. Trades that are likely its own are as good as any proof will be."""
        reason = "the exchange knows its symbol no more, so what became of it cannot be asked"
        if symbol in self._memory.ended:
            self._memory.ended[symbol].cannot_be_asked = True
            self._memory.touched.add(symbol)
        for order in [one for one in self._memory.orders.values() if one.symbol == symbol and one.unsettled]:
            wait = self._memory.doubts.get(order.id)
            if wait is None or asof < wait.gone_at:
                continue
            if trades := wait.trades or wait.likely:
                self._made_by(order, trades, now)
            else:
                self._memory.move(order, "abandoned", "query", reason, now)

    def _protection_not_found(self, order: OrderRecord, asof: int, gone_at: int, now: int) -> None:
        """It can only close, so a second copy does no harm: it is sent again while it is needed. One that stood is
        given up only until the exchange shows it again: it may have forgotten it for a moment."""
        if order.stands and not (self._memory.policy.owned and asof < gone_at):
            self._memory.move(order, "abandoned", "query", "the exchange does not know it any more", now)
            position = self._memory.moved_by(order)
            if order.close_position and len(position.books) > 1:  # it may have fired: what is held is told first
                self._memory.put(replace(position, reduced_at=max(position.reduced_at, asof)))
        elif self._memory.position(order.symbol).guarded and not self._memory.policy.owned:
            self._memory.send(order, now)
        elif asof >= gone_at:
            self._memory.move(order, "abandoned", "query", "it never arrived, and is not needed", now)

    def fills(self, event: ev.FillsSeen, now: int) -> None:
        """Trades of a symbol: what our orders cost, and what an order that nobody knows may have done."""
        mine = [one for one in self._memory.orders.values() if one.symbol == event.symbol]
        for order in mine:
            trades = [one for one in event.trades if one.exchange_id == order.exchange_id]
            if (known := coins.with_kept(order, trades)) is not order and self._memory.policy.owned:
                self._memory.write(known, "fills")
            if trades and not order.unsettled:
                self._account(self._memory.orders[order.id], trades, now)
            wait = self._memory.doubts.get(order.id)
            if wait is not None and wait.unseen and event.asof >= wait.gone_at:
                self._claim(order, wait, event, now)
        if event.symbol in self._memory.ended:
            self._find_what_ended(self._memory.ended[event.symbol].position, event)

    def _claim(self, order: OrderRecord, wait: Doubt, event: ev.FillsSeen, now: int) -> None:
        """Trades that may be its own: the order that they are of is asked for first. Only where the exchange cannot
        name that one they are taken for this order's."""
        if event.since > resolve.trades_since(order, wait):
            return
        trades = resolve.unclaimed(order, event.trades, self._memory.numbers(order.symbol))
        if trades and trades[0].exchange_id not in {order.exchange_id, *self._memory.nameless}:
            self._memory.emit(QueryNumber(order.symbol, trades[0].exchange_id))
            wait.ask_at = now + self._memory.policy.ask_first
            return
        if trades and self._fits_another(order, trades):
            wait.likely = trades
            return  # of which it is, that one's end says soon
        is_soon_said = now < wait.gone_at + self._memory.policy.surely_listed
        if trades and is_soon_said and self._may_be_anothers(order, trades[0].price):
            wait.likely = trades
            self._memory.nameless.discard(trades[0].exchange_id)
            return  # likewise; and who asks whose they are is told in the end
        wait.trades, wait.trades_at, wait.listed = trades, event.asof, event.trades
        wait.others = tuple(one for one in event.trades if one not in trades and one.exchange_id != order.exchange_id)
        self._conclude(order, now)

    def _fits_another(self, order: OrderRecord, trades: Sequence[TradeTold]) -> bool:
        """Whether they are all of another order in doubt, and only a part of this one, which nothing else names."""
        if trades[0].exchange_id == order.exchange_id:
            return False
        traded = sum((one.quantity for one in trades), ZERO)
        if order.quantity is None or traded >= order.quantity:
            return False
        others = (one for one in self._memory.of(order.symbol) if one.id in self._memory.doubts and one.in_doubt)
        return any(one.side == order.side and one.quantity == traded for one in others)

    def _may_be_anothers(self, order: OrderRecord, price: Decimal) -> bool:
        """Whether a stop or take-profit of ours may have traded at that price what nobody can name: its end is not
        known, or it stands as far as we know and fires there."""
        mine = (one for one in self._memory.orders.values() if one.symbol == order.symbol and one.side == order.side)
        closing = [one for one in mine if one.leg in PROTECTING and one.id != order.id]
        unknown = any(one.id in self._memory.doubts or one.may_come_late for one in closing)
        return unknown or any(one.waits and guards.is_reached(one, price) for one in closing)

    def _find_what_ended(self, position: PositionRecord, event: ev.FillsSeen) -> None:
        """The newest trade of the symbol has closed it: whose was it?"""
        newest = max(event.trades, key=lambda one: one.at, default=None)
        known = self._memory.numbers(position.symbol) | self._memory.nameless
        if newest is not None and newest.exchange_id not in known:
            self._memory.emit(QueryNumber(position.symbol, newest.exchange_id))

    def _ask_what_was_paid(self, order: OrderRecord) -> None:
        since = order.created_at - SECOND
        self._memory.unpaid[order.symbol] = min(since, self._memory.unpaid.get(order.symbol, since))
        self._memory.touched.add(order.symbol)

    def _account(self, order: OrderRecord, trades: list[TradeTold], now: int) -> None:
        quantity = sum((one.quantity for one in trades), ZERO)
        fees = [one.fee for one in trades if one.fee is not None]
        if order.fee is not None or quantity < order.filled or not quantity or len(fees) < len(trades):
            return
        priced = replace(
            order,
            fee=sum(fees, ZERO),
            realized=order.realized if self._memory.policy.owned else sum((one.realized for one in trades), ZERO),
            average_price=self._memory.policy.arithmetic.average((one.quantity, one.price) for one in trades),
            updated_at=now,
        )
        self._memory.write(with_slippage(priced), "fills")
        self._check_slippage(self._memory.orders[order.id], now)

    def _conclude(self, order: OrderRecord, now: int) -> None:
        wait = self._memory.doubts[order.id]
        proven = resolve.verdict(order, wait, self._memory.policy, now)
        if isinstance(proven, Absent):
            self._memory.move(order, "abandoned", "position", "unknown id, no trade, no change of the position", now)
        elif proven is not None and wait.trades:
            self._made_by(order, wait.trades, now)
        elif proven is not None:
            self.seen(proven, "position", now)

    def _made_by(self, order: OrderRecord, trades: tuple[TradeTold, ...], now: int) -> None:
        self._memory.keep(replace(order, exchange_id=trades[0].exchange_id))
        self.seen(resolve.made_by(order, trades, self._memory.policy), "fills", now)

    # Positions

    def positions(self, told: Iterable[PositionTold], asof: int, by: By, now: int) -> None:
        """What the exchange holds for us, by its own account. The newest statement wins."""
        if self._memory.policy.owned:
            self._coins.balances(told, asof, by)
            return
        for one in told:
            self._position(one, asof, by, now)

    def _position(self, told: PositionTold, asked_at: int, by: By, now: int) -> None:
        old = self._memory.position(told.symbol)
        asof = max(asked_at, told.changed_at)  # an answer knows what was changed after the question
        if asof > old.as_of or asked_at == old.as_of:  # of one millisecond it may know a part
            self._moved_by_others(old, told, by)
            self._hear(told, asof, by)
            unheard = by == "reconcile" and self._is_unheard(told)
            if old.managed and told.quantity and (_may_be_another(old, told) or unheard):
                self._memory.recall(told.symbol)
            if not told.quantity:
                self._memory.held_at[told.symbol] = min(self._memory.held_at[told.symbol], asof)
            self._memory.put(self._restated(old, told, asof, now))
            if told.quantity:  # the stream tells what a fill has left: another that closes it comes after that moment
                self._memory.held_at[told.symbol] = asof + (by == "stream")
        elif old.managed and old.quantity * told.quantity <= 0 and old.quantity and asof > old.entered_at:
            self._memory.recall(told.symbol)  # it was gone meanwhile, and that is told late
        for order in self._memory.unsettled(told.symbol):
            wait = self._memory.doubts.get(order.id)
            if wait is not None and asof > (wait.held_at or 0):
                wait.seen.add(told.quantity)
            if wait is not None and wait.unseen and asked_at >= wait.gone_at and by != "stream":
                wait.held_now = told.quantity
                wait.trades = wait.trades if wait.trades_at >= asof else None
                self._conclude(order, now)

    def _restated(self, old: PositionRecord, told: PositionTold, asof: int, now: int) -> PositionRecord:
        new = replace(old, quantity=told.quantity, entry_price=told.entry_price, as_of=asof)
        if old.books and old.quantity * told.quantity <= 0:
            new = replace(new, unprotected_since=None)  # what was without a stop is gone
        if not told.quantity:
            return new
        side = side_of(told.quantity)
        if old.managed and old.side == side:
            return new
        is_nobodys = not any(one.side == side for one in old.books)
        if old.books and (not is_nobodys or asof < max(old.entered_at, old.reduced_at)):
            if is_nobodys:
                self._memory.recall(told.symbol)  # ours between two fills, or somebody else's
            return replace(new, ours=True, side=side, signal=None, opened_at=None, closing=None)
        entry = next((one for one in self._memory.unsettled(told.symbol, *ENTERING) if _opens(one, told)), None)
        if entry is not None and not (old.is_theirs and old.side == side):
            return entered(replace(new, side=None, signal=None, stop_price=None), entry, now)
        if old.ours or not old.quantity or not old.as_of:
            self._memory.recall(told.symbol)  # only its past says whether it is ours
        return theirs(new)

    def _hear(self, told: PositionTold, asof: int, by: By) -> None:
        """The stream tells every change, as long as it is up."""
        memory, symbol = self._memory, told.symbol
        changed_at = told.changed_at if by == "reconcile" else asof if by == "stream" else 0
        memory.changed_at[symbol] = max(memory.changed_at[symbol], changed_at)
        if by == "stream" and memory.deaf_since is None:
            memory.heard_to[symbol] = max(memory.heard_to[symbol], asof)

    def _is_unheard(self, told: PositionTold) -> bool:
        """Whether nobody has told by whom it was changed last: as much may be held, and by another."""
        return self._memory.changed_at[told.symbol] > self._memory.heard_to[told.symbol]

    def _moved_by_others(self, old: PositionRecord, told: PositionTold, by: By) -> None:
        """Ours changed between two snapshots, and no order of ours is under way or was filled since."""
        if by != "reconcile" or not old.ours or not old.quantity or old.quantity == told.quantity or not old.as_of:
            return
        if old.settled and not any(one.leg not in PROTECTING for one in self._memory.unsettled(told.symbol)):
            title = f"position {told.symbol} changed"
            self._memory.corrections += 1
            self._memory.warn(title, f"from {old.quantity} to {told.quantity}, by no fill that was told to us")

    def _streamed(self, order: OrderRecord, at: int) -> None:
        """The stream has come to a fill that something else told first, and it tells the position before the fill."""
        position = self._memory.moved_by(order)
        if position.unheard_at == at:
            self._memory.put(replace(position, unheard_at=-1))

    def _filled(self, order: OrderRecord, at: int, by: By, now: int) -> None:
        """From now on the quantity is known again once it is told as it was after the fill. An order may be filled in
        parts within one millisecond: what the stream says of that millisecond may be the position between two of them,
        until the stream has told the fill itself."""
        position = self._memory.moved_by(order)
        if by != "stream":
            position = replace(position, unheard_at=max(position.unheard_at, at))
        if order.leg not in ENTERING:
            if self._memory.position(order.symbol).managed and not position.managed:
                self._memory.recall(order.symbol)  # whose coins it has sold, nobody knows
            self._memory.put(replace(self._with_part(position, order), reduced_at=max(position.reduced_at, at)))
            return
        grows = position.quantity > 0 if order.side == "BUY" else position.quantity < 0
        theirs_too = position.is_theirs and self._memory.policy.netted
        if theirs_too:
            self._memory.recall(order.symbol)
        elif at > position.as_of or (grows and (at == position.as_of or not position.is_theirs)):
            known = bool(position.books) and position.managed  # what it means for its own book is counted there
            position = position if known else self._with_part(entered(position, order, now), order)
        elif position.is_theirs or (self._memory.policy.owned and order.id not in position.parts):
            self._memory.recall(order.symbol)
        if position.settled:
            self._memory.hold(order.symbol, "position", now + self._memory.policy.ask_first)  # the stream tells it too
        self._memory.put(replace(position, entered_at=max(position.entered_at, at)))
        self._check_slippage(order, now)

    def _with_part(self, position: PositionRecord, order: OrderRecord) -> PositionRecord:
        return coins.with_part(position, order) if self._memory.policy.owned else position

    def _check_slippage(self, order: OrderRecord, now: int) -> None:
        if order.slippage_pct is not None:
            self._breakers.trip(risk.slipped(order.symbol, order.slippage_pct, self._memory.policy.risk, now))

    # Everything at once

    def snapshot(self, event: ev.Snapshot, now: int) -> Others:
        """What is open at the exchange, against the journal: see "Mismatches" in docs/execution.md. The orders of other
        installations are given back."""
        identity = self._memory.identity
        unknown = [one for one in event.orders if one.id not in self._memory.orders]
        for told in event.orders:
            self._open(told, now)
        self._coins.others(event.orders)
        others = others_in(identity, unknown)
        for name in others:
            self._memory.warn_once(f"installation {name}", f"{said({name: others[name]})}. They are left alone")
        listed = {one.id for one in event.orders}
        for order in list(self._memory.orders.values()):
            if order.stands and order.id not in listed and order.seen_at < event.asof:
                self._missing(order, now)
            elif order.id not in listed and self._memory.may_have_fired(order):
                self._memory.emit(Query(order))
            if _unpaid(order) and not order.algo:
                self._ask_what_was_paid(order)
        self._not_listed(listed, event.asof, now)
        told_positions = {one.symbol: one for one in event.positions}
        silent = [PositionTold(each, ZERO, ZERO) for each in self._memory.symbols() if each not in told_positions]
        self.positions([*told_positions.values(), *silent], event.asof, "reconcile", now)
        self._memory.hear_from(event.asof)
        self._memory.compared_at = max(self._memory.compared_at, event.asof)
        return others

    def _open(self, told: OrderTold, now: int) -> None:
        identity = self._memory.identity
        if told.id in self._memory.orders:
            self.seen(told, "reconcile", now)
        elif identity.owns(told.id):
            self._adopt(told, "reconcile", now)
        elif not identity.other(told.id):
            self._memory.warn_once(f"order {told.id}", f"{told.symbol} {told.side}: not ours, it is left alone")

    def _not_listed(self, listed: Collection[str], asof: int, now: int) -> None:
        """What could rest, and does not. It may have been filled since it was looked for: only what is read from now on
        says whether it was."""
        for name, wait in self._memory.doubts.items():
            if wait.absent and not wait.unlisted and name not in listed and asof >= wait.gone_at:
                wait.unlisted, wait.gone_at, wait.ask_at = True, now, now
                self._memory.touched.add(self._memory.orders[name].symbol)

    def _missing(self, order: OrderRecord, now: int) -> None:
        """Open in the journal, and not at the exchange: it has ended, and how is asked at once."""
        if order.id not in self._memory.doubts:
            self._memory.doubt(order, now)
            self._memory.touched.add(order.symbol)
            self._memory.corrections += 1

    def _adopt(self, told: OrderTold, by: By, now: int) -> None:
        """Of an executor of ours, and not among what the journal has open: taken over as what its id says it is."""
        order = found(told, now)
        self._memory.warn(
            "an order was found again", f"{told.id} ({order.leg} {told.symbol}), which we did not know of"
        )
        self._memory.write(order, by, "at the exchange, and not in the journal")
        self._memory.recall(order.symbol)
        if not order.filled:
            return
        position = self._memory.moved_by(order)
        if order.leg in ENTERING:
            self._memory.put(replace(position, entered_at=max(position.entered_at, told.at)))
        else:
            self._memory.put(replace(position, reduced_at=max(position.reduced_at, told.at)))


def _unpaid(order: OrderRecord) -> bool:
    """Whether its fee and profit have still to be asked for."""
    return not order.unsettled and bool(order.filled) and order.fee is None and order.exchange_id is not None


def _may_be_another(old: PositionRecord, told: PositionTold) -> bool:
    """Whether it was gone meanwhile; after a restart, whether it is not as it was left."""
    is_known = bool(old.as_of or not old.quantity)
    return not old.exposed or (not is_known and (old.quantity, old.entry_price) != (told.quantity, told.entry_price))


def _same_close(order: OrderRecord, other: OrderRecord) -> bool:
    """Whether the exchange takes only one of the two."""
    alike = (order.symbol, order.side, order.type) == (other.symbol, other.side, other.type)
    return alike and order.close_position and other.close_position


def _opens(order: OrderRecord, told: PositionTold) -> bool:
    return order.plan is not None and (order.side == "BUY") == (told.quantity > 0)
