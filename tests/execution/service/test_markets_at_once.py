"""Several markets at once, on one exchange and one database: an executor of each holds something, is killed and started
again; then the journal, the stored positions and books, and the exchange say the same."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange_names import market_of
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import Account
from pipeline.store.account import AccountStore
from pipeline.store.backup.restore import restore
from pipeline.store.backup.take import take
from pipeline.store.prepare import prepare
from schemas.positions import Position
from tests.desks import ContractDesk, Desk, desk_of
from tests.execution.service.conftest import PATIENCE, Executors

SYMBOLS = {"sim": "BTCUSDT", "sim-cm": "ETHUSD_PERP", "sim-spot": "BTCUSDT"}
RISK = {"max_position_percent": "30"}


def until(so: Callable[[], Any], what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One exchange for these tests, and an account for each."""
    accounts = tuple(Account(name=f"trader {n}", key=f"key-{n}", secret=f"secret-{n}") for n in range(2))
    with Simulator.start(markets=("um", "cm", "spot"), accounts=accounts, lifted_limits=True) as running:
        yield running


@pytest.fixture(scope="module")
def accounts() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def desks(db: Database[dict[str, Any]], simulator: Simulator, accounts: Iterator[int]) -> Iterator[list[Desk]]:
    prepare(db)
    number = next(accounts)
    with ExitStack() as ends:
        made = []
        for name, symbol in SYMBOLS.items():
            here = simulator.at(market_of(name))
            place = replace(at(ENVIRONMENTS[name], here.url), weight_limit=1_000_000)
            client = RestClient(place, Credentials(f"key-{number}", signer_for(f"secret-{number}")))
            ends.enter_context(client).sync_clock()
            made.append(desk_of(symbol, db, here, client, f"trader {number}"))
        yield made


@pytest.fixture
def executors(desks: list[Desk], mongo_uri: str, home: Path) -> Iterator[Executors]:
    number = desks[0].account.rpartition(" ")[2]
    account = SimpleNamespace(key=f"key-{number}", secret=f"secret-{number}")
    house = SimpleNamespace(db=desks[0].db, simulator=desks[0].simulator, account=account)
    made = Executors(house, mongo_uri, home / "executor.log")
    yield made
    made.end()


@dataclass
class Traded:
    """These markets, by an executor each."""

    desks: list[Desk]
    executors: Executors
    running: list[int] = field(default_factory=list)

    def start(self) -> None:
        self.running = [
            self.executors.start(
                f"{one.exchange} {time.monotonic_ns()}", exchange=one.exchange, symbols=[one.symbol], risk=RISK,
                url=one.simulator.url, lease_life=2.0,
            )
            for one in self.desks
        ]  # fmt: skip

    def kill(self) -> None:
        for pid in self.running:
            self.executors.kill(pid)

    def say(self, kind: str, *sides: str) -> None:
        for desk, side in zip(self.desks, sides, strict=True):
            desk.say(kind, side)

    def until_held(self) -> None:
        until(lambda: all(one and one.stop_order for one in self._stored()) and not self._wrong(), self._told)

    def until_flat(self) -> None:
        until(lambda: not any((*self._stored(), *self._standing())) and not self._wrong(), self._told)

    def until_something_stands(self) -> None:
        until(self._standing, self._told)

    def _stored(self) -> list[Position | None]:
        return [one.stored().get(one.symbol) for one in self.desks]

    def _standing(self) -> list[str]:
        return [name for one in self.desks for name in one.standing()]

    def _wrong(self) -> list[str]:
        return [f"{one.exchange}: {wrong}" for one in self.desks for wrong in one.wrong()]

    def _told(self) -> str:
        complaints = [line for line in self.executors.log.read_text().splitlines() if '"debug"' not in line][-30:]
        verdicts = [(one["_id"], one["verdict"], one.get("reason")) for one in self.desks[0].db.signals.find()]
        return "\n".join([*self._wrong(), str(verdicts), *complaints])


def test_what_is_held_in_three_markets_outlives_a_kill(desks: list[Desk], executors: Executors) -> None:
    traded = Traded(desks, executors)
    traded.start()
    traded.say("entry", "long", "short", "long")
    traded.until_held()
    traded.kill()
    traded.say("exit", "long", "short", "long")
    traded.start()
    traded.until_flat()
    traded.say("entry", "short", "long", "long")
    traded.until_something_stands()
    traded.kill()
    traded.start()
    traded.until_held()
    coin = desks[1]
    assert isinstance(coin, ContractDesk)
    (wallet,) = (one for one in coin.trading.account().wallets if one.asset == "ETH")
    until(lambda: AccountStore(coin.db, "sim-cm").of("ETH").latest() is not None, str)
    taken = AccountStore(coin.db, "sim-cm").of("ETH").latest()
    assert taken is not None
    assert taken.wallet == pytest.approx(wallet.balance, abs=Decimal("0.01"))
    assert {"BTC", "ETH"} <= set(AccountStore(coin.db, "sim-cm").assets())
    (usdt,) = AccountStore(coin.db, "sim").each()
    assert usdt.latest() is not None
    entry = next(one for one in coin.journal() if one.leg == "entry" and one.filled)
    assert entry.fee is None or entry.fee < Decimal("0.01"), "in the coin"


def test_what_was_backed_up_of_coin_contracts_and_of_coins_is_gone_on_with(
    desks: list[Desk], executors: Executors, tmp_path: Path
) -> None:
    traded = Traded(desks[1:], executors)
    traded.start()
    traded.say("entry", "long", "long")
    traded.until_held()
    traded.kill()
    db = desks[0].db
    before = [(one.stored(), one.journal()) for one in traded.desks]
    take(db, tmp_path / "backup", clock=lambda: datetime.now(UTC))
    db.client.drop_database(db.name)
    restore(db, tmp_path / "backup", clock=lambda: datetime.now(UTC))
    assert [(one.stored(), one.journal()) for one in traded.desks] == before
    traded.say("exit", "long", "long")
    traded.start()
    traded.until_flat()
    for desk in traded.desks:
        assert [one.leg for one in desk.journal() if one.filled] == ["entry", "exit"]
