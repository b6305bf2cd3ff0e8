"""What was traded live is what a backtest of the same minutes and signals trades, on USD-M and on COIN-M: the same
verdicts, the same orders by their ids, and each difference in price has a name. `DAY_MINUTES` makes the day longer.

| cause | what it is |
|---|---|
| latency | the exchange's price when the order arrived, less that at which a backtest has it arrive |
| slippage | what the book took from there: half a spread and its levels, for that quantity |
| size | the unit was worked out at that other price, so that fees, funding and profit are of another quantity |

What is left is nothing, to the last digit.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest
from pymongo.database import Database

from pipeline.exchange.clock import ServerClock
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.exchange_names import market_of
from pipeline.execution.engine.state import Policy
from pipeline.execution.runtime import documents
from pipeline.execution.runtime import executor as runtime
from pipeline.execution.runtime.opening import identify
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Assumptions
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.funding import schedule_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.record import Record
from pipeline.research.backtest.run import run
from pipeline.settings import Risk
from pipeline.simulator.handle import Simulator
from pipeline.simulator.host import build_exchange
from pipeline.simulator.options import Account, Options
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.ledger import Fill, Funding
from pipeline.simulator.venue.matching import sweep
from pipeline.simulator.venue.orders import Side
from pipeline.store.control import ControlStore
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE, to_datetime, to_ms
from schemas.signals import Kind
from schemas.signals import Side as SideOf
from schemas.symbols import Symbol
from tests.execution.service.conftest import House
from tests.execution.service.explained import explained

TRADED = {"sim": "BTCUSDT", "sim-cm": "BTCUSD_PERP"}
SPEED = 20
LENGTH = int(os.environ.get("DAY_MINUTES", "8"))
ACCOUNT = Account(name="equal", key="canary-key-equal", secret="canary-secret-equal")
SEED = 1
SETTLED = datetime(2026, 11, 10, 16, tzinfo=UTC)
RISK = Risk(max_slippage_percent=Decimal(5), unprotected_seconds=3_600, stale_feed_seconds=3_600)
"""Half a second of a busy machine is ten of the exchange's."""
ATR = 0.001
"""Of the price."""
STORY: Final[tuple[tuple[Kind, SideOf], ...]] = (
    ("trial", "long"), ("entry", "long"), ("add", "long"), ("entry", "short"), ("add", "short"), ("trial", "long"),
    ("exit", "short"), ("trial", "short"),
)  # fmt: skip
"""Spoken at one close after the other, again and again. The price falls: the first position is stopped."""


@dataclass(frozen=True, slots=True)
class Told:
    """An order that was filled: what of it, at which mean price, from when on."""

    id: str
    side: Side
    quantity: Decimal
    price: Decimal
    time: int

    def explained(self, base: int, spec: SymbolSpec) -> tuple[Decimal, Decimal]:
        """The exchange's price then, and what the book took from there: a law, not what was seen."""
        worst = Decimal("Infinity") if self.side is Side.BUY else Decimal(0)
        takes = sweep(spec, self.side, self.quantity, worst, base)
        return base * spec.tick, mean(takes, spec) - base * spec.tick


class Hurried:
    """The clocks of this machine, as fast as the exchange's."""

    def __init__(self) -> None:
        self._began, self._local = time.monotonic(), time.time_ns() // 1_000_000

    def steady(self) -> int:
        return int((time.monotonic() - self._began) * 1_000 * SPEED)

    def local(self) -> int:
        return self._local + self.steady()


def mean(fills: Iterable[Any], spec: SymbolSpec) -> Decimal:
    """The one price at which all of them have the value that they have."""
    taken = list(fills)
    value = sum((one.quantity * spec.worth.value(one.price) for one in taken), Decimal())
    return spec.worth.price_at(value / sum((one.quantity for one in taken), Decimal()))


