"""The outcome table: what each answer of the exchange means, and whether it is asked again."""

import msgspec
import pytest

from pipeline.exchange.answers import Call, Raw, failure, payload
from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    BlockedError,
    ClockSkewError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
)
from pipeline.exchange.retries import worth_retrying

NOW = 1_700_000_000_000
READ, ORDER = Call("GET", "/fapi/v1/order"), Call("POST", "/fapi/v1/order")


def body(code: int, message: str = "text") -> bytes:
    return msgspec.json.encode({"code": code, "msg": message})


UNKNOWN_503 = body(0, "Unknown error, please check your request or try again later.")
DOWN_503 = body(0, "Service Unavailable.")
INTERNAL_503 = body(0, "Internal error; unable to process your request. Please try again.")

# status, body, error, is a read sent again, is an order sent again
TABLE = [
    (400, body(-1021), ClockSkewError, True, True),
    (400, body(-5028), ClockSkewError, True, True),
    (400, body(-1022), KeyProblemError, False, False),
    (401, body(-2014), KeyProblemError, False, False),
    (401, body(-2015), KeyProblemError, False, False),
    (401, b"", KeyProblemError, False, False),
    (400, body(-1102), RefusedError, False, False),
    (400, body(-1121), RefusedError, False, False),
    (400, body(-2010), RefusedError, False, False),
    (400, body(-2013), RefusedError, False, False),
    (400, body(-2019), RefusedError, False, False),
    (400, body(-4116), RefusedError, False, False),
    (400, body(-4120), RefusedError, False, False),
    (400, body(-987654), RefusedError, False, False),
    (503, UNKNOWN_503, UnknownOutcomeError, True, False),
    (503, DOWN_503, NotDoneError, True, True),
    (503, INTERNAL_503, NotDoneError, True, True),
    (503, body(-1008), NotDoneError, True, True),
    (400, body(-1008), NotDoneError, True, True),
    (400, body(-1001), NotDoneError, True, True),
    (500, body(-1001), NotDoneError, True, True),
    (400, body(-1000), UnknownOutcomeError, True, False),
    (500, body(-1000), UnknownOutcomeError, True, False),
    (500, body(-1006), UnknownOutcomeError, True, False),
    (408, body(-1007), UnknownOutcomeError, True, False),
    (400, body(-1007), UnknownOutcomeError, True, False),
    (408, b"", UnknownOutcomeError, True, False),
    (502, b"<html>Bad Gateway</html>", UnknownOutcomeError, True, False),
    (503, b"", UnknownOutcomeError, True, False),
    (429, body(-1003), RateLimitedError, True, True),
    (429, b"slow down", RateLimitedError, True, True),
    (400, body(-1015), RateLimitedError, True, True),
    (418, body(-1003), BannedError, False, False),
    (403, b"<html>WAF</html>", BlockedError, False, False),
    (451, body(0, "Service unavailable from a restricted location"), BlockedError, False, False),
    (404, b"<html>", BadAnswerError, True, False),
    (302, b"", BadAnswerError, True, False),
]


@pytest.mark.parametrize(("status", "content", "kind", "read_again", "order_again"), TABLE)
def test_each_answer_has_one_meaning(
    status: int, content: bytes, kind: type[ExchangeError], read_again: bool, order_again: bool
) -> None:
    error = failure(ORDER, Raw(status, {"x-mbx-used-weight-1m": "12"}, content), NOW)
    assert type(error) is kind
    assert (error.status, error.headers) == (status, {"x-mbx-used-weight-1m": "12"})
    assert str(status) in str(error)
    assert worth_retrying(error, READ) is read_again
    assert worth_retrying(error, ORDER) is order_again


@pytest.mark.parametrize("content", [b"", b'{"orderId": 1', b"\xff\xfe", b"not json"])
def test_an_unreadable_success_is_a_bad_answer_for_a_read_and_an_unknown_outcome_for_an_order(content: bytes) -> None:
    raw = Raw(200, {"retry-after": "1"}, content)
    with pytest.raises(BadAnswerError) as told:
        payload(READ, raw, NOW)
    assert (told.value.status, told.value.headers) == (200, {"retry-after": "1"})
    with pytest.raises(UnknownOutcomeError):
        payload(ORDER, raw, NOW)


@pytest.mark.parametrize(
    ("status", "headers", "text", "until"),
    [
        (429, {"retry-after": "17"}, "", NOW + 17_000),
        (429, {"retry-after": "17"}, f"banned until {NOW + 5}.", NOW + 17_000),
        (429, {"retry-after": "soon"}, "", 1_700_000_040_000),
        (429, {}, "Too many requests; current limit is 2400", 1_700_000_040_000),
        (418, {}, f"Way too many requests; IP(1.2.3.4) banned until {NOW + 123_456}.", NOW + 123_456),
        (418, {}, f"IP banned until {NOW - 5}.", NOW),
        (418, {"retry-after": "120"}, "", NOW + 120_000),
        (418, {}, "", NOW + 120_000),
    ],
)
def test_how_long_to_stop(status: int, headers: dict[str, str], text: str, until: int) -> None:
    error = failure(READ, Raw(status, headers, body(-1003, text)), NOW)
    assert isinstance(error, RateLimitedError | BannedError)
    assert error.until == until


@pytest.mark.parametrize("period", ["TEN_SECONDS", "10 SECONDS"])
def test_too_many_orders_of_ten_seconds_are_waited_for_as_long(period: str) -> None:
    told = body(-1015, f"Too many new orders; current limit is 300 orders per {period}.")
    error = failure(ORDER, Raw(429, {}, told), NOW + 3_000)
    assert isinstance(error, RateLimitedError)
    assert error.until == NOW + 10_000


@pytest.mark.parametrize(
    ("kind", "exit_code"), [(RefusedError, 1), (BannedError, 3), (KeyProblemError, 3), (BlockedError, 3)]
)
def test_errors_that_need_a_person_say_so_in_the_exit_code(kind: type[ExchangeError], exit_code: int) -> None:
    assert kind.exit_code == exit_code
