"""Conditional orders: when they fire, what becomes of them, and what they were called on the way."""

from decimal import Decimal

import pytest

D = Decimal
UP = [(0, 600_000, 1), (1_000, 610_000, 1)]
DOWN = [(0, 600_000, 1), (1_000, 590_000, 1)]
LATE_SEEDS = (1, 3, 4)
"""Where it is told last that the order has fired: the exchange promises no order."""


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "tape", "fires"),
    [
        ("STOP_MARKET", "BUY", "61000", UP, True),
        ("STOP_MARKET", "BUY", "61000.1", UP, False),
        ("STOP_MARKET", "BUY", "61000", DOWN, False),
        ("STOP_MARKET", "SELL", "59000", DOWN, True),
        ("STOP_MARKET", "SELL", "58999.9", DOWN, False),
        ("TAKE_PROFIT_MARKET", "SELL", "61000", UP, True),
        ("TAKE_PROFIT_MARKET", "SELL", "61000.1", UP, False),
        ("TAKE_PROFIT_MARKET", "BUY", "59000", DOWN, True),
        ("TAKE_PROFIT_MARKET", "BUY", "58999.9", DOWN, False),
    ],
)
def test_when_a_trigger_is_reached(open_desk, kind, side, trigger, tape, fires):
    desk = open_desk(tape)
    algo = desk.algo(side, kind, quantity="0.01", triggerPrice=trigger)
    desk.wait(1_500)
    state = desk.algo_state(algo)
    assert state["algoStatus"] == ("FINISHED" if fires else "NEW")
    assert desk.amount() == (D("0.01") * (1 if side == "BUY" else -1) if fires else 0)
    assert bool(state["actualOrderId"]) is fires


@pytest.mark.parametrize(
    ("side", "terms", "tape", "filled_at"),
    [
        ("SELL", {}, [(1_000, 606_000, 1), (2_000, 600_001, 1), (3_000, 599_900, 1)], 3_000),
        ("SELL", {}, [(1_000, 594_000, 1)], 1_000),
        ("SELL", {"activatePrice": "60500"}, [(1_000, 590_000, 1), (2_000, 604_999, 1), (3_000, 598_000, 1)], None),
        ("SELL", {"activatePrice": "60500"}, [(1_000, 605_000, 1), (2_000, 598_950, 1)], 2_000),
        ("BUY", {}, [(1_000, 594_000, 1), (2_000, 599_939, 1), (3_000, 599_940, 1)], 3_000),
        ("BUY", {"activatePrice": "59500"}, [(1_000, 610_000, 1), (2_000, 595_000, 1), (3_000, 600_950, 1)], 3_000),
    ],
)
def test_a_trailing_stop_follows_the_price_and_fires_on_the_way_back(open_desk, side, terms, tape, filled_at):
    desk = open_desk([(0, 600_000, 1), *tape])
    algo = desk.algo(side, "TRAILING_STOP_MARKET", quantity="0.01", callbackRate="1", **terms)
    desk.wait(5_000)
    state = desk.algo_state(algo)
    assert state["algoStatus"] == ("NEW" if filled_at is None else "FINISHED")
    assert state["triggerTime"] == (0 if filled_at is None else 1_728_000_000_000 + filled_at)


def test_the_mark_price_triggers_what_was_told_to_watch_it(open_desk):
    marks = {"BTCUSDT": [(0, D(60_000)), (2_500, D(59_000)), (6_000, D(60_000))]}
    desk = open_desk(marks=marks)
    by_mark = desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="59000", workingType="MARK_PRICE")
    by_trade = desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="59000")
    desk.wait(5_000)
    assert desk.algo_state(by_mark)["algoStatus"] == "FINISHED"
    assert desk.algo_state(by_mark)["triggerTime"] == 1_728_000_003_000
    assert desk.algo_state(by_trade)["algoStatus"] == "NEW"


def test_a_stop_limit_rests_after_its_trigger(open_desk):
    desk = open_desk([(0, 600_000, 1), (1_000, 610_000, 1), (2_000, 605_000, 3), (3_000, 604_000, 1)])
    algo = desk.algo("BUY", "STOP", quantity="0.01", triggerPrice="61000", price="60500")
    desk.wait(1_500)
    assert desk.algo_state(algo)["algoStatus"] == "TRIGGERED"
    child = desk.ask("GET", "v1/openOrders")[0]
    assert (child["type"], child["origType"], child["stopPrice"]) == ("LIMIT", "STOP", "61000")
    assert desk.algo_state(algo)["actualOrderId"] == str(child["orderId"])
    desk.wait(2_500)
    assert desk.algo_state(algo)["actualQty"] == "0.003"
    desk.wait(3_500)
    assert desk.algo_state(algo)["algoStatus"] == "FINISHED"
    assert desk.algo_state(algo)["actualPrice"] == "60500.00000"


