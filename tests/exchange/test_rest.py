"""The client on a real HTTP server: what is sent, what is sent again, what is given up, and what never shows."""

import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pipeline.exchange import wire
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    CircuitOpenError,
    ExchangeError,
    KeyProblemError,
    RateLimitedError,
    RefusedError,
    StoppedError,
    UnknownOutcomeError,
    UnreachableError,
)
from pipeline.exchange.limits import Need
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "newClientOrderId": "a:b/c-1"}


@pytest.fixture
def client(place: Environment) -> RestClient:
    credentials = Credentials("the-api-key", signer_for("the-secret"))
    with RestClient(place, credentials, random_=random.Random(1), patience_ms=2_000) as made:
        yield made


def refusal(code: int, message: str = "text") -> bytes:
    return msgspec.json.encode({"code": code, "msg": message})


def test_a_public_call_is_sent_as_it_is_and_its_metadata_comes_back(
    client: RestClient, exchange: Any, reply: Any
) -> None:
    begun = client.clock.local() // 60_000 * 60_000
    client.clock.local = lambda: begun + 10_000  # the minute does not end meanwhile
    exchange.script = [reply(b'{"a":[1]}', headers={"X-MBX-USED-WEIGHT-1M": "17", "x-mbx-order-count-10s": "3"})]
    answer = client.get("/fapi/v1/klines", {"symbol": "币USDT", "limit": 5})
    (seen,) = exchange.seen
    assert (seen.method, seen.path, seen.query) == ("GET", "/fapi/v1/klines", "symbol=%E5%B8%81USDT&limit=5")
    assert "x-mbx-apikey" not in seen.headers
    assert (answer.payload, answer.status, answer.used_weight) == ({"a": [1]}, 200, 17)
    assert answer.order_counts == {"10s": 3}
    assert answer.headers["x-mbx-used-weight-1m"] == "17"
    assert client.weight.used == 17


def test_a_signed_call_carries_key_window_time_and_its_signature_last(client: RestClient, exchange: Any) -> None:
    before = client.clock.now()
    client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
    (seen,) = exchange.seen
    unsigned, _, signature = seen.query.rpartition("&signature=")
    assert signature == signer_for("the-secret").sign(unsigned.encode())
    assert seen.headers["x-mbx-apikey"] == "the-api-key"
    assert seen.parameters["newClientOrderId"] == "a:b/c-1"
    assert seen.parameters["recvWindow"] == "5000"
    assert before <= int(seen.parameters["timestamp"]) <= client.clock.now()


def test_a_key_call_sends_the_key_and_no_signature(client: RestClient, exchange: Any) -> None:
    client.call("POST", "/fapi/v1/listenKey", security="key")
    (seen,) = exchange.seen
    assert (seen.query, seen.headers["x-mbx-apikey"]) == ("", "the-api-key")


def test_without_a_key_nothing_is_sent(place: Environment, exchange: Any) -> None:
    with RestClient(place) as client, pytest.raises(KeyProblemError, match="doctor"):
        client.signed("GET", "/fapi/v3/balance")
    assert exchange.seen == []


def test_each_attempt_is_signed_anew_with_a_new_time(client: RestClient, exchange: Any, reply: Any) -> None:
    exchange.script = [reply(refusal(-1008), 503), reply(refusal(0, "Service Unavailable."), 503)]
    client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
    stamps = [int(seen.parameters["timestamp"]) for seen in exchange.seen]
    assert len(stamps) == 3
    assert stamps == sorted(set(stamps))
    assert len({seen.parameters["signature"] for seen in exchange.seen}) == 3


def test_a_refused_timestamp_makes_the_client_measure_the_clock_and_sign_again(
    client: RestClient, exchange: Any, reply: Any
) -> None:
    hour = 3_600_000

    def an_hour_ahead(seen: Any) -> Any:
        now = time.time_ns() // 1_000_000 + hour
        if seen.path == "/fapi/v1/time":
            return reply(msgspec.json.encode({"serverTime": now}))
        behind = abs(now - int(seen.parameters["timestamp"])) > 1_000
        return (
            reply(refusal(-1021, "Timestamp for this request is outside of the recvWindow."), 400)
            if behind
            else reply()
        )

    exchange.otherwise = an_hour_ahead
    client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
    assert abs(client.clock.offset - hour) < 500
    assert [seen.path for seen in exchange.seen].count("/fapi/v1/order") == 2


UNUSABLE = [
    ({"hang_up": True}, UnknownOutcomeError, UnknownOutcomeError),
    ({"hang": True}, UnknownOutcomeError, UnknownOutcomeError),
    ({"status": 408}, UnknownOutcomeError, UnknownOutcomeError),
    ({"body": b'{"a": [1', "announce": 500}, UnknownOutcomeError, UnknownOutcomeError),
    ({"body": b'{"a": [1'}, BadAnswerError, UnknownOutcomeError),
    ({"body": b"zzz", "headers": {"Content-Encoding": "gzip"}}, BadAnswerError, UnknownOutcomeError),
    ({"body": b'{"a":1111111}', "drip": 0.15}, BadAnswerError, UnknownOutcomeError),
]


