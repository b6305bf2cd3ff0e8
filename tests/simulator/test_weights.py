"""What a caller may ask in a minute, and what happens to one that asks for more."""

import pytest

from pipeline.simulator.products.um import ENDPOINTS
from pipeline.simulator.wire.routes import batch_size, klines_weight
from pipeline.simulator.wire.weights import TEN_SECONDS, Limits, Meter, RefusedError
from pipeline.timeline import DAY, MINUTE

NOON = 1_767_268_800_000
HERE = "127.0.0.1"


def refused(meter: Meter, weight: int, now: int) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        meter.charge(HERE, weight, now)
    return caught.value


@pytest.mark.parametrize(
    ("limit", "weight"),
    [("1", 1), ("99", 1), ("100", 2), ("499", 2), ("500", 5), ("1000", 5), ("1001", 10), ("1500", 10), ("x", 1)],
)
def test_candles_weigh_by_limit(limit: str, weight: int) -> None:
    assert klines_weight({"limit": limit}) == weight


def test_candles_without_a_limit_weigh_as_500() -> None:
    assert klines_weight({}) == 5


@pytest.mark.parametrize(
    ("method", "path", "params", "weight"),
    [
        ("GET", "/fapi/v1/premiumIndex", {}, 10),
        ("GET", "/fapi/v1/premiumIndex", {"symbol": "BTCUSDT"}, 1),
        ("GET", "/fapi/v2/ticker/price", {}, 2),
        ("GET", "/fapi/v1/openOrders", {}, 40),
        ("GET", "/fapi/v1/openOrders", {"symbol": "BTCUSDT"}, 1),
        ("GET", "/fapi/v1/income", {}, 30),
        ("POST", "/fapi/v1/order", {}, 0),
        ("POST", "/fapi/v1/algoOrder", {}, 0),
        ("GET", "/fapi/v3/account", {}, 5),
    ],
)
def test_endpoints_weigh_what_the_exchange_says(method: str, path: str, params: dict[str, str], weight: int) -> None:
    assert ENDPOINTS[method, path].weight(params) == weight


@pytest.mark.parametrize(("orders", "size"), [('[{"a":"b"},{}]', 2), ("[]", 1), ("nonsense", 1), ('{"a":1}', 1)])
def test_a_batch_counts_its_orders(orders: str, size: int) -> None:
    assert batch_size({"batchOrders": orders}) == size


def test_weight_is_counted_in_fixed_minutes() -> None:
    meter = Meter()
    assert meter.charge(HERE, 10, NOON + 59_999) == 10
    assert meter.used(HERE, NOON + 59_999) == 10
    assert meter.used(HERE, NOON + MINUTE) == 0
    assert meter.charge(HERE, 5, NOON + MINUTE) == 5


def test_addresses_do_not_share_a_budget() -> None:
    meter = Meter(Limits(weight=10))
    meter.charge(HERE, 10, NOON)
    assert meter.charge("127.0.0.2", 10, NOON) == 10


def test_over_the_limit_is_429_until_the_minute_is_over() -> None:
    meter = Meter(Limits(weight=10))
    meter.charge(HERE, 10, NOON + 20_000)
    refusal = refused(meter, 1, NOON + 20_000)
    assert (refusal.status, refusal.code, refusal.wait) == (429, -1003, 40_000)
    assert "current limit of IP(127.0.0.1) is 10 requests per minute" in refusal.message
    assert meter.charge(HERE, 1, NOON + MINUTE) == 1


def test_going_on_after_429_is_a_ban_that_says_until_when() -> None:
    meter = Meter(Limits(weight=1, strikes=2))
    assert [refused(meter, 2, NOON).status for _ in range(4)] == [429, 429, 418, 418]
    refusal = refused(meter, 0, NOON + MINUTE)
    assert refusal.status == 418
    assert f"banned until {NOON + 2 * MINUTE}" in refusal.message
    assert meter.charge(HERE, 1, NOON + 2 * MINUTE) == 1


def test_bans_grow_up_to_three_days() -> None:
    meter = Meter()
    waits = [meter.ban(HERE, NOON).wait for _ in range(13)]
    assert waits[:3] == [2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert waits[-1] == 3 * DAY


def test_orders_have_two_windows() -> None:
    meter = Meter(Limits(orders={TEN_SECONDS: 2, MINUTE: 3}))
    meter.charge_orders("desk", 2, NOON)
    with pytest.raises(RefusedError, match="2 orders per TEN_SECONDS") as ten_seconds:
        meter.charge_orders("desk", 1, NOON + 9_999)
    assert (ten_seconds.value.code, ten_seconds.value.status) == (-1015, 429)
    meter.charge_orders("desk", 1, NOON + 10_000)
    assert meter.order_counts("desk", NOON + 10_000) == {"10S": 1, "1M": 3}
    with pytest.raises(RefusedError, match="3 orders per MINUTE"):
        meter.charge_orders("desk", 1, NOON + 20_000)
    assert meter.order_counts("desk", NOON + MINUTE) == {"10S": 0, "1M": 0}


def test_lifted_limits_count_and_refuse_nothing() -> None:
    meter = Meter(Limits(weight=1, orders={TEN_SECONDS: 1, MINUTE: 1}, enforced=False))
    meter.charge(HERE, 5_000, NOON)
    meter.charge_orders("desk", 500, NOON)
    assert meter.used(HERE, NOON) == 5_000
    assert meter.order_counts("desk", NOON) == {"10S": 500, "1M": 500}


def test_forgiveness_ends_a_ban() -> None:
    meter = Meter()
    meter.ban(HERE, NOON)
    meter.forgive()
    assert meter.charge(HERE, 1, NOON) == 1
