"""Orders of spot: what they lock, what they trade, what they cost, how they end."""

from decimal import Decimal
from typing import Any

import pytest

D = Decimal


def test_a_purchase_at_market_pays_its_fee_in_coins(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("BUY", "0.1")
    (fill,) = order["fills"]
    paid = D(fill["price"]) * D("0.1")
    assert (order["status"], order["executedQty"], fill["commissionAsset"]) == ("FILLED", "0.10000000", "BTC")
    assert D(order["cummulativeQuoteQty"]) == paid
    assert D(fill["commission"]) == D("0.0001")
    assert desk.balances() == {"BTC": (D("1.0999"), D(0)), "USDT": (100_000 - paid, D(0))}


def test_a_sale_pays_its_fee_in_money(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("SELL", "0.1")
    got = D(order["cummulativeQuoteQty"])
    assert [fill["commissionAsset"] for fill in order["fills"]] == ["USDT"]
    assert desk.balance("USDT") == (100_000 + got - (got / 1_000).quantize(D("1e-8"), "ROUND_DOWN"), D(0))


def test_fees_in_bnb_are_a_quarter_less(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(10_000), "BNB": D(1)}, BNBUSDT=[(0, 600.0)])
    desk.venue.call("trader", "POST", "/sapi/v1/bnbBurn", {"spotBNBBurn": "true"}, 0)
    order = desk.order("BUY", "0.1")
    (fill,) = order["fills"]
    expected = D(order["cummulativeQuoteQty"]) * D("0.00075") / 600
    assert fill["commissionAsset"] == "BNB"
    assert D(fill["commission"]) == expected.quantize(D("1e-8"), "ROUND_DOWN")
    assert desk.balance("BTC") == (D("0.1"), D(0))


@pytest.mark.parametrize(("side", "money"), [("BUY", "1000"), ("SELL", "1000")])
def test_an_order_can_be_told_money_instead_of_a_quantity(open_spot_desk: Any, side: str, money: str) -> None:
    desk = open_spot_desk()
    order = desk.order(side, None, quoteOrderQty=money)
    price = D(order["fills"][0]["price"])
    assert order["status"] == "FILLED"
    assert order["origQuoteOrderQty"] == "1000.00000000"
    assert order["origQty"] == order["executedQty"]
    assert 1000 - price * D("0.00001") < D(order["cummulativeQuoteQty"]) <= 1000


def test_a_limit_order_locks_what_it_needs_and_a_cancel_gives_it_back(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("BUY", "0.5", "40000")
    assert (order["status"], order["fills"]) == ("NEW", [])
    assert desk.balance("USDT") == (D(80_000), D(20_000))
    (found,) = desk.ask("GET", "openOrders", symbol="BTCUSDT")
    assert (found["orderId"], found["isWorking"]) == (order["orderId"], True)
    gone = desk.ask("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])
    assert gone["origClientOrderId"] == order["clientOrderId"] != gone["clientOrderId"]
    assert gone["status"] == desk.status(order) == "CANCELED"
    assert desk.balance("USDT") == (D(100_000), D(0))
    assert desk.refused("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"]) == (-2011, "Unknown order sent.")


def test_a_resting_order_trades_at_its_own_price(open_spot_desk: Any) -> None:
    desk = open_spot_desk(BTCUSDT=[(0, 50_000.0), (1_000, 39_999.0)])
    order = desk.order("BUY", "0.5", "40000")
    desk.wait(2_000)
    assert desk.status(order) == "FILLED"
    assert desk.balances() == {"BTC": (D("1.4995"), D(0)), "USDT": (D(80_000), D(0))}
    (trade,) = desk.ask("GET", "myTrades", symbol="BTCUSDT")
    assert (trade["price"], trade["isMaker"], trade["isBuyer"]) == ("40000.00000000", True, True)


def test_a_better_price_gives_back_what_it_saved(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    order = desk.order("BUY", "0.1", "60000")
    assert order["status"] == "FILLED"
    assert desk.balance("USDT") == (100_000 - D(order["cummulativeQuoteQty"]), D(0))


@pytest.mark.parametrize(
    ("quantity", "more", "status"),
    [
        ("0.1", {"timeInForce": "IOC"}, "EXPIRED"),
        ("0.1", {"timeInForce": "FOK"}, "EXPIRED"),
    ],
)
def test_what_finds_nothing_expires_and_is_no_error(
    open_spot_desk: Any, quantity: str, more: dict[str, str], status: str
) -> None:
    desk = open_spot_desk()
    order = desk.order("BUY", quantity, "45000", **more)
    assert (order["status"], order["executedQty"]) == (status, "0.00000000")
    assert desk.balance("USDT") == (D(100_000), D(0))


@pytest.mark.parametrize(
    ("side", "kind", "stop", "path", "fires"),
    [
        ("SELL", "STOP_LOSS", "45000", 45_000.0, True),
        ("SELL", "STOP_LOSS", "45000", 45_000.01, False),
        ("SELL", "TAKE_PROFIT", "55000", 55_000.0, True),
        ("SELL", "TAKE_PROFIT", "55000", 54_999.0, False),
        ("BUY", "STOP_LOSS", "55000", 55_000.0, True),
        ("BUY", "TAKE_PROFIT", "45000", 45_000.0, True),
    ],
)
def test_a_stop_waits_for_the_last_price(
    open_spot_desk: Any, side: str, kind: str, stop: str, path: float, fires: bool
) -> None:
    desk = open_spot_desk(BTCUSDT=[(0, 50_000.0), (1_000, path)])
    order = desk.ask("POST", "order", symbol="BTCUSDT", side=side, type=kind, quantity="0.1", stopPrice=stop)
    assert set(order) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    (waiting,) = desk.ask("GET", "openOrders")
    assert (waiting["isWorking"], waiting["workingTime"], waiting["stopPrice"]) == (False, -1, f"{stop}.00000000")
    locked = {"SELL": ("BTC", D("0.1")), "BUY": ("USDT", D(stop) / 10)}[side]
    assert desk.balance(locked[0])[1] == locked[1]
    desk.wait(2_000)
    assert desk.status(order) == ("FILLED" if fires else "NEW")
    assert desk.balance(locked[0])[1] == (0 if fires else locked[1])


def test_a_limit_stop_rests_once_its_price_is_reached(open_spot_desk: Any) -> None:
    desk = open_spot_desk(BTCUSDT=[(0, 50_000.0), (1_000, 45_000.0), (3_000, 45_600.0)])
    order = desk.order("SELL", "0.1", "45500", type="STOP_LOSS_LIMIT", stopPrice="45000")
    desk.wait(2_000)
    assert (desk.status(order), desk.state(order)["isWorking"]) == ("NEW", True)
    desk.wait(4_000)
    assert desk.status(order) == "FILLED"


def test_a_stop_that_finds_the_book_dearer_than_what_was_set_aside_takes_what_it_can_pay(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(5_500)}, BTCUSDT=[(0, 50_000.0), (1_000, 60_000.0)])
    order = desk.order("BUY", "0.1", type="STOP_LOSS", stopPrice="55000")
    desk.wait(2_000)
    found = desk.state(order)
    assert (found["status"], found["executedQty"]) == ("EXPIRED", "0.09166000")
    free, locked = desk.balance("USDT")
    assert 0 <= free < 1
    assert locked == 0


def filter_of(name: str) -> tuple[int, str]:
    return -1013, f"Filter failure: {name}"


MONEY = (-2010, "Account has insufficient balance for requested action.")
AT_ONCE = (-2010, "Order would trigger immediately.")


@pytest.mark.parametrize(
    ("terms", "refusal"),
    [
        (("BUY", "2.1"), MONEY),
        (("SELL", "1.1"), MONEY),
        (("BUY", "3", "40000"), MONEY),
        (("SELL", "1.1", "60000"), MONEY),
        (("BUY", "0.1", "40000.001"), filter_of("PRICE_FILTER")),
        (("BUY", "0.000001", "40000"), filter_of("LOT_SIZE")),
        (("BUY", "0.000015", "40000"), filter_of("LOT_SIZE")),
        (("BUY", "9001", "40000"), filter_of("LOT_SIZE")),
        (("BUY", "85"), filter_of("MARKET_LOT_SIZE")),
        (("BUY", "0.0001", "40000"), filter_of("NOTIONAL")),
        (("BUY", "0.00005"), filter_of("NOTIONAL")),
        (("BUY", "250", "40000"), filter_of("NOTIONAL")),
        (("BUY", "0.1", "9999"), filter_of("PERCENT_PRICE_BY_SIDE")),
        (("SELL", "0.1", "250001"), filter_of("PERCENT_PRICE_BY_SIDE")),
        (("BUY", "0.123456789", "40000"), (-1111, "Parameter 'quantity' has too much precision.")),
    ],
)
def test_what_is_refused(open_spot_desk: Any, terms: tuple[str, ...], refusal: tuple[int, str]) -> None:
    desk = open_spot_desk()
    assert desk.refused("POST", "order", **desk.terms(*terms)) == refusal
    assert desk.balances() == {"BTC": (D(1), D(0)), "USDT": (D(100_000), D(0))}


@pytest.mark.parametrize(
    ("terms", "more", "code", "text"),
    [
        (("SELL", "0.1"), {"type": "STOP_LOSS", "stopPrice": "50000"}, *AT_ONCE),
        (("SELL", "0.1"), {"type": "TAKE_PROFIT", "stopPrice": "49999"}, *AT_ONCE),
        (("BUY", "0.1", "50001"), {"type": "LIMIT_MAKER"}, -2010, "Order would immediately match and take."),
        (("BUY", "0.1", "40000"), {"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required."),
        (("BUY", "0.1"), {"quoteOrderQty": "5"}, -1128, "Combination of optional parameters invalid."),
        (("BUY", "0.1"), {"type": "STOP_LOSS"}, -1102, "Mandatory parameter 'stopPrice' was not sent, was"),
        (("BUY", "0.1"), {"type": "STOP"}, -1116, "Invalid orderType."),
        (("BUY", "0.1", "40000"), {"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        (("BUY", "0.1"), {"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
        (("BUY", "0.1"), {"newClientOrderId": "%"}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
    ],
)
def test_what_is_wrong_is_named(
    open_spot_desk: Any, terms: tuple[str, ...], more: dict[str, str], code: int, text: str
) -> None:
    desk = open_spot_desk()
    refused = desk.refused("POST", "order", **desk.terms(*terms, **more))
    assert refused[0] == code
    assert refused[1].startswith(text)


def test_a_name_is_that_of_one_open_order(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    first = desk.order("BUY", "0.1", "40000", newClientOrderId="mine")
    terms = desk.terms("BUY", "0.1", "40000", newClientOrderId="mine")
    assert desk.refused("POST", "order", **terms) == (-2010, "Duplicate order sent.")
    desk.ask("DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine")
    second = desk.order("BUY", "0.1", "40000", newClientOrderId="mine")
    assert second["orderId"] != first["orderId"]


def test_five_orders_of_a_pair_wait_for_their_price(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    stop = {"type": "STOP_LOSS", "stopPrice": "45000"}
    for _ in range(5):
        desk.order("SELL", "0.1", **stop)
    assert desk.refused("POST", "order", **desk.terms("SELL", "0.1", **stop)) == filter_of("MAX_NUM_ALGO_ORDERS")


def test_a_test_order_is_checked_and_leaves_nothing(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    assert desk.ask("POST", "order/test", **desk.terms("BUY", "0.1")) == {}
    assert desk.refused("POST", "order/test", **desk.terms("BUY", "0.00001")) == filter_of("NOTIONAL")
    rates = desk.ask("POST", "order/test", **desk.terms("BUY", "0.1", computeCommissionRates="true"))
    assert rates["standardCommissionForOrder"]["taker"] == "0.00100000"
    assert (desk.ask("GET", "allOrders", symbol="BTCUSDT"), desk.ask("GET", "openOrders")) == ([], [])


def test_an_order_beyond_a_level_of_the_book_pays_more(open_spot_desk: Any) -> None:
    desk = open_spot_desk({"USDT": D(1_000_000)})
    order = desk.order("BUY", "5")
    prices = [D(fill["price"]) for fill in order["fills"]]
    assert len(prices) > 1
    assert prices == sorted(prices)
    assert sum(D(fill["qty"]) for fill in order["fills"]) == 5
    assert order["status"] == "FILLED"


def test_what_is_answered_is_as_long_as_was_asked_for(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    sizes = [len(desk.order("BUY", "0.01", newOrderRespType=kind)) for kind in ("ACK", "RESULT", "FULL")]
    assert sizes[0] == 5
    assert sizes == sorted(set(sizes))


def test_an_answer_that_there_is_not_is_refused_before_anything_is_done(open_spot_desk: Any) -> None:
    desk = open_spot_desk()
    wrong = {"newOrderRespType": "LOUD"}
    kept = desk.order("SELL", "0.1", "60000")
    replacing = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": kept["orderId"]}
    exits = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER", "abovePrice": "60000",
             "belowType": "STOP_LOSS", "belowStopPrice": "45000"}  # fmt: skip
    assert desk.refused("POST", "order", **desk.terms("BUY", "0.1", **wrong))[0] == -1130
    assert desk.refused("POST", "order/cancelReplace", **desk.terms("BUY", "0.1", **wrong), **replacing)[0] == -1130
    assert desk.refused("POST", "orderList/oco", **exits, **wrong)[0] == -1130
    assert [each["orderId"] for each in desk.ask("GET", "openOrders")] == [kept["orderId"]]
    assert desk.balances() == {"BTC": (D("0.9"), D("0.1")), "USDT": (D(100_000), D(0))}
