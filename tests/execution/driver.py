"""Drives a core in tests, step by step, in the shell's place: short words for events, and what came of them."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import count

from pipeline.exchange.products.arithmetic import LINEAR
from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import Effect, JournalIntent, Place, TripBreaker, WriteVerdict
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import (
    AccountView,
    Bracket,
    Margin,
    OrderRecord,
    OrderTold,
    Policy,
    PositionRecord,
    PositionTold,
    SignalView,
    TradeTold,
)
from pipeline.settings import Risk
from schemas.symbols import Filters

T = 1_760_000_000_000
SYMBOL = "BTCUSDT"
PRICE = Decimal(60_000)
FILTERS = Filters(
    tick_size=Decimal("0.1"),
    min_price=Decimal(100),
    max_price=Decimal(1_000_000),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    market_step_size=Decimal("0.001"),
    market_min_quantity=Decimal("0.001"),
    market_max_quantity=Decimal(120),
    min_notional=Decimal(50),
    multiplier_up=Decimal("1.05"),
    multiplier_down=Decimal("0.95"),
    max_orders=200,
)
RISK = Risk(max_position_percent=Decimal(1000))
POLICY = Policy("sim", RISK)
IDENTITY = Identity("sim", "mine00")
ACCOUNT = AccountView("USDT", Decimal(10_000), Decimal(10_000), T, Decimal(10_000))


BRACKETS = (
    Bracket(Decimal(300_000), Decimal("0.004"), Decimal(0), 125),
    Bracket(Decimal(50_000_000), Decimal("0.005"), Decimal(300), 100),
)


def linear(symbol: str = SYMBOL, filters: Filters = FILTERS) -> Instrument:
    """A contract that is paid in what it is priced in."""
    return Instrument(symbol, symbol.removesuffix("USDT"), "USDT", "USDT", LINEAR, filters=filters)


def isolated(leverage: int) -> Margin:
    return Margin(leverage, "isolated")


def rules(symbol: str = SYMBOL, filters: Filters | None = FILTERS, leverage: int = 3, asof: int = T) -> ev.RulesSeen:
    """What the exchange allows, and has set."""
    return ev.RulesSeen(
        symbol, None if filters is None else linear(symbol, filters), isolated(leverage), asof, BRACKETS
    )


def trade(
    order: OrderRecord, quantity: str | Decimal, number: int = 77, side: str | None = None, at: int | None = None
) -> TradeTold:
    """A trade of that order, or one that could be taken for it."""
    return TradeTold(number, side or order.side, Decimal(quantity), PRICE, Decimal("0.1"), Decimal(2), at or T + 5)


def signal(name: str = "s1", **changes: object) -> SignalView:
    """A fresh entry, long."""
    plain = SignalView(name, SYMBOL, "1h", "macd", "entry", "long", T, PRICE, Decimal(300), True, T + 60_000)
    return replace(plain, **changes)


class Driver:
    """A core, the time, and the effects of the last event."""

    def __init__(self, policy: Policy = POLICY, *, mode: str = "auto-execute", ready: bool = True, **journal) -> None:
        self.now = T
        self.numbers = count(100)
        self.last: list[Effect] = []
        self.all: list[Effect] = []
        self.core = Core(policy, T, mode=mode, **{"identity": IDENTITY} | journal)
        self(rules(leverage=policy.risk.leverage))
        self(ev.PriceSeen(SYMBOL, PRICE, T))
        if ready:
            self.snapshot()

    def __call__(self, event: ev.Event, later: int = 0) -> list[Effect]:
        self.now += later
        self.last = self.core.handle(event, self.now)
        self.all += self.last
        return self.last

    def wait(self, milliseconds: int, step: int = 250) -> list[Effect]:
        """Time passes; everything that was to be done in it."""
        done: list[Effect] = []
        for _ in range(0, milliseconds, step):
            done += self(ev.Time(), step)
        self.last = done
        return done

    def got(self, kind: type) -> list:
        """The effects of that kind that the last step gave."""
        return [one for one in self.last if isinstance(one, kind)]

    def one(self, kind: type):
        """The only one."""
        (found,) = self.got(kind)
        return found

    def verdict(self, name: str = "s1") -> WriteVerdict | None:
        return next((one for one in self.all if isinstance(one, WriteVerdict) and one.signal_id == name), None)

    def breakers(self) -> set[str]:
        return {one.breaker.name for one in self.all if isinstance(one, TripBreaker)}

    def order(self, leg: str) -> OrderRecord:
        """The newest order of that leg."""
        return [one for one in self.core.orders() if one.leg == leg][-1]

    def state(self, leg: str) -> str:
        return self.order(leg).state

    def position(self) -> PositionRecord:
        return next(one for one in self.core.positions() if one.symbol == SYMBOL)

    # What the exchange says

    def snapshot(self, orders: Iterable[OrderTold] = (), quantity: Decimal | None = None) -> list[Effect]:
        """The first takes no time: what is said at T is said in this term."""
        told = (PositionTold(SYMBOL, quantity, PRICE),) if quantity else ()
        return self(ev.Snapshot(tuple(orders), told, (replace(ACCOUNT, at=self.now),), self.now), int(self.core.ready))

    def recalled(self, *orders: OrderTold, **past) -> list[Effect]:
        """The past of the symbol: these orders, and nothing else but what is named."""
        known = {"known": (), "trades": (), "signals": ()} | past
        return self(ev.Recalled(SYMBOL, orders, **known), 1)

    def told(self, order: OrderRecord, state: str = "accepted", filled: object = 0, **more: object) -> OrderTold:
        number = order.exchange_id or next(self.numbers)
        plain = OrderTold(
            order.id, order.symbol, order.side, state, Decimal(str(filled)), self.now, order.algo, number,
            quantity=order.quantity, trigger_price=order.trigger_price, close_position=order.close_position,
        )  # fmt: skip
        return replace(plain, **more)

    def seen(self, order: OrderRecord, state: str = "accepted", filled: object = 0, **more: object) -> list[Effect]:
        return self(ev.OrderSeen(self.told(order, state, filled, **more), "stream"), 1)

    def holds(self, quantity: object, by: str = "stream") -> list[Effect]:
        return self(ev.PositionsSeen((PositionTold(SYMBOL, Decimal(str(quantity)), PRICE),), self.now, by), 1)

    # Whole stretches

    def journal(self) -> list[Effect]:
        """Every intent of the last step is journaled; the effects of that."""
        done: list[Effect] = []
        for intent in self.got(JournalIntent):
            done += self(ev.IntentJournaled(intent.order.id), 1)
        self.last = done
        return done

    def sent(self, **changes: object) -> OrderRecord:
        """A signal came and its order is on its way."""
        self(ev.SignalSeen(signal(**changes)), 1)
        self.journal()
        return self.one(Place).order

    def filled(self, **changes: object) -> OrderRecord:
        """The order of a signal is filled, and its position is told; its stop is intended."""
        order = self.sent(**changes)
        held = self.position().quantity if self.core.positions() else Decimal(0)
        intents = self.seen(order, "filled", order.quantity, average_price=order.plan.price)
        sign = 1 if order.side == "BUY" else -1
        intents = [*intents, *self.holds(held + sign * order.quantity)]
        self.last = intents
        return order

    def protected(self, **changes: object) -> OrderRecord:
        """A position is held, and its stop stands."""
        order = self.filled(**changes)
        self.journal()
        for placed in self.got(Place):
            self.seen(placed.order)
        return order
