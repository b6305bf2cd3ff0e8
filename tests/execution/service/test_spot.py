"""Section "Spot" of docs/execution.md on the real parts: a real mongod, the simulator over HTTP and websockets."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import Account
from pipeline.store.prepare import prepare
from tests.execution.service.spot import EXCHANGE, OWN, STEP, SpotHouse


@pytest.fixture(scope="session")
def spot_venue() -> Iterator[tuple[Simulator, Iterator[Account]]]:
    """One exchange for all these tests, and an account for each of them."""
    accounts = [Account(name=f"spot {n}", key=f"spot-key-{n}", secret=f"spot-secret-{n}") for n in range(30)]
    with Simulator.start(markets=("um", "spot"), accounts=tuple(accounts), lifted_limits=True) as simulator:
        yield simulator, iter(accounts)


@pytest.fixture
def house(db: Database[dict[str, Any]], spot_venue: tuple[Simulator, Iterator[Account]]) -> Iterator[SpotHouse]:
    prepare(db)
    simulator, account = spot_venue[0].at("spot"), next(spot_venue[1])
    simulator.faults.clear()
    credentials = Credentials(account.key, signer_for(account.secret))
    place = replace(at(ENVIRONMENTS[EXCHANGE], simulator.url), weight_limit=1_000_000)
    with RestClient(place, credentials) as client:
        client.sync_clock()
        yield SpotHouse(db, simulator, account, place, credentials, CoinTrading(client))
    simulator.faults.clear()


async def test_a_signal_becomes_coins_covered_by_one_pair_for_what_was_received(house: SpotHouse) -> None:
    async with house.executor():
        position = await house.hold()
        (entry,) = house.journal(leg="entry")
        assert entry.kept == entry.filled / 1000
        assert position.quantity == entry.filled - entry.kept
        pair = {one.type: one for one in house.standing()}
        assert set(pair) == {"STOP_LOSS", "TAKE_PROFIT"}
        assert {one.orig_qty for one in pair.values()} == {position.quantity // STEP * STEP}
        assert len({one.order_list_id for one in pair.values()}) == 1
        assert pair["STOP_LOSS"].stop_price == position.stop_price
        assert pair["TAKE_PROFIT"].stop_price == position.take_profit_price
        assert house.balance() == OWN + position.quantity
        house.say("exit")
        await house.until(lambda: (house.position() or position).quantity == 0)
        await house.calm()
    assert house.standing() == []
    assert 0 <= house.balance() - OWN < STEP
    (exit_,) = house.journal(leg="exit")
    assert exit_.realized == exit_.filled * (exit_.average_price - entry.average_price)
    await house.until(lambda: all(one.fee is not None for one in house.journal() if one.filled))
