"""Spot over its real doors: REST with its headers, and the websocket API with its user data."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.simulator.handle import RunningSimulator, Simulator, SimulatorError
from pipeline.simulator.options import Account, Options

API = "/api/v3"
TIMEOUT = 20
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
PAIR = Ed25519PrivateKey.generate()
PUBLIC = PAIR.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

Desk = Any


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    accounts = (*Options().accounts, Account(name="pair", key="pair-key", secret=PUBLIC))
    with Simulator.start(markets=("um", "spot"), accounts=accounts) as simulator:
        yield simulator


@pytest.fixture
def spot(exchange: Simulator) -> Iterator[RunningSimulator]:
    yield exchange.at("spot")
    exchange.faults.clear()


@pytest.fixture
def caller(spot: RunningSimulator, desk_of: Callable[..., Desk]) -> Desk:
    return desk_of(spot)


class Api:
    """A connection to the websocket API."""

    def __init__(self, socket: Any, simulator: RunningSimulator) -> None:
        self.socket = socket
        self.simulator = simulator
        self.events: list[dict[str, Any]] = []
        self.asked = 0

    def signed(self, **params: object) -> dict[str, object]:
        params = {"apiKey": "sim-key", "timestamp": self.simulator.now(), **params}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
        if params["apiKey"] == "pair-key":
            return {**params, "signature": base64.b64encode(PAIR.sign(payload)).decode()}
        return {**params, "signature": hmac.new(b"sim-secret", payload, hashlib.sha256).hexdigest()}

    async def ask(self, method: str, **params: object) -> dict[str, Any]:
        self.asked += 1
        await self.socket.send(json.dumps({"id": self.asked, "method": method, "params": params}))
        while True:
            message = await self.read()
            if "id" in message:
                assert message["id"] == self.asked
                return message
            self.events.append(message)

    async def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), TIMEOUT))
        return found

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """So many events, unwrapped."""
        while len(self.events) < count:
            self.events.append(await self.read())
        heard, self.events = self.events[:count], self.events[count:]
        assert {message["subscriptionId"] for message in heard} == {0}
        return [message["event"] for message in heard]


@pytest.fixture
async def api(spot: RunningSimulator) -> Any:
    async with websockets.connect(f"{spot.ws_url}/ws-api/v3") as socket:
        yield Api(socket, spot)


def test_a_call_that_succeeds_weighs_nothing_and_is_counted_as_an_order(caller: Desk, spot: RunningSimulator) -> None:
    before = caller.public(f"{API}/time").headers
    order = caller.signed("POST", f"{API}/order", **ORDER)
    assert order.body["status"] == "FILLED"
    assert order.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert order.headers["X-MBX-ORDER-COUNT-1D"] >= "1"
    assert int(order.headers["X-MBX-USED-WEIGHT-1M"]) <= int(before["X-MBX-USED-WEIGHT-1M"])
    refused = caller.signed("POST", f"{API}/order", **{**ORDER, "quantity": "100"})
    assert (refused.status, refused.code) == (400, -1013)
    asked = caller.signed("GET", f"{API}/account").headers
    assert int(asked["X-MBX-USED-WEIGHT-1M"]) >= 21


def test_listen_keys_are_gone(caller: Desk) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert caller.send(method, f"{API}/userDataStream", "").status == 410


def test_a_half_done_replacement_is_a_409_and_in_the_ledger(caller: Desk, spot: RunningSimulator) -> None:
    answer = caller.signed("POST", f"{API}/order/cancelReplace", **ORDER, cancelOrderId=1,
                           cancelReplaceMode="ALLOW_FAILURE")  # fmt: skip
    assert (answer.status, answer.code) == (409, -2021)
    assert answer.body["data"]["newOrderResponse"]["status"] == "FILLED"
    attempt = spot.ledger()["attempts"][-1]
    assert (attempt["market"], attempt["status"], attempt["executed"]) == ("spot", 409, True)


@pytest.mark.parametrize(
    ("kind", "executed"), [("unknown_before", False), ("unknown_after", True), ("reset_after", True)]
)
def test_an_answer_can_be_lost(caller: Desk, spot: RunningSimulator, kind: str, executed: bool) -> None:
    spot.faults.add(kind, market="spot", method="POST", path=f"{API}/order", next=1)
    try:
        assert caller.signed("POST", f"{API}/order", **ORDER, newClientOrderId=kind).status == 503
    except OSError:
        assert kind == "reset_after"
    found = caller.signed("GET", f"{API}/order", symbol="BTCUSDT", origClientOrderId=kind)
    assert (found.status == 200) is executed
    assert spot.ledger()["attempts"][-1]["executed"] is executed


@pytest.mark.parametrize("logs_on", [False, True])
async def test_user_data(api: Api, caller: Desk, desk_of: Callable[..., Desk], logs_on: bool) -> None:
    if logs_on:
        assert (await api.ask("userDataStream.subscribe"))["error"]["code"] == -1002
        logged = await api.ask("session.logon", **api.signed(apiKey="pair-key"))
        assert logged["result"]["apiKey"] == "pair-key"
        subscribed = await api.ask("userDataStream.subscribe")
        placed = await api.ask("order.place", **ORDER, timestamp=api.simulator.now())
        assert placed["result"]["status"] == "FILLED"
    else:
        subscribed = await api.ask("userDataStream.subscribe.signature", **api.signed())
        await asyncio.to_thread(caller.signed, "POST", f"{API}/order", **ORDER)
    assert (subscribed["status"], subscribed["result"]) == (200, {"subscriptionId": 0})
    assert subscribed["rateLimits"][0]["count"] >= 2
    new, locked, trade, paid = await api.hear(4)
    assert [event["e"] for event in (new, locked, trade, paid)] == [
        "executionReport", "outboundAccountPosition", "executionReport", "outboundAccountPosition",
    ]  # fmt: skip
    assert (new["x"], new["X"], new["q"], new["t"], new["N"]) == ("NEW", "NEW", "0.01000000", -1, None)
    assert [row["a"] for row in locked["B"]] == ["USDT"]
    assert float(locked["B"][0]["l"]) > 0
    assert (trade["x"], trade["X"], trade["z"], trade["N"]) == ("TRADE", "FILLED", "0.01000000", "BTC")
    assert float(trade["Z"]) == pytest.approx(float(trade["L"]) * 0.01)
    assert {row["a"] for row in paid["B"]} == {"BTC", "USDT"}
    assert (await api.ask("userDataStream.subscribe.signature", **api.signed(
        apiKey="pair-key" if logs_on else "sim-key")))["error"]["code"] == -2035  # fmt: skip


async def test_a_cancel_is_told_by_its_own_name_and_a_list_by_its_state(api: Api, caller: Desk) -> None:
    await api.ask("userDataStream.subscribe.signature", **api.signed())
    price = float((await api.ask("ticker.price", symbol="BTCUSDT"))["result"]["price"])
    legs = {"aboveType": "LIMIT_MAKER", "abovePrice": f"{price * 1.2:.2f}", "belowType": "STOP_LOSS",
            "belowStopPrice": f"{price * 0.8:.2f}"}  # fmt: skip
    names = {"aboveClientOrderId": "up", "belowClientOrderId": "down"}
    terms = api.signed(symbol="BTCUSDT", side="SELL", quantity="0.01", **legs, **names)
    placed = await api.ask("orderList.place.oco", **terms)
    begun = [event for event in await api.hear(5) if event["e"] == "listStatus"]
    assert [(event["c"], event["l"], event["L"]) for event in begun] == [("OCO", "EXEC_STARTED", "EXECUTING")]
    assert [each["c"] for each in begun[0]["O"]] == ["up", "down"]
    number = placed["result"]["orderListId"]
    await api.ask("orderList.cancel", **api.signed(symbol="BTCUSDT", orderListId=number, newClientOrderId="gone"))
    told = await api.hear(5)
    ended = {event["C"]: (event["c"], event["X"], event["g"]) for event in told if event["e"] == "executionReport"}
    assert ended == {"up": ("gone", "CANCELED", number), "down": ("gone", "CANCELED", number)}
    assert told[-1]["l"] == "ALL_DONE"


async def test_who_may_not_listen(api: Api) -> None:
    wrong = await api.ask("userDataStream.subscribe.signature", **{**api.signed(), "signature": "0" * 64})
    assert (wrong["status"], wrong["error"]["code"]) == (400, -1022)
    late = await api.ask("userDataStream.subscribe.signature", **api.signed(timestamp=1))
    assert late["error"]["code"] == -1021
    unknown = await api.ask("userDataStream.subscribe.signature", **api.signed(apiKey="nobody"))
    assert (unknown["status"], unknown["error"]["code"]) == (401, -2015)
    assert (await api.ask("session.logon", **api.signed()))["error"]["code"] == -4056
    assert (await api.ask("order.dance"))["status"] == 400
    await api.socket.send("{")
    assert (await api.read())["error"]["code"] == -1135


async def test_what_ends_a_subscription(api: Api, exchange: Simulator) -> None:
    await api.ask("userDataStream.subscribe.signature", **api.signed())
    exchange.expire_listen_keys()
    (ended,) = await api.hear(1)
    assert ended["e"] == "eventStreamTerminated"
    again = await api.ask("userDataStream.subscribe.signature", **api.signed())
    assert again["result"] == {"subscriptionId": 1}
    assert exchange.drop_connections(route="private", market="spot") == 1
    with pytest.raises(websockets.ConnectionClosed):
        await api.read()


@pytest.mark.parametrize("kind", ["lose", "repeat"])
async def test_events_can_be_lost_and_come_twice(api: Api, caller: Desk, spot: RunningSimulator, kind: str) -> None:
    await api.ask("userDataStream.subscribe.signature", **api.signed())
    spot.faults.add(kind, market="spot", route="private", next=1)
    await asyncio.to_thread(caller.signed, "POST", f"{API}/order", **ORDER)
    heard = [event["e"] for event in await api.hear(3 if kind == "lose" else 5)]
    assert heard.count("executionReport") == (1 if kind == "lose" else 3)


async def test_an_answer_over_the_websocket_can_be_lost_too(api: Api, spot: RunningSimulator) -> None:
    spot.faults.add("hang_after", market="spot", path=f"{API}/order", next=1)
    await api.socket.send(json.dumps({"id": 1, "method": "order.place", "params": api.signed(**ORDER)}))
    await api.socket.send(json.dumps({"id": 2, "method": "ping"}))
    assert (await api.read())["id"] == 2
    assert spot.ledger()["attempts"][-1]["executed"]


async def test_coins_come_in_and_go_out_and_who_listens_is_told(api: Api, spot: RunningSimulator, caller: Desk) -> None:
    await api.ask("userDataStream.subscribe.signature", **api.signed())
    before = balances(caller)
    spot.deposit("main", "SOL", "1.5")
    spot.deposit("main", "SOL", "-0.5")
    told = await api.hear(4)
    assert [event["d"] for event in told if event["e"] == "balanceUpdate"] == ["1.50000000", "-0.50000000"]
    assert told[-1]["B"] == [{"a": "SOL", "f": "1.00000000", "l": "0.00000000"}]
    assert balances(caller) == {**before, "SOL": "1.00000000"}
    spot.deposit("main", "SOL", "-1")
    for wrong in ({"amount": "-1"}, {"amount": "much"}, {"amount": "NaN"}, {"amount": "1", "account": "nobody"}):
        with pytest.raises(SimulatorError, match=r"has not so much SOL free|must be a number|no account 'nobody'"):
            spot.deposit(**{"account": "main", "asset": "SOL", **wrong})


def balances(caller: Desk) -> dict[str, str]:
    rows = caller.signed("GET", f"{API}/account", omitZeroBalances="true").body["balances"]
    return {row["asset"]: row["free"] for row in rows}


async def test_money_comes_into_the_futures_too(exchange: Simulator, desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(exchange)
    key = desk.send("POST", "/fapi/v1/listenKey", "").body["listenKey"]
    async with websockets.connect(f"{exchange.ws_url}/private/ws/{key}") as socket:
        await asyncio.to_thread(exchange.deposit, "main", "USDT", "-250")
        event = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT))
    assert (event["e"], event["a"]["m"], event["a"]["B"][0]["bc"]) == ("ACCOUNT_UPDATE", "WITHDRAW", "-250")
    income = desk.signed("GET", "/fapi/v1/income", incomeType="TRANSFER").body
    assert [row["income"] for row in income] == ["10000.00000000", "-250.00000000"]
    with pytest.raises(SimulatorError, match="has not so much USDT free"):
        exchange.deposit("main", "USDT", "-10000")


async def test_a_connection_is_told_that_it_will_end(api: Api, spot: RunningSimulator) -> None:
    async with (
        websockets.connect(f"{spot.ws_url}/ws/btcusdt@aggTrade") as bare,
        websockets.connect(f"{spot.ws_url}/stream?streams=btcusdt@kline_1M") as combined,
    ):
        assert (await asyncio.to_thread(spot.retire_connections, "spot")) == 3
        assert (await api.read())["event"]["e"] == "serverShutdown"
        while (message := json.loads(await asyncio.wait_for(combined.recv(), TIMEOUT)))["stream"] != "!serverShutdown":
            pass
        assert message["data"]["e"] == "serverShutdown"
        while json.loads(await asyncio.wait_for(bare.recv(), TIMEOUT))["e"] != "serverShutdown":
            pass
