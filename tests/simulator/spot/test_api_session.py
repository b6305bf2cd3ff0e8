"""The websocket API without a socket: what a signature is over, who needs none, what is no request."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.simulator.products.spot import SPOT
from pipeline.simulator.wire.api_session import ApiSession, Asked
from pipeline.simulator.wire.streams import Route

SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
KNOWN = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
ORDER = (
    f'{{"symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"GTC","quantity":0.01000000,"price":52000.00,'
    f'"recvWindow":100,"timestamp":1645423376532,"apiKey":"{KEY}","signature":"{KNOWN}"}}'
)


@dataclass
class Told:
    status: int = 200
    body: bytes = b'{"listenKey":"heard"}'


@dataclass
class FakeDesk:
    """Remembers what it was asked, and answers always the same."""

    told: Told = field(default_factory=Told)
    asked: list[Asked] = field(default_factory=list)

    def ask(self, asked: Asked) -> Told:
        self.asked.append(asked)
        return self.told

    def usage(self, key: str) -> list[dict[str, object]]:
        return [{"key": key}]

    def may_log_on(self, key: str) -> bool:
        return key == "pair"

    def now(self) -> int:
        return 17


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def session(desk: FakeDesk) -> ApiSession:
    assert SPOT.ws_api is not None
    return ApiSession(route=Route.PRIVATE, combined=False, api=SPOT.ws_api, desk=desk, opened=5)


def said(session: ApiSession, method: str, params: str = "{}", number: object = 1) -> Any:
    text = f'{{"id":{json.dumps(number)},"method":"{method}","params":{params}}}'
    return json.loads(session.answer(text).text)


def test_a_signature_is_over_what_was_written_in_the_order_of_the_names(session: ApiSession, desk: FakeDesk) -> None:
    said(session, "order.place", ORDER)
    (asked,) = desk.asked
    assert hmac.new(SECRET, asked.payload, hashlib.sha256).hexdigest() == KNOWN
    assert (asked.method, asked.path, asked.key, asked.is_known) == ("POST", "/api/v3/order", KEY, False)
    assert "price=52000.00" in asked.query
    assert "apiKey" not in asked.query


def test_what_is_signed_is_not_percent_encoded_and_what_is_asked_is(session: ApiSession, desk: FakeDesk) -> None:
    said(session, "exchangeInfo", '{"symbols":["BTCUSDT","ETHUSDT"],"apiKey":"a/b","n":true,"nothing":null}')
    assert desk.asked[0].payload == b'apiKey=a/b&n=true&symbols=["BTCUSDT","ETHUSDT"]'
    assert desk.asked[0].query == "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D&n=true"


def test_who_has_logged_on_needs_no_signature_until_it_logs_out(session: ApiSession, desk: FakeDesk) -> None:
    assert said(session, "session.logon", '{"apiKey":"shared"}')["error"]["code"] == -4056
    assert said(session, "session.status")["result"]["apiKey"] is None
    state = said(session, "session.logon", '{"apiKey":"pair"}')["result"]
    assert (state["apiKey"], state["authorizedSince"], state["connectedSince"]) == ("pair", 17, 5)
    said(session, "order.place")
    assert (desk.asked[-1].key, desk.asked[-1].is_known) == ("pair", True)
    said(session, "order.place", '{"apiKey":"another"}')
    assert (desk.asked[-1].key, desk.asked[-1].is_known) == ("another", False)
    assert said(session, "session.logout")["result"]["apiKey"] is None
    said(session, "order.place")
    assert (desk.asked[-1].key, desk.asked[-1].is_known) == ("", False)


def test_a_subscription_has_a_number_and_there_is_one(session: ApiSession, desk: FakeDesk) -> None:
    method = "userDataStream.subscribe.signature"
    assert said(session, method)["result"] == {"subscriptionId": 0}
    assert said(session, "session.subscriptions")["result"] == [{"subscriptionId": 0}]
    assert said(session, method)["error"]["code"] == -2035
    assert said(session, "userDataStream.unsubscribe")["result"] == {}
    assert said(session, "session.subscriptions")["result"] == []
    assert said(session, method)["result"] == {"subscriptionId": 1}
    desk.told = Told(401, b'{"code":-2015,"msg":"no"}')
    assert said(session, method)["error"] == {"code": -2015, "msg": "no"}


def test_an_answer_names_its_request_and_what_is_used(session: ApiSession) -> None:
    for number in (7, "seven", None):
        answer = said(session, "ping", number=number)
        assert (answer["id"], answer["status"], answer["rateLimits"]) == (number, 200, [{"key": ""}])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"id":1,"method":"ping","params":[1]}'])
def test_what_is_no_request(session: ApiSession, desk: FakeDesk, text: str) -> None:
    answer = json.loads(session.answer(text).text)
    assert (answer["status"], answer["error"]["code"]) == (400, -1135)
    assert desk.asked == []


def test_a_method_that_there_is_not(session: ApiSession, desk: FakeDesk) -> None:
    assert said(session, "order.dance")["error"]["code"] == -1100
    assert desk.asked == []
