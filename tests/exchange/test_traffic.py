"""What is measured of the exchange's REST interface: latencies and weight, of the last hour, and nothing invented."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from pipeline.exchange.answers import Call
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    BlockedError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    StoppedError,
    UnknownOutcomeError,
    UnreachableError,
)
from pipeline.exchange.rest import RestClient
from pipeline.exchange.traffic import REMEMBERED, Traffic


class Watch:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def asked(traffic: Traffic, watch: Watch, *seconds: float, error: Exception | None = None) -> None:
    for one in seconds:
        try:
            with traffic.timed():
                watch.now += one
                if error is not None:
                    raise error
        except ExchangeError:
            pass


def test_before_anything_was_asked_there_are_no_figures(watch: Watch) -> None:
    assert Traffic(2400, watch).figures() == {}


def test_quantiles_of_what_was_asked_in_the_last_hour(watch: Watch) -> None:
    traffic = Traffic(2400, watch)
    asked(traffic, watch, 1800.0)
    watch.now += REMEMBERED / 2
    asked(traffic, watch, *[0.1] * 98, 0.3, 0.5)
    assert traffic.figures()["api_p99"] == pytest.approx(0.5), "what took half an hour is still among them"
    watch.now += REMEMBERED / 2
    assert traffic.figures() == {
        "api_mean": pytest.approx((98 * 0.1 + 0.3 + 0.5) / 100),
        "api_p50": pytest.approx(0.1),
        "api_p99": pytest.approx(0.3),
    }
    watch.now += REMEMBERED / 2
    assert traffic.figures() == {}


@pytest.mark.parametrize(
    ("error", "counted"), [(UnknownOutcomeError("no answer"), True), (UnreachableError("no connection"), False)]
)
def test_no_answer_counts_for_as_long_as_it_was_waited_for_and_no_connection_not_at_all(
    watch: Watch, error: ExchangeError, *, counted: bool
) -> None:
    traffic = Traffic(2400, watch)
    asked(traffic, watch, 10.0, error=error)
    assert traffic.figures() == ({"api_mean": 10.0, "api_p50": 10.0, "api_p99": 10.0} if counted else {})


def test_the_fullest_minute_of_the_last_hour(watch: Watch) -> None:
    traffic = Traffic(2400, watch)
    for used in (240, 1200, 12):
        traffic.counted(used)
        watch.now += 60
    assert traffic.figures() == {"weight_most": 0.5}
    watch.now += REMEMBERED - 90
    assert traffic.figures() == {"weight_most": 0.005}


def test_a_client_measures_what_it_sends_refused_or_not(place: Environment, exchange: Any, reply: Any) -> None:
    refusal = reply(b'{"code":-1121,"msg":"Invalid symbol."}', status=400)
    exchange.script = [reply(b"[]", headers={"X-MBX-USED-WEIGHT-1M": "600"}, drip=0.03), refusal]
    with RestClient(place) as client:
        client.get("/fapi/v1/klines")
        with pytest.raises(RefusedError):
            client.get("/fapi/v1/klines")
        told = client.traffic.figures()
    assert told["weight_most"] == 600 / place.weight_limit
    assert 0 < told["api_p50"] <= told["api_p99"]
    assert told["api_p99"] >= 0.03, "until its last byte"


def test_a_client_without_a_connection_has_no_latency(place: Environment) -> None:
    with (
        RestClient(replace(place, rest_url="http://127.0.0.1:9", retries=0)) as client,
        pytest.raises(UnreachableError),
    ):
        client.get("/fapi/v1/time")
    assert client.traffic.figures() == {}


@pytest.mark.parametrize(
    ("error", "became"),
    [
        (None, "answered"),
        (RefusedError("no", code=-2019), "refused"),
        (KeyProblemError("bad key"), "refused"),
        (BlockedError("403"), "refused"),
        (RateLimitedError("429", 0), "limited"),
        (BannedError("418", 0), "limited"),
        (UnknownOutcomeError("timeout"), "unknown"),
        (NotDoneError("overload"), "failed"),
        (UnreachableError("no connection"), "failed"),
        (BadAnswerError("cut off"), "failed"),
        (StoppedError("told to stop"), None),
    ],
)
def test_each_call_is_counted_by_what_became_of_it(error: ExchangeError | None, became: str | None) -> None:
    traffic, call = Traffic(2400), Call("POST", "/fapi/v1/order")
    for _ in range(2):
        with suppress(ExchangeError), traffic.following(call):
            if error is not None:
                raise error
    assert traffic.calls() == ({"POST /fapi/v1/order": {became: 2}} if became else {})


def test_a_client_counts_every_attempt(place: Environment, exchange: Any, reply: Any) -> None:
    refusal = reply(b'{"code":-1121,"msg":"Invalid symbol."}', status=400)
    exchange.script = [reply(b"[]"), reply(b"", status=503), reply(b"[]"), refusal]
    with RestClient(replace(place, retries=1)) as client:
        client.get("/fapi/v1/klines")
        client.get("/fapi/v1/klines")
        with pytest.raises(RefusedError):
            client.get("/fapi/v1/klines")
        assert client.traffic.calls() == {"GET /fapi/v1/klines": {"answered": 2, "unknown": 1, "refused": 1}}
