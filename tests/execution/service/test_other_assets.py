"""Accounts that are not USDT alone, on the real parts: what is not understood is refused, fees in BNB are counted."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.errors import AttentionError
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import READY_KEY, READY_SECRET, Account
from pipeline.store.prepare import prepare
from tests.execution.service.conftest import SYMBOL, House

Opened = Callable[[dict[str, str]], House]


@pytest.fixture
def opened(db: Any) -> Iterator[Opened]:
    """An account with deposits in other assets too, at an exchange of its own."""
    prepare(db)
    running: list[Any] = []

    def start(others: dict[str, str]) -> House:
        account = Account(name="main", key=READY_KEY, secret=READY_SECRET, others=others)
        simulator = Simulator.start(symbols=(SYMBOL, "BNBUSDT"), accounts=(account,), lifted_limits=True)
        credentials = Credentials(account.key, signer_for(account.secret))
        place = replace(at(SIM, simulator.url), weight_limit=1_000_000)
        client = RestClient(place, credentials)
        running.extend((client.__exit__, simulator.__exit__))
        return House(db, simulator, account, place, credentials, Trading(client.__enter__()))

    yield start
    for end in running:
        end(None, None, None)


@pytest.mark.parametrize(
    ("others", "multi", "says"),
    [
        (
            {"USDC": "500"},
            False,
            "the futures account holds 500 USDC; the executor counts in USDT (and fees",
        ),
        ({"USDC": "500", "BTC": "0.1"}, False, "holds 0.1 BTC, 500 USDC;"),
        ({"BNB": "2"}, True, "the account is in multi-assets mode"),
    ],
)
async def test_what_is_not_understood_is_refused_in_a_sentence(
    opened: Opened, others: dict[str, str], multi: bool, says: str
) -> None:
    house = opened(others)
    if multi:
        house.trading.client.signed("POST", "/fapi/v1/multiAssetsMargin", {"multiAssetsMargin": "true"})
        assert house.trading.account().wallets[0].balance > 10_500, "there the totals are not USDT"
    with pytest.raises(AttentionError) as told:
        async with house.executor():
            pass
    assert says in str(told.value)
    assert house.accepted() == []


async def test_fees_in_bnb_are_counted_at_its_price(opened: Opened) -> None:
    house = opened({"BNB": "2"})
    house.trading.client.signed("POST", "/fapi/v1/feeBurn", {"feeBurn": "true"})
    async with house.executor():
        found = await house.verdict(house.say("trial"))
        assert found.verdict == "taken"
        await house.until(lambda: house.orders(leg="trial")[0].fee)
        await house.until(lambda: house.stops())
    (order,) = house.orders(leg="trial")
    assert order.fee / (order.filled * order.average_price) == pytest.approx(Decimal("0.00045"), rel=Decimal("0.01"))
    async with house.executor():
        await house.until(lambda: house.db.accounts.find_one({"open_positions": 1}))
    last = house.db.accounts.find_one(sort=[("at", -1)])
    fees = last["fees_today"].to_decimal()
    assert -fees == pytest.approx(order.fee, rel=Decimal("0.01"))
    assert house.trading.account().wallets[0].balance == 10_000, "the wallet does not show it"
    by_price = float(last["unrealized"].to_decimal()) / 100
    assert last["day_return_pct"] < max(by_price, 0), "less than the price alone has brought"
