"""Lists of orders: one of two, one after the other, and a cancel that is at once a new order."""

from decimal import Decimal
from typing import Any

import pytest

D = Decimal
ABOVE, BELOW = ("LIMIT_MAKER", "60000"), ("STOP_LOSS", "45000")


def reports(group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {report["type"]: report for report in group["orderReports"]}


def test_an_oco_locks_its_coins_once(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    group = desk.oco("SELL", "0.7", ABOVE, BELOW, listClientOrderId="exit")
    assert (group["contingencyType"], group["listOrderStatus"], group["listClientOrderId"]) == (
        "OCO",
        "EXECUTING",
        "exit",
    )
    assert desk.balance("BTC") == (D("0.3"), D("0.7"))
    assert {each["orderListId"] for each in desk.ask("GET", "openOrders")} == {group["orderListId"]}
    refused = desk.refused("POST", "order", **desk.terms("SELL", "0.4", "60000"))
    assert refused == (-2010, "Account has insufficient balance for requested action.")


@pytest.mark.parametrize(
    ("price", "done", "gone"), [(60_001.0, "LIMIT_MAKER", "STOP_LOSS"), (44_000.0, "STOP_LOSS", "LIMIT_MAKER")]
)
def test_one_of_two_trades_and_the_other_is_gone(open_spot_desk: Any, price: float, done: str, gone: str) -> None:
    desk = open_spot_desk(BTCUSDT=[(0, 50_000.0), (1_000, price)])
    orders = reports(desk.oco("SELL", "0.7", ABOVE, BELOW))
    desk.heard()
    desk.wait(2_000)
    assert (desk.status(orders[done]), desk.status(orders[gone])) == ("FILLED", "EXPIRED")
    assert desk.balance("BTC") == (D("0.3"), D(0))
    (listed,) = desk.ask("GET", "allOrderList")
    assert listed["listOrderStatus"] == "ALL_DONE"
    assert desk.ask("GET", "openOrderList") == []
    told = [event for event in desk.heard() if event["e"] == "listStatus"]
    assert [(event["l"], event["L"]) for event in told] == [("ALL_DONE", "ALL_DONE")]


def test_a_part_of_one_is_the_end_of_the_other(open_spot_desk: Any) -> None:
    desk = open_spot_desk(BTCUSDT=[(0, 50_000.0), (1_000, 60_000.0), (2_000, 44_000.0)])
    desk.market.paths["BTCUSDT"][1] = (1_000, 6_000_000, 20_000)
    orders = reports(desk.oco("SELL", "0.7", ABOVE, BELOW))
    desk.wait(1_500)
    assert (desk.status(orders["LIMIT_MAKER"]), desk.status(orders["STOP_LOSS"])) == ("PARTIALLY_FILLED", "EXPIRED")
    assert desk.balance("BTC") == (D("0.3"), D("0.5"))
    desk.wait(3_000)
    assert desk.status(orders["LIMIT_MAKER"]) == "PARTIALLY_FILLED"


def test_an_oco_that_buys_locks_the_dearer_of_the_two(open_spot_desk: Any) -> None:
    desk = open_spot_desk(BTCUSDT=[(0, 50_000.0), (1_000, 44_999.0)])
    desk.oco("BUY", "1", ("STOP_LOSS", "55000"), ("LIMIT_MAKER", "45000"))
    assert desk.balance("USDT") == (D(45_000), D(55_000))
    desk.wait(2_000)
    assert desk.balance("USDT") == (D(55_000), D(0))


@pytest.mark.parametrize("by", ["leg", "list", "pair"])
def test_who_cancels_one_cancels_all(open_spot_desk: Any, by: str) -> None:
    desk = open_spot_desk()
    group = desk.oco("SELL", "0.7", ABOVE, BELOW)
    orders = reports(group)
    match by:
        case "leg":
            gone = desk.ask("DELETE", "order", symbol="BTCUSDT", orderId=orders["STOP_LOSS"]["orderId"])
            assert {each["origClientOrderId"] for each in gone["orderReports"]} == {
                each["clientOrderId"] for each in orders.values()
            }
        case "list":
            gone = desk.ask("DELETE", "orderList", symbol="BTCUSDT", orderListId=group["orderListId"])
            assert [each["status"] for each in gone["orderReports"]] == ["CANCELED", "CANCELED"]
        case _:
            (gone,) = desk.ask("DELETE", "openOrders", symbol="BTCUSDT")
            assert gone["orderListId"] == group["orderListId"]
    assert {desk.status(order) for order in orders.values()} == {"CANCELED"}
    assert desk.balance("BTC") == (D(1), D(0))
    assert desk.refused("DELETE", "orderList", symbol="BTCUSDT", orderListId=group["orderListId"])[0] == -2011


@pytest.mark.parametrize(
    ("side", "above", "below", "code", "text"),
    [
        (
            "SELL",
            ("LIMIT_MAKER", "49000"),
            BELOW,
            -2010,
            "The relationship of the prices for the orders is not correct.",
        ),
        ("SELL", ABOVE, ("STOP_LOSS", "51000"), -2010, "The relationship of the prices for the orders is not correct."),
        ("SELL", ("STOP_LOSS", "60000"), ("LIMIT_MAKER", "45000"), -1128, "Combination of optional"),
        ("SELL", ABOVE, ("STOP_LOSS", "45000.001"), -1013, "Filter failure: PRICE_FILTER"),
        ("SELL", ABOVE, ("STOP_LOSS_LIMIT", "45000"), -1102, "Mandatory parameter 'belowPrice'"),
    ],
)
def test_an_oco_that_is_refused_locks_nothing(
    open_spot_desk: Any, side: str, above: Any, below: Any, code: int, text: str
) -> None:
    desk = open_spot_desk()
    legs = {}
    for place, (kind, price) in (("above", above), ("below", below)):
        legs |= {f"{place}Type": kind, f"{place}{'Price' if kind == 'LIMIT_MAKER' else 'StopPrice'}": price}
    refused = desk.refused("POST", "orderList/oco", symbol="BTCUSDT", side=side, quantity="0.1", **legs)
    assert refused[0] == code
    assert refused[1].startswith(text)
    assert desk.balance("BTC") == (D(1), D(0))
    assert desk.ask("GET", "openOrders") == []


WORKING = {"workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "45000", "workingQuantity": "0.5",
           "workingTimeInForce": "GTC"}  # fmt: skip
PENDING = {"pendingSide": "SELL", "pendingQuantity": "0.4"}
EXITS = {"pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "60000", "pendingBelowType": "STOP_LOSS",
         "pendingBelowStopPrice": "40000"}  # fmt: skip


def test_what_hangs_on_an_order_waits_until_it_is_filled(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(50_000)}, BTCUSDT=[(0, 50_000.0), (1_000, 44_999.0), (2_000, 39_000.0)])
    chain = {"symbol": "BTCUSDT", "newOrderRespType": "RESULT", **WORKING, **PENDING, **EXITS}
    group = desk.ask("POST", "orderList/otoco", **chain)
    assert [each["status"] for each in group["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    assert desk.balance("USDT") == (D(27_500), D(22_500))
    desk.wait(1_500)
    assert desk.balance("BTC") == (D("0.0995"), D("0.4"))
    assert [each["status"] for each in desk.ask("GET", "openOrders")] == ["NEW", "NEW"]
    desk.wait(2_500)
    assert [desk.status(each) for each in group["orderReports"]] == ["FILLED", "EXPIRED", "FILLED"]
    assert desk.balance("BTC") == (D("0.0995"), D(0))


def test_what_hangs_on_an_order_that_is_cancelled_is_cancelled(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(50_000)})
    pending = {**PENDING, "pendingType": "LIMIT", "pendingPrice": "60000", "pendingTimeInForce": "GTC"}
    group = desk.ask("POST", "orderList/oto", symbol="BTCUSDT", newOrderRespType="RESULT", **WORKING, **pending)
    desk.ask("DELETE", "order", symbol="BTCUSDT", orderId=group["orderReports"][0]["orderId"])
    assert [desk.status(each) for each in group["orderReports"]] == ["CANCELED", "CANCELED"]
    assert desk.balance("USDT") == (D(50_000), D(0))


def test_what_hangs_on_an_order_and_cannot_be_paid_is_rejected(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(50_000)}, BTCUSDT=[(0, 50_000.0), (1_000, 44_999.0)])
    pending = {**PENDING, **EXITS, "pendingQuantity": "0.5"}  # the fee is missing
    group = desk.ask("POST", "orderList/otoco", symbol="BTCUSDT", newOrderRespType="RESULT", **WORKING, **pending)
    desk.wait(2_000)
    assert [desk.status(each) for each in group["orderReports"]] == ["FILLED", "REJECTED", "REJECTED"]
    assert desk.balance("BTC") == (D("0.4995"), D(0))


REPLACING = {"cancelReplaceMode": "STOP_ON_FAILURE"}


def replaced(desk: Any, order: Any, *terms: Any, mode: str, **more: object) -> dict[str, Any]:
    """What a cancel-and-replace answers, with the status of the answer."""
    sent = desk.terms(*terms, cancelReplaceMode=mode, cancelOrderId=order["orderId"], **more)
    try:
        return {"status": 200, **desk.ask("POST", "order/cancelReplace", **sent)}
    except Exception as refusal:  # noqa: BLE001 - what it is, is asserted
        body: dict[str, Any] = refusal.body()  # type: ignore[attr-defined]
        return {"status": refusal.status, "code": body["code"], **body["data"]}  # type: ignore[attr-defined]


def results(answer: dict[str, Any]) -> tuple[Any, ...]:
    return answer["status"], answer.get("code"), answer["cancelResult"], answer["newOrderResult"]


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_an_order_is_replaced_at_once(open_spot_desk: Any, mode: str) -> None:
    desk = open_spot_desk()
    order = desk.order("SELL", "1", "60000")
    answer = replaced(desk, order, "SELL", "1", "61000", mode=mode)
    assert results(answer) == (200, None, "SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["origClientOrderId"] == order["clientOrderId"]
    assert answer["newOrderResponse"]["price"] == "61000.00000000"
    assert (desk.status(order), desk.status(answer["newOrderResponse"])) == ("CANCELED", "NEW")
    assert desk.balance("BTC") == (D(0), D(1))


def test_an_order_of_a_list_is_replaced_and_the_list_is_gone(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    orders = reports(desk.oco("SELL", "1", ABOVE, BELOW))
    answer = replaced(
        desk, orders["STOP_LOSS"], "SELL", "1", mode="STOP_ON_FAILURE", type="STOP_LOSS", stopPrice="46000"
    )
    assert results(answer) == (200, None, "SUCCESS", "SUCCESS")
    assert [each["status"] for each in answer["cancelResponse"]["orderReports"]] == ["CANCELED", "CANCELED"]
    assert {desk.status(order) for order in orders.values()} == {"CANCELED"}
    assert desk.balance("BTC") == (D(0), D(1))


@pytest.mark.parametrize(
    ("mode", "found", "paid", "expected"),
    [
        ("STOP_ON_FAILURE", False, True, (400, -2022, "FAILURE", "NOT_ATTEMPTED")),
        ("ALLOW_FAILURE", False, True, (409, -2021, "FAILURE", "SUCCESS")),
        ("ALLOW_FAILURE", False, False, (400, -2022, "FAILURE", "FAILURE")),
        ("STOP_ON_FAILURE", True, False, (409, -2021, "SUCCESS", "FAILURE")),
        ("ALLOW_FAILURE", True, False, (409, -2021, "SUCCESS", "FAILURE")),
    ],
)
def test_a_replacement_can_be_half_done(
    open_spot_desk: Any, mode: str, found: bool, paid: bool, expected: tuple[Any, ...]
) -> None:
    desk = open_spot_desk()
    order = desk.order("SELL", "0.1", "60000") if found else {"orderId": 17}
    answer = replaced(desk, order, "SELL", "0.2" if paid else "5", "61000", mode=mode)
    assert results(answer) == expected
    if not found:
        assert answer["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    if expected[3] == "FAILURE":
        assert answer["newOrderResponse"]["code"] == -2010
    if expected[3] == "NOT_ATTEMPTED":
        assert answer["newOrderResponse"] is None
    assert len(desk.ask("GET", "openOrders")) == (expected[3] == "SUCCESS")


def test_a_replacement_that_no_filter_lets_through_cancels_nothing(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("SELL", "0.1", "60000")
    sent = desk.terms("SELL", "0.1", "60000.001", cancelOrderId=order["orderId"], **REPLACING)
    assert desk.refused("POST", "order/cancelReplace", **sent) == (-1013, "Filter failure: PRICE_FILTER")
    assert desk.status(order) == "NEW"


def test_a_replacement_of_one_of_five_stops_would_be_the_sixth(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    stops = [desk.order("SELL", "0.1", type="STOP_LOSS", stopPrice=f"4{number}000") for number in range(5)]
    sent = desk.terms(
        "SELL", "0.1", type="STOP_LOSS", stopPrice="46000", cancelOrderId=stops[0]["orderId"], **REPLACING
    )
    assert desk.refused("POST", "order/cancelReplace", **sent) == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
    assert {desk.status(order) for order in stops} == {"NEW"}


def test_a_stop_that_would_trigger_at_once_replaces_nothing_and_what_stood_is_gone(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    stop = desk.order("SELL", "0.1", type="STOP_LOSS", stopPrice="40000")
    answer = replaced(desk, stop, "SELL", "0.1", mode="STOP_ON_FAILURE", type="STOP_LOSS", stopPrice="60000")
    assert results(answer) == (409, -2021, "SUCCESS", "FAILURE")
    assert answer["newOrderResponse"] == {"code": -2010, "msg": "Order would trigger immediately."}
    assert desk.status(stop) == "CANCELED"


def test_a_replacement_may_ask_that_nothing_has_traded_yet(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("SELL", "0.1", "60000")
    kept = replaced(desk, order, "SELL", "0.1", "61000", mode="STOP_ON_FAILURE",
                    cancelRestrictions="ONLY_PARTIALLY_FILLED")  # fmt: skip
    assert kept["cancelResponse"] == {"code": -2011, "msg": "Order was not canceled due to cancel restrictions."}
    assert desk.status(order) == "NEW"
    assert (
        replaced(desk, order, "SELL", "0.1", "61000", mode="STOP_ON_FAILURE", cancelRestrictions="ONLY_NEW")["status"]
        == 200
    )


def test_a_replacement_may_bear_the_name_of_what_it_replaces(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("SELL", "0.1", "60000", newClientOrderId="stop")
    answer = replaced(desk, order, "SELL", "0.1", "61000", mode="STOP_ON_FAILURE", newClientOrderId="stop")
    assert results(answer) == (200, None, "SUCCESS", "SUCCESS")
    assert desk.ask("GET", "order", symbol="BTCUSDT", origClientOrderId="stop")["price"] == "61000.00000000"


@pytest.mark.parametrize(
    ("name", "taken"),
    [("aboveClientOrderId", "mine"), ("belowClientOrderId", "mine"), ("listClientOrderId", "group")],
)
def test_a_name_of_a_list_is_that_of_nothing_open(open_spot_desk: Any, name: str, taken: str) -> None:
    desk = open_spot_desk()
    desk.order("SELL", "0.1", "60000", newClientOrderId="mine")
    desk.oco("SELL", "0.1", ABOVE, BELOW, listClientOrderId="group")
    terms = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1", "aboveType": ABOVE[0], "abovePrice": ABOVE[1],
             "belowType": BELOW[0], "belowStopPrice": BELOW[1], name: taken}  # fmt: skip
    assert desk.refused("POST", "orderList/oco", **terms) == (-2010, "Duplicate order sent.")
    assert desk.balance("BTC") == (D("0.8"), D("0.2"))


def test_a_maker_that_would_take_when_its_turn_comes_is_rejected(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(50_000)}, BTCUSDT=[(0, 50_000.0), (1_000, 44_999.0)])
    pending = {**PENDING, **EXITS, "pendingAbovePrice": "44000"}
    group = desk.ask("POST", "orderList/otoco", symbol="BTCUSDT", newOrderRespType="RESULT", **WORKING, **pending)
    desk.wait(2_000)
    assert [desk.status(each) for each in group["orderReports"]] == ["FILLED", "REJECTED", "REJECTED"]
    assert desk.balance("BTC") == (D("0.4995"), D(0))


def test_what_is_wrong_with_an_order_of_a_list_is_named_as_it_was_sent(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    terms = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1", "aboveType": ABOVE[0], "abovePrice": ABOVE[1],
             "belowType": BELOW[0], "belowStopPrice": BELOW[1], "belowPrice": "1"}  # fmt: skip
    refused = desk.refused("POST", "orderList/oco", **terms)
    assert refused == (-1106, "Parameter 'belowPrice' sent when not required.")
    chain = {**WORKING, **PENDING, **EXITS, "workingClientOrderId": "one", "pendingBelowClientOrderId": "one"}
    assert desk.refused("POST", "orderList/otoco", symbol="BTCUSDT", **chain)[0] == -1128
    assert desk.ask("GET", "openOrders") == []
