"""Many strategies on many symbols in one account, with every cap of all positions set: what a decision costs the
executor's core, and what a backtest of all of them takes."""

import gc
from collections import deque
from dataclasses import replace
from decimal import Decimal
from statistics import median, quantiles
from time import process_time
from typing import Final

from bench.research import compile_rules, together
from bench.table import Row
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.um import UM
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import Effect, JournalIntent, Place, WriteVerdict
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import (
    AccountView,
    Bracket,
    Holding,
    Margin,
    OrderRecord,
    OrderTold,
    Policy,
    PositionTold,
    SignalView,
)
from pipeline.portfolio.allocation import equal_risk
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.contribution import daily, ends_of
from pipeline.research.backtest.run import Backtest
from pipeline.research.backtest.run import run as backtest
from pipeline.settings import Portfolio, Risk
from pipeline.strategies import registry
from pipeline.timeline import HOUR, MINUTE
from schemas.orders import State
from schemas.signals import Kind
from tests.contracts import contract

GROUP = "portfolio"
NOW = 1_760_000_000_000
PRICE, ATR, EQUITY = Decimal(60_000), Decimal(300), Decimal(10_000_000)
SPEAKERS = 10
BRACKETS = (Bracket(Decimal(50_000_000), Decimal("0.004"), Decimal(0), 125),)
LONG = 2 * HOUR
"""By then what has ended is forgotten."""
NEVER_REACHED = Decimal(100_000)
"""Percent: everything is counted, and nothing is kept back."""
CAPS: Final = (
    "gross_percent", "net_percent", "side_percent", "group_percent", "margin_percent", "open_risk_percent",
)  # fmt: skip
REACHED = Portfolio(**dict(zip(CAPS, map(Decimal, (100, 40, 70, 20, 35, 3)), strict=True)))
"""Caps as somebody would set them."""


def run(quick: bool) -> list[Row]:
    """The core's decisions; then backtests, without caps and with them, by shares that are given and worked out."""
    return [*deciding(5 if quick else 50, 500 if quick else 20_000), *traded(2 if quick else 50, 30 if quick else 300)]


# --- a decision ----------------------------------------------------------------------------------------------------


class Account:
    """A core that holds a trial of every symbol, each by one of ten strategies, and an exchange that does what it is
    asked for."""

    def __init__(self, symbols: int, portfolio: Portfolio) -> None:
        self.names = [f"B{number}USDT" for number in range(symbols)]
        self.now = NOW
        policy = Policy("sim", Risk(max_open_positions=100, max_orders_per_minute=10_000), portfolio)
        self.core = Core(policy, NOW, identity=Identity("sim", "benchs"), mode="auto-execute")
        speakers = [self.speaker(number) for number in range(SPEAKERS)]
        alike = {name: frozenset(self.names) - {name} for name in self.names}
        self.feed(ev.Snapshot((), (), (AccountView("USDT", EQUITY, EQUITY, NOW, EQUITY),), NOW))
        self.feed(ev.AllocationSeen(dict.fromkeys(speakers, Decimal(100) / SPEAKERS)))
        self.feed(ev.AlikeSeen(alike))
        for name in self.names:
            rules = Instrument.of(UM, contract(name))
            self.feed(ev.RulesSeen(name, rules, Margin(policy.risk.leverage, "isolated"), NOW, BRACKETS))
            self.feed(ev.PriceSeen(name, PRICE, NOW))
        for number in range(symbols):
            self.settle(self.feed(ev.SignalSeen(self.signal(number, "trial"))))
        self.feed(ev.ModeSeen("signal-only"))
        self.compared()
        self.feed(ev.Time())
        self.now += LONG
        self.feed(ev.Time())
        self.compared()
        for name in self.names:
            self.feed(ev.PriceSeen(name, PRICE, self.now))

    def speaker(self, number: int) -> str:
        return f"strategy {number % SPEAKERS}"

    def signal(self, number: int, kind: Kind) -> SignalView:
        """Of a symbol and the strategy that holds it."""
        place = number % len(self.names)
        return SignalView(
            id=f"{kind} {number}", symbol=self.names[place], interval="1h", strategy=self.speaker(place), kind=kind,
            side="long" if place % 2 else "short", at=self.now, price=PRICE, atr=ATR, confirmed=True,
            fresh_until=self.now + MINUTE,
        )  # fmt: skip

    def compared(self) -> None:
        """What the exchange shows of all that by now."""
        held = [one for one in self.core.positions() if one.quantity]
        holdings = tuple(Holding(one.symbol, one.quantity, PRICE, PRICE, self.now) for one in held)
        margin = sum(abs(one.quantity) for one in held) * PRICE / Risk().leverage
        account = AccountView("USDT", EQUITY, EQUITY - margin, self.now, EQUITY, EQUITY, holdings)
        told = tuple(PositionTold(one.symbol, one.quantity, PRICE) for one in held)
        stops = tuple(self.told(one, "accepted") for one in self.core.orders() if one.algo)
        self.feed(ev.Snapshot(stops, told, (account,), self.now))

    def feed(self, event: ev.Event) -> list[Effect]:
        self.now += 1
        return self.core.handle(event, self.now)

    def settle(self, effects: list[Effect]) -> None:
        asked = deque(effects)
        while asked:
            match asked.popleft():
                case JournalIntent(order):
                    asked += self.feed(ev.IntentJournaled(order.id))
                case Place(order):
                    asked += self.done(order)

    def done(self, order: OrderRecord) -> list[Effect]:
        """A stop stands, anything else is filled."""
        filled = Decimal(0) if order.algo else order.quantity or Decimal(0)
        told = self.told(order, "accepted" if order.algo else "filled", filled)
        held = filled if order.side == "BUY" else -filled
        effects = self.feed(ev.OrderSeen(told, "stream"))
        if filled:
            effects = [
                *effects,
                *self.feed(ev.PositionsSeen((PositionTold(order.symbol, held, PRICE),), self.now, "stream")),
            ]
        return effects

    def told(self, order: OrderRecord, state: State, filled: Decimal = Decimal(0)) -> OrderTold:
        return OrderTold(
            order.id, order.symbol, order.side, state, filled, self.now, order.algo, order.exchange_id or self.now,
            quantity=order.quantity, trigger_price=order.trigger_price, close_position=order.close_position,
            average_price=PRICE if filled else None,
        )  # fmt: skip


