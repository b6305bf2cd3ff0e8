"""The executor's own core over recorded candles, as it would have traded them, with the settings that are shipped.

What is said at a close is decided then, by the close, and filled at the next candle's open: nothing acts on a price
from before it. Within a candle the price goes from the open first to the end that is worse for what is held, then to
the other, then to the close; a stop is filled at its price, or at the open where that lies beyond it. Every fill
costs the taker's fee. For a minute after anything was sent the core is told the time in small steps; later its clock
leaps from price to price, as that of a process that stood still. No funding, no spread, no slippage, nothing that
fails.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    Cancel,
    Effect,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Notify,
    Place,
    Query,
    QueryFills,
    QueryNumber,
    QueryPositions,
    Reconcile,
    ResetBreaker,
    SetMargin,
    TripBreaker,
    WriteVerdict,
)
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import AccountView, Holding, OrderTold, Policy, PositionRecord, SignalView
from pipeline.settings import Risk
from pipeline.timeline import DAY, MINUTE, SECOND
from tests.execution.driver import IDENTITY, rules
from tests.execution.model import SYMBOL, ZERO, Exchange, Placed, Refused

_TOLD_EVERY = SECOND // 2
_QUIET_FOR = 3 * SECOND
"""So long nothing is asked of the exchange before the core counts as done: what it repeats, it repeats sooner."""
_STEP = 9 * SECOND
"""No leap: a clock that leaps takes with it what is counted by the minute."""


class Candle(NamedTuple):
    """One of consecutive ones; `t` is its open, `end` the open of the next."""

    t: int
    end: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass
class Held:
    """A position from its first fill to its end: the most units it came to, and whether its stop ended it."""

    side: str
    strategy: str | None
    units: float = 0.0
    stopped: bool = False


@dataclass
class Replay:
    """A core, the exchange that it trades on, and what came of each signal. Each is used for one run."""

    began: int
    exchange: Exchange
    policy: Policy = field(default_factory=lambda: Policy("sim", Risk()))
    verdicts: dict[str, WriteVerdict] = field(default_factory=dict)
    breakers: Counter[str] = field(default_factory=Counter)
    positions: list[Held] = field(default_factory=list)
    units: list[float] = field(default_factory=list)
    """What was held in each candle after its signals."""
    day: tuple[int, Decimal] = (0, ZERO)
    """The last midnight, and what the account was worth then."""

    def __post_init__(self) -> None:
        self._events: deque[ev.Event] = deque()
        self._news = self._sent_at = 0
        self._opened: int | None = None
        self.core = Core(self.policy, self.began, identity=IDENTITY, mode="auto-execute")
        self._tell(rules(leverage=self.exchange.leverage, asof=self.began))

    # The market

    def run(self, candles: Iterable[Candle], said: dict[int, list[SignalView]]) -> None:
        """`said`: the signals of each close, by its moment."""
        for candle in candles:
            self._begin(candle)
            if signals := said.get(candle.t):
                self._decide(signals)
            self.units.append(float(self._position().units) if self.exchange.position else 0.0)
            if self.exchange.position:
                self._live_through(candle)

    def _begin(self, candle: Candle) -> None:
        self._wait(candle.t)
        self._move(candle.open)
        if candle.t // DAY != self.day[0]:
            self.day = candle.t // DAY, self.exchange.wallet + self.exchange.unrealized

    def _decide(self, signals: list[SignalView]) -> None:
        """The core knows the close, and the next candle has opened."""
        self._tell(ev.Time())
        self._tell(ev.PriceSeen(SYMBOL, signals[0].price, self.exchange.now))
        for signal in signals:
            self._tell(ev.SignalSeen(signal))
        self._settle()
        undecided = [one.id for one in signals if one.id not in self.verdicts]
        assert not undecided, f"no verdict on {undecided}"

    def _live_through(self, candle: Candle) -> None:
        worse, better = (candle.low, candle.high) if self.exchange.position > 0 else (candle.high, candle.low)
        quarter = (candle.end - candle.t) // 4
        self._tell(ev.PriceSeen(SYMBOL, candle.open, self.exchange.now))
        for number, price in enumerate((worse, better, candle.close), 1):
            self._wait(candle.t + number * quarter)
            self._walk(price)

    def _walk(self, price: Decimal) -> None:
        """To that price, and no trigger on the way is passed by."""
        while trigger := self._next_trigger(price):
            self._move(trigger)
        self._move(price)
        if self.exchange.position:
            self._tell(ev.PriceSeen(SYMBOL, price, self.exchange.now))

    def _next_trigger(self, price: Decimal) -> Decimal | None:
        start = self.exchange.price
        low, high = min(start, price), max(start, price)
        between = [
            one.trigger for one in self.exchange.open_orders() if one.trigger is not None and low < one.trigger < high
        ]
        return min(between, key=lambda trigger: abs(trigger - start), default=None)

    def _move(self, price: Decimal) -> None:
        before = self.exchange.position
        self.exchange.move(price)
        if self.exchange.position != before:
            self.positions[-1].stopped = True
            self._tell(ev.PriceSeen(SYMBOL, price, self.exchange.now))
            self._settle()

    # The core

    def _wait(self, until: int) -> None:
        exchange = self.exchange
        while exchange.now < min(until - _STEP, self._sent_at + MINUTE):
            exchange.now += _STEP
            self._tell(ev.Time())
        exchange.now = max(exchange.now, until)

    def _tell(self, event: ev.Event) -> bool:
        """Whether anything was asked of the exchange because of it, or of what followed from it."""
        asked = False
        self._events.append(event)
        while self._events:
            for effect in self.core.handle(self._events.popleft(), self.exchange.moment()):
                self._perform(effect)
                asked |= isinstance(
                    effect, Place | Cancel | Query | QueryNumber | QueryFills | QueryPositions | SetMargin
                )
            self._hear()
        if asked:
            self._sent_at = self.exchange.now
        return asked

    def _settle(self) -> None:
        """Time passes until the core has done what it has to do."""
        quiet = 0
        while quiet < _QUIET_FOR:
            self.exchange.now += _TOLD_EVERY
            quiet = 0 if self._tell(ev.Time()) else quiet + _TOLD_EVERY
        if self.exchange.position:
            assert self.exchange.protected(), f"{self.exchange.position} is held without a stop"
        else:
            assert not self.exchange.open_orders(), f"nothing is held, and {self.exchange.open_orders()} stands"
        self.exchange.orders = self.exchange.open_orders()

    def _hear(self) -> None:
        """The user stream."""
        for news in self.exchange.news[self._news :]:
            if isinstance(news, OrderTold):
                self._events.append(ev.OrderSeen(news, "stream"))
                continue
            told, at = news
            held = Holding(SYMBOL, told.quantity, told.entry_price, self.exchange.price, at)
            self._events.append(ev.PositionsSeen((told,), at, "stream"))
            self._events.append(ev.AccountChanged("USDT", self.exchange.wallet, (held,), at, earned=True))
        self._news = len(self.exchange.news)
        self._count()

    def _count(self) -> None:
        held, position = self.exchange.position, self._position()
        if not held or not position.quantity or position.side is None:
            return
        if position.opened_at != self._opened:
            self._opened = position.opened_at
            self.positions.append(Held(position.side, position.strategy))
        self.positions[-1].units = max(self.positions[-1].units, float(position.units))

    def _position(self) -> PositionRecord:
        return next((one for one in self.core.positions() if one.symbol == SYMBOL), PositionRecord(SYMBOL))

    def _perform(self, effect: Effect) -> None:
        answer = self._answer(effect)
        if answer is not None:
            self._events.append(answer)

    def _answer(self, effect: Effect) -> ev.Event | None:
        exchange = self.exchange
        match effect:
            case JournalIntent(order):
                return ev.IntentJournaled(order.id)
            case Place(order):
                try:
                    return _seen(exchange.place(order))
                except Refused as refusal:
                    return ev.OrderRejected(order.id, refusal.code, "refused")
            case Cancel(order):
                try:
                    return _seen(exchange.cancel(order.id))
                except Refused as refusal:
                    return ev.CancelFailed(order.id, f"{refusal.code}")
            case Query(order):
                found = exchange.find(order.id)
                return _seen(found) if found else ev.OrderNotFound(order.id, exchange.now)
            case QueryFills(symbol, since):
                trades = tuple(one for one in exchange.trades if one.at >= since)
                return ev.FillsSeen(symbol, trades, since, exchange.now)
            case QueryNumber(_, number):
                return _seen(next(one for one in exchange.every_order() if one.number == number))
            case QueryPositions():
                return ev.PositionsSeen((exchange.told_position(),), exchange.now, "query")
            case Reconcile():
                return self._snapshot()
            case SetMargin(symbol, margin):
                exchange.leverage = margin.leverage
                return ev.MarginSet(symbol, margin, exchange.now)
            case WriteVerdict(signal_id):
                self.verdicts.setdefault(signal_id, effect)
            case TripBreaker(breaker):
                self.breakers[breaker.name] += 1
            case JournalOrder() | JournalPosition() | ResetBreaker() | Notify():
                pass
            case _:
                raise AssertionError(f"nothing here asks for {effect}")
        return None

    def _snapshot(self) -> ev.Snapshot:
        exchange, now = self.exchange, self.exchange.now
        told = exchange.told_position()
        held = Holding(SYMBOL, told.quantity, told.entry_price, exchange.price, now)
        margin = abs(told.quantity) * told.entry_price / exchange.leverage
        unrealized = exchange.unrealized
        account = AccountView(
            "USDT",
            equity=exchange.wallet + unrealized,
            available=exchange.wallet + min(unrealized, ZERO) - margin,
            at=now,
            day_start=self.day[1],
            wallet=exchange.wallet,
            holdings=(held,) if told.quantity else (),
        )
        orders = tuple(one.told() for one in exchange.open_orders())
        return ev.Snapshot(orders, (told,) if told.quantity else (), (account,), now)


def _seen(placed: Placed) -> ev.OrderSeen:
    return ev.OrderSeen(placed.told(), "answer")
