"""Every refusal with its own code: one row, one request."""

from decimal import Decimal

import pytest

LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "quantity": "0.01",
    "price": "59000",
    "timeInForce": "GTC",
}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
ETH = LIMIT | {"symbol": "ETHUSDT", "quantity": "1", "price": "2900"}
SELL = {"side": "SELL", "price": "61000"}
GONE = object()
"""Marks a parameter that is not sent."""


@pytest.mark.parametrize(
    ("base", "change", "expected"),
    [
        (LIMIT, {"symbol": GONE}, -1102),
        (LIMIT, {"symbol": ""}, -1102),
        (LIMIT, {"symbol": "NOPE"}, -1121),
        (LIMIT, {"symbol": "btcusdt"}, -1121),
        (LIMIT, {"side": GONE}, -1102),
        (LIMIT, {"side": "HOLD"}, -1117),
        (LIMIT, {"type": GONE}, -1102),
        (LIMIT, {"type": "ICEBERG"}, -1116),
        (LIMIT, {"type": "LIQUIDATION"}, -1116),
        *((LIMIT, {"type": kind, "stopPrice": "61000"}, -4120)
          for kind in ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")),
        (LIMIT, {"timeInForce": GONE}, -1102),
        (LIMIT, {"timeInForce": "DAY"}, -1115),
        (LIMIT, {"price": GONE}, -1102),
        (LIMIT, {"price": "cheap"}, -1102),
        (LIMIT, {"price": "1e3"}, -1102),
        (LIMIT, {"price": "NaN"}, -1102),
        (LIMIT, {"price": "0"}, -4001),
        (LIMIT, {"price": "-59000"}, -4001),
        (LIMIT, {"price": "59000.001"}, -1111),
        (LIMIT, {"price": "59000.05"}, -4014),
        (LIMIT, {"price": "63000.1"}, -4016),
        (LIMIT, {"side": "SELL", "price": "56999.9"}, -4024),
        (LIMIT, {"quantity": GONE}, -1102),
        (LIMIT, {"quantity": "many"}, -1102),
        (LIMIT, {"quantity": "0"}, -4003),
        (LIMIT, {"quantity": "-1"}, -4003),
        (LIMIT, {"quantity": "0.0101"}, -1111),
        (LIMIT, {"quantity": "1000.001"}, -4005),
        (MARKET, {"quantity": "120.001"}, -4005),
        (ETH, {"quantity": "0.005"}, -4004),
        (ETH, {"quantity": "1.005"}, -4023),
        (LIMIT, {"quantity": "0.0001"}, -1111),
        (LIMIT, {"quantity": "0.001", "price": "49999"}, -4164),
        (MARKET, {"symbol": "ETHUSDT", "quantity": "0.01"}, -4164),
        (MARKET, {"price": "60000"}, -1106),
        (MARKET, {"timeInForce": "IOC"}, -1106),
        (LIMIT, {"newClientOrderId": "a b"}, -4015),
        (LIMIT, {"newClientOrderId": "x" * 37}, -4015),
        (LIMIT, {"positionSide": "LONG"}, -4061),
        (LIMIT, {"positionSide": "UP"}, -1130),
        (LIMIT, {"reduceOnly": "perhaps"}, -1102),
        (LIMIT, {"reduceOnly": "true"}, -2022),
        (MARKET, {"reduceOnly": "true"}, -2022),
        (LIMIT, {"closePosition": "true"}, -4136),
        (LIMIT, {"newOrderRespType": "FULL"}, -1130),
        (LIMIT, {"selfTradePreventionMode": "MAYBE"}, -1130),
        (LIMIT, {"priceMatch": "OPPONENT"}, -1130),
        (LIMIT, {"quantity": "10"}, -2019),
        (MARKET, {"quantity": "10"}, -2019),
        (LIMIT, {"timeInForce": "FOK"}, -5021),
        (LIMIT, {"timeInForce": "GTX", "price": "60001"}, -5022),
        (LIMIT, {"timeInForce": "GTX", "side": "SELL", "price": "59999"}, -5022),
        (LIMIT, {"timeInForce": "GTD"}, -1102),
        (LIMIT, {"timeInForce": "GTD", "goodTillDate": "1"}, -1130),
        (LIMIT, {"symbol": "NEWUSDT"}, -4140),
        (LIMIT, {"symbol": "OLDUSDT"}, -4141),
    ],
)  # fmt: skip
def test_an_order_is_refused(desk, code, base, change, expected):
    params = {name: value for name, value in (base | change).items() if value is not GONE}
    assert code(lambda: desk.ask("POST", "v1/order", **params)) == expected
    assert desk.ask("GET", "v1/openOrders") == []
    assert desk.ask("GET", "v1/allOrders", symbol="BTCUSDT") == []
    assert desk.events() == []


STOP = {"symbol": "BTCUSDT", "algoType": "CONDITIONAL", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01",
        "triggerPrice": "59000"}  # fmt: skip
CLOSE = {name: value for name, value in STOP.items() if name != "quantity"} | {"closePosition": "true"}
TRAIL = {name: value for name, value in STOP.items() if name != "triggerPrice"} | {
    "type": "TRAILING_STOP_MARKET", "callbackRate": "1"}  # fmt: skip


@pytest.mark.parametrize(
    ("base", "change", "expected"),
    [
        (STOP, {"algoType": GONE}, -1102),
        (STOP, {"algoType": "VP"}, -1130),
        (STOP, {"type": "LIMIT"}, -1116),
        (STOP, {"symbol": "NEWUSDT"}, -4140),
        (STOP, {"triggerPrice": GONE}, -1102),
        (STOP, {"triggerPrice": "59000.05"}, -4014),
        (STOP, {"triggerPrice": "60000"}, -2021),
        (STOP, {"triggerPrice": "61000"}, -2021),
        (STOP, {"side": "BUY"}, -2021),
        (STOP, {"type": "TAKE_PROFIT_MARKET"}, -2021),
        (STOP, {"type": "TAKE_PROFIT_MARKET", "side": "BUY", "triggerPrice": "60000"}, -2021),
        (STOP, {"quantity": GONE}, -1102),
        (STOP, {"quantity": "0.0001"}, -1111),
        (STOP, {"quantity": "0.001", "triggerPrice": "49999"}, -4164),
        (STOP, {"quantity": "121"}, -4005),
        (STOP, {"type": "STOP"}, -1102),
        (STOP, {"type": "STOP", "price": "58999.99"}, -4014),
        (STOP, {"workingType": "LAST"}, -1130),
        (STOP, {"timeInForce": "DAY"}, -1115),
        (STOP, {"clientAlgoId": "né"}, -4015),
        (STOP, {"positionSide": "SHORT"}, -4061),
        (CLOSE, {"quantity": "0.01"}, -4137),
        (CLOSE, {"reduceOnly": "true"}, -1106),
        (CLOSE, {"type": "STOP", "price": "58000"}, -4136),
        (CLOSE, {"type": "TRAILING_STOP_MARKET", "callbackRate": "1"}, -4136),
        (TRAIL, {"callbackRate": GONE}, -1102),
        (TRAIL, {"callbackRate": "0.09"}, -2007),
        (TRAIL, {"callbackRate": "10.1"}, -2007),
        (TRAIL, {"activatePrice": "59999"}, -2021),
        (TRAIL, {"activatePrice": "60001", "side": "BUY"}, -2021),
    ],
)
def test_a_conditional_order_is_refused(desk, code, base, change, expected):
    params = {name: value for name, value in (base | change).items() if value is not GONE}
    assert code(lambda: desk.ask("POST", "v1/algoOrder", **params)) == expected
    assert desk.ask("GET", "v1/openAlgoOrders") == []


@pytest.mark.parametrize(
    ("method", "path", "params", "expected"),
    [
        ("GET", "order", {"orderId": 7}, -2013),
        ("GET", "order", {"origClientOrderId": "nobody"}, -2013),
        ("GET", "order", {}, -1102),
        ("GET", "order", {"orderId": "seven"}, -1102),
        ("GET", "openOrder", {"orderId": 7}, -2013),
        ("DELETE", "order", {"orderId": 7}, -2011),
        ("DELETE", "order", {"origClientOrderId": "nobody"}, -2011),
        ("PUT", "order", {"orderId": 7, "side": "BUY", "quantity": 1, "price": 1}, -2013),
        ("GET", "algoOrder", {"algoId": 7}, -2013),
        ("GET", "algoOrder", {}, -1102),
        ("DELETE", "algoOrder", {"clientAlgoId": "nobody"}, -2011),
        ("POST", "batchOrders", {"batchOrders": "[]"}, -4082),
        ("POST", "batchOrders", {"batchOrders": "[{},{},{},{},{},{}]"}, -4082),
        ("POST", "batchOrders", {"batchOrders": "[{"}, -1102),
        ("DELETE", "batchOrders", {"orderIdList": "{}"}, -1102),
        ("GET", "allOrders", {"limit": 1001}, -1130),
        ("GET", "allOrders", {"limit": 0}, -1130),
        ("GET", "allOrders", {"startTime": 0, "endTime": 604_800_001}, -1127),
        ("GET", "userTrades", {"startTime": 2, "endTime": 1}, -1023),
        ("GET", "income", {"incomeType": "LUCK"}, -1130),
        ("POST", "leverage", {}, -1102),
        ("POST", "leverage", {"leverage": 0}, -4028),
        ("POST", "leverage", {"leverage": 126}, -4028),
        ("POST", "marginType", {"marginType": "CROSSED"}, -4046),
        ("POST", "marginType", {"marginType": "cross"}, -1130),
        ("POST", "positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("POST", "positionSide/dual", {}, -1102),
    ],
)
def test_another_request_is_refused(desk, code, method, path, params, expected):
    assert code(lambda: desk.ask(method, f"v1/{path}", symbol="BTCUSDT", **params)) == expected


def test_an_unknown_path_is_not_found(desk, code):
    assert code(lambda: desk.ask("GET", "v1/lottery")) == -5000


def test_too_many_open_orders(desk, code):
    for _ in range(3):
        desk.order("BUY", "0.1", "2900", symbol="ETHUSDT")
    assert code(lambda: desk.order("BUY", "0.1", "2900", symbol="ETHUSDT")) == -2025


def test_too_many_conditional_orders(desk, code):
    for _ in range(2):
        desk.algo("BUY", "STOP_MARKET", symbol="ETHUSDT", quantity="0.1", triggerPrice="3100")
    again = {"symbol": "ETHUSDT", "quantity": "0.1", "triggerPrice": "3100"}
    assert code(lambda: desk.algo("BUY", "STOP_MARKET", **again)) == -4045


def test_a_client_id_is_unique_among_open_orders_only(desk, code):
    first = desk.order("BUY", "0.01", "59000", newClientOrderId="mine")
    assert code(lambda: desk.order("BUY", "0.01", "59000", newClientOrderId="mine")) == -4116
    desk.ask("DELETE", "v1/order", symbol="BTCUSDT", origClientOrderId="mine")
    second = desk.order("BUY", "0.01", "59000", newClientOrderId="mine")
    assert second["orderId"] > first["orderId"]
    assert desk.ask("GET", "v1/order", symbol="BTCUSDT", origClientOrderId="mine")["orderId"] == second["orderId"]


def test_a_conditional_client_id_is_unique_among_waiting_ones_only(desk, code):
    terms = {"quantity": "0.01", "triggerPrice": "59000", "clientAlgoId": "guard"}
    desk.algo("SELL", "STOP_MARKET", **terms)
    assert code(lambda: desk.algo("SELL", "STOP_MARKET", **terms)) == -4116
    desk.ask("DELETE", "v1/algoOrder", clientAlgoId="guard")
    assert desk.algo("SELL", "STOP_MARKET", **terms)["algoStatus"] == "NEW"


def test_one_closing_stop_a_direction(desk, code):
    desk.algo("SELL", "STOP_MARKET", triggerPrice="59000", closePosition="true")
    assert code(lambda: desk.algo("SELL", "STOP_MARKET", triggerPrice="58000", closePosition="true")) == -4130
    assert desk.algo("SELL", "TAKE_PROFIT_MARKET", triggerPrice="61000", closePosition="true")["closePosition"] is True


def test_hedge_mode_refuses_the_one_way_words(desk, code):
    desk.ask("POST", "v1/positionSide/dual", dualSidePosition="true")
    assert code(lambda: desk.order("BUY", "0.01")) == -4061
    assert code(lambda: desk.order("BUY", "0.01", positionSide="BOTH")) == -4061
    assert code(lambda: desk.order("BUY", "0.01", positionSide="LONG", reduceOnly="true")) == -1106
    assert code(lambda: desk.order("BUY", "0.01", positionSide="LONG", reduceOnly="false")) == -1106
    assert code(lambda: desk.order("SELL", "0.01", positionSide="LONG")) == -2022
    assert code(lambda: desk.order("BUY", "0.01", positionSide="SHORT")) == -2022


def test_settings_are_locked_while_something_is_open(desk, code):
    set_dual = ("POST", "v1/positionSide/dual")
    set_margin = ("POST", "v1/marginType")
    order = desk.order("BUY", "0.01", "59000")
    assert code(lambda: desk.ask(*set_dual, dualSidePosition="true")) == -4067
    assert code(lambda: desk.ask(*set_margin, symbol="BTCUSDT", marginType="ISOLATED")) == -4047
    desk.ask("DELETE", "v1/order", symbol="BTCUSDT", orderId=order["orderId"])
    desk.order("BUY", "0.01")
    assert code(lambda: desk.ask(*set_dual, dualSidePosition="true")) == -4068
    assert code(lambda: desk.ask(*set_margin, symbol="BTCUSDT", marginType="ISOLATED")) == -4048


def test_the_counterparty_must_be_inside_the_band(open_desk, code):
    desk = open_desk(marks={"BTCUSDT": [(0, Decimal(57_000))]})
    assert code(lambda: desk.order("BUY", "0.01")) == -4131
    assert desk.order("SELL", "0.01")["status"] == "FILLED"


def test_leverage_of_a_position(open_desk, code):
    desk = open_desk(deposit=1_000)
    desk.order("BUY", "0.1")
    assert code(lambda: desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=2)) == -2028
    assert desk.position()["leverage"] == "20"


def test_isolated_leverage_may_not_fall_under_a_position(desk, code):
    desk.ask("POST", "v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.order("BUY", "0.1")
    assert code(lambda: desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)) == -4161


def test_the_largest_position(open_desk, code):
    desk = open_desk(deposit=100_000_000)
    for _ in range(13):
        desk.order("BUY", "120")
    assert code(lambda: desk.order("BUY", "120")) == -2027
    assert desk.amount() == 1_560
