"""Paging through what happened, and orders in batches."""

import json

import pytest

from pipeline.timeline import DAY

START = 1_728_000_000_000


@pytest.fixture(name="old")
def _old(desk):
    """Ten orders, one a day, all cancelled by hand; now is noon of the tenth day."""
    for day in range(10):
        desk.wait(day * DAY)
        desk.order("BUY", "0.001", "59000", newClientOrderId=f"day-{day}")
        desk.ask("DELETE", "v1/allOpenOrders", symbol="BTCUSDT")
    desk.wait(9 * DAY + DAY // 2)
    return desk


@pytest.mark.parametrize(
    ("params", "days"),
    [
        ({}, range(3, 10)),
        ({"limit": 2}, [8, 9]),
        ({"startTime": START}, range(8)),
        ({"startTime": START, "limit": 2}, [0, 1]),
        ({"startTime": START + DAY, "endTime": START + 3 * DAY}, [1, 2, 3]),
        ({"startTime": START + DAY + 1, "endTime": START + 3 * DAY - 1}, [2]),
        ({"endTime": START + 8 * DAY}, range(1, 9)),
        ({"endTime": START + 8 * DAY, "limit": 3}, [6, 7, 8]),
        ({"orderId": 8_000_000_008}, [7, 8, 9]),
        ({"orderId": 8_000_000_003, "limit": 2}, [2, 3]),
    ],
)
def test_pages_of_orders(old, params, days):
    rows = old.ask("GET", "v1/allOrders", symbol="BTCUSDT", **params)
    assert [row["clientOrderId"] for row in rows] == [f"day-{day}" for day in days]


def test_trades_by_number_by_order_and_by_limit(desk):
    orders = [desk.order("BUY", "0.01") for _ in range(4)]
    rows = desk.ask("GET", "v1/userTrades", symbol="BTCUSDT")
    assert [row["orderId"] for row in rows] == [order["orderId"] for order in orders]
    assert desk.ask("GET", "v1/userTrades", symbol="BTCUSDT", limit=1) == rows[-1:]
    assert desk.ask("GET", "v1/userTrades", symbol="BTCUSDT", fromId=rows[1]["id"], limit=2) == rows[1:3]
    assert desk.ask("GET", "v1/userTrades", symbol="BTCUSDT", orderId=orders[2]["orderId"]) == rows[2:3]
    assert desk.ask("GET", "v1/userTrades", symbol="ETHUSDT") == []


def test_a_batch_places_what_it_can_and_says_why_not_for_the_rest(desk):
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": 0.01, "price": "59000",
            "timeInForce": "GTC"}  # fmt: skip
    batch = [good, good | {"quantity": "0"}, good | {"reduceOnly": True}, 7, good | {"quantity": "0.020"}]
    answers = desk.ask("POST", "v1/batchOrders", batchOrders=json.dumps(batch))
    assert [row.get("code") for row in answers] == [None, -4003, -2022, -1102, None]
    placed = [answers[0]["orderId"], answers[4]["orderId"]]
    assert [row["orderId"] for row in desk.ask("GET", "v1/openOrders", symbol="BTCUSDT")] == placed


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("orderIdList", "orderId"),
        ("orderidlist", "orderId"),
        ("origClientOrderIdList", "clientOrderId"),
        ("origclientorderidlist", "clientOrderId"),
    ],
)
def test_a_batch_of_cancellations(desk, name, key):
    order = desk.order("BUY", "0.01", "59000")
    answers = desk.ask("DELETE", "v1/batchOrders", symbol="BTCUSDT", **{name: json.dumps([order[key], 1])})
    assert [row.get("status", row.get("code")) for row in answers] == ["CANCELED", -2011]


def test_an_open_order_is_found_only_while_it_is_open(desk, code):
    order = desk.order("BUY", "0.01", "59000", newClientOrderId="mine")
    ask = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
    assert desk.ask("GET", "v1/openOrder", **ask)["orderId"] == order["orderId"]
    desk.ask("DELETE", "v1/order", **ask)
    assert code(lambda: desk.ask("GET", "v1/openOrder", **ask)) == -2013
    assert desk.ask("GET", "v1/order", **ask)["status"] == "CANCELED"
    assert code(lambda: desk.ask("GET", "v1/order", symbol="ETHUSDT", origClientOrderId="mine")) == -2013
