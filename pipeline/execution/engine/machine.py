"""The executor as one state machine: signals, answers, the stream and time in; journal writes and orders out.

It has no I/O and no clock. It keeps no plan of steps: after every event it compares what is with what should be, and
does the next thing; so a restart is the journal, one snapshot, and the same comparison. It never sends an order before
it is in the journal, and never sends one again that may have arrived and could open something.
"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from pipeline.execution.engine import events as ev
from pipeline.execution.engine import guards, ledger, risk
from pipeline.execution.engine.breakers import Breakers
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.decisions import Decisions
from pipeline.execution.engine.effects import Effect, Query, Reconcile
from pipeline.execution.engine.margins import Margins
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.others import OTHERS, Others, breaker
from pipeline.execution.engine.recall import Recaller
from pipeline.execution.engine.reconcile import Reconciler
from pipeline.execution.engine.reports import Reports
from pipeline.execution.engine.state import (
    AccountView,
    BreakerView,
    OrderRecord,
    Policy,
    PositionRecord,
)
from pipeline.execution.engine.worth import Wallets
from pipeline.timeline import MINUTE, SECOND
from schemas.shared import Mode

_PUT_BACK = SECOND
_PUT_FORWARD = 10 * SECOND
"""By so much the clock does not go back or forward between two events: time is told at least twice a second."""
_RECONCILE_AGAIN = 5 * SECOND
_BOOKED_AFTER = SECOND
"""After a position has ended the exchange is compared so soon, and the account's books get their line."""


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
        self._memory = Memory(policy, identity, mode)
        self._worth = Wallets(self._memory)
        self._breakers = Breakers(self._memory)
        self._reports = Reports(self._memory, self._breakers)
        self._margins = Margins(self._memory, policy)
        self._reconciler = Reconciler(self._memory, self._breakers)
        self._recaller = Recaller(self._memory)
        self._decisions = Decisions(
            self._memory, self._worth, self._breakers, self._margins, self._reconciler, self._recaller
        )
        self._calls: deque[tuple[int, bool]] = deque()
        self._reconcile_at = self._now = now
        self._lost = False
        self._others: Others = {}
        self._breakers.adopt(breakers)
        self._memory.load(orders, positions)
        self._decisions.adopt(self.orders(), now)

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
        held = any(one.ours and (one.exposed or one.books) for one in self.positions())
        return held or any(one.unsettled for one in self.orders())

    def occupied(self) -> frozenset[str]:
        """Where something of ours is held or under way, or may be: its past is still asked for."""
        held = {one.symbol for one in self.positions() if one.ours and (one.exposed or one.managed or one.books)}
        return frozenset(held | {one.symbol for one in self.orders() if one.unsettled} | self._memory.recalling)

    @property
    def corrections(self) -> int:
        """How often a comparison with the exchange found the journal wrong."""
        return self._memory.corrections

    def watched(self, symbol: str) -> list[PositionRecord]:
        """What ends at a price that nobody else watches: a strategy's, of what several hold against each other."""
        return ledger.watched(self._memory, self._memory.position(symbol))

    def watching(self) -> set[str]:
        """The symbols in which there is something of that."""
        held = (one.symbol for one in self._memory.positions.values() if one.books)
        return {one for one in held if self.watched(one)}

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
        self._decisions.decide_waiting(now)
        if self._reconciler.take_ended():
            self._reconcile_at = min(self._reconcile_at, now + _BOOKED_AFTER)
        return self._memory.take()

    def pass_over(self, now: int) -> None:
        """Time has gone by to then, and there was nothing to tell: no clock was put forward."""
        self._now = now

    def _set_clock(self, now: int) -> None:
        """A clock that was put back or forward, as by a process that stood still, takes with it what is waited for."""
        by, self._now = now - self._now, now
        if by > -_PUT_BACK and by < _PUT_FORWARD:
            return
        self._memory.shift(by)
        self._memory.none_is_newer(now)
        self._calls = deque((at + by, ok) for at, ok in self._calls)
        self._reconcile_at = now

    def _absorb(self, event: ev.Event, now: int) -> None:  # noqa: C901, PLR0912 - a table of events
        reports = self._reports
        match event:
            case ev.SignalSeen(signal):
                self._decisions.seen(signal)
            case ev.IntentJournaled(order_id) if order_id in self._memory.unjournaled:
                self._decisions.journaled(self._memory.orders[order_id], now)
            case ev.IntentRefused(order_id) if order_id in self._memory.unjournaled:
                self._decisions.not_journaled(self._memory.orders[order_id], event, now)
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
                reports.past(event.orders, now)
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
            case ev.StreamBack(asof):
                self._memory.deaf_since = now if asof is None else asof
                self._reconcile("the user stream is back", now)
            case ev.LeaseLost():
                self._lost = True
            case _:
                self._learn(event, now)

    def _learn(self, event: ev.Event, now: int) -> None:  # noqa: C901, PLR0912, PLR0915 - a table of events
        """Facts and switches that no order hangs on."""
        match event:
            case ev.AccountSeen(account):
                self._account_seen(account, now)
            case ev.AccountChanged():
                self._worth.of(event.asset).changed(event)
                self._judge_day(event.asset, now)
            case ev.PriceSeen(symbol, price, at):
                market = self._memory.market(symbol)
                if at >= market.price_at:
                    market.price, market.price_at = price, at
                    self._look_at_books(symbol, price)
                for asset in self._worth.holding(symbol):
                    self._judge_day(asset, now)
            case ev.RulesSeen(symbol, instrument, margin, asof, brackets):
                market = self._memory.market(symbol)
                market.instrument, market.brackets = instrument, brackets
                self._margins.seen(symbol, margin, asof)
                self._margins.keep(symbol, now)
            case ev.FeeSeen(symbol, fee):
                self._memory.market(symbol).taker_fee = fee
            case ev.MarginSet() | ev.MarginNotSet():
                self._margins.answered(event, now)
            case ev.TradingSeen(symbol, trading):
                market = self._memory.market(symbol)
                market.trading, market.margin_refused = trading, None
                self._judge_all(now)
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
                self._judge_all(now)
            case ev.AllocationSeen(shares):
                self._memory.shares = shares
            case ev.AlikeSeen(groups):
                self._memory.alike = groups
            case ev.StageSeen(stage):
                self._decisions.stage = stage
            case ev.CallCounted(ok):
                self._calls.append((now, ok))
                self._breakers.trip(risk.too_many_errors(self._recent_calls(now), self._policy.risk, now))

    def _look_at_books(self, symbol: str, price: Decimal) -> None:
        books = self._memory.position(symbol).books
        is_reached = any(one.closing is None and guards.reached(one, price) for one in books)
        if is_reached and any(guards.reached(one, price) for one in self.watched(symbol)):
            self._memory.touched.add(symbol)

    def _in_doubt(self, order_id: str) -> OrderRecord | None:
        order = self._memory.orders.get(order_id)
        return order if order is not None and order.in_doubt else None

    # Reconciling, time and breakers

    def _snapshot(self, event: ev.Snapshot, now: int) -> None:
        self._others = self._reports.snapshot(event, now)
        if not self._memory.compared:
            self._memory.compared = True
            self._recaller.begin(max(event.asof, now))
        self._beware_of_others(now)
        self._breakers.reset(risk.NOT_COMPARED)
        every = self._policy.reconcile_every if self._memory.deaf_since is None else _RECONCILE_AGAIN
        self._reconcile_at = now + every
        for account in event.accounts:
            self._account_seen(account, now)
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
        if self._worth.of(account.asset).told(account):
            self._judge_day(account.asset, now)

    def _judge_all(self, now: int) -> None:
        for asset in self._worth.assets():
            self._judge_day(asset, now)

    def _judge_day(self, asset: str, now: int) -> None:
        """At once, and not with the next comparison only."""
        wallet = self._worth.of(asset)
        account = wallet.now()
        if account is None:
            return
        self._breakers.trip(risk.daily(account, self._policy, self._memory.goal.daily_profit_percent, now))
        for symbol, market in self._memory.markets.items():
            if (target := market.trading.daily_profit_percent) is not None and market.asset in {None, asset}:
                self._breakers.trip(risk.symbol_profit(symbol, wallet.result(symbol), target, account, now))

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
