"""How orders trade: against the spread and the depth at once, against the tape later."""

from decimal import Decimal

import pytest

D = Decimal
START = 1_728_000_000_000
"""When the scripted market begins."""


def test_a_market_order_takes_the_other_side_of_the_spread(desk):
    bought, sold = desk.order("BUY", "0.01"), desk.order("SELL", "0.01")
    assert desk.state(bought)["avgPrice"] == "60000.60000"
    assert desk.state(sold)["avgPrice"] == "59999.40000"


def test_a_large_market_order_pays_worse_prices_level_by_level(desk):
    desk.order("BUY", "2", positionSide="BOTH")
    trades = desk.ask("GET", "v1/userTrades", symbol="BTCUSDT")
    assert [(row["price"], row["qty"]) for row in trades] == [
        ("60000.60", "0.833"),
        ("60006.60", "0.833"),
        ("60012.60", "0.334"),
    ]


def test_a_market_order_stops_at_the_price_band_and_the_rest_expires(open_desk):
    desk = open_desk(deposit=100_000_000, marks={"BTCUSDT": [(0, D("57145"))]})
    answer = desk.order("BUY", "120")
    assert answer["status"] == "EXPIRED"
    assert answer["executedQty"] == "0.833"
    assert desk.ask("GET", "v1/openOrders") == []


@pytest.mark.parametrize(
    ("tif", "price", "status", "filled"),
    [
        ("GTC", "60001", "FILLED", "0.010"),
        ("GTC", "60000.5", "NEW", "0.000"),
        ("IOC", "60001", "FILLED", "0.010"),
        ("IOC", "60000.5", "EXPIRED", "0.000"),
        ("FOK", "60001", "FILLED", "0.010"),
        ("GTX", "60000.5", "NEW", "0.000"),
    ],
)
def test_time_in_force(desk, tif, price, status, filled):
    answer = desk.order("BUY", "0.01", price, timeInForce=tif)
    assert (answer["status"], answer["executedQty"]) == (status, filled)


@pytest.mark.parametrize(("tif", "status"), [("GTC", "PARTIALLY_FILLED"), ("IOC", "EXPIRED")])
def test_a_large_limit_order_takes_what_its_price_allows(desk, tif, status):
    answer = desk.order("BUY", "1", "60001", timeInForce=tif)
    assert (answer["status"], answer["executedQty"]) == (status, "0.833")


def test_fill_or_kill_beyond_the_depth_leaves_no_trace(desk, code):
    assert code(lambda: desk.order("BUY", "1", "60001", timeInForce="FOK")) == -5021
    assert desk.ask("GET", "v1/allOrders", symbol="BTCUSDT") == []


@pytest.mark.parametrize(
    ("side", "price", "tape", "filled", "status"),
    [
        ("BUY", "59000", [(100, 590_001, 5)], "0.000", "NEW"),
        ("BUY", "59000", [(100, 590_000, 4)], "0.004", "PARTIALLY_FILLED"),
        ("BUY", "59000", [(100, 590_000, 4), (200, 590_000, 7)], "0.010", "FILLED"),
        ("BUY", "59000", [(100, 589_999, 1)], "0.010", "FILLED"),
        ("SELL", "61000", [(100, 609_999, 5)], "0.000", "NEW"),
        ("SELL", "61000", [(100, 610_000, 4)], "0.004", "PARTIALLY_FILLED"),
        ("SELL", "61000", [(100, 610_001, 1)], "0.010", "FILLED"),
    ],
)
def test_a_resting_order_meets_the_tape(open_desk, side, price, tape, filled, status):
    desk = open_desk([(0, 600_000, 1), *tape])
    order = desk.order(side, "0.01", price)
    desk.wait(1_000)
    state = desk.state(order)
    assert (state["executedQty"], state["status"]) == (filled, status)
    if D(filled):
        assert D(state["avgPrice"]) == D(price)
        assert desk.ask("GET", "v1/userTrades", symbol="BTCUSDT")[0]["maker"] is True


def test_the_tape_before_an_order_does_not_fill_it(open_desk):
    desk = open_desk([(0, 600_000, 1), (100, 580_000, 9), (200, 600_000, 1), (9_000, 600_000, 1)])
    desk.at = 300
    order = desk.order("BUY", "0.01", "59000")
    desk.wait(8_000)
    assert desk.state(order)["status"] == "NEW"


