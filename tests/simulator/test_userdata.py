"""User data: listen keys, what is delivered to whom, and the end of a key."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import websockets

from pipeline.simulator.errors import ApiError
from pipeline.simulator.handle import Simulator
from pipeline.simulator.wire.listen_keys import LENGTH, ListenKeys
from pipeline.timeline import HOUR, MINUTE

NOON = 1_767_268_800_000
LISTEN_KEY = "/fapi/v1/listenKey"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
TIMEOUT = 20

Desk = Any


def test_a_key_is_the_same_while_it_lives() -> None:
    keys = ListenKeys(1)
    key = keys.issue("desk", NOON)
    assert len(key) == LENGTH
    assert keys.issue("desk", NOON + HOUR - 1) == key
    assert keys.issue("desk", NOON + 3 * HOUR) != key


def test_a_renewal_gives_another_hour() -> None:
    keys = ListenKeys(1)
    key = keys.issue("desk", NOON)
    assert keys.renew("desk", NOON + 30 * MINUTE) == key
    assert keys.active("desk", NOON + 90 * MINUTE - 1) == key
    assert keys.active("desk", NOON + 90 * MINUTE) is None
    with pytest.raises(ApiError, match="-1125"):
        keys.renew("desk", NOON + 90 * MINUTE)


def test_expired_keys_are_told_once() -> None:
    keys = ListenKeys(1)
    key = keys.issue("desk", NOON)
    assert keys.collect_expired(NOON + HOUR - 1) == []
    assert keys.collect_expired(NOON + HOUR) == [key]
    assert keys.collect_expired(NOON + HOUR) == []


def test_accounts_have_different_keys() -> None:
    keys = ListenKeys(1)
    assert keys.issue("one", NOON) != keys.issue("two", NOON)


@pytest.fixture
def key(desk: Desk) -> str:
    found: str = desk.send("POST", LISTEN_KEY, "").body["listenKey"]
    return found


def events_of(path: str, combined: bool) -> Callable[[str], str]:
    return lambda raw: json.loads(raw)["data"]["e"] if combined else json.loads(raw)["e"]


@pytest.mark.parametrize(
    ("path", "combined", "expected"),
    [
        ("/private/ws/{key}", False, ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]),
        ("/private/ws?listenKey={key}", False, ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]),
        ("/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE", False, ["ORDER_TRADE_UPDATE"] * 2),
        ("/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/ALGO_UPDATE", False, ["ACCOUNT_UPDATE"]),
        ("/private/stream?streams={key}", True, ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]),
        ("/private/stream?listenKey={key}&events=ACCOUNT_UPDATE", True, ["ACCOUNT_UPDATE"]),
    ],
)
async def test_what_is_delivered(
    simulator: Simulator, desk: Desk, key: str, path: str, combined: bool, expected: list[str]
) -> None:
    async with websockets.connect(simulator.ws_url + path.format(key=key)) as socket:
        await asyncio.to_thread(desk.signed, "POST", "/fapi/v1/order", **ORDER)
        event = events_of(path, combined)
        heard = [event(str(await asyncio.wait_for(socket.recv(), TIMEOUT))) for _ in expected]
    assert [name for name in heard if name != "TRADE_LITE"] == expected


@pytest.mark.parametrize(
    "path", ["/private/ws/wrong-key", "/private/ws?listenKey=wrong-key", "/ws/{key}", "/market/ws/{key}"]
)
async def test_a_wrong_key_or_path_connects_and_stays_silent(
    simulator: Simulator, desk: Desk, key: str, path: str
) -> None:
    async with (
        websockets.connect(simulator.ws_url + path.format(key=key)) as silent,
        websockets.connect(f"{simulator.ws_url}/private/ws/{key}") as spoken,
    ):
        await asyncio.to_thread(desk.signed, "POST", "/fapi/v1/order", **ORDER)
        await asyncio.wait_for(spoken.recv(), TIMEOUT)
        await silent.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        answer = json.loads(await asyncio.wait_for(silent.recv(), TIMEOUT))
        assert answer["id"] == 1


async def test_a_key_that_runs_out(simulator: Simulator, desk: Desk, key: str) -> None:
    async with websockets.connect(f"{simulator.ws_url}/private/ws/{key}") as socket:
        simulator.expire_listen_keys()
        event = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT))
        assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
    reply = desk.send("PUT", LISTEN_KEY, "")
    assert (reply.status, reply.code) == (400, -1125)
    assert desk.send("POST", LISTEN_KEY, "").body["listenKey"] != key


def test_a_key_over_the_wire(desk: Desk, key: str) -> None:
    assert desk.send("POST", LISTEN_KEY, "").body == {"listenKey": key}
    assert desk.send("PUT", LISTEN_KEY, "").body == {"listenKey": key}
    assert desk.send("DELETE", LISTEN_KEY, "").body == {}
    assert desk.send("PUT", LISTEN_KEY, "").code == -1125
