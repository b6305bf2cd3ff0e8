"""Fourteen symbols and the shipped settings: five positions at most, every one with its share of the margin."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.settings import Risk
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import READY_KEY, READY_SECRET, Account
from pipeline.store.prepare import prepare
from schemas.positions import Position
from tests.execution.service.conftest import House
from tests.truth import order_differences

SYMBOLS = (
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "LINKUSDT", "AVAXUSDT",
    "1000SHIBUSDT", "1000PEPEUSDT", "GALAUSDT", "DUSKUSDT", "TIDEUSDT",
)  # fmt: skip


@pytest.fixture
def house(db: Any) -> Iterator[House]:
    """An exchange with fourteen symbols of its own."""
    prepare(db)
    account = Account(name="main", key=READY_KEY, secret=READY_SECRET)
    credentials = Credentials(account.key, signer_for(account.secret))
    with Simulator.start(symbols=SYMBOLS, accounts=(account,), lifted_limits=True) as simulator:
        place = replace(at(SIM, simulator.url), weight_limit=1_000_000)
        with RestClient(place, credentials) as client:
            yield House(db, simulator, account, place, credentials, Trading(client))


LADDER = (("trial", "1.000"), ("entry", "1.002"), ("add", "1.013"), ("add", "1.024"))


async def test_nothing_is_refused_for_lack_of_margin_and_more_than_four_symbols_trade(house: House) -> None:
    prices = {symbol: house.price(symbol) for symbol in SYMBOLS}
    quick = {"max_orders_per_minute": 1_000, "stale_feed_seconds": 3_600}
    async with house.executor(symbols=set(SYMBOLS), risk=Risk(**quick)):
        for kind, moved in (*LADDER, ("exit", "1.024"), *LADDER):
            await said_to_all(house, kind, {symbol: price * Decimal(moved) for symbol, price in prices.items()})
        await house.until(lambda: not list(order_differences(house.ledger(), house.orders())))
    sent = [one for one in house.ledger("attempts") if (one["method"], one["path"]) == ("POST", "/fapi/v1/order")]
    assert [one for one in sent if one["status"] != 200] == []
    assert len({one["params"]["symbol"] for one in sent}) > 4
    skipped = [
        one["reason"] for one in house.db.signals.find({"verdict": "skipped", "kind": {"$in": ["trial", "entry"]}})
    ]
    assert skipped
    assert all("positions are open" in one for one in skipped), skipped
    held = [Position.from_mongo(one) for one in house.db.positions.find({"quantity": {"$ne": Decimal128("0")}})]
    assert len(held) == Risk().max_open_positions
    assert all(Decimal("3.8") < one.units <= 4 for one in held), [one.units for one in held]  # lots are rounded down
    account = house.trading.account()
    assert 4 < account.wallets[0].available / account.wallets[0].equity * 100 < 10


async def said_to_all(house: House, kind: str, prices: dict[str, Decimal]) -> None:
    """Every strategy says it at once, and all have their verdict; then it is quiet."""
    names = [
        house.say(kind, symbol=one, price=float(price), indicators={"atr": float(price) * 0.01})
        for one, price in prices.items()
    ]
    for name in names:
        await house.verdict(name)
    await house.until(lambda: not house.db.orders.count_documents({"state": {"$in": ["intended", "sent", "unknown"]}}))


async def test_a_symbol_whose_rules_could_not_be_asked_for_is_asked_for_again(house: House) -> None:
    async with house.executor(symbols={"BTCUSDT"}, risk=Risk(max_position_percent=Decimal(1000))):
        asked = {"method": "GET", "path": "/fapi/v1/leverageBracket"}
        number = house.simulator.faults.add("answer_code", code=-1120, **asked)
        price = house.price("ETHUSDT")
        said = {"symbol": "ETHUSDT", "price": float(price), "indicators": {"atr": float(price) * 0.01}}
        assert (await house.verdict(house.say("trial", **said))).verdict == "skipped"
        house.simulator.faults.remove(number)
        again = await house.verdict(house.say("trial", **said))
        assert again.verdict == "taken", again.reason
        await house.until(
            lambda: house.db.positions.count_documents({"symbol": "ETHUSDT", "stop_order": {"$ne": None}})
        )
