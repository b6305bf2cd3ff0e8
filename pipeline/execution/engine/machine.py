"""The executor as one state machine: signals, answers, the stream and time in; journal writes and orders out.

It has no I/O and no clock. It keeps no plan of steps: after every event it compares what is with what should be, and
does the next thing; so a restart is the journal, one snapshot, and the same comparison. It never sends an order before
it is in the journal, and never sends one again that may have arrived and could open something.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from pipeline.execution.engine import decide, resolve, risk
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.breakers import Breakers
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.decide import Close, Expire, Open, Skip
from pipeline.execution.engine.effects import Effect, JournalOrder, Query, Reconcile, WriteVerdict
from pipeline.execution.engine.margins import Margins
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.obstacles import ends, obstacle
from pipeline.execution.engine.others import OTHERS, Others, breaker
from pipeline.execution.engine.recall import Recaller
from pipeline.execution.engine.reconcile import Reconciler
from pipeline.execution.engine.reports import Reports
from pipeline.execution.engine.risk import Ask
from pipeline.execution.engine.state import (
    DECIDED,
    ENTERING,
    ZERO,
    AccountView,
    BreakerView,
    DecisionView,
    OrderRecord,
    Policy,
    PositionRecord,
    SignalView,
    exit_side,
)
from pipeline.execution.engine.turning import with_close
from pipeline.execution.engine.worth import Worth
from pipeline.timeline import MINUTE, SECOND
from schemas.shared import Mode
from schemas.signals import Verdict

_REMEMBERED = 10_000
_PUT_BACK = SECOND
_PUT_FORWARD = 10 * SECOND
"""By so much the clock does not go back or forward between two events: time is told at least twice a second."""
_RECONCILE_AGAIN = 5 * SECOND
_BOOKED_AFTER = SECOND
"""After a position has ended the exchange is compared so soon, and the account's books get their line."""
_DECIDE_AT_MOST = 30 * SECOND


