"""What an account of coins is told of, by messages on a websocket: against the real simulator, and as known answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.errors import KeyProblemError
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.exchange.user_events import (
    CoinBalance,
    CoinBalances,
    CoinOrderUpdate,
    KeyExpired,
    Other,
    PairOrder,
    PairUpdate,
    decode_message,
)
from pipeline.exchange.userdata import UserStream
from pipeline.simulator.handle import RunningSimulator, Simulator
from pipeline.simulator.options import Account, Options
from tests.clients.test_binance_sdk import private_pem, public_pem
from tests.exchange.test_userdata import QUICK, Heard, of

SPOT = ENVIRONMENTS["binance-spot-testnet"]
BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


@pytest.fixture(scope="module")
def own() -> Iterator[RunningSimulator]:
    pair = Account(name="ed25519", key="ed25519-key", secret=public_pem("ed25519"))
    with Simulator.start(markets=("um", "spot"), accounts=(*Options().accounts, pair)) as simulator:
        yield simulator.at("spot")


@asynccontextmanager
async def following(own: RunningSimulator, key: str = "sim-key", secret: str = "sim-secret") -> AsyncIterator[Any]:
    heard = Heard()
    with RestClient(replace(at(SPOT, own.url), retries=0), Credentials(key, signer_for(secret))) as client:
        task = asyncio.create_task(UserStream(Trading(client), heard, limits=QUICK).run())
        try:
            yield client, heard, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
async def test_an_order_its_fill_and_the_balances_are_told(own: RunningSimulator, kind: str) -> None:
    keys = ("sim-key", "sim-secret") if kind == "hmac" else ("ed25519-key", private_pem("ed25519"))
    async with following(own, *keys) as (client, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        await asyncio.to_thread(client.signed, "POST", "/api/v3/order", BUY | {"newClientOrderId": f"c-{kind}"})
        await heard.until(lambda: len(of(heard.events, CoinOrderUpdate)) >= 2)
        new, filled = of(heard.events, CoinOrderUpdate)[:2]
        assert (new.execution, new.status, new.order) == ("NEW", "NEW", f"c-{kind}")
        assert (filled.execution, filled.status, filled.filled) == ("TRADE", "FILLED", Decimal("0.01"))
        assert (filled.fee, filled.fee_asset) == (Decimal("0.00001"), "BTC")
        assert filled.paid == filled.last_price * filled.last_quantity
        await heard.until(lambda: {"BTC", "USDT"} in _assets_told(heard.events))


def _assets_told(events: list[object]) -> list[set[str]]:
    return [{balance.asset for balance in one.balances} for one in of(events, CoinBalances)]


async def test_of_a_pair_that_is_cancelled_both_are_told(own: RunningSimulator) -> None:
    async with following(own) as (client, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        bought = await asyncio.to_thread(client.signed, "POST", "/api/v3/order", BUY)
        price = Decimal(bought.payload["fills"][0]["price"])
        pair = {
            "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.009", "aboveType": "TAKE_PROFIT",
            "aboveStopPrice": (price * 2).quantize(Decimal("0.1")), "aboveClientOrderId": "up",
            "belowType": "STOP_LOSS", "belowStopPrice": (price / 2).quantize(Decimal("0.1")),
            "belowClientOrderId": "down",
        }  # fmt: skip
        await asyncio.to_thread(client.signed, "POST", "/api/v3/orderList/oco", pair)
        await asyncio.to_thread(
            client.signed, "DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "down"}
        )
        await heard.until(lambda: len(of(heard.events, PairUpdate)) >= 2)
        gone = {one.order for one in of(heard.events, CoinOrderUpdate) if one.status == "CANCELED"}
        assert gone == {"up", "down"}
        assert [one.order_status for one in of(heard.events, PairUpdate)] == ["EXECUTING", "ALL_DONE"]


async def test_a_connection_that_breaks_is_made_anew(own: RunningSimulator) -> None:
    async with following(own) as (_, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        await asyncio.to_thread(own.drop_connections)
        await heard.until(lambda: heard.story.count("connected") == 2)


async def test_a_key_that_is_refused_ends_it(own: RunningSimulator) -> None:
    async with following(own, secret="not-the-secret") as (_, heard, task):
        with pytest.raises(KeyProblemError, match="-1022"):
            await task
        assert "connected" not in heard.story


FILLED = (
    b'{"subscriptionId":0,"event":{"e":"executionReport","E":1,"s":"BTCUSDT","c":"tm-a","S":"BUY","o":"MARKET",'
    b'"f":"GTC","q":"0.01","p":"0.00","P":"0.00","F":"0.00","g":-1,"C":"","x":"TRADE","X":"FILLED","r":"NONE","i":7,'
    b'"l":"0.01","z":"0.01","L":"60000.00","n":"0.00001","N":"BTC","T":5,"t":3,"w":false,"m":false,"O":4,'
    b'"Z":"600.00","Y":"600.00","Q":"0.00","W":4,"V":"EXPIRE_MAKER","new":1}}'
)
CANCELLED = (
    FILLED.replace(b'"C":""', b'"C":"tm-stop"')
    .replace(b'"x":"TRADE","X":"FILLED"', b'"x":"CANCELED","X":"CANCELED"')
    .replace(b'"N":"BTC"', b'"N":null')
)
BALANCES = (
    b'{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":2,"u":1,"B":[{"a":"BTC","f":"1.5","l":"0.5"}]}}'
)
LISTED = (
    b'{"subscriptionId":0,"event":{"e":"listStatus","E":2,"s":"BTCUSDT","g":4,"c":"OCO","l":"ALL_DONE",'
    b'"L":"ALL_DONE","r":"NONE","C":"list","T":9,"O":[{"s":"BTCUSDT","i":5,"c":"a"}]}}'
)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            FILLED,
            CoinOrderUpdate(
                symbol="BTCUSDT", client_id="tm-a", side="BUY", type="MARKET", execution="TRADE", status="FILLED",
                order_id=7, quantity=Decimal("0.01"), filled=Decimal("0.01"), paid=Decimal(600), time=5, trade_id=3,
                last_quantity=Decimal("0.01"), last_price=Decimal(60000), fee=Decimal("0.00001"), fee_asset="BTC",
                    working_time=4,
            ),
        ),
        (
            BALANCES,
            CoinBalances(balances=(CoinBalance(asset="BTC", free=Decimal("1.5"), locked=Decimal("0.5")),), time=1),
        ),
        (
            LISTED,
            PairUpdate(
                symbol="BTCUSDT", list_id=4, kind="OCO", status="ALL_DONE", order_status="ALL_DONE", client_id="list",
                orders=(PairOrder(order_id=5, client_id="a"),), time=9,
            ),
        ),
        (b'{"subscriptionId":0,"event":{"e":"balanceUpdate","a":"BTC","d":"1","T":1}}', Other("balanceUpdate")),
        (b'{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}', KeyExpired()),
        (b'{"event":{"e":"serverShutdown","E":1}}', KeyExpired()),
        (b'{"id":"subscribe","status":200,"result":{"subscriptionId":0}}', Other("answer")),
        (b'{"subscriptionId":0,"event":{"e":"executionReport","s":"BTCUSDT"}}', None),
        (b"not a message", None),
    ],
)  # fmt: skip
def test_what_a_message_says(message: bytes, event: object) -> None:
    assert decode_message(message) == event


def test_what_was_cancelled_is_called_by_its_own_name() -> None:
    update = decode_message(CANCELLED)
    assert isinstance(update, CoinOrderUpdate)
    assert (update.order, update.client_id, update.fee_asset) == ("tm-stop", "tm-a", None)