@pytest.fixture(params=TRADED)
def house(
    db: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[House]:
    """Of one symbol."""
    with hurried_house(db, monkeypatch, request.param, TRADED[request.param]) as made:
        yield made


@contextmanager
def hurried_house(
    db: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, name: str, *symbols: str
) -> Iterator[House]:
    """An exchange that is fast, a few minutes before a settlement, and an executor whose clock is as fast."""
    prepare(db)
    hurried = Hurried()
    monkeypatch.setattr(runtime, "ServerClock", partial(ServerClock, hurried.local, hurried.steady))
    offset = begin() - 2 * MINUTE - time.time_ns() // 1_000_000
    credentials = Credentials(ACCOUNT.key, signer_for(ACCOUNT.secret))
    options: dict[str, Any] = {"seed": SEED, "speed": SPEED, "clock_offset": offset, "symbols": symbols}
    with Simulator.start(accounts=(ACCOUNT,), lifted_limits=True, markets=(market_of(name),), **options) as simulator:
        place = replace(at(ENVIRONMENTS[name], simulator.url), weight_limit=1_000_000, recv_window=60_000)
        with RestClient(place, credentials, clock=ServerClock(hurried.local, hurried.steady)) as client:
            client.sync_clock()
            yield House(db, simulator, ACCOUNT, place, credentials, Trading(client), symbol=symbols[0])


def begin() -> int:
    """A few minutes before a settlement, while the story has a position."""
    return to_ms(SETTLED) - 5 * MINUTE


async def traded(house: House) -> list[str]:
    """Let a strategy speak at the closes of minutes, one after the other, and the executor trade."""
    said: list[str] = []
    async with house.executor(risk=RISK, recv_window=60_000):
        for number in range(LENGTH):
            close = begin() + (number + 1) * MINUTE
            await house.until(lambda: house.simulator.now() > close)  # noqa: B023 - it is over before the next
            kind, side = STORY[number % len(STORY)]
            paid = float(house.simulator.truth_klines(house.symbol, "1m", close - MINUTE, close - 1)[0][4])
            moments = {"at": to_datetime(close), "candle": to_datetime(close - MINUTE), "interval": "1m"}
            moments["fresh_until"] = to_datetime(close + 5 * MINUTE)
            said.append(house.say(kind, side, price=paid, indicators={"atr": round(paid * ATR, 1)}, **moments))
            await house.verdict(said[-1])
        await house.until(lambda: house.simulator.now() > begin() + (LENGTH + 1) * MINUTE)
        await house.check()
    return said


def question(house: House, said: Sequence[str], *names: str, length: int = LENGTH) -> Asked:
    """The same minutes, signals, rules and settlements, of these symbols."""
    start, end = begin() - MINUTE, begin() + (length + 1) * MINUTE
    product, environment = house.place.product, house.place.name
    with RestClient(house.place) as client:
        published = MarketData(client)
        symbols = [one for one in published.symbols() if one.symbol in (names or (house.symbol,))]
        settled = {one.symbol: published.settlements(one.symbol, start) for one in symbols}
    paid_in = {row["asset"]: Decimal(row["amount"]) for row in house.ledger() if row["kind"] == "Deposit"}
    return Asked(
        policy=Policy(environment, RISK, arithmetic=product.arithmetic, coins=product.margin is None),
        assumptions=Assumptions(equity=paid_in[symbols[0].margin_asset]),
        product=product,
        identity=identify(ControlStore(house.db, environment), environment),
        symbols=[one.model_copy(update={"taker_fee": house.trading.taker_fee(one.symbol)}) for one in symbols],
        minutes={one.symbol: minutes_of(house, one, start, end) for one in symbols},
        trading={},
        funding={name: schedule_of(of_it, start, end) for name, of_it in settled.items()},
        signals=[replace(documents.signal_view(house.signal(one)), verdict="fresh") for one in said],
        start=start,
        end=end,
    )


def minutes_of(house: House, symbol: Symbol, start: int, end: int) -> Minutes:
    rows = house.simulator.truth_klines(symbol.symbol, "1m", start, end - 1)
    times = np.array([int(row[0]) for row in rows])
    prices = np.array([[float(one) for one in row[1:5]] for row in rows])
    assert symbol.filters is not None
    return Minutes.of(symbol.symbol, symbol.filters.tick_size, times, *prices.T)


def told(fills: Sequence[Any], orders: Iterable[Any], spec: SymbolSpec) -> dict[tuple[str, str], Told]:
    """By signal and leg."""
    names = {one.id: (one.signal, one.leg) for one in orders}
    found: dict[tuple[str, str], Told] = {}
    for client_id in dict.fromkeys(one.client_id for one in fills):
        own = [one for one in fills if one.client_id == client_id]
        quantity = sum((one.quantity for one in own), Decimal())
        found[names[client_id]] = Told(client_id, own[0].side, quantity, mean(own, spec), own[0].time)
    return found


async def test_what_was_traded_live_is_what_the_backtest_trades(house: House, mongo_uri: str, home: Path) -> None:
    said = await traded(house)
    asked = question(house, said)
    paper = ExactRun(asked).run()
    assert {one: house.signal(one).verdict for one in said} == {one: paper.verdicts[one].verdict for one in said}
    assert [one.leg for one in house.orders()] == [one.leg for one in paper.orders.values()]
    assert own_ids(house.orders()) == own_ids(paper.orders.values())

    name, market = house.symbol, house.place.product.name
    prices = build_exchange(Options(seed=SEED, symbols=(name,), markets=(market,))).floors[market].market
    minutes, spec = asked.minutes[name], prices.specs[name]
    live = told([fill_of(row) for row in house.ledger() if row["kind"] == "Fill"], house.orders(), spec)
    written = told([one for one in paper.ledger if isinstance(one, Fill)], paper.orders.values(), spec)
    assert live.keys() == written.keys()
    assert {leg for _, leg in live} >= {"trial", "entry", "exit", "stop"}, "the story has all of it"
    for which, one in live.items():
        other = written[which]
        base = base_of(other, minutes, paper)
        price, taken = one.explained(prices.price(name, one.time), spec)
        assumed, assumed_taken = other.explained(base, spec)
        latency, slippage = price - assumed, taken - assumed_taken
        assert one.price - other.price == latency + slippage, which
        assert abs(one.quantity - other.quantity) <= spec.step * (latency != 0), which

    (due,), one_of_it = (
        [one for one in asked.funding[name] if one.known],
        Instrument.of(asked.product, asked.symbols[0]),
    )
    paid = [sum(Decimal(row["amount"]) for row in house.ledger() if row["kind"] == "Funding")]
    paid += [sum((one.amount for one in paper.ledger if isinstance(one, Funding)), Decimal())]
    for amount, fills in zip(paid, (live, written), strict=True):
        held = sum((one.quantity * one.side.sign for one in fills.values() if one.time < due.time), Decimal())
        assert held
        paid_by_longs = one_of_it.notional(held, due.mark or Decimal(1)) * due.rate
        assert amount == pytest.approx(paid_by_longs * (-1 if held > 0 else 1), abs=Decimal("1e-8"))

    compiled = run(asked).outcome
    assert compiled.engine == "fast"
    assert [one.orders[0] for one in compiled.trades] == [
        one.orders[0] for one in run(asked, exact=True).outcome.trades
    ]

    found = explained(house, mongo_uri, home, RISK, asked.start, asked.end)
    assert (found.signals, found.alike) == (len(said), len(said))
    assert (found.rest, [one.rest for one in found.rows if one.rest]) == (0, [])
    assert found.live - found.paper == sum(found.by_cause.values())
    named = {"late", "latency", "level", "slippage", "size", "funding", "rounding", "fee"}
    assert set(found.by_cause) <= named, "its fee was recorded after it had traded"


def own_ids(orders: Iterable[Any]) -> list[str]:
    """Of the orders that signals ask for; those that protect are numbered by the moment of their intent."""
    return [one.id for one in orders if one.leg not in {"stop", "take_profit"}]


def base_of(order: Told, minutes: Minutes, paper: Record) -> int:
    """Where a backtest has the price when that order arrives: at the open, or at what its trigger is."""
    trigger = paper.orders[order.id].trigger_price
    if trigger is None or order.time % MINUTE == 1:
        return int(minutes.open[minutes.at(order.time)])
    return int(trigger / minutes.tick)


def fill_of(row: dict[str, Any]) -> SimpleNamespace:
    """What the exchange's ledger says of a fill."""
    money = {name: Decimal(row[name]) for name in ("price", "quantity")}
    return SimpleNamespace(client_id=row["client_id"], time=row["time"], side=Side(row["side"]), **money)
