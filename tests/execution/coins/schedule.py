"""One schedule of faults for the executor on spot: its process, the wire, the exchange, and a user beside it.

Chances and moments are drawn from the seed. What must hold at any time is checked as it happens (`wrongs`); what must
hold once all is quiet again is checked by `broken_law`.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import count
from random import Random

from pipeline.exchange.products.arithmetic import SPOT_COINS
from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine import effects as ef
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.rebuild import unexplained
from pipeline.execution.engine.state import (
    ENTERING,
    AccountView,
    OrderRecord,
    Policy,
    PositionRecord,
    SignalView,
)
from pipeline.settings import Risk
from pipeline.timeline import SECOND
from tests.execution.coins.exchange import LEAST_WORTH, LOT, NOT_OPEN, ZERO, Exchange, HalfDone, Placed, Refused
from tests.execution.driver import FILTERS
from tests.execution.model import SYMBOL

IDENTITY = Identity("spot", "mine00")
START = 1_760_000_000_000
TROUBLE, QUIET = 20 * SECOND, 40 * SECOND
END = START + TROUBLE
EQUITY = Decimal(10_000)
PRICE, ATR = Decimal(60_000), Decimal(300)
RULES = FILTERS.model_copy(update={"min_notional": LEAST_WORTH, "step_size": LOT, "min_quantity": LOT})
RISK = Risk(leverage=1, max_position_percent=Decimal(90), unprotected_seconds=12, max_slippage_percent=Decimal(5))
POLICY = Policy("spot", RISK, arithmetic=SPOT_COINS, surely_listed=8 * SECOND, reconcile_every=15 * SECOND)
INSTRUMENT = Instrument(SYMBOL, "BTC", "USDT", "USDT", SPOT_COINS, filters=RULES)
MOST_NAKED = 1_500
"""Of a schedule without faults: what was bought waits so long for a stop, because none is placed twice in a second."""
MORE_WHERE_NONE_IS_REPLACED = 620
"""Two answers, and the next time that it is told how late it is: once a second, when all is quiet."""
ANSWER = 60
MOST_BARE = ANSWER + 10
"""Of a schedule without faults nothing stands for so long when one pair follows another: an answer and a request."""

CHANCES = {
    "lost_before": 0.4, "lost_after": 0.4, "late": 0.3, "failed": 0.5, "refused": 0.3, "hangs": 0.2, "query_fails": 0.6,
    "journal_refuses": 0.3, "slow_journal": 0.5, "crash": 0.06, "repeat": 0.5, "delay": 0.6, "untold": 0.5,
    "partial": 0.9, "fired": 0.4, "user": 0.3, "robbed": 0.25, "jump": 0.3,
}  # fmt: skip


@dataclass
class Journal:
    """What is durable."""

    orders: dict[str, OrderRecord] = field(default_factory=dict)
    positions: dict[str, PositionRecord] = field(default_factory=dict)
    verdicts: dict[str, ef.WriteVerdict] = field(default_factory=dict)

    def copy(self) -> "Journal":
        return Journal(dict(self.orders), dict(self.positions), dict(self.verdicts))


class Schedule:
    """Make one and `run` it. `but`: these chances instead of those drawn, and no other fault."""

    made_by = Exchange

    def __init__(self, seed: int, **but: float) -> None:
        random = self.random = Random(seed)
        drawn = {name: random.choice([0.0, 0.0, random.random() * high]) for name, high in CHANCES.items()}
        self.calm = bool(but) or random.random() < 0.1
        self.chance = dict.fromkeys(CHANCES, 0.0) | but if self.calm else drawn
        self.exchange = self.made_by(PRICE, START, theirs=random.choice([ZERO, Decimal(7)]))
        self.exchange.fee_in_coin = random.random() < 0.7
        self.exchange.replaces = seed % 5 > 0
        self.policy = replace(
            POLICY, risk=RISK.model_copy(update={"take_profit_atr": random.choice([None, Decimal(6)])})
        )
        self.drift = Decimal(random.choice([-90, -20, 0, 20, 90]))
        self.signals = {one.id: one for one in self.draw_signals()}
        self.forgets = self.moments(0.15)
        self.gaps = self.moments(0.2)
        self.halt = START + random.randrange(TROUBLE) if random.random() < 0.1 else None
        self.close = START + random.randrange(TROUBLE) if random.random() < 0.15 else None
        self.restored: tuple[int | None, int] | None = None
        if not self.calm and random.random() < 0.2:
            dies = START + random.randrange(4 * SECOND, TROUBLE - 6 * SECOND)
            self.restored = (random.choice([None, START + random.randrange(dies - START)]), dies)
        self.agenda: list[tuple[int, int, int | None, Callable[[int], None]]] = []
        self.order = count()
        self.life, self.away, self.told_news, self.halted = 0, False, 0, False
        self.journal, self.backup = Journal(), Journal()
        self.wrongs = self.exchange.wrongs
        self.naked_since: int | None = None
        self.naked_for = 0
        self.bare_since: int | None = None
        self.bare_for = 0
        self.stood = False
        self.seen: set[str] = set()
        self.doubted: set[str] = set()
        self.was_missing = False

    # What is drawn

    def moments(self, chance: float) -> list[tuple[int, int]]:
        begin = START + self.random.randrange(TROUBLE)
        end = min(END, begin + self.random.randrange(8 * SECOND))
        return [(begin, end)] if not self.calm and self.random.random() < chance else []

    def draw_signals(self) -> list[SignalView]:
        found, at = [], START
        for number in range(self.random.randrange(1, 5)):
            at += self.random.randrange(500, 6 * SECOND)
            kind = self.random.choice(["trial", "entry", "entry", "add", "exit"])
            side = "short" if kind != "add" and self.random.random() < 0.2 else "long"
            found.append(
                SignalView(f"s{number}", SYMBOL, "1h", "macd", kind, side, at, ZERO, ATR, True, at + 15 * SECOND)
            )
        return found

    def troubled(self, what: str, now: int) -> bool:
        return now < END and self.random.random() < self.chance[what]

    def quick(self, now: int) -> int:
        most = 4_000 if self.troubled("delay", now) else ANSWER
        return now + self.random.randrange(1, most)

    # Time

    def at(self, when: int, what: Callable[[int], None], *, mine: bool = False) -> None:
        heapq.heappush(self.agenda, (when, next(self.order), self.life if mine else None, what))

    def run(self) -> None:
        self.start(START)
        for now in range(START + 500, END, 500):
            self.at(now, self.walk)
        for now in (*range(START + 600, END, 500), *range(END + 100, END + QUIET, SECOND)):
            self.at(now, self.tick)
        for now in range(START, END + QUIET, 4 * SECOND):
            self.at(now, self.sweep)
        for begin, end in self.forgets:
            self.at(begin, lambda _: setattr(self.exchange, "forgets", True))
            self.at(end, lambda _: setattr(self.exchange, "forgets", False))
        for _, end in self.gaps:
            self.at(end, lambda now: self.feed(ev.StreamBack(), now))
        if self.halt is not None:
            self.at(self.halt, lambda now: self.switch(now, halted=True))
        if self.close is not None:
            self.at(self.close, lambda now: self.feed(self.trading(self.close), now))
        if self.restored is not None:
            saved, dies = self.restored
            if saved is not None:
                self.at(saved, lambda _: setattr(self, "backup", self.journal.copy()))
            self.at(dies, self.die)
            self.at(dies + POLICY.surely_gone, self.restore)
        self.at(END, self.become_quiet)
        while self.agenda:
            now, _, life, what = heapq.heappop(self.agenda)
            if life is None or life == self.life:
                self.exchange.now = max(self.exchange.now, now)
                what(now)
                self.tell_news(now)
                self.watch(now)

    def walk(self, now: int) -> None:
        exchange = self.exchange
        exchange.part = Decimal("0.013") if self.troubled("partial", now) else None
        exchange.holds_fired = self.troubled("fired", now)
        exchange.move(exchange.price + self.drift + self.random.randrange(-60, 61))
        if not exchange.holds_fired:
            exchange.end_fired()
        if self.troubled("user", now) and exchange.theirs:
            self.random.choice([exchange.deposit, exchange.trade_by_hand])(self.random.choice([-LOT * 5, LOT * 40]))
        if self.troubled("robbed", now) and not exchange.theirs:
            exchange.deposit(-LOT * 20)
            self.seen.add("robbed")
        self.feed(ev.PriceSeen(SYMBOL, exchange.price, now), now)

    def become_quiet(self, now: int) -> None:
        self.exchange.part, self.exchange.holds_fired = None, False
        self.exchange.end_fired()
        self.switch(now, halted=False)
        self.feed(ev.StreamBack(), now)

    def watch(self, now: int) -> None:
        """How long something of ours was neither covered nor being sold."""
        self.watch_moves(now)
        if self.exchange.covered or self.away:
            self.naked_since = None
        elif self.naked_since is None:
            self.naked_since = now
        else:
            self.naked_for = max(self.naked_for, now - self.naked_since)

    def watch_moves(self, now: int) -> None:
        """How long nothing of ours stood or was sold after something had stood."""
        if not self.exchange.bare or self.away:
            self.bare_since, self.stood = None, bool(self.exchange.held) and not self.away
        elif self.stood:
            self.bare_since = now if self.bare_since is None else self.bare_since
            self.bare_for = max(self.bare_for, now - self.bare_since)

    # The process

    def start(self, now: int) -> None:
        self.unanswered: set[str] = set()
        self.core = Core(
            self.policy, now, identity=IDENTITY, mode="auto-execute", orders=self.journal.orders.values(),
            positions=self.journal.positions.values(),
        )  # fmt: skip
        life = self.life
        for event in (
            ev.RulesSeen(SYMBOL, INSTRUMENT, None, now),
            ev.PriceSeen(SYMBOL, self.exchange.price, now),
            ev.HaltSeen(self.halted, self.halted),
        ):
            if life == self.life:
                self.feed(event, now)

    def die(self, _: int) -> None:
        self.life += 1
        self.away = True

    def restore(self, now: int) -> None:
        self.seen.add("restored")
        self.away, self.journal = False, self.backup
        self.start(now)

    def feed(self, event: ev.Event, now: int) -> None:
        if self.away:
            return
        for effect in self.core.handle(event, now):
            if self.troubled("crash", now):
                self.life += 1
                self.seen.add("crashed")
                self.start(now)
                return
            self.perform(effect, now)

    def tick(self, now: int) -> None:
        self.feed(ev.Time(), now)

    def switch(self, now: int, *, halted: bool) -> None:
        self.halted = halted
        self.feed(ev.HaltSeen(halted, halted), now)

    def trading(self, asked: int | None) -> ev.TradingSeen:
        self.close = asked
        return ev.TradingSeen(SYMBOL, replace(self.core._memory.market(SYMBOL).trading, close_asked=asked))

    def sweep(self, now: int) -> None:
        for name, signal in self.signals.items():
            if signal.at <= now and name not in self.journal.verdicts:
                if not signal.price:
                    self.signals[name] = signal = replace(signal, price=self.exchange.price)
                newer = [one for one in self.signals.values() if signal.at < one.at <= now]
                last = bool(signal.leaves) and not any(one.takes_back(signal) for one in newer)
                self.feed(ev.SignalSeen(replace(signal, last_word=last)), now)

    def tell_news(self, now: int) -> None:
        """Of a pair one may be told late, or never."""
        for told in self.exchange.news[self.told_news :]:
            gone = any(begin <= now < end for begin, end in self.gaps) or self.troubled("untold", now)
            for _ in range(0 if gone else 1 + self.troubled("repeat", now)):
                self.back(ev.OrderSeen(told, "stream"), self.quick(now))
        self.told_news = len(self.exchange.news)

    def back(self, event: ev.Event, when: int) -> None:
        self.at(when, lambda now: self.feed(event, now), mine=True)

    # What it does

    def perform(self, effect: ef.Effect, now: int) -> None:
        match effect:
            case ef.JournalIntent(order):
                self.intent(order, now)
            case ef.JournalOrder(order):
                self.journal.orders[order.id] = order
                self.unanswered.discard(order.id)
                self.doubted |= {order.id} if order.state == "unknown" else set()
            case ef.JournalPosition(position):
                self.was_missing |= bool(position.missing)
                self.journal.positions[position.symbol] = position
            case ef.WriteVerdict(name):
                self.journal.verdicts.setdefault(name, effect)
            case ef.CloseDone(_, asked) if asked == self.close:
                self.seen.add("closed by a person")
                self.close = None
                self.at(now + 50, lambda then: self.feed(self.trading(None), then))
            case ef.Place(order, beside, instead):
                if not self.core.ready:
                    self.wrongs.append(f"sent before the exchange was compared: {order}")
                self.request(order, partial(self.send, order, beside, instead), now)
            case ef.Cancel(order):
                self.cancel(order, now)
            case ef.Query(order):
                self.ask(lambda then: self.answer(order, now, then), now)
            case ef.QueryNumber(_, number):
                self.ask(lambda then: self.answer_number(number, then), now)
            case ef.QueryFills(_, since):
                self.ask(lambda then: self.answer_fills(since, now, then), now)
            case ef.Recall():
                self.ask(self.answer_past, now)
            case ef.Reconcile():
                self.ask(lambda then: self.answer_snapshot(now, then), now)
            case ef.QueryPositions():
                self.ask(
                    lambda then: self.back(
                        ev.PositionsSeen((self.exchange.balance(),), now, "query"), self.quick(then)
                    ),
                    now,
                )

    def intent(self, order: OrderRecord, now: int) -> None:
        when = now + (self.random.randrange(4_000) if self.troubled("slow_journal", now) else 2)
        if order.id in self.journal.orders and order.id not in self.unanswered:
            self.back(ev.IntentRefused(order.id, exists=True, reason="duplicate"), when)
        elif self.troubled("journal_refuses", now):
            if self.random.random() < 0.5:
                self.journal.orders[order.id] = order
                self.unanswered.add(order.id)
            self.back(ev.IntentRefused(order.id, exists=False, reason="no server"), when)
        else:
            self.journal.orders[order.id] = order
            self.unanswered.discard(order.id)
            self.back(ev.IntentJournaled(order.id), when)

    def send(self, order: OrderRecord, beside: OrderRecord | None, instead: OrderRecord | None) -> list[ev.Event]:
        """The exchange carries it out; what it answers."""
        gone: list[Placed] = []
        if self.troubled("jump", self.exchange.now):
            self.exchange.move(self.exchange.price + self.random.choice([-2, -1, 1, 2]) * ATR)
        try:
            if instead is None:
                self.exchange.place(order, beside)
            else:
                gone = self.exchange.replace(order, instead.id)
        except HalfDone as half:
            gone, refusal = half.gone, half.refusal
            self.seen.add("half replaced")
            return [*self.told(gone), ev.OrderRejected(order.id, refusal.code, refusal.text)]
        except Refused as refusal:
            if instead is not None and refusal.code == NOT_OPEN:
                self.seen.add("not replaced")
                return [ev.CancelFailed(instead.id, "-2011"), ev.OrderFailed(order.id, "-2022")]
            return [ev.OrderRejected(order.id, refusal.code, refusal.text)]
        self.seen |= {"replaced"} if instead is not None else set()
        both = (order, beside) if beside else (order,)
        return self.told([*gone, *(self.exchange.find(one.id) for one in both)])

    def told(self, orders: Iterable[Placed | None]) -> list[ev.Event]:
        return [ev.OrderSeen(one.told(), "answer") for one in orders if one is not None]

    def request(self, order: OrderRecord, what: Callable[[], list[ev.Event]], now: int) -> None:
        if self.troubled("failed", now):
            self.back(ev.OrderFailed(order.id, "overloaded"), self.quick(now))
        elif self.troubled("refused", now):
            self.back(ev.OrderRejected(order.id, -2010, "Market is closed."), self.quick(now))
        elif self.troubled("lost_before", now):
            self.back(ev.OrderUnknown(order.id, "timeout"), self.quick(now))
        elif self.troubled("late", now):
            self.at(now + self.random.randrange(POLICY.recv_window), lambda _: what() and None)
            self.back(ev.OrderUnknown(order.id, "timeout"), self.quick(now))
        else:
            self.at(now + 3, lambda then: self.carry_out(order, what, then))

    def carry_out(self, order: OrderRecord, what: Callable[[], list[ev.Event]], now: int) -> None:
        answers = what()
        if self.troubled("hangs", now):
            return
        if self.troubled("lost_after", now):
            answers = [ev.OrderUnknown(order.id, "reset")]
        when = self.quick(now)
        for one in answers:
            self.back(one, when)

    def cancel(self, order: OrderRecord, now: int) -> None:
        def carry_out(then: int) -> None:
            try:
                gone = self.exchange.cancel(order.id)
            except Refused as refusal:
                self.back(ev.CancelFailed(order.id, f"{refusal.code}"), self.quick(then))
                return
            lost = self.troubled("lost_after", then)
            when = self.quick(then)
            for one in [ev.CancelFailed(order.id, "reset")] if lost else self.told(gone):
                self.back(one, when)

        if self.troubled("lost_before", now):
            self.back(ev.CancelFailed(order.id, "timeout"), self.quick(now))
        else:
            self.at(now + 3, carry_out)

    def ask(self, answer: Callable[[int], None], now: int) -> None:
        if not self.troubled("query_fails", now):
            self.at(self.quick(now), answer, mine=True)
        elif self.random.random() < 0.5:
            self.back(ev.ReconcileFailed("no answer"), self.quick(now))

    def answer(self, order: OrderRecord, asked: int, now: int) -> None:
        found = self.exchange.find(order.id)
        shown = found is not None and self.exchange.shows(found)
        told = ev.OrderSeen(found.told(fee=False), "query") if shown else ev.OrderNotFound(order.id, asked)
        self.back(told, self.quick(now))

    def answer_number(self, number: int, now: int) -> None:
        found = next((one for one in self.exchange.orders if one.number == number), None)
        self.back(ev.OrderSeen(found.told(fee=False), "query") if found else ev.NumberNotFound(number), self.quick(now))

    def answer_fills(self, since: int, asked: int, now: int) -> None:
        trades = tuple(one for one in self.exchange.trades if one.at >= since)
        self.back(ev.FillsSeen(SYMBOL, trades, since, asked), self.quick(now))

    def answer_past(self, now: int) -> None:
        orders = tuple(one.told(fee=False) for one in self.exchange.orders)
        known = tuple(self.journal.orders[one.id] for one in orders if one.id in self.journal.orders)
        wanted = unexplained(orders, known)
        signals = tuple(one for one in self.signals.values() if wanted and one.at <= now and one.kind in ENTERING)
        self.back(ev.Recalled(SYMBOL, orders, known, tuple(self.exchange.trades), signals), self.quick(now))

    def answer_snapshot(self, asked: int, now: int) -> None:
        """Orders and balances are read one after the other: things may happen in between."""
        orders = tuple(one.told(fee=False) for one in self.exchange.shown())

        def read_balances(then: int) -> None:
            account = AccountView("USDT", EQUITY, 10 * EQUITY, then, EQUITY)
            told = ev.Snapshot(orders, (self.exchange.balance(),), (account,), asked)
            self.back(told, self.quick(then))

        self.at(self.quick(now), read_balances, mine=True)


Held = Callable[[Schedule, list[Placed]], str | None]
"""What is wrong about what is held, and what stands for it."""


def held_as_one(schedule: Schedule, standing: list[Placed]) -> str | None:
    """All that is ours is held, and one stop covers it."""
    exchange, position = schedule.exchange, schedule.journal.positions.get(SYMBOL)
    quantity = position.quantity if position else ZERO
    if not exchange.ours <= quantity <= exchange.ours + exchange.dust and (quantity or exchange.held):
        return f"{exchange.ours} are ours, and {exchange.dust} of dust, and the journal has {position}"
    stops = [(one.quantity, one.trigger) for one in standing if one.kind == "STOP_MARKET"]
    if stops != ([(quantity // LOT * LOT, position.stop_price)] if quantity else []):
        return f"this is held: {position}, and these stand: {standing}"
    return None


def broken_law(schedule: Schedule, held_law: Held = held_as_one) -> str | None:
    """The first law that does not hold now that all is quiet."""
    exchange, journal = schedule.exchange, schedule.journal
    if schedule.wrongs:
        return schedule.wrongs[0]
    doubtful = [one for one in journal.orders.values() if one.in_doubt]
    if doubtful:
        return f"still in doubt: {doubtful}"
    ours = [one for one in exchange.orders if IDENTITY.owns(one.client_id)]
    standing = [one for one in ours if one.open]
    for one in standing:
        kept = journal.orders.get(one.client_id)
        if kept is None or not kept.stands:
            return f"{one} stands, and the journal has {kept}"
    for kept in journal.orders.values():
        if kept.stands and not any(one.client_id == kept.id for one in standing):
            return f"the journal has {kept}, which does not stand"
    if wrong := held_law(schedule, standing):
        return wrong
    most = MOST_NAKED + (0 if exchange.replaces else MORE_WHERE_NONE_IS_REPLACED)
    if schedule.calm and schedule.naked_for > most:
        return f"nothing was wrong, and what is ours was without cover for {schedule.naked_for} ms"
    if schedule.calm and schedule.bare_for > MOST_BARE:
        return (
            f"nothing was wrong, and between what stood and what followed it nothing stood for {schedule.bare_for} ms"
        )
    missing = [one for one in schedule.signals if one not in journal.verdicts]
    return f"without a verdict: {missing}" if missing else None