@pytest.mark.parametrize(("fault", "read_error", "order_error"), UNUSABLE, ids=lambda value: str(value)[:40])
def test_a_read_is_asked_again_and_an_order_of_unknown_outcome_never(
    place: Environment,
    exchange: Any,
    reply: Any,
    fault: dict[str, Any],
    read_error: type[ExchangeError],
    order_error: type[ExchangeError],
) -> None:
    credentials = Credentials("key", signer_for("secret"))
    quick = replace(place, read_timeout=0.3, retries=1)
    with RestClient(quick, credentials, random_=random.Random(1)) as client:
        exchange.script = [reply(**fault), reply(b"[1]")]
        assert client.get("/fapi/v1/klines").payload == [1]

        exchange.script = [reply(**fault), reply(**fault)]
        with pytest.raises(read_error, match="GET /fapi/v1/klines"):
            client.get("/fapi/v1/klines")

        exchange.seen.clear()
        exchange.script = [reply(**fault)]
        with pytest.raises(order_error, match="POST /fapi/v1/order"):
            client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
        assert len(exchange.seen) == 1


def test_an_answer_without_end_is_cut_off(
    client: RestClient, exchange: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ANSWER_CAP", 1024)
    exchange.otherwise = lambda _: reply(b"[" + b" " * 4096 + b"]")
    with pytest.raises(BadAnswerError, match="larger than"):
        client.get("/fapi/v1/klines")


def test_a_redirect_is_not_followed(client: RestClient, exchange: Any, reply: Any) -> None:
    exchange.otherwise = lambda _: reply(status=302, headers={"Location": exchange.url + "/elsewhere"})
    with pytest.raises(BadAnswerError, match="302"):
        client.get("/fapi/v1/klines")
    assert {seen.path for seen in exchange.seen} == {"/fapi/v1/klines"}


def test_a_refusal_is_not_asked_again(client: RestClient, exchange: Any, reply: Any) -> None:
    exchange.script = [reply(refusal(-1121, "Invalid symbol."), 400)]
    with pytest.raises(RefusedError, match=r"-1121.*Invalid symbol") as caught:
        client.get("/fapi/v1/klines")
    assert caught.value.code == -1121
    assert len(exchange.seen) == 1


def test_where_nobody_listens_nothing_was_sent(place: Environment, exchange: Any) -> None:
    exchange.close()
    with RestClient(replace(place, retries=1)) as client, pytest.raises(UnreachableError, match="no connection"):
        client.get("/fapi/v1/time")


def test_after_a_429_every_thread_waits_as_long_as_it_says_and_then_goes_on(
    client: RestClient, exchange: Any, reply: Any
) -> None:
    arrivals: list[float] = []

    def answer(_: Any) -> Any:
        arrivals.append(time.monotonic())
        return reply()

    exchange.otherwise = answer
    exchange.script = [reply(refusal(-1003, "Too many requests"), 429, {"Retry-After": "1"})]
    began = time.monotonic()
    with pytest.raises(RateLimitedError):
        client.signed("GET", "/fapi/v3/balance")  # urgent calls say so instead of waiting
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.get("/fapi/v1/time"), range(4)))
    assert min(arrivals) - began >= 0.9
    assert len(arrivals) == 4


def test_after_a_418_nothing_more_is_sent_and_the_error_says_until_when(
    client: RestClient, exchange: Any, reply: Any
) -> None:
    until = client.clock.now() + 3_600_000
    exchange.script = [reply(refusal(-1003, f"Way too many requests; IP banned until {until}."), 418)]
    for _ in range(3):
        with pytest.raises(BannedError) as caught:
            client.get("/fapi/v1/time")
        assert caught.value.until == until
    assert len(exchange.seen) == 1


def test_too_many_orders_holds_orders_back_and_nothing_else(client: RestClient, exchange: Any, reply: Any) -> None:
    exchange.script = [reply(refusal(-1015, "Too many new orders"), 429)]
    begun = client.clock.local() // 10_000 * 10_000
    client.clock.local = lambda: begun + 1_000  # the ten seconds that are counted do not end meanwhile
    for _ in range(2):
        with pytest.raises(RateLimitedError):
            client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
    client.signed("DELETE", "/fapi/v1/order", {"symbol": "BTCUSDT"})
    assert [seen.method for seen in exchange.seen] == ["POST", "DELETE"]


