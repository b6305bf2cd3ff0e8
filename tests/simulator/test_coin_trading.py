"""Trading on COIN-M beside USD-M over real sockets: what the two share, what is struck, what is told, what is written
down."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import websockets

from pipeline.simulator.handle import RunningSimulator, Simulator
from pipeline.timeline import MINUTE

ORDER = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "MARKET", "quantity": "1"}
OF_DOLLARS = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
PLACE, KEY = "/dapi/v1/order", "/dapi/v1/listenKey"
TIMEOUT = 20

Desk = Any


@pytest.fixture(scope="module")
def both() -> Iterator[Simulator]:
    with Simulator.start(markets=("um", "cm"), lifted_limits=True) as simulator:
        yield simulator


@pytest.fixture
def cm(both: Simulator) -> Iterator[RunningSimulator]:
    yield both.at("cm")
    both.faults.clear()


@pytest.fixture
def coins(cm: RunningSimulator, desk_of: Callable[..., Desk]) -> Desk:
    return desk_of(cm)


def test_what_happened_is_written_down_with_its_market(both: Simulator, coins: Desk, desk_of: Any) -> None:
    assert coins.signed("POST", PLACE, **ORDER).status == 200
    assert desk_of(both).signed("POST", "/fapi/v1/order", **OF_DOLLARS).status == 200
    ledger = both.ledger()
    fills = [entry for entry in ledger["trading"] if entry["kind"] == "Fill"][-2:]
    assert [(entry["market"], entry["symbol"], entry["asset"]) for entry in fills] == [
        ("cm", "BTCUSD_PERP", "BTC"),
        ("um", "BTCUSDT", "USDT"),
    ]
    assert [attempt["market"] for attempt in ledger["attempts"][-2:]] == ["cm", "um"]
    deposits = {(entry["market"], entry["asset"]): entry["amount"] for entry in ledger["trading"]
                if entry["kind"] == "Deposit"}  # fmt: skip
    assert deposits["um", "USDT"] == "10000"
    assert deposits["cm", "BTC"] == "0.1"


@pytest.mark.parametrize(("kind", "status", "executed"), [("unknown_before", 503, False), ("unknown_after", 503, True)])
def test_an_order_whose_outcome_is_unknown(
    both: Simulator, coins: Desk, kind: str, status: int, executed: bool
) -> None:
    number = both.faults.add(kind, method="POST", path=PLACE, next=1)
    name = f"mine-{kind}"
    reply = coins.signed("POST", PLACE, **ORDER, newClientOrderId=name)
    assert (reply.status, both.faults.struck(number)) == (status, 1)
    assert both.ledger()["attempts"][-1]["executed"] is executed
    found = coins.signed("GET", PLACE, symbol="BTCUSD_PERP", origClientOrderId=name)
    assert (found.status == 200) is executed
    if not executed:
        assert found.code == -2013


def test_a_line_that_is_cut_after_the_order(both: Simulator, coins: Desk) -> None:
    both.faults.add("reset_after", market="cm", method="POST", next=1)
    with pytest.raises(requests.ConnectionError):
        coins.signed("POST", PLACE, **ORDER, newClientOrderId="cut-off")
    found = coins.signed("GET", PLACE, symbol="BTCUSD_PERP", origClientOrderId="cut-off")
    assert found.body["status"] == "FILLED"


async def test_user_data_comes_by_listen_key_without_a_route(cm: RunningSimulator, coins: Desk) -> None:
    key = (await asyncio.to_thread(coins.send, "POST", KEY, "")).body["listenKey"]
    async with (
        websockets.connect(f"{cm.ws_url}/ws/{key}") as mine,
        websockets.connect(f"{cm.ws_url}/ws/{key[::-1]}") as wrong,
    ):
        await asyncio.to_thread(coins.signed, "POST", PLACE, **ORDER)
        events = [json.loads(await asyncio.wait_for(mine.recv(), TIMEOUT)) for _ in range(3)]
        assert [event["e"] for event in events] == ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
        assert (events[2]["o"]["N"], events[1]["a"]["B"][0]["a"]) == ("BTC", "BTC")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wrong.recv(), 0.3)
        await asyncio.to_thread(cm.expire_listen_keys)
        assert json.loads(await asyncio.wait_for(mine.recv(), TIMEOUT))["e"] == "listenKeyExpired"


def test_the_key_of_one_market_is_not_that_of_another(both: Simulator, coins: Desk, desk_of: Any) -> None:
    keys = {coins.send("POST", KEY, "").body["listenKey"],
            desk_of(both).send("POST", "/fapi/v1/listenKey", "").body["listenKey"]}  # fmt: skip
    assert len(keys) == 2


def test_orders_are_counted_together(start_simulator: Callable[..., Simulator], desk_of: Callable[..., Desk]) -> None:
    back = int(time.time() * 1_000) % MINUTE  # a minute begins now, and at this speed it will not end
    simulator = start_simulator(markets=("um", "cm"), orders_10s=3, clock_offset=-back, speed=0.001)
    dollars, coins = desk_of(simulator), desk_of(simulator.at("cm"))
    counts = [
        desk.signed("POST", path, **order).headers["X-MBX-ORDER-COUNT-10S"]
        for desk, path, order in ((dollars, "/fapi/v1/order", OF_DOLLARS), (coins, PLACE, ORDER), (coins, PLACE, ORDER))
    ]
    assert counts == ["1", "2", "3"]
    assert dollars.signed("POST", "/fapi/v1/order", **OF_DOLLARS).code == -1015
    assert coins.signed("POST", PLACE, **ORDER).code == -1015


def test_the_position_mode_of_one_is_that_of_the_other(desk_of: Callable[..., Desk]) -> None:
    with Simulator.start(markets=("um", "cm"), lifted_limits=True) as own:
        dollars, coins = desk_of(own), desk_of(own.at("cm"))
        assert coins.signed("POST", PLACE, **ORDER).status == 200
        refused = dollars.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
        assert refused.code == -4068
        coins.signed("POST", PLACE, **(ORDER | {"side": "SELL"}))
        assert dollars.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true").status == 200
        assert coins.signed("GET", "/dapi/v1/positionSide/dual").body == {"dualSidePosition": True}


@pytest.mark.parametrize(("market", "root", "order"), [("um", "/fapi/v1", OF_DOLLARS), ("cm", "/dapi/v1", ORDER)])
def test_what_the_exchange_closed_by_force_is_listed(
    both: Simulator, desk_of: Callable[..., Desk], market: str, root: str, order: dict[str, str]
) -> None:
    simulator = both.at(market)
    desk = desk_of(simulator)
    symbol = order["symbol"]
    for force, kind in (("adl", "ADL"), ("liquidation", "LIQUIDATION")):
        desk.signed("POST", f"{root}/order", **order)
        assert desk.signed("GET", f"{root}/adlQuantile", symbol=symbol).body == [
            {"symbol": symbol, "adlQuantile": {"BOTH": 1}}
        ]
        assert simulator.close_position("main", symbol, force) == 1
        (forced,) = desk.signed("GET", f"{root}/forceOrders", symbol=symbol, autoCloseType=kind).body
        assert forced["clientOrderId"].startswith({"ADL": "adl_autoclose", "LIQUIDATION": "autoclose-"}[kind])
        assert (forced["type"], forced["status"], forced["side"]) == ("LIQUIDATION", "FILLED", "SELL")
    assert len(desk.signed("GET", f"{root}/forceOrders").body) == 2
    assert desk.signed("GET", f"{root}/adlQuantile").body == []
    assert desk.signed("GET", f"{root}/forceOrders", autoCloseType="WHIM").code == -1130