def deciding(symbols: int, count: int) -> list[Row]:
    """An entry of the strategy that holds a trial: sized by its share, and counted beside all that is held. The caps
    are so wide that each of them is asked."""
    took = {}
    for caps in (Portfolio(), Portfolio(**dict.fromkeys(CAPS, NEVER_REACHED))):
        account = Account(symbols, caps)
        gc.collect()
        times: list[float] = []
        for number in range(count):
            asked = ev.SignalSeen(account.signal(number, "entry"))
            began = process_time()
            effects = account.feed(asked)
            times.append(process_time() - began)
            (verdict,) = effects
            if not isinstance(verdict, WriteVerdict) or verdict.verdict != "would-take":
                raise RuntimeError(f"not taken: {effects}")
        took[caps.is_capped] = times
    name = f"a decision with {symbols} positions of {SPEAKERS} strategies held, every cap set"
    beside = f"without caps {_us(median(took[False])):.0f} and {_us(_p99(took[False])):.0f} us"
    return [
        Row(group=GROUP, name=f"{name}, p50", ours=_us(median(took[True])), unit="us", lower_is_better=True),
        Row(
            group=GROUP,
            name=f"{name}, p99",
            ours=_us(_p99(took[True])),
            unit="us",
            at_most=150,
            lower_is_better=True,
            note=beside,
        ),
    ]


def _us(seconds: float) -> float:
    return seconds * 1e6


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1]


# --- a backtest ----------------------------------------------------------------------------------------------------


def traded(symbols: int, days: int) -> list[Row]:
    """All shipped strategies on all symbols, from candles to figures: each of them by all of the equity and without a
    cap, then with every cap, then by shares as well."""
    strategies = list(registry.SHIPPED)
    compile_rules()
    begun = process_time()
    plain = together(symbols, days, strategies)
    said = process_time() - begun
    fixed = dict.fromkeys(strategies, Decimal(100) / len(strategies))
    free, first = ran(plain)
    worked_out = equal_risk(daily(ends_of(free.outcome.trades), strategies, plain.start, plain.end))
    capped = replace(plain, policy=replace(plain.policy, portfolio=REACHED))
    kinds = {"caps": capped, "caps, equal shares": replace(capped, shares=fixed)}
    kinds["caps, shares by equal risk"] = replace(capped, shares=worked_out)
    found = {"no caps": (free, first), **{name: ran(asked) for name, asked in kinds.items()}}
    return [
        Row(
            group=GROUP,
            name=f"{len(strategies)} strategies x {symbols} symbols x {days} days, 15m on 1m, {name}",
            ours=said + took,
            unit="s",
            at_most=20,
            lower_is_better=True,
            note=f"{len(one.outcome.trades):,} trades; the run itself {took:.1f} s; "
            f"kept back by a cap: {kept_back(one):,}; the rules were compiled before",
        )
        for name, (one, took) in found.items()
    ]


def ran(asked: Asked) -> tuple[Backtest, float]:
    """With its figures, and the seconds of a core."""
    begun = process_time()
    found = backtest(asked)
    found.outcome.summary  # noqa: B018 - it is made when it is asked for
    return found, process_time() - begun


def kept_back(found: Backtest) -> int:
    return sum(count for why, count in found.outcome.left_out.items() if "would come to" in why)
