"""A seeded drill: many symbols on one account, and an exchange that refuses what its margin does not pay. Whatever
comes in whatever order, nothing is refused for lack of margin, and every position stands on a step of the ladder."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal as D
from itertools import count
from random import Random

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    Place,
    QueryFills,
    Reconcile,
    SetMargin,
    WriteVerdict,
)
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import (
    AccountView,
    Holding,
    OrderRecord,
    OrderTold,
    Policy,
    PositionTold,
    SignalView,
)
from pipeline.settings import Portfolio, Risk
from schemas.signals import Side
from tests.execution.driver import BRACKETS, FILTERS, T, isolated, linear

ZERO, FEE = D(0), D("0.0005")
SYMBOLS = tuple(f"COIN{number}USDT" for number in range(14))
FINE = FILTERS.model_copy(update={"step_size": D("0.00001"), "market_step_size": D(0), "min_notional": D(5)})
RULES = FINE.model_copy(update={"min_quantity": D("0.00001"), "market_min_quantity": D("0.00001")})
PRICE, ATR = D(10_000), D(100)
MINUTES = 2
SEEDS = 5
STEPS = {D(2), D(3), D(4)} | {D(half) / 2 for half in (1, 3, 5, 7)}
"""In units; an add may come to a trial, without an entry."""


@dataclass
class Books:
    """One account in isolated margin: what it holds, and what of its wallet is not set aside."""

    leverage: int
    wallet: D = D(10_000)
    held: dict[str, tuple[D, D]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def available(self) -> D:
        return (
            self.wallet - sum((abs(quantity) * entry for quantity, entry in self.held.values()), ZERO) / self.leverage
        )

    def trade(self, order: OrderRecord, price: D) -> bool:
        """Whether the exchange fills it; what closes always is."""
        quantity, entry = self.held.get(order.symbol, (ZERO, ZERO))
        assert order.quantity is not None
        change = order.quantity if order.side == "BUY" else -order.quantity
        if quantity * change >= 0 and order.quantity * price / self.leverage > self.available:
            self.refused.append(order.symbol)
            return False
        if quantity * change >= 0:
            entry = (quantity * entry + change * price) / (quantity + change)
        else:
            self.wallet += -change * (price - entry)
        self.wallet -= order.quantity * price * FEE
        self.held[order.symbol] = (quantity + change, entry)
        return True


class Day:
    """A core, an account, and news that come when they come."""

    def __init__(self, seed: int, risk: Risk, portfolio: Portfolio | None = None) -> None:
        self.random = Random(seed)
        self.books = Books(risk.leverage)
        self.prices = dict.fromkeys(SYMBOLS, PRICE)
        self.agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self.numbers = count(1)
        self.verdicts: dict[str, WriteVerdict] = {}
        policy = Policy("sim", risk, portfolio or Portfolio())
        self.core = Core(policy, T, identity=Identity("sim", "drills"), mode="auto-execute")
        for symbol in SYMBOLS:
            self.feed(ev.RulesSeen(symbol, linear(symbol, RULES), isolated(risk.leverage), T, BRACKETS), T)
            self.feed(ev.PriceSeen(symbol, PRICE, T), T)

    def run(self) -> None:
        end = T + MINUTES * 60_000
        for now in range(T, end, 500):
            self.at(now, lambda now: self.feed(ev.Time(), now))
        for _ in range(60 * MINUTES):
            self.at(T + 500 + self.random.randrange(MINUTES * 55_000), self.say)
        while self.agenda and self.agenda[0][0] < end:
            now, _, what = heapq.heappop(self.agenda)
            what(now)

    def at(self, moment: int, what: Callable[[int], None]) -> None:
        heapq.heappush(self.agenda, (moment, next(self.numbers), what))

    def soon(self, now: int, event: ev.Event, least: int = 1) -> None:
        self.at(now + least + self.random.randrange(40), lambda then: self.feed(event, then))

    def side_of(self, _symbol: str) -> Side:
        """Which way its signals point."""
        return "long"

    def say(self, now: int) -> None:
        """Every strategy may speak in the same moment, at a price that has moved."""
        for symbol in self.random.sample(SYMBOLS, self.random.choice([1, 1, 5, 14])):
            self.prices[symbol] += ATR * self.random.choice([D("-0.5"), D("0.3"), D("1.2"), D("1.9")])
            kind = self.random.choice(["trial", "entry", "entry", "add", "add", "add", "exit"])
            name, price = f"s{next(self.numbers)}", self.prices[symbol]
            self.feed(ev.PriceSeen(symbol, price, now), now)
            side = self.side_of(symbol)
            asked = SignalView(name, symbol, "1m", "macd", kind, side, now, price, ATR, True, now + 20_000)
            self.feed(ev.SignalSeen(asked), now)

    def feed(self, event: ev.Event, now: int) -> None:
        for effect in self.core.handle(event, now):
            match effect:
                case JournalIntent(order):
                    self.intended(order, now)
                case Place(order):
                    self.at(now + self.random.randrange(1, 200), lambda then, order=order: self.place(order, then))
                case Cancel(order):
                    self.soon(now, ev.OrderSeen(self.told(order, "cancelled", now), "answer"))
                case Reconcile():
                    self.at(now + self.random.randrange(1, 100), self.compare)
                case WriteVerdict():
                    self.verdicts[effect.signal_id] = effect
                case SetMargin() | QueryFills() | _:
                    pass

    def intended(self, order: OrderRecord, now: int) -> None:
        """The journal has it, a little later."""
        self.soon(now, ev.IntentJournaled(order.id))

    def place(self, order: OrderRecord, now: int) -> None:
        if order.algo:
            self.soon(now, ev.OrderSeen(self.told(order, "accepted", now), "answer"))
        elif not self.books.trade(order, self.prices[order.symbol]):
            self.soon(now, ev.OrderRejected(order.id, -2019, "Margin is insufficient."))
        else:
            quantity, entry = self.books.held[order.symbol]
            positions = (PositionTold(order.symbol, quantity, entry),)
            holding = Holding(order.symbol, quantity, entry, self.prices[order.symbol], now)
            changed = ev.AccountChanged("USDT", self.books.wallet, (holding,), now, earned=True)
            filled = ev.OrderSeen(self.told(order, "filled", now), "stream")
            pause = self.random.randrange(1, 40)
            for event in (ev.PositionsSeen(positions, now, "stream"), changed, filled):
                self.at(now + pause, lambda then, event=event: self.feed(event, then))

    def told(self, order: OrderRecord, state: str, now: int) -> OrderTold:
        filled = order.quantity if state == "filled" and order.quantity else ZERO
        return OrderTold(
            order.id, order.symbol, order.side, state, filled, now, order.algo, order.exchange_id or next(self.numbers),
            average_price=self.prices[order.symbol], quantity=order.quantity, trigger_price=order.trigger_price,
            close_position=order.close_position,
        )  # fmt: skip

    def compare(self, asked: int) -> None:
        books = self.books
        held = {symbol: one for symbol, one in books.held.items() if one[0]}
        positions = tuple(PositionTold(symbol, *one) for symbol, one in held.items())
        holdings = tuple(Holding(symbol, *one, self.prices[symbol], asked) for symbol, one in held.items())
        unrealized = sum((one.quantity * (one.mark_price - one.entry_price) for one in holdings), ZERO)
        account = AccountView(
            "USDT", books.wallet + unrealized, books.available, asked, books.wallet, books.wallet, holdings
        )
        standing = tuple(self.told(one, "accepted", one.seen_at) for one in self.core.orders() if one.stands)
        self.soon(asked, ev.Snapshot(standing, positions, (account,), asked))


@pytest.mark.parametrize("risk", [Risk(max_orders_per_minute=10_000), Risk(max_orders_per_minute=10_000, leverage=20)])
def test_whatever_comes_nothing_is_refused_and_every_position_is_on_its_ladder(risk):
    opened, steps = set(), set()
    for seed in range(SEEDS):
        day = Day(seed, risk)
        day.run()
        assert day.books.refused == [], f"seed {seed}"
        assert day.books.available > 0, f"seed {seed}"
        for one in day.core.positions():
            if one.quantity and one.settled:
                step = round(one.units, 1)
                assert step in STEPS, f"seed {seed}: {one}"
                assert abs(one.units - step) < D("0.01"), f"seed {seed}: {one}"
                steps.add(step)
                opened.add(one.symbol)
    assert len(opened) > 4
    assert steps >= {D("0.5"), D(2), D(3), D(4)}
