"""USD-M and COIN-M at once, on one exchange and one database: an executor of each holds a position, is killed and
started again; then the journal, the stored positions and books, and the exchange say the same."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.simulator.handle import Simulator
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.orders import OrderJournal
from pipeline.store.prepare import prepare
from schemas.orders import Order
from schemas.positions import Position
from schemas.signals import Signal
from tests.execution.service.conftest import PATIENCE, Executors
from tests.truth import naked, order_differences

SYMBOLS = {"sim": "BTCUSDT", "sim-cm": "ETHUSD_PERP"}
MARKETS = {"sim": "um", "sim-cm": "cm"}
RISK = {"max_position_percent": "30"}


@dataclass
class Desk:
    """One market: its account at the exchange, and what is stored of it."""

    exchange: str
    db: Database[dict[str, Any]]
    simulator: Simulator
    trading: Trading

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.exchange]

    def say(self, name: str, kind: str, side: str) -> None:
        """A strategy writes a signal."""
        now = datetime.fromtimestamp(self.simulator.now() / 1000, UTC)
        (price,) = (one.mark_price for one in self.trading.positions(self.symbol)) if self.held() else (self._price(),)
        signal = Signal(
            id=f"{self.exchange} {name}", exchange=self.exchange, symbol=self.symbol, interval="1h", strategy="turtle",
            candle=now, at=now, price=float(price), strength=0.5, indicators={"atr": round(float(price) * 0.01, 2)},
            settings="x", source="live", confirmed=True, created_at=now, verdict="fresh",
            fresh_until=now + timedelta(seconds=120), kind=kind, side=side,
        )  # fmt: skip
        self.db.signals.insert_one(signal.to_mongo())

    def _price(self) -> Decimal:
        now = self.simulator.now()
        return Decimal(
            self.simulator.at(MARKETS[self.exchange]).truth_klines(self.symbol, "1m", now - 120_000, now)[-1][4]
        )

    def held(self) -> Decimal:
        return sum((one.position_amt for one in self.trading.positions(self.symbol)), Decimal(0))

    def stored(self) -> Position | None:
        found = [one for one in PositionStore(self.db, self.exchange).list() if one.symbol == self.symbol]
        return found[0] if found else None

    def journal(self) -> list[Order]:
        return [Order.from_mongo(one) for one in self.db.orders.find({"environment": self.exchange})]

    def wrong(self) -> list[str]:
        """Where journal, store and exchange do not say the same; nothing once they do."""
        here = [one for one in self.simulator.ledger()["trading"] if one.get("symbol") == self.symbol]
        found = [*order_differences(here, self.journal())]
        stored, held, standing = self.stored(), self.held(), self.trading.open_algos()
        if held != (stored.quantity if stored else 0):
            found.append(f"{held} held, stored {stored}")
        if held:
            found += naked([self.symbol], standing)
        elif standing:
            found.append(f"flat, and {standing} stand")
        open_here = {one.client_algo_id for one in standing}
        open_in_journal = {one.id for one in OrderJournal(self.db, self.exchange).unsettled()}
        if open_here != open_in_journal:
            found.append(f"open at the exchange {open_here}, in the journal {open_in_journal}")
        return found


def until(so: Callable[[], Any], what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture
def desks(db: Database[dict[str, Any]]) -> Iterator[list[Desk]]:
    prepare(db)
    with Simulator.start(markets=("um", "cm"), lifted_limits=True) as simulator:
        clients = [
            RestClient(
                replace(at(ENVIRONMENTS[name], simulator.at(market).url), weight_limit=1_000_000),
                Credentials("sim-key", signer_for("sim-secret")),
            )
            for name, market in MARKETS.items()
        ]
        for client in clients:
            client.sync_clock()
        yield [Desk(name, db, simulator, Trading(client)) for name, client in zip(MARKETS, clients, strict=True)]
        for client in clients:
            client.close()


@pytest.fixture
def executors(desks: list[Desk], mongo_uri: str, home: Path) -> Iterator[Executors]:
    account = SimpleNamespace(key="sim-key", secret="sim-secret")
    house = SimpleNamespace(db=desks[0].db, simulator=desks[0].simulator, account=account)
    made = Executors(house, mongo_uri, home / "executor.log")
    yield made
    made.end()


def test_positions_in_both_outlive_a_kill(desks: list[Desk], executors: Executors) -> None:
    def start() -> list[int]:
        return [
            executors.start(
                f"{one.exchange} {time.monotonic_ns()}", exchange=one.exchange, symbols=[one.symbol], risk=RISK,
                url=one.simulator.at(MARKETS[one.exchange]).url, lease_life=2.0,
            )
            for one in desks
        ]  # fmt: skip

    def told() -> Any:
        complaints = [line for line in executors.log.read_text().splitlines() if '"debug"' not in line][-30:]
        verdicts = [(one["_id"], one["verdict"], one.get("reason")) for one in desks[0].db.signals.find()]
        return "\n".join([*(f"{one.exchange}: {one.wrong()}" for one in desks), str(verdicts), *complaints])

    def calm() -> bool:
        return all(one.held() and not one.wrong() and (one.stored() or one).stop_order for one in desks)

    running = start()
    for desk, side in zip(desks, ("long", "short"), strict=True):
        desk.say("first", "entry", side)
    until(calm, told)
    for pid in running:
        executors.kill(pid)
    for desk, side in zip(desks, ("long", "short"), strict=True):
        desk.say("second", "exit", side)
    time.sleep(0.5)
    running = start()
    until(lambda: not any(one.held() for one in desks) and not any(one.wrong() for one in desks), told)
    for desk, side in zip(desks, ("short", "long"), strict=True):
        desk.say("third", "entry", side)
    until(lambda: any(one.trading.open_algos() for one in desks), told)
    for pid in running:
        executors.kill(pid)
    start()
    until(calm, told)
    (coin,) = (one for one in desks if one.exchange == "sim-cm")
    (wallet,) = (one for one in coin.trading.account().wallets if one.asset == "ETH")
    until(lambda: AccountStore(coin.db, "sim-cm", "ETH").latest() is not None, told)
    taken = AccountStore(coin.db, "sim-cm", "ETH").latest()
    assert taken is not None
    assert taken.wallet == pytest.approx(wallet.balance, abs=Decimal("0.01"))
    assert {one.asset for one in map(AccountStore.latest, AccountStore(coin.db, "sim-cm").each()) if one} >= {
        "BTC",
        "ETH",
    }
    (usdt,) = AccountStore(coin.db, "sim").each()
    assert usdt.latest() is not None
    entry = next(one for one in coin.journal() if one.leg == "entry" and one.filled)
    assert entry.fee is None or entry.fee < Decimal("0.01"), "in the coin"
