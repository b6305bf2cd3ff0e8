"""From a signal to its verdict: what waits, what is decided when its turn has come, and what the journal says to it.

No signal overtakes another of its symbol. Nothing leaves before it is in the journal, except what protects or closes.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pipeline.execution.engine import decide, resolve, risk, together
from pipeline.execution.engine.books import book_of, changed, view
from pipeline.execution.engine.breakers import Breakers
from pipeline.execution.engine.decide import Close, Expire, Open, Skip
from pipeline.execution.engine.effects import JournalOrder, WriteVerdict
from pipeline.execution.engine.events import IntentRefused
from pipeline.execution.engine.guards import pace_of
from pipeline.execution.engine.ledger import asks_what_has_fired
from pipeline.execution.engine.margins import Margins
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.obstacles import LESS, ends, obstacle
from pipeline.execution.engine.recall import Recaller
from pipeline.execution.engine.reconcile import Reconciler
from pipeline.execution.engine.risk import Ask
from pipeline.execution.engine.state import (
    DECIDED,
    ENTERING,
    ZERO,
    AccountView,
    DecisionView,
    OrderRecord,
    PositionRecord,
    SignalView,
    exit_side,
)
from pipeline.execution.engine.turning import with_close
from pipeline.execution.engine.worth import Wallets
from pipeline.portfolio import allocation as portfolio
from pipeline.timeline import MINUTE, SECOND
from schemas.signals import Verdict

_REMEMBERED: Final = 10_000
_DECIDE_AT_MOST: Final = 30 * SECOND


class Decisions:
    """The signals that wait, and what was decided on others whose order is not in the journal yet."""

    def __init__(
        self,
        memory: Memory,
        worth: Wallets,
        breakers: Breakers,
        margins: Margins,
        reconciler: Reconciler,
        recaller: Recaller,
    ) -> None:
        self._memory = memory
        self._policy = memory.policy
        self._worth = worth
        self._breakers = breakers
        self._margins = margins
        self._reconciler = reconciler
        self._recaller = recaller
        self._waiting: dict[str, SignalView] = {}
        self._decided: dict[str, None] = {}
        self._pending: dict[str, tuple[SignalView, DecisionView]] = {}
        self._refused: dict[str, OrderRecord] = {}
        self._turns: dict[str, OrderRecord] = {}
        """Signals that close what is held and are decided once more after it: the order that closes."""
        self.stage = 1

    # Orders of another term

    def adopt(self, orders: Iterable[OrderRecord], now: int) -> None:
        """Go on with what another term has journaled. What it decided is not decided again."""
        adopted = list(orders)
        for order in adopted:
            self._take_over(order, now)
        for order in self._memory.orders.values():
            if order.signal is not None and _decides(order, order.signal):
                self._verdict(WriteVerdict(order.signal, "taken", "decided before a restart", orders=(order.id,)))

    def _take_over(self, order: OrderRecord, now: int) -> None:
        if order.state == "intended":  # it may have left, and the write of that be lost
            order = replace(order, attempts=order.attempts + 1)
        self._memory.orders[order.id] = order
        if order.turns and order.signal is not None:
            self._turns[order.signal] = order
        if order.in_doubt:
            position = self._memory.position(order.symbol)
            self._memory.doubts[order.id] = resolve.lost(self._policy, (position.quantity, None), now)
        if order.unsettled and order.leg == "exit" and not self._memory.position(order.symbol).closing:
            self._leave(order)

    def _leave(self, order: OrderRecord) -> None:
        """What the order closes is being closed, until it is gone."""
        position, closing = self._memory.position(order.symbol), f"signal {order.signal}"
        book = book_of(position, order)
        if book is not None:
            self._memory.put(changed(position, replace(book, closing=book.closing or closing)))
        elif position.managed and order.side == exit_side(position.side or "long") and not position.books:
            self._memory.put(replace(position, closing=closing))

    # Signals

    def seen(self, signal: SignalView) -> None:
        """One that expired is decided again if it is the last word about something that was opened after it expired."""
        undecided = signal.verdict == "fresh" and signal.id not in self._decided
        if not signal.confirmed or not (undecided or (signal.verdict == "expired" and signal.last_word)):
            return
        order = next((one for one in self._memory.orders.values() if _decides(one, signal.id)), None)
        if order is None:
            self._waiting[signal.id] = signal
        elif order.id not in self._pending:
            self._acted_on(signal, order.id)

    def decide_waiting(self, now: int) -> None:
        """In the order in which they were said: none overtakes another of its symbol, but one that closes its own book
        those of other strategies."""
        waits: set[tuple[str, ...]] = set()
        for signal in sorted(self._waiting.values(), key=lambda one: (one.at, one.id)):
            symbol, its_own = (signal.symbol,), (signal.symbol, signal.strategy, signal.interval)
            if orders := self._recaller.orders_of(signal):
                self._acted_on(signal, *orders)
            elif (its_own if self._closed_by(signal) else symbol) not in waits and self._can_decide(signal, now):
                self._decide(signal, now)
            else:
                waits |= {symbol, its_own}
                self._clear_the_way(signal, now)

    def _closed_by(self, signal: SignalView) -> PositionRecord | None:
        """The book that the signal closes, if it closes one."""
        book = view(self._memory.position(signal.symbol), signal)
        closes = self._policy.netted and book.ours and book.quantity != 0 and book.is_left_by(signal)
        return book if closes else None

    def _acted_on(self, signal: SignalView, *orders: str) -> None:
        self._verdict(WriteVerdict(signal.id, "taken", "it was acted on before", orders=orders))

    def _can_decide(self, signal: SignalView, now: int) -> bool:
        """Too late to open anything it can be decided at once; too late, and yet to close, once it is known what is
        held."""
        if self._memory.leaving:
            return False
        late = signal.is_late(now)
        if late and signal.leaves is None:
            return True
        is_closing = view(self._memory.position(signal.symbol), signal).closing is not None
        if late and is_closing and self._policy.netted and self._memory.compared and not self._is_turning(signal):
            return True  # it may take for ever: what is worth too little is not closed against what others hold
        closes = self._closed_by(signal)
        known = self._memory.compared and self._worth.known and not is_closing
        known = known and not self._memory.busy(signal.symbol, now, closes.owner if closes else None)
        if not known or (not late and self._margins.awaited(signal.symbol)):
            return False
        if closes is not None and asks_what_has_fired(self._memory, closes, now):
            return False
        return self._recaller.is_new(self._unless_taken_back(signal), now)

    def _is_turning(self, signal: SignalView) -> bool:
        """Whether what it closes with is under way."""
        close = self._turns.get(signal.id)
        return close is not None and self._memory.orders.get(close.id, close).unsettled

    def _clear_the_way(self, signal: SignalView, now: int) -> None:
        """What rests, and would be closed by the signal once it is filled, is cancelled first."""
        if not self._memory.compared or (signal.is_late(now) and not self._unless_taken_back(signal).last_word):
            return
        for order in self._memory.unsettled(signal.symbol, *ENTERING):
            if order.rests and ends(signal, order):
                self._reconciler.withdraw(order, f"{signal.kind} {signal.side} was signalled", now)

    def _decide(self, signal: SignalView, now: int) -> None:
        choice = decide.decide(self._ask(signal, now))
        match choice:
            case Expire(reason):
                self._verdict(WriteVerdict(signal.id, "expired", reason))
            case Skip(reason):
                self._verdict(WriteVerdict(signal.id, "skipped", reason))
            case Open(_, decision) | Close(_, decision) if self._memory.mode == "signal-only":
                self._verdict(WriteVerdict(signal.id, "would-take", "signal-only: nothing is sent", decision))
            case Open(order, decision) | Close(order, decision):
                if order.turns:
                    self._turns[signal.id] = order
                else:
                    del self._waiting[signal.id]
                self._pending[order.id] = signal, decision
                self._memory.intend(order)

    def _unless_taken_back(self, signal: SignalView) -> SignalView:
        """The signal as what waits beside it leaves it: its last word may not be the last any more."""
        taken_back = any(one.takes_back(signal) for one in self._waiting.values())
        return replace(signal, last_word=signal.last_word and not taken_back)

    def _ask(self, signal: SignalView, now: int) -> Ask:
        market = self._memory.market(signal.symbol)
        whole = self._memory.position(signal.symbol)
        wallet = self._worth.of(market.asset)
        account = wallet.now() or AccountView(market.asset or "", equity=ZERO, available=ZERO, at=0)
        return Ask(
            signal=self._unless_taken_back(signal),
            now=now,
            mode=self._memory.mode,
            policy=self._policy,
            identity=self._memory.identity,
            risk=risk.settings_of(market, self._policy.risk),
            market=market,
            account=account,
            position=view(whole, signal) if self._policy.books else whole,
            whole=whole,
            halted=self._memory.halted,
            stage=self.stage,
            breakers=self._breakers.tripped(),
            open_symbols=self._memory.open_symbols(),
            closed=signal.id in self._turns,
            reserved=wallet.reserved(),
            share=portfolio.share_of(signal.strategy, self._memory.shares),
            held=together.held(self._memory, market.asset) if self._policy.portfolio.is_capped else (),
            alike=self._memory.alike.get(signal.symbol),
        )

    def _verdict(self, verdict: WriteVerdict) -> None:
        verdict = self._with_close(verdict)
        self._waiting.pop(verdict.signal_id, None)
        self._decided[verdict.signal_id] = None
        for refused in [one for one in self._refused.values() if one.signal == verdict.signal_id]:
            del self._refused[refused.id]
            if refused.id not in verdict.orders:  # the journal may have it all the same
                self._memory.emit(JournalOrder(replace(refused, state="abandoned"), "executor", verdict.reason))
        if len(self._decided) > _REMEMBERED:
            del self._decided[next(iter(self._decided))]
        self._memory.emit(verdict)

    def _with_close(self, verdict: WriteVerdict) -> WriteVerdict:
        close = self._turns.pop(verdict.signal_id, None)
        if close is None:
            return verdict
        _, decision = self._pending.pop(close.id, (None, None))
        close = self._memory.orders.get(close.id, close)
        return with_close(verdict, close, decision, closing=bool(self._memory.holding(close).closing))

    # The journal's answers

    def journaled(self, order: OrderRecord, now: int) -> None:
        self._memory.unjournaled.discard(order.id)
        if self._memory.is_second(order):
            return
        reason = obstacle(self._memory, order, now)
        if reason is None:
            self._reconciler.send(order, now)
            if order.turns:
                self._turns[str(order.signal)] = self._memory.orders[order.id]
            else:
                self._decided_with(order, None)
            if order.leg == "exit":
                self._leave(order)
            self._breakers.trip(risk.too_many_orders(self._recent_sends(now), self._policy.risk, now))
        else:
            if not order.turns:
                self._decided_with(order, reason)
            elif self._memory.holding(order).exposed:
                self._verdict(WriteVerdict(str(order.signal), "skipped", reason))
            for one in self._memory.together(order):
                self._memory.move(one, "abandoned", "executor", f"not sent: {reason}", now)
            if reason == LESS and order.leg == "exit":
                self._leave(order)  # what is left of it is closed by another

    def _decided_with(self, order: OrderRecord, reason: str | None) -> None:
        decided = self._pending.pop(order.id, None)
        if decided is None:
            return
        signal, decision = decided
        verdict: Verdict = "taken" if reason is None else "skipped"
        self._verdict(WriteVerdict(signal.id, verdict, reason, decision, (order.id,)))

    def not_journaled(self, order: OrderRecord, event: IntentRefused, now: int) -> None:
        """What a signal asks for is not sent without the journal. What protects or closes is: a restart finds it by its
        id where it stands, and the position as it is."""
        decided = self._pending.pop(order.id, None)
        if event.exists:
            self._memory.forget(order)
            if event.known is not None:
                self._take_over(event.known, now)
            if decided is not None and not order.turns:
                self._verdict(WriteVerdict(decided[0].id, "taken", "decided before", orders=(order.id,)))
            return
        self._memory.warn("the journal refused an order", f"{order.id} ({order.leg} {order.symbol}): {event.reason}")
        if order.leg not in DECIDED and not order.only_closes:
            self._memory.forget(order)  # the journal may have it all the same
            self._memory.emit(JournalOrder(replace(order, state="abandoned"), "executor", event.reason))
            self._memory.hold_longer(order.symbol, pace_of(order.leg, order.owner), now, _DECIDE_AT_MOST)
            return
        if order.leg in DECIDED:
            self._memory.forget(order)
            self._refused[order.id] = order
            if decided is not None:
                self._waiting[decided[0].id] = decided[0]
                if order.turns:
                    del self._turns[decided[0].id]
            self._memory.hold_longer(order.symbol, "decide", now, _DECIDE_AT_MOST)
            return
        self._memory.unjournaled.discard(order.id)
        if not self._memory.is_second(order):
            self._reconciler.send(order, now)

    def _recent_sends(self, now: int) -> int:
        sends = self._memory.sends
        sends[:] = [at for at in sends if at > now - MINUTE]
        return len(sends)


def _decides(order: OrderRecord, signal_id: str) -> bool:
    """Whether the order is all of the decision on that signal, not what protects or closes what it opened, nor a close
    after which it is decided once more."""
    return order.signal == signal_id and order.leg in DECIDED and not order.turns
