"""An executor on a real database and a real exchange, in this process, and what a test asks of them."""

import asyncio
import itertools
import json
import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo.database import Database
from typer.testing import CliRunner

from pipeline.cli.app import build
from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.environments import ENVIRONMENTS, SIM, Environment, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewOrder, Side, Trading
from pipeline.exchange_names import market_of
from pipeline.execution.engine.effects import Notify
from pipeline.execution.engine.state import Policy
from pipeline.execution.runtime.context import Pace
from pipeline.execution.runtime.executor import Executor, opened
from pipeline.settings import Portfolio, Risk
from pipeline.simulator.handle import RunningSimulator, Simulator
from pipeline.simulator.options import Account
from pipeline.store.lease import LIFE
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE
from schemas.orders import Order
from schemas.positions import Position
from schemas.signals import Signal
from tests.execution.service.spot import SpotHouse
from tests.truth import naked, order_differences

PATIENCE = 60.0
CLOCKS_APART = 2_000
SYMBOL = "BTCUSDT"
TRADED = {"sim": (SYMBOL, "ETHUSDT"), "sim-cm": ("ETHUSD_PERP", "BTCUSD_PERP")}
"""By exchange: what is traded, and what somebody else trades."""
LAUNCHER = Path(__file__).with_name("launcher.py")
_numbers = itertools.count(1)