def test_after_many_failures_in_a_row_orders_are_held_back_without_asking(
    client: RestClient, exchange: Any, reply: Any
) -> None:
    client.breaker.failures_to_open = 3
    exchange.otherwise = lambda _: reply(refusal(0, "Unknown error, please check"), 503)
    with pytest.raises(UnknownOutcomeError):
        client.get("/fapi/v1/time")
    asked = len(exchange.seen)
    with pytest.raises(CircuitOpenError):
        client.signed("POST", "/fapi/v1/order", ORDER, orders=1, need=Need.OPENING)
    assert len(exchange.seen) == asked == 3


def test_what_protects_is_sent_however_often_others_have_failed_and_lets_them_go_on(
    client: RestClient, exchange: Any, reply: Any
) -> None:
    client.breaker.failures_to_open = 3
    exchange.script = [reply(refusal(0, "Unknown error, please check"), 503)] * 3
    with pytest.raises(UnknownOutcomeError):
        client.get("/fapi/v1/time")
    client.signed("POST", "/fapi/v1/algoOrder", ORDER, weight=0, orders=1)
    client.get("/fapi/v1/time")
    assert len(exchange.seen) == 5


def test_orders_leave_while_somebody_else_has_used_up_the_weight(client: RestClient, exchange: Any, reply: Any) -> None:
    begun = client.clock.local() // 60_000 * 60_000
    client.clock.local = lambda: begun + 10_000  # the minute does not end meanwhile
    exchange.otherwise = lambda _: reply(headers={"X-MBX-USED-WEIGHT-1M": "2400"})
    client.signed("POST", "/fapi/v1/order", ORDER, weight=0, orders=1)
    client.signed("POST", "/fapi/v1/order", ORDER, weight=0, orders=1, need=Need.OPENING)
    client.signed("POST", "/fapi/v1/algoOrder", ORDER, weight=0, orders=1)
    with pytest.raises(RateLimitedError, match="nothing was sent"):
        client.signed("DELETE", "/fapi/v1/algoOrder", {"clientAlgoId": "a"})
    assert [seen.method for seen in exchange.seen] == ["POST"] * 3


def test_the_last_orders_that_are_allowed_are_for_what_protects(client: RestClient, exchange: Any, reply: Any) -> None:
    begun = client.clock.local() // 60_000 * 60_000
    client.clock.local = lambda: begun + 1_000  # the ten seconds do not end meanwhile
    counts = iter((271, 272, 300))
    exchange.otherwise = lambda _: reply(headers={"X-MBX-ORDER-COUNT-10S": str(next(counts))})
    client.signed("POST", "/fapi/v1/order", ORDER, weight=0, orders=1, need=Need.OPENING)
    with pytest.raises(RateLimitedError):
        client.signed("POST", "/fapi/v1/order", ORDER, weight=0, orders=1, need=Need.OPENING)
    for _ in range(2):
        client.signed("POST", "/fapi/v1/order", ORDER, weight=0, orders=1)
    with pytest.raises(RateLimitedError):
        client.signed("POST", "/fapi/v1/order", ORDER, weight=0, orders=1)
    assert len(exchange.seen) == 3


def test_a_client_told_to_stop_does_not_try_again(client: RestClient, exchange: Any, reply: Any) -> None:
    client.breaker.failures_to_open = 1_000
    exchange.otherwise = lambda _: reply(status=502)
    patient = replace(client.environment, retries=1_000)
    client.environment = patient
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client.get, "/fapi/v1/time")
        threading.Timer(0.2, client.stop.set).start()
        with pytest.raises(StoppedError):
            asking.result(timeout=10)


def test_neither_log_nor_error_shows_a_key_a_signature_or_a_listen_key(
    client: RestClient, exchange: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="pipeline")
    exchange.script = [reply(b'{"listenKey":"LISTEN"}'), reply(), reply(hang_up=True)]
    client.call("POST", "/fapi/v1/listenKey", {"listenKey": "LISTEN"}, security="key")
    client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
    with pytest.raises(UnknownOutcomeError) as caught:
        client.signed("POST", "/fapi/v1/order", ORDER, orders=1)
    told = caplog.text + str(caught.value) + repr(caught.value.__cause__) + repr(client.__dict__)
    assert "POST /fapi/v1/order" in caplog.text
    assert "a:b/c-1" in caplog.text, "what was asked is logged"
    for secret in ("the-api-key", "the-secret", "LISTEN", exchange.seen[1].parameters["signature"]):
        assert secret not in told


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"serverTime":"1"}', b'{"serverTime":1.5}'])
def test_a_time_that_is_no_time_is_refused(client: RestClient, exchange: Any, reply: Any, body: bytes) -> None:
    exchange.otherwise = lambda _: reply(body)
    with pytest.raises(BadAnswerError, match="serverTime"):
        client.sync_clock()


def test_requests_go_through_the_proxy_when_there_is_one(place: Environment, exchange: Any) -> None:
    far = replace(place, rest_url="http://exchange.invalid", proxy=exchange.url)
    with RestClient(far) as client:
        client.get("/fapi/v1/time")
    (seen,) = exchange.seen
    assert seen.headers["host"] == "exchange.invalid"