class Core:
    """Drive it with `handle`; perform what it gives back, in that order. See `effects` for the protocol."""

    def __init__(
        self,
        policy: Policy,
        now: int,
        *,
        identity: Identity,
        mode: Mode,
        orders: Iterable[OrderRecord] = (),
        positions: Iterable[PositionRecord] = (),
        breakers: Iterable[BreakerView] = (),
    ) -> None:
        """`orders`: every one of the journal that is unsettled or was so lately; `positions`: all of the journal."""
        self._policy = policy
        self._stage = 1
        self._memory = Memory(policy, identity, mode)
        self._worth = Worth(self._memory)
        self._breakers = Breakers(self._memory)
        self._reports = Reports(self._memory, self._breakers)
        self._margins = Margins(self._memory, policy)
        self._reconciler = Reconciler(self._memory, self._breakers)
        self._recaller = Recaller(self._memory)
        self._waiting: dict[str, SignalView] = {}
        self._decided: dict[str, None] = {}
        self._decisions: dict[str, tuple[SignalView, DecisionView]] = {}
        self._refused: dict[str, OrderRecord] = {}
        self._turns: dict[str, OrderRecord] = {}
        """Signals that close what is held and are decided once more after it: the order that closes."""
        self._calls: deque[tuple[int, bool]] = deque()
        self._reconcile_at = self._now = now
        self._lost = False
        self._others: Others = {}
        self._breakers.adopt(breakers)
        self._memory.load(orders, positions)
        for order in list(self._memory.orders.values()):
            self._take_over(order, now)
        for order in self.orders():
            if order.signal is not None and _decides(order, order.signal):
                self._verdict(WriteVerdict(order.signal, "taken", "decided before a restart", orders=(order.id,)))

    def _take_over(self, order: OrderRecord, now: int) -> None:
        """Go on with an order that another term has journaled."""
        if order.state == "intended":  # it may have left, and the write of that be lost
            order = replace(order, attempts=order.attempts + 1)
        self._memory.orders[order.id] = order
        if order.turns and order.signal is not None:
            self._turns[order.signal] = order
        position = self._memory.position(order.symbol)
        if order.in_doubt:
            self._memory.doubts[order.id] = resolve.lost(self._policy, (position.quantity, None), now)
        leaves = order.leg == "exit" and position.managed and order.side == exit_side(position.side or "long")
        if order.unsettled and leaves and not position.closing:
            self._memory.put(replace(position, closing=f"signal {order.signal}"))

    # What is known

    @property
    def ready(self) -> bool:
        """Whether the exchange has been compared with the journal: before, nothing is sent."""
        return self._memory.compared

    @property
    def identity(self) -> Identity:
        """Who we are at the exchange."""
        return self._memory.identity

    @property
    def mode(self) -> Mode:
        """Whether orders are sent or only worked out."""
        return self._memory.mode

    def order(self, order_id: str) -> OrderRecord | None:
        """The order of that id, if it is in memory."""
        return self._memory.orders.get(order_id)

    def orders(self) -> tuple[OrderRecord, ...]:
        """Every order in memory."""
        return tuple(self._memory.orders.values())

    def positions(self) -> tuple[PositionRecord, ...]:
        """Every position, also those that are flat by now."""
        return tuple(self._memory.positions.values())

    @property
    def others(self) -> Others:
        """Orders of other installations that are open on the account."""
        return self._others

    @property
    def rests(self) -> bool:
        """Whether a limit entry may still be filled, or what one has opened is without its stop."""
        entries = [one for one in self.orders() if one.type == "LIMIT"]
        filled = {one.symbol for one in entries if one.filled}
        naked = any(one.guarded and one.stop_order is None and one.symbol in filled for one in self.positions())
        return naked or any(one.unsettled for one in entries)

    def keeps(self) -> bool:
        """Whether anything of ours is held or under way."""
        held = any(one.ours and one.exposed for one in self.positions())
        return held or any(one.unsettled for one in self.orders())

    @property
    def corrections(self) -> int:
        """How often a comparison with the exchange found the journal wrong."""
        return self._memory.corrections

    def breakers(self) -> tuple[BreakerView, ...]:
        """Those that are tripped."""
        return self._breakers.tripped()

    # Driving

    def handle(self, event: ev.Event, now: int) -> list[Effect]:
        """What is to be done about that, at that time."""
        if self._lost:
            return []
        self._set_clock(now)
        self._absorb(event, now)
        symbols = set(self._memory.touched)
        if isinstance(event, ev.Time):
            self._time(now)
            symbols.update(self._memory.symbols())
        if self.ready:
            for symbol in sorted(symbols):
                self._reconciler.keep(symbol, now)
                self._recaller.ask(symbol, now)
        if self._waiting:
            self._decide_waiting(now)
        if self._reconciler.take_ended():
            self._reconcile_at = min(self._reconcile_at, now + _BOOKED_AFTER)
        return self._memory.take()

    def _set_clock(self, now: int) -> None:
        """A clock that was put back or forward, as by a process that stood still, takes with it what is waited for."""
        by, self._now = now - self._now, now
        if by > -_PUT_BACK and by < _PUT_FORWARD:
            return
        self._memory.shift(by)
        self._calls = deque((at + by, ok) for at, ok in self._calls)
        self._reconcile_at = now

    def _absorb(self, event: ev.Event, now: int) -> None:  # noqa: C901, PLR0912 - a table of events
        reports = self._reports
        match event:
            case ev.SignalSeen(signal):
                self._signal(signal)
            case ev.IntentJournaled(order_id) if order_id in self._memory.unjournaled:
                self._journaled(self._memory.orders[order_id], now)
            case ev.IntentRefused(order_id) if order_id in self._memory.unjournaled:
                self._not_journaled(self._memory.orders[order_id], event, now)
            case ev.OrderSeen(told, by):
                reports.seen(told, by, now)
            case ev.OrderRejected(order_id, code, text) if order := self._in_doubt(order_id):
                reports.rejected(order, code, text, now)
            case ev.OrderUnknown(order_id, reason) if order := self._in_doubt(order_id):
                reports.unknown(order, reason, now)
            case ev.OrderFailed(order_id, reason, until) if order := self._in_doubt(order_id):
                reports.failed(order, reason, until, now)
            case ev.CancelFailed(order_id) if (known := self._memory.orders.get(order_id)) and known.unsettled:
                self._memory.emit(Query(known))
            case ev.OrderNotFound(order_id, asof) if (known := self._memory.orders.get(order_id)) and known.unsettled:
                reports.not_found(known, asof, now)
            case ev.SymbolGone(symbol, asof, order_id):
                reports.symbol_gone(symbol, asof, now)
                if order_id is not None and order_id not in self._memory.orders:
                    self._recaller.absent(order_id)
            case ev.OrderNotFound(order_id):
                self._recaller.absent(order_id)
            case ev.NumberNotFound(number):
                self._memory.nameless.add(number)
            case ev.Recalled():
                self._recaller.recalled(event, now)
            case ev.FillsSeen():
                reports.fills(event, now)
            case ev.PositionsSeen(told_positions, asof, by):
                reports.positions(told_positions, asof, by, now)
            case ev.Snapshot():
                self._snapshot(event, now)
            case ev.ReconcileFailed(reason):
                self._breakers.trip(risk.not_compared(reason, now))
                self._reconcile_at = now + _RECONCILE_AGAIN
            case ev.StreamBack():
                self._reconcile("the user stream is back", now)
            case ev.LeaseLost():
                self._lost = True
            case _:
                self._learn(event, now)

    def _learn(self, event: ev.Event, now: int) -> None:  # noqa: C901, PLR0912 - a table of events
        """Facts and switches that no order hangs on."""
        match event:
            case ev.AccountSeen(account):
                self._account_seen(account, now)
            case ev.AccountChanged():
                self._worth.changed(event)
                self._judge_day(now)
            case ev.PriceSeen(symbol, price, at):
                market = self._memory.market(symbol)
                if at >= market.price_at:
                    market.price, market.price_at = price, at
                if self._worth.holds(symbol):
                    self._judge_day(now)
            case ev.RulesSeen(symbol, filters, margin, asof, brackets):
                market = self._memory.market(symbol)
                market.filters, market.brackets = filters, brackets
                self._margins.seen(symbol, margin, asof)
                self._margins.keep(symbol, now)
            case ev.FeeSeen(symbol, fee):
                self._memory.market(symbol).taker_fee = fee
            case ev.MarginSet() | ev.MarginNotSet():
                self._margins.answered(event, now)
            case ev.TradingSeen(symbol, trading):
                market = self._memory.market(symbol)
                market.trading, market.margin_refused = trading, None
                self._judge_day(now)
                self._memory.touched.add(symbol)
                self._margins.keep(symbol, now)
            case ev.ModeSeen(mode):
                self._memory.mode = mode
                self._beware_of_others(now)
                self._margins.keep_all(now)
            case ev.HaltSeen(halted, flatten):
                self._memory.halted, self._memory.flatten = halted, flatten
                self._memory.touched.update(self._memory.symbols())
            case ev.BreakersSeen(tripped, reset):
                self._breakers.adopt(tripped, reset)
                self._beware_of_others(now)
            case ev.Leaving():
                self._memory.leaving = True
                self._memory.touched.update(self._memory.symbols())
            case ev.GoalSeen():
                self._memory.goal = event
                self._judge_day(now)
            case ev.StageSeen(stage):
                self._stage = stage
            case ev.CallCounted(ok):
                self._calls.append((now, ok))
                self._breakers.trip(risk.too_many_errors(self._recent_calls(now), self._policy.risk, now))

    def _in_doubt(self, order_id: str) -> OrderRecord | None:
        order = self._memory.orders.get(order_id)
        return order if order is not None and order.in_doubt else None

    # Signals

    def _signal(self, signal: SignalView) -> None:
        """One that expired is decided again if it is the last word about something that was opened after it expired."""
        undecided = signal.verdict == "fresh" and signal.id not in self._decided
        if not signal.confirmed or not (undecided or (signal.verdict == "expired" and signal.last_word)):
            return
        order = next((one for one in self._memory.orders.values() if _decides(one, signal.id)), None)
        if order is None:
            self._waiting[signal.id] = signal
        elif order.id not in self._decisions:
            self._acted_on(signal, order.id)

    def _decide_waiting(self, now: int) -> None:
        """In the order in which they were said: none overtakes another of its symbol."""
        waits: set[str] = set()
        for signal in sorted(self._waiting.values(), key=lambda one: (one.at, one.id)):
            if orders := self._recaller.orders_of(signal):
                self._acted_on(signal, *orders)
            elif signal.symbol not in waits and self._can_decide(signal, now):
                self._decide(signal, now)
            else:
                waits.add(signal.symbol)
                self._clear_the_way(signal, now)

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
        known = self.ready and self._worth.known and not self._memory.busy(signal.symbol, now)
        if not known or (not late and self._margins.awaited(signal.symbol)):
            return False
        return self._recaller.is_new(self._unless_taken_back(signal), now)

    def _clear_the_way(self, signal: SignalView, now: int) -> None:
        """What rests, and would be closed by the signal once it is filled, is cancelled first."""
        if not self.ready or (signal.is_late(now) and not self._unless_taken_back(signal).last_word):
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
                self._decisions[order.id] = signal, decision
                self._memory.intend(order)

    def _unless_taken_back(self, signal: SignalView) -> SignalView:
        """The signal as what waits beside it leaves it: its last word may not be the last any more."""
        taken_back = any(one.takes_back(signal) for one in self._waiting.values())
        return replace(signal, last_word=signal.last_word and not taken_back)

    def _ask(self, signal: SignalView, now: int) -> Ask:
        account = self._worth.now() or AccountView(equity=ZERO, available=ZERO, at=0)
        market = self._memory.market(signal.symbol)
        return Ask(
            signal=self._unless_taken_back(signal),
            now=now,
            mode=self._memory.mode,
            policy=self._policy,
            identity=self._memory.identity,
            risk=risk.settings_of(market, self._policy.risk),
            market=market,
            account=account,
            position=self._memory.position(signal.symbol),
            halted=self._memory.halted,
            stage=self._stage,
            breakers=self._breakers.tripped(),
            open_symbols=self._memory.open_symbols(),
            closed=signal.id in self._turns,
            reserved=self._worth.reserved(),
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
        _, decision = self._decisions.pop(close.id, (None, None))
        return with_close(verdict, close, decision)

    # The journal's answers

    def _journaled(self, order: OrderRecord, now: int) -> None:
        self._memory.unjournaled.discard(order.id)
        reason = obstacle(self._memory, order, now)
        if reason is None:
            self._memory.send(order, now)
            if order.turns:
                self._turns[str(order.signal)] = self._memory.orders[order.id]
            else:
                self._decided_with(order, None)
            if order.leg == "exit":
                self._memory.put(replace(self._memory.position(order.symbol), closing=f"signal {order.signal}"))
            self._breakers.trip(risk.too_many_orders(self._recent_sends(now), self._policy.risk, now))
        else:
            if not order.turns:
                self._decided_with(order, reason)
            elif self._memory.position(order.symbol).exposed:
                self._verdict(WriteVerdict(str(order.signal), "skipped", reason))
            self._memory.move(order, "abandoned", "executor", f"not sent: {reason}", now)

    def _decided_with(self, order: OrderRecord, reason: str | None) -> None:
        decided = self._decisions.pop(order.id, None)
        if decided is None:
            return
        signal, decision = decided
        verdict: Verdict = "taken" if reason is None else "skipped"
        self._verdict(WriteVerdict(signal.id, verdict, reason, decision, (order.id,)))

    def _not_journaled(self, order: OrderRecord, event: ev.IntentRefused, now: int) -> None:
        """What a signal asks for is not sent without the journal. What protects or closes is: a restart finds it by its
        id where it stands, and the position as it is."""
        decided = self._decisions.pop(order.id, None)
        if event.exists:
            self._memory.forget(order)
            if event.known is not None:
                self._take_over(event.known, now)
            if decided is not None and not order.turns:
                self._verdict(WriteVerdict(decided[0].id, "taken", "decided before", orders=(order.id,)))
            return
        self._memory.warn("the journal refused an order", f"{order.id} ({order.leg} {order.symbol}): {event.reason}")
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
        self._memory.send(order, now)

    # Reconciling, time and breakers

    def _snapshot(self, event: ev.Snapshot, now: int) -> None:
        self._others = self._reports.snapshot(event, now)
        if not self._memory.compared:
            self._memory.compared = True
            self._recaller.begin(max(event.asof, now))
        self._beware_of_others(now)
        self._breakers.reset(risk.NOT_COMPARED)
        self._reconcile_at = now + self._policy.reconcile_every
        self._account_seen(event.account, now)
        self._margins.keep_all(now)
        self._memory.touched.update(self._memory.symbols())

    def _beware_of_others(self, now: int) -> None:
        """Nothing is opened beside another installation. In signal-only nothing is anyway, and it is only told."""
        if self._others and self._memory.mode == "auto-execute":
            self._breakers.trip(breaker(self._others, now))
        elif self.ready:
            self._breakers.reset(OTHERS)

    def _reconcile(self, reason: str, now: int) -> None:
        self._reconcile_at = now + _RECONCILE_AGAIN
        self._memory.emit(Reconcile(reason))

    def _account_seen(self, account: AccountView, now: int) -> None:
        if self._worth.told(account):
            self._judge_day(now)

    def _judge_day(self, now: int) -> None:
        """At once, and not with the next comparison only."""
        account = self._worth.now()
        if account is None:
            return
        self._breakers.trip(risk.daily(account, self._policy.risk, self._memory.goal.daily_profit_percent, now))
        for symbol, market in self._memory.markets.items():
            if (target := market.trading.daily_profit_percent) is not None:
                self._breakers.trip(risk.symbol_profit(symbol, self._worth.result(symbol), target, account, now))

    def _time(self, now: int) -> None:
        self._breakers.time(now)
        self._memory.prune(now)
        self._margins.keep_all(now)
        if now >= self._reconcile_at:
            self._reconcile("every minute" if self.ready else "start", now)

    def _recent_calls(self, now: int) -> list[bool]:
        while self._calls and self._calls[0][0] <= now - MINUTE:
            self._calls.popleft()
        return [ok for _, ok in self._calls]

    def _recent_sends(self, now: int) -> int:
        sends = self._memory.sends
        sends[:] = [at for at in sends if at > now - MINUTE]
        return len(sends)


def _decides(order: OrderRecord, signal_id: str) -> bool:
    """Whether the order is all of the decision on that signal, not what protects or closes what it opened, nor a close
    after which it is decided once more."""
    return order.signal == signal_id and order.leg in DECIDED and not order.turns