@dataclass
class House:
    """A database, an exchange, and whoever trades between them."""

    db: Database[dict[str, Any]]
    simulator: RunningSimulator
    account: Account
    place: Environment
    credentials: Credentials
    trading: Trading
    notes: list[Notify] = field(default_factory=list)
    failure: AssertionError = field(default_factory=AssertionError)
    symbol: str = SYMBOL
    """What is traded, where nothing else is said."""
    other: str = "ETHUSDT"
    """What somebody else trades."""

    @asynccontextmanager
    async def executor(
        self,
        *,
        mode: str = "auto-execute",
        risk: Risk | None = None,
        ready: bool = True,
        lease_life: float = LIFE,
        **options: Any,
    ) -> AsyncIterator[Executor]:
        """Run one for the length of the block."""
        stop = asyncio.Event()
        window, symbols = options.pop("recv_window", 5_000), options.pop("symbols", {self.symbol})
        fees = options.pop("pace_fees", 2.0)
        product = self.place.product
        policy = Policy(
            self.place.name, risk or Risk(), options.pop("portfolio", Portfolio()),
            production=options.pop("production", False), recv_window=window,
            late_margin=min(window, 2_000), arithmetic=product.arithmetic, coins=product.margin is None,
            reconcile_every=options.pop("reconcile_every", MINUTE),
            look_at_stops_every=None if product.streams.tells_algos else 1_000,
        )  # fmt: skip
        place = replace(self.place, recv_window=window, **options)
        with opened(
            self.db, place, self.credentials, policy, mode=mode, symbols=lambda: symbols, notify=self.notes.append,
            holder=f"executor {next(_numbers)}", pace=Pace(sweep=0.3, switches=0.1, watched=0.5, fees=fees),
            lease_life=lease_life,
        ) as made:  # fmt: skip
            running = asyncio.create_task(made.run(stop))
            try:
                if ready:
                    await self.until(
                        lambda: (
                            running.done() or (made.term and getattr(made.term, "core", None) and made.term.core.ready)
                        )
                    )
                    if running.done():
                        running.result()
                yield made
            finally:
                stop.set()
                await asyncio.wait_for(running, PATIENCE)

    async def hold(self) -> None:
        """Let the executor open a position; it is held with its stop when this returns."""
        assert (await self.verdict(self.say("entry"))).verdict == "taken"
        await self.until(lambda: self.held() and self.stops() and (self.position() or self).stop_order)

    def trade_by_hand(self, symbol: str | None = None, change: Decimal | None = None) -> None:
        """Somebody trades on the same account with something else."""
        least = Decimal(1) if self.place.product.arithmetic.counts == "contracts" else Decimal("0.1")
        quantity = least if change is None else change
        side: Side = "BUY" if quantity > 0 else "SELL"
        order = NewOrder(symbol=symbol or self.other, side=side, client_id="by-hand", quantity=abs(quantity))
        self.trading.place_order(order)

    async def lose_its_stop(self) -> None:
        """Somebody cancels it, and nobody hears of it: long enough after it was placed that an answer which does not
        name it is surely newer, however far apart the clocks are."""
        placed = self.simulator.now()
        await self.until(lambda: self.simulator.now() > placed + CLOCKS_APART)
        self.trading.cancel_algo(self.stops()[0].client_algo_id)

    def rest(self, client_id: str) -> None:
        """An order that waits far below the price."""
        far = (self.price() * Decimal("0.97")).quantize(Decimal("0.1"))
        self.trading.place_order(
            NewOrder(symbol=self.symbol, side="BUY", client_id=client_id, quantity=Decimal("0.01"), price=far)
        )

    async def until(self, so: Callable[[], Any]) -> Any:
        """Wait for a condition."""
        async with asyncio.timeout(PATIENCE):
            while not (found := await asyncio.to_thread(so)):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)
            return found

    def price(self, symbol: str | None = None) -> Decimal:
        """What the exchange trades at."""
        now = self.simulator.now()
        return Decimal(self.simulator.truth_klines(symbol or self.symbol, "1m", now - 120_000, now)[-1][4])

    def say(
        self, kind: str = "entry", side: str = "long", *, price: float | None = None, age: float = 0.0,
        name: str | None = None, **fields: Any,
    ) -> str:  # fmt: skip
        """A strategy writes a signal."""
        now = datetime.fromtimestamp(self.simulator.now() / 1000, UTC) - timedelta(seconds=age)
        paid = float(price or self.price())
        known = {
            "symbol": self.symbol, "interval": "1h", "strategy": "turtle", "candle": now, "at": now, "price": paid,
            "strength": 0.5, "indicators": {"atr": round(paid * 0.01, 1)}, "settings": "x", "source": "live",
            "confirmed": True, "created_at": now, "verdict": "fresh", "fresh_until": now + timedelta(seconds=120),
        }  # fmt: skip
        name = name or f"signal {next(_numbers)}"
        signal = Signal(id=name, exchange=self.place.name, kind=kind, side=side, **(known | fields))
        self.db.signals.insert_one(signal.to_mongo())
        return name

    def signal(self, name: str) -> Signal:
        """A signal as it is stored now."""
        return Signal.from_mongo(self.db.signals.find_one({"_id": name}) or {})

    async def verdict(self, name: str) -> Signal:
        """A signal, once it has its verdict."""
        await self.until(lambda: self.signal(name).verdict != "fresh")
        return self.signal(name)

    def orders(self, **wanted: Any) -> list[Order]:
        """The journal."""
        return [Order.from_mongo(one) for one in self.db.orders.find(wanted).sort("created_at", 1)]

    def position(self) -> Position | None:
        """The stored position."""
        found = self.db.positions.find_one({"symbol": self.symbol})
        return None if found is None else Position.from_mongo(found)

    def held(self) -> Decimal:
        """What the exchange says we hold."""
        return sum((one.position_amt for one in self.trading.positions(self.symbol)), Decimal(0))

    def stops(self) -> list[Any]:
        """The conditional orders that stand at the exchange."""
        return self.trading.open_algos()

    def accepted(self) -> list[dict[str, Any]]:
        """The orders that the exchange truly took."""
        return [one for one in self.ledger() if one["kind"] == "Accepted"]

    def ledger(self, part: str = "trading") -> list[dict[str, Any]]:
        """What truly happened on our account: `trading`, or `attempts`."""
        return [one for one in self.simulator.ledger()[part] if one["account"] == self.account.name]

    async def check(self) -> None:
        """Wait until it is quiet and what must be true then is true."""

        def so() -> bool:
            try:
                assert_journal_is_the_truth(self)
            except AssertionError as failure:
                self.failure = failure
                return False
            return True

        try:
            await self.until(so)
        except TimeoutError:
            raise self.failure from None


def assert_journal_is_the_truth(house: House) -> None:
    """One entry a signal, journal == exchange, nothing unknown, nothing naked."""
    wrong = [*order_differences(house.ledger(), house.orders())]
    if house.held():
        wrong += naked([house.symbol], house.stops())
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="session")
def venue() -> Iterator[tuple[Simulator, Iterator[Account]]]:
    """One exchange for all these tests, and an account for each of them."""
    accounts = [Account(name=f"trader {n}", key=f"canary-key-{n}", secret=f"canary-secret-{n}") for n in range(300)]
    traded = tuple(symbol for pair in TRADED.values() for symbol in pair)
    with Simulator.start(
        markets=("um", "cm"), symbols=traded, accounts=tuple(accounts), lifted_limits=True
    ) as simulator:
        yield simulator, iter(accounts)


