"""One schedule: the executor's process amid a world of faults, killed and started again as it comes."""

import heapq
from dataclasses import replace
from decimal import Decimal
from functools import partial

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.diary import Diary
from pipeline.execution.engine.effects import (
    Cancel,
    CloseDone,
    Effect,
    Explain,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Notify,
    Place,
    Query,
    QueryFills,
    QueryNumber,
    QueryPositions,
    Recall,
    Reconcile,
    SetMargin,
    TripBreaker,
    WriteVerdict,
)
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import ENTERING, OrderRecord, OrderTold, SignalView, TradingView
from pipeline.timeline import SECOND
from tests.execution.drill import on_the_way
from tests.execution.drill.laws import late_exit
from tests.execution.drill.markets import UM, Market
from tests.execution.drill.setting import END, IDENTITY, POLICY, QUIET, START, TOLD_EVERY
from tests.execution.drill.wire import Wire
from tests.execution.model import SYMBOL

WRITES = JournalIntent | JournalOrder | JournalPosition | WriteVerdict | Explain | TripBreaker | CloseDone


class Schedule(Wire):
    """The executor, what it is told, and what it does."""

    def __init__(self, seed: int, rests: float = 0.4, market: Market = UM) -> None:
        """`rests`: in so many of all, entries are limit orders."""
        super().__init__(seed, rests, market)
        self.written_at = START
        self.start(START)

    def run(self) -> None:
        step = self.random.choice([500, SECOND, TOLD_EVERY])
        for now in range(START + 250, END, step):
            self.at(now, lambda now: self.walk(self.drift, now))
            self.at(now + 100, self.tick)
        for now in range(END, END + QUIET, max(step, SECOND)):
            self.at(now + 100, self.tick)
        for signal in self.signals.values():
            self.at(signal.at, lambda now, signal=signal: self.signal_comes(signal, now))
        for now in range(START, END + QUIET, 5 * SECOND):
            self.at(now, self.sweep)
        for _, end in self.faults.gaps:
            self.at(min(end, END), lambda now: self.feed(ev.StreamBack(), now))
        for moment in self.faults.by_hand:
            self.at(moment, self.trade_by_hand)
        if self.faults.opened is not None:
            self.at(self.faults.opened, self.open_by_hand)
        for moment in self.faults.stops_cancelled:
            self.at(moment, self.cancel_a_stop)
        if self.faults.halt is not None:
            self.at(self.faults.halt, lambda now: self.switch(halted=True, now=now))
        for moment in self.faults.closes:
            self.at(moment, self.ask_to_close)
        for begin, end in self.faults.forgets:
            self.at(begin, lambda _: self.forget(forgets=True))
            self.at(min(end, END), lambda _: self.forget(forgets=False))
        for moment, by in self.faults.clock_steps:
            self.at(moment, lambda _, by=by: self.set_clock(by))
            self.at(min(moment + self.random.randrange(10 * SECOND), END), lambda _: self.set_clock(0))
        for moment, what in zip(self.delisted, (self.begin_settling, self.settle, self.unlist), strict=False):
            self.at(moment, what)
        if self.faults.restored is not None:
            saved, dies = self.faults.restored
            if saved is not None:
                self.at(saved, self.back_up)
            self.at(dies, self.lose_the_journal)
            self.at(dies + POLICY.surely_gone, self.restore)
        self.at(END, self.become_quiet)
        while self.agenda:
            now, _, life, what = heapq.heappop(self.agenda)
            if life is None or life == self.life:
                self.exchange.now = max(self.exchange.now, now)
                self.exchange.end_good_till()
                what(now)
                self.hold_fired(now)
                self.tell_news(now)
                self.watch_protection(now)

    def switch(self, *, halted: bool, now: int) -> None:
        self.halted = halted
        self.feed(ev.HaltSeen(halted, flatten=halted), now)

    def ask_to_close(self, now: int) -> None:
        self.close_asked = now
        self.feed(self.trading(), now)

    def trading(self) -> ev.TradingSeen:
        return ev.TradingSeen(SYMBOL, TradingView(close_asked=self.close_asked))

    # The process

    def start(self, now: int) -> None:
        """A new process: the journal is read, the switches are told, then time begins."""
        journal = self.journal
        self.ends_handed, self.handed = self.ends, journal.positions.get(SYMBOL)
        self.unanswered: set[str] = set()
        orders, positions = journal.orders.values(), journal.positions.values()
        self.diary = Diary("sim")
        self.core = Core(
            self.policy, self.clock(now), identity=IDENTITY, mode="auto-execute", orders=orders, positions=positions
        )
        life = self.life
        for event in (
            self.rules(now),
            ev.PriceSeen(SYMBOL, self.exchange.price, now),
            ev.HaltSeen(self.halted, self.halted),
            self.trading(),
        ):
            if life == self.life:
                self.feed(event, now)

    def lose_the_journal(self, now: int) -> None:
        self.end_life()
        self.away = True

    def restore(self, now: int) -> None:
        """It takes longer than a request can be on its way."""
        self.away = False
        self.journal = self.backup
        self.endings.clear()
        self.ends = 0
        self.start(now)

    def crash(self, now: int) -> None:
        self.end_life()
        self.start(now)

    def end_life(self) -> None:
        """What it had told and not journaled, another tells again."""
        self.life += 1
        del self.endings[self.ends :]

    def feed(self, event: ev.Event, now: int) -> None:
        if self.away:
            return
        effects = self.core.handle(event, self.clock(now))
        self.diary.told(event, effects, self.clock(now))
        if not self.core.ready and (sent := [one for one in effects if isinstance(one, Place | Cancel | SetMargin)]):
            self.wrongs.append(f"sent before the exchange was compared: {sent}")
        for effect in effects:
            if self.troubled(self.faults.crash, now):
                self.crash(now)
                return
            if isinstance(effect, JournalPosition):
                on_the_way.count_end(self, effect.position)
            if self.faults.lag and isinstance(effect, WRITES):
                late = self.lagging.randrange(self.faults.lag) if now < END else 0
                self.written_at = max(self.written_at, now + late)
                self.at(self.written_at, partial(self.perform, effect), mine=True)
            else:
                self.perform(effect, now)

    def tick(self, now: int) -> None:
        self.feed(ev.Time(), now)

    def sweep(self, now: int) -> None:
        for signal in self.signals.values():
            if signal.at <= now and signal.id not in self.journal.verdicts:
                self.signal_comes(signal, now)

    def compared(self, snapshot: ev.Snapshot, now: int) -> None:
        self.feed(snapshot, now)
        self.remind(now)

    def remind(self, now: int) -> None:
        """With every comparison: what the strategy of the position said last, where it closes and had expired."""
        last = late_exit(self, now)
        if last is not None:
            self.feed(ev.SignalSeen(replace(last, verdict="expired", last_word=True)), now)

    def signal_comes(self, signal: SignalView, now: int) -> None:
        signal = self.signals[signal.id]
        if not signal.price:
            signal = self.signals[signal.id] = replace(signal, price=self.exchange.price + self.draw_distance(signal))
        newer = [one for one in self.signals.values() if one.confirmed and signal.at < one.at <= now]
        signal = replace(signal, last_word=bool(signal.leaves) and not any(one.takes_back(signal) for one in newer))
        self.feed(ev.SignalSeen(signal), now)
        if self.troubled(self.faults.repeat, now):
            self.back(ev.SignalSeen(signal), self.quick(now))

    def draw_distance(self, signal: SignalView) -> Decimal:
        """How far the price of a signal lies from the market's: as far as a limit entry has to wait for."""
        if self.policy.risk.entry_order == "market":
            return Decimal(0)
        away = self.resting.choice([Decimal(40), Decimal("-0.03"), Decimal("-60.05"), Decimal(-150)])
        return away if signal.side == "long" else -away

    def tell_news(self, now: int) -> None:
        for news in self.exchange.news[self.told_news :]:
            if any(begin <= now < min(end, END) for begin, end in self.faults.gaps):
                continue
            if isinstance(news, OrderTold):
                event: ev.Event = ev.OrderSeen(news, "stream")
            else:
                event = ev.PositionsSeen((news[0],), news[1], "stream")
            for _ in range(1 + self.troubled(self.faults.repeat, now)):
                self.back(event, self.quick(now))
        self.told_news = len(self.exchange.news)

    def perform(self, effect: Effect, now: int) -> None:
        match effect:
            case JournalIntent(order):
                self.intent(order, now)
            case JournalOrder(order):
                self.journal.orders[order.id] = order
                self.unanswered.discard(order.id)
                on_the_way.check_abandoned(self, order)
            case JournalPosition(position):
                on_the_way.check_stop(self, self.journal.positions.get(position.symbol), position)
                on_the_way.check_end(self, self.journal.positions.get(position.symbol), position)
                self.journal.positions[position.symbol] = position
            case WriteVerdict():
                before = self.journal.verdicts.get(effect.signal_id)
                if before is None or (before.verdict == "expired" and effect.verdict != "expired"):
                    self.journal.verdicts[effect.signal_id] = effect
            case Explain(signal_id, reason):
                if (told := self.journal.verdicts.get(signal_id)) and told.verdict == "taken":
                    self.journal.verdicts[signal_id] = replace(told, reason=reason)
            case Notify(_, title) if title.endswith("is closed"):
                self.endings.append((now, effect))
                on_the_way.check_told(self)
            case TripBreaker(breaker):
                self.journal.breakers.add(breaker.name)
            case CloseDone(_, asked):
                self.close_done(asked, now)
            case Place(order):
                self.sent[order.id] += 1
                if order.leg in ENTERING and self.close_asked is not None:
                    self.wrongs.append(f"sent while the position is to be closed: {order}")
                if order.leg in ENTERING and not (
                    order.id in self.journal.orders and self.clock(now) <= order.plan.send_by
                ):
                    self.wrongs.append(f"sent too early or too late: {order}")
                if order.leg in ENTERING:
                    on_the_way.check_closing(self, order)
                    on_the_way.check_turn(self, order)
                    on_the_way.check_price(self, order)
                self.request(order, lambda: self.exchange.place(order), now)
            case Cancel(order) if self.held_back(now):
                self.back(ev.CancelFailed(order.id, "the request limit is used up"), now + 1)
            case SetMargin(symbol, margin) if self.held_back(now):
                self.back(ev.MarginNotSet(symbol, margin, "the request limit is used up", refused=False), now + 1)
            case Reconcile() if self.held_back(now):
                self.back(ev.ReconcileFailed("the request limit is used up"), now + 1)
            case Query() | QueryNumber() | QueryFills() | QueryPositions() if self.held_back(now):
                pass
            case Cancel(order):
                self.cancel(order, now)
            case SetMargin(_, margin):
                self.set_margin(margin.leverage, now)
            case Query(order):
                self.query(order, now)
            case QueryNumber(_, number):
                self.at(self.quick(now), lambda then: self.answer_number(number, then), mine=True)
            case QueryFills(_, since):
                self.at(self.quick(now), lambda then: self.answer_fills(since, now, then), mine=True)
            case QueryPositions():
                self.at(self.quick(now), lambda then: self.answer_position(now, then), mine=True)
            case Recall():
                self.at(self.quick(now), self.answer_past, mine=True)
            case Reconcile():
                self.at(self.quick(now), lambda then: self.answer_snapshot(now, then), mine=True)

    def close_done(self, asked: int, now: int) -> None:
        """Nobody is told that it is done while anything of ours is held, or can come."""
        if self.exchange.position and not self.faults.by_hand and not self.exchange.reopened_by_hand_at:
            self.wrongs.append(f"closed, it was said, and {self.exchange.position} is held")
        if asked == self.close_asked:
            self.close_asked = None
            self.at(now + self.random.randrange(1_000), lambda then: self.feed(self.trading(), then))

    def intent(self, order: OrderRecord, now: int) -> None:
        when = now + (self.random.randrange(4_000) if self.troubled(self.faults.slow_journal, now) else 2)
        if order.id in self.journal.orders and order.id not in self.unanswered:
            self.back(ev.IntentRefused(order.id, exists=True, reason="duplicate"), when)
        elif self.troubled(self.faults.journal_refuses, now):
            if self.random.random() < 0.5:
                self.journal.orders[order.id] = order
                self.unanswered.add(order.id)
            self.back(ev.IntentRefused(order.id, exists=False, reason="no server"), when)
        else:
            self.journal.orders[order.id] = order
            self.unanswered.discard(order.id)
            self.back(ev.IntentJournaled(order.id), when)
            if self.troubled(self.faults.repeat, now):
                self.back(ev.IntentJournaled(order.id), when + 5)