def test_cancelling_the_child_finishes_the_parent(open_desk):
    desk = open_desk(UP)
    algo = desk.algo("BUY", "STOP", quantity="0.01", triggerPrice="61000", price="60500")
    desk.wait(1_500)
    desk.ask("DELETE", "v1/allOpenOrders", symbol="BTCUSDT")
    assert desk.algo_state(algo)["algoStatus"] == "FINISHED"


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"quantity": "100"}, "Margin is insufficient."),
        ({"quantity": "0.01", "reduceOnly": "true"}, "ReduceOnly Order is rejected."),
    ],
)
def test_the_margin_and_the_position_are_looked_at_only_at_the_trigger(open_desk, terms, reason):
    desk = open_desk(UP)
    algo = desk.algo("BUY", "STOP_MARKET", triggerPrice="61000", **terms)
    assert algo["algoStatus"] == "NEW"
    desk.wait(1_500)
    assert desk.algo_state(algo)["algoStatus"] == "REJECTED"
    assert desk.events("ALGO_UPDATE")[-1]["o"]["rm"] == reason
    assert desk.amount() == 0


def test_close_position_closes_whatever_there_is(open_desk):
    desk = open_desk(DOWN)
    desk.order("BUY", "0.01")
    algo = desk.algo("SELL", "STOP_MARKET", triggerPrice="59000", closePosition="true")
    desk.order("BUY", "0.02")
    desk.wait(1_500)
    assert desk.algo_state(algo)["algoStatus"] == "FINISHED"
    assert desk.amount() == 0
    child = desk.ask("GET", "v1/order", symbol="BTCUSDT", orderId=desk.algo_state(algo)["actualOrderId"])
    assert (child["origQty"], child["closePosition"], child["status"]) == ("0.030", True, "FILLED")


@pytest.mark.parametrize(("terms", "then"), [({"timeInForce": "GTE_GTC"}, "EXPIRED"), ({}, "NEW")])
def test_the_other_bracket_ends_with_the_position_only_if_it_was_told_to(open_desk, terms, then):
    desk = open_desk(DOWN)
    desk.order("BUY", "0.01")
    stop = desk.algo("SELL", "STOP_MARKET", triggerPrice="59000", closePosition="true")
    target = desk.algo("SELL", "TAKE_PROFIT_MARKET", triggerPrice="61000", closePosition="true", **terms)
    desk.wait(1_500)
    assert desk.algo_state(stop)["algoStatus"] == "FINISHED"
    assert desk.algo_state(target)["algoStatus"] == then
    assert len(desk.ask("GET", "v1/openAlgoOrders")) == (then == "NEW")


def test_close_position_without_a_position_expires_at_its_trigger(open_desk):
    desk = open_desk(DOWN)
    stop = desk.algo("SELL", "STOP_MARKET", triggerPrice="59000", closePosition="true")
    desk.wait(1_500)
    assert desk.algo_state(stop)["algoStatus"] == "EXPIRED"


def test_a_good_till_date_conditional_order_expires(desk):
    end = 1_728_000_700_000
    algo = desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="59000", timeInForce="GTD", goodTillDate=end)
    desk.wait(700_000)
    assert desk.algo_state(algo)["algoStatus"] == "EXPIRED"


def test_cancelling(desk, code):
    one = desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="59000")
    two = desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="58000", clientAlgoId="two")
    answer = desk.ask("DELETE", "v1/algoOrder", clientAlgoId="two")
    assert answer == {"algoId": two["algoId"], "clientAlgoId": "two", "code": "200", "msg": "success"}
    assert code(lambda: desk.ask("DELETE", "v1/algoOrder", clientAlgoId="two")) == -2011
    assert [row["algoId"] for row in desk.ask("GET", "v1/openAlgoOrders")] == [one["algoId"]]
    assert desk.ask("DELETE", "v1/algoOpenOrders", symbol="BTCUSDT")["code"] == 200
    assert desk.ask("GET", "v1/openAlgoOrders", symbol="BTCUSDT") == []
    statuses = [row["algoStatus"] for row in desk.ask("GET", "v1/allAlgoOrders", symbol="BTCUSDT")]
    assert statuses == ["CANCELED", "CANCELED"]


def test_conditional_orders_are_not_among_the_open_orders(desk):
    desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="59000")
    assert desk.ask("GET", "v1/openOrders") == []


@pytest.mark.parametrize("seed", range(6))
def test_the_story_of_a_stop_in_events(open_desk, seed):
    desk = open_desk(DOWN, seed=seed)
    desk.order("BUY", "0.01")
    desk.events()
    desk.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice="59000", clientAlgoId="guard", reduceOnly="true")
    desk.wait(1_500)
    story = [(event["e"], event.get("o", {}).get("X")) for event in desk.events()]
    order = [("ORDER_TRADE_UPDATE", "NEW"), ("ACCOUNT_UPDATE", None), ("ORDER_TRADE_UPDATE", "FILLED")]
    triggered = ("ALGO_UPDATE", "TRIGGERED")
    begin = [("ALGO_UPDATE", "NEW"), ("ALGO_UPDATE", "TRIGGERING")]
    told = [*begin, triggered, *order], [*begin, *order, triggered]
    assert story[-1] == ("ALGO_UPDATE", "FINISHED")
    assert story[:-1] == told[seed in LATE_SEEDS]