@pytest.fixture
def house(
    db: Database[dict[str, Any]], venue: tuple[Simulator, Iterator[Account]], request: pytest.FixtureRequest
) -> Iterator[House]:
    """A prepared database and an account of the test's own, on an exchange without faults: of USD-M, where the test
    asks for no other market."""
    prepare(db)
    name = getattr(request, "param", SIM.name)
    simulator, account = venue[0].at(market_of(name)), next(venue[1])
    simulator.faults.clear()
    credentials = Credentials(account.key, signer_for(account.secret))
    place = replace(at(ENVIRONMENTS[name], simulator.url), weight_limit=1_000_000)  # a test asks more than a trader may
    with RestClient(place, credentials) as client:
        yield House(
            db, simulator, account, place, credentials, Trading(client), symbol=TRADED[name][0], other=TRADED[name][1]
        )
    simulator.faults.clear()


@pytest.fixture(scope="session")
def spot_venue() -> Iterator[tuple[Simulator, Iterator[Account]]]:
    """An exchange with a spot market for all these tests, and an account for each of them."""
    accounts = [Account(name=f"spot {n}", key=f"spot-key-{n}", secret=f"spot-secret-{n}") for n in range(150)]
    with Simulator.start(markets=("um", "spot"), accounts=tuple(accounts), lifted_limits=True) as simulator:
        yield simulator, iter(accounts)


@pytest.fixture
def spot(db: Database[dict[str, Any]], spot_venue: tuple[Simulator, Iterator[Account]]) -> Iterator[SpotHouse]:
    """A prepared database and an account of the test's own on spot, where nothing fails."""
    prepare(db)
    simulator, account = spot_venue[0].at("spot"), next(spot_venue[1])
    simulator.faults.clear()
    credentials = Credentials(account.key, signer_for(account.secret))
    place = replace(at(ENVIRONMENTS["sim-spot"], simulator.url), weight_limit=1_000_000)
    with RestClient(place, credentials) as client:
        client.sync_clock()
        yield SpotHouse(db, simulator, account, place, credentials, CoinTrading(client))
    simulator.faults.clear()


@pytest.fixture
def run(house: House, mongo_uri: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A command line on the house's database and exchange; its exit code is checked."""
    for name, value in {
        "ENVIRONMENT": house.place.name,
        "HOME": str(home), "MONGO_URI": mongo_uri, "DATABASE": house.db.name, "SIM_URL": house.simulator.url,
        "API_KEY": house.account.key, "API_SECRET": house.account.secret,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(home)
    monkeypatch.setattr("pipeline.app.wiring.logs.configure", lambda *_: None)

    def run(*arguments: str, code: int = 0) -> Any:
        house.simulator.forgive()  # what other tests have asked of it in this minute
        found = CliRunner().invoke(build(), list(arguments))
        assert found.exit_code == code, f"{found.output}\n{found.exception!r}"
        return found

    return run


class Executors:
    """Executors that can be killed."""

    def __init__(self, house: Any, mongo_uri: str, log: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(LAUNCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.log = log
        self._asked = {
            "uri": mongo_uri, "database": house.db.name, "url": house.simulator.url, "symbols": ["BTCUSDT"],
            "recv_window": 700, "lease_life": 30.0, "log": str(log), "risk": {}, "key": house.account.key,
            "secret": house.account.secret,
        }  # fmt: skip
        self.running: set[int] = set()

    def start(self, holder: str = "the one", **others: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._asked | {"holder": holder} | others) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self.running.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        self.running.discard(pid)
        os.kill(pid, signals.SIGKILL)
        while psutil.pid_exists(pid):
            time.sleep(0.005)

    def end(self) -> None:
        for pid in list(self.running):
            self.kill(pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=PATIENCE)


@pytest.fixture
def executors(house: Any, mongo_uri: str, home: Path) -> Iterator[Executors]:
    made = Executors(house, mongo_uri, home / "executor.log")
    yield made
    made.end()
