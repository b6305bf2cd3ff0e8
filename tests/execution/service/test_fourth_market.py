"""A market that there is nowhere, traded by the real executor over real HTTP and websockets: a table for the client, a
table for the exchange, and nothing else that is new. Contracts of seven florins of gold, margined in gold."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.environments import Environment
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product, Site
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.execution.engine.state import Policy
from pipeline.execution.runtime.context import Pace
from pipeline.execution.runtime.executor import opened
from pipeline.settings import Risk
from pipeline.simulator.clock import Clock
from pipeline.simulator.exchange import Exchange, Floor
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.products.cm import CM as CM_THERE
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import coin_desks
from pipeline.simulator.venue.desks import Routes
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.terms import Terms
from pipeline.simulator.venue.trading import futures
from pipeline.simulator.wire.security import ApiKey
from pipeline.simulator.wire.server import Server, serving
from pipeline.simulator.wire.weights import Meter
from pipeline.simulator.worth import Inverse
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE, interval
from schemas.orders import Order
from schemas.positions import Position
from schemas.signals import Signal
from tests.truth import order_differences

D = Decimal
NAME, SYMBOL, SIZE = "guild", "AUFLO", D(7)
PATIENCE = 60.0
GOLD = SymbolSpec(
    SYMBOL, "AU", "FLO", D("0.5"), D(1), 1_600_000_000_000, price_precision=1, quantity_precision=0,
    min_notional=D(0), max_quantity=D(10_000), market_max_quantity=D(10_000), worth=Inverse("AU", SIZE), coins=10,
)  # fmt: skip


def there(path: str) -> str:
    """The same thing, where nobody else has it."""
    return path.replace("/dapi", "/guild/of/goldsmiths")


def desks(engine: Engine) -> Routes:
    return {(method, there(path)): desk for (method, path), desk in coin_desks(engine).items()}


THERE = replace(
    CM_THERE,
    name=NAME,
    pool=NAME,
    contracts=lambda n, epoch: {SYMBOL: GOLD},
    endpoints=MappingProxyType({(method, there(path)): one for (method, path), one in CM_THERE.endpoints.items()}),
    listen_key=there(str(CM_THERE.listen_key)),
    order_counts=there(str(CM_THERE.order_counts)),
    opens=futures(desks, Terms(taker=D("0.01"), assets=("AU",))),
)
CLIENTS_TABLE: Product = replace(
    CM,
    name=NAME,
    title="the guild of goldsmiths",
    pool=NAME,
    sites={"production": Site("https://guild.invalid", "wss://guild.invalid", 2400)},
    endpoints=MappingProxyType({ask: replace(one, path=there(one.path)) for ask, one in CM.endpoints.items()}),
)


async def until(so: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not so():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)


@dataclass
class House:
    """That exchange, and what is stored of it."""

    db: Database[dict[str, Any]]
    exchange: Exchange

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return [one for one in self.exchange.ledger() if one["market"] == NAME]

    @property
    def journal(self) -> list[Order]:
        return [Order.from_mongo(one) for one in self.db.orders.find({"environment": NAME}).sort("created_at", 1)]

    @property
    def held(self) -> Position | None:
        """What is stored as held, and is."""
        found = self.db.positions.find_one({"environment": NAME})
        held = Position.from_mongo(found) if found is not None else None
        return held if held is not None and held.quantity else None

    def say(self, kind: str) -> None:
        """A strategy writes a signal."""
        now = self.exchange.clock.now()
        market = self.exchange.floors[NAME].market
        price = float(GOLD.tick * int(market.klines(SYMBOL, interval("1m"), now - 2 * MINUTE, now)[-1]["close"]))
        at = datetime.fromtimestamp(now / 1000, UTC)
        signal = Signal(
            id=f"{NAME} {kind}", exchange=NAME, symbol=SYMBOL, interval="1h", strategy="turtle", kind=kind,
            side="long", candle=at, at=at, price=price, strength=0.5, indicators={"atr": round(price * 0.01, 2)},
            settings="x", source="live", confirmed=True, created_at=at, verdict="fresh",
            fresh_until=at + timedelta(seconds=120),
        )  # fmt: skip
        self.db.signals.insert_one(signal.to_mongo())

    def is_true(self) -> bool:
        """The journal is what the exchange's ledger says."""
        return not list(order_differences(self.ledger, self.journal))


@asynccontextmanager
async def executor(house: House) -> AsyncIterator[None]:
    """The exchange is served, and traded on."""
    floor = house.exchange.floors[NAME]
    async with serving(Server(house.exchange, floor), "127.0.0.1", 0) as port:
        here = f"127.0.0.1:{port}"
        place = Environment(NAME, f"http://{here}", f"ws://{here}", None, CLIENTS_TABLE, weight_limit=100_000)
        policy = Policy(
            NAME, Risk(max_position_percent=D(30)), arithmetic=CLIENTS_TABLE.arithmetic, coins=True,
            look_at_stops_every=1_000,
        )  # fmt: skip
        opening = opened(
            house.db, place, Credentials("key", signer_for("secret")), policy, mode="auto-execute",
            symbols=lambda: {SYMBOL}, notify=lambda _: None, holder="the one", pace=Pace(sweep=0.3, switches=0.2),
        )  # fmt: skip
        stop, ends = asyncio.Event(), ExitStack()
        made = await asyncio.to_thread(ends.enter_context, opening)  # it asks, and whoever answers is here
        running = asyncio.create_task(made.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running
            await asyncio.to_thread(ends.close)


async def test_it_is_traded_by_its_tables_alone(db: Database[dict[str, Any]]) -> None:
    prepare(db)
    clock = Clock()
    floor = Floor.of(THERE, SyntheticMarket(0, {SYMBOL: GOLD}), Meter(THERE.limits), 0, clock.now())
    house = House(db, Exchange(clock, [floor]))
    house.exchange.open_account("main", ApiKey("key", "main", "secret"), {NAME: {"AU": D(3)}})
    async with executor(house):
        house.say("entry")
        await until(lambda: (found := house.held) and found.stop_order and house.is_true())
        stood = house.journal[-1]
        house.say("exit")
        await until(lambda: not house.held and house.is_true() and house.journal[1].state == "cancelled")
    entry, stop, exit_ = house.journal
    assert (entry.leg, stop.leg, exit_.leg) == ("entry", "stop", "exit")
    assert (stood.id, stood.state) == (stop.id, "accepted")
    assert entry.filled == exit_.filled > 0
    assert entry.average_price is not None
    assert exit_.average_price is not None
    gain = SIZE * entry.filled * (1 / entry.average_price - 1 / exit_.average_price)
    assert exit_.realized == pytest.approx(gain, abs=D("1e-7")), "in gold"
    assert {one["asset"] for one in house.ledger if one["kind"] == "Fill"} == {"AU"}