def test_cancelling_keeps_what_has_filled(open_desk):
    desk = open_desk([(0, 600_000, 1), (100, 590_000, 4)])
    order = desk.order("BUY", "0.01", "59000")
    desk.wait(1_000)
    answer = desk.ask("DELETE", "v1/order", symbol="BTCUSDT", orderId=order["orderId"])
    assert (answer["status"], answer["executedQty"], answer["updateTime"]) == ("CANCELED", "0.004", START + 1_000)
    assert desk.amount() == D("0.004")


def test_a_good_till_date_order_expires_at_its_time(desk):
    order = desk.order("BUY", "0.01", "59000", timeInForce="GTD", goodTillDate=START + 700_999)
    assert order["goodTillDate"] == START + 700_000
    desk.wait(699_999)
    assert desk.state(order)["status"] == "NEW"
    desk.wait(700_000)
    assert desk.state(order)["status"] == "EXPIRED"


def test_an_acknowledgement_shows_the_order_as_it_was_accepted(desk):
    answer = desk.order("BUY", "0.01", newOrderRespType="ACK")
    assert (answer["status"], answer["executedQty"]) == ("NEW", "0.000")
    assert desk.state(answer)["status"] == "FILLED"


def test_a_reduce_only_order_fills_no_more_than_the_position(desk):
    desk.order("BUY", "0.01")
    answer = desk.order("SELL", "0.03", reduceOnly="true")
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.010")
    assert desk.amount() == 0


def test_resting_reduce_only_orders_end_with_the_position(desk):
    desk.order("BUY", "0.01")
    take_profit = desk.order("SELL", "0.01", "61000", reduceOnly="true")
    entry = desk.order("BUY", "0.01", "59000")
    desk.order("SELL", "0.01")
    assert desk.state(take_profit)["status"] == "EXPIRED"
    assert desk.state(entry)["status"] == "NEW"


def test_a_reduce_only_order_needs_no_minimum_value_and_no_margin(open_desk):
    desk = open_desk(deposit=31)
    desk.order("BUY", "0.01")
    assert desk.order("SELL", "0.001", "61000", reduceOnly="true")["status"] == "NEW"


@pytest.mark.parametrize(
    ("change", "status", "filled"),
    [
        ({"quantity": "0.02", "price": "59000"}, "NEW", "0.000"),
        ({"quantity": "0.01", "price": "58000"}, "NEW", "0.000"),
        ({"quantity": "0.01", "price": "60001"}, "FILLED", "0.010"),
    ],
)
def test_an_order_is_amended(desk, change, status, filled):
    order = desk.order("BUY", "0.01", "59000")
    answer = desk.ask("PUT", "v1/order", symbol="BTCUSDT", side="BUY", orderId=order["orderId"], **change)
    assert (answer["status"], answer["executedQty"]) == (status, filled)
    assert (D(answer["origQty"]), D(answer["price"])) == (D(change["quantity"]), D(change["price"]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"quantity": "0.01", "price": "59000"}, -5027),
        ({"quantity": "0.01", "price": "59000.05"}, -4014),
        ({"quantity": "0.01", "price": "64000"}, -4016),
        ({"quantity": "0", "price": "59000"}, -4003),
        ({"quantity": "10", "price": "59000"}, -2019),
    ],
)
def test_a_refused_amendment_leaves_the_order_as_it_was(desk, code, change, expected):
    order = desk.order("BUY", "0.01", "59000")
    before = desk.state(order)
    amend = {"symbol": "BTCUSDT", "side": "BUY", "orderId": order["orderId"]} | change
    assert code(lambda: desk.ask("PUT", "v1/order", **amend)) == expected
    assert desk.state(order) == before


def test_a_post_only_order_is_not_amended_into_the_book(desk, code):
    order = desk.order("BUY", "0.01", "59000", timeInForce="GTX")
    amend = {"symbol": "BTCUSDT", "orderId": order["orderId"], "quantity": "0.01", "price": "60001"}
    assert code(lambda: desk.ask("PUT", "v1/order", **amend)) == -5022


def test_amending_to_less_than_has_filled_cancels(open_desk):
    desk = open_desk([(0, 600_000, 1), (100, 590_000, 4)])
    order = desk.order("BUY", "0.01", "59000")
    desk.wait(1_000)
    amend = {"symbol": "BTCUSDT", "orderId": order["orderId"], "quantity": "0.004", "price": "59000"}
    assert desk.ask("PUT", "v1/order", **amend)["status"] == "CANCELED"


def test_nothing_is_asked_of_the_market_while_nothing_is_open(desk):
    desk.market.asked.clear()
    desk.wait(3_600_000)
    assert desk.market.asked == []
    desk.order("BUY", "0.01", "59000")
    desk.wait(3_600_500)
    assert desk.market.asked == ["BTCUSDT"]
