"""What trading costs and earns: fees, profit, funding, margin, liquidation - each sum worked out by hand."""

from decimal import Decimal

import pytest

from pipeline.simulator.venue import funding_rate

D = Decimal
HOUR = 3_600_000


def tape(*prices, every=1_000):
    """A price in dollars at each step."""
    return [(number * every, int(price * 10), 1_000_000) for number, price in enumerate(prices)]


def incomes(desk, kind):
    return [D(row["income"]) for row in desk.ask("GET", "v1/income", incomeType=kind)]


def test_the_taker_and_the_maker_fee(open_desk):
    desk = open_desk(tape(60_000, 59_000))
    desk.order("BUY", "0.01")
    desk.order("BUY", "0.01", "59000")
    desk.wait(2_000)
    assert incomes(desk, "COMMISSION") == [D("-0.300003"), D("-0.118")]
    assert desk.wallet() == 10_000 - D("0.418003")


@pytest.mark.parametrize(
    ("steps", "amount", "entry", "realised"),
    [
        ([("BUY", "0.01")], "0.01", "60000.6", "0"),
        ([("BUY", "0.02"), ("SELL", "0.01")], "0.01", "60000.6", "-0.012"),
        ([("BUY", "0.01"), ("SELL", "0.01")], "0", "0.0", "-0.012"),
        ([("BUY", "0.01"), ("SELL", "0.03")], "-0.02", "59999.4", "-0.012"),
        ([("SELL", "0.02"), ("BUY", "0.01")], "-0.01", "59999.4", "-0.012"),
        ([("SELL", "0.02"), ("SELL", "0.01"), ("BUY", "0.04")], "0.01", "60000.6", "-0.036"),
    ],
)
def test_a_position_grows_shrinks_and_turns(desk, steps, amount, entry, realised):
    for side, quantity in steps:
        desk.order(side, quantity)
    position = desk.position()
    assert (D(position["positionAmt"]), position["entryPrice"]) == (D(amount), entry)
    assert sum(incomes(desk, "REALIZED_PNL"), D(0)) == D(realised)


def test_profit_is_unrealised_until_it_is_closed(open_desk):
    desk = open_desk(tape(60_000, 61_000))
    desk.order("BUY", "0.1")
    desk.wait(1_500)
    account = desk.ask("GET", "v3/account")
    assert D(account["totalUnrealizedProfit"]) == D("0.1") * (61_000 - D("60000.6"))
    assert D(account["totalMarginBalance"]) == D(account["totalWalletBalance"]) + D(account["totalUnrealizedProfit"])


def test_hedge_mode_holds_both_sides_at_once(desk):
    desk.ask("POST", "v1/positionSide/dual", dualSidePosition="true")
    assert desk.ask("GET", "v1/positionSide/dual") == {"dualSidePosition": True}
    desk.order("BUY", "0.02", positionSide="LONG")
    desk.order("SELL", "0.03", positionSide="SHORT")
    desk.order("SELL", "0.01", positionSide="LONG")
    assert desk.amount(side="LONG") == D("0.01")
    assert desk.amount(side="SHORT") == D("-0.03")
    assert desk.amount(side="BOTH") == 0
    closed = desk.order("BUY", "0.05", positionSide="SHORT")
    assert (closed["status"], closed["executedQty"]) == ("EXPIRED", "0.030")


@pytest.mark.parametrize(("side", "sign"), [("BUY", -1), ("SELL", 1)])
def test_funding_every_eight_hours_at_the_mark_price(open_desk, side, sign):
    desk = open_desk(marks={"BTCUSDT": [(0, D(60_000))]})
    desk.order(side, "0.1")
    desk.wait(8 * HOUR - 1)
    assert incomes(desk, "FUNDING_FEE") == []
    desk.wait(8 * HOUR)
    assert incomes(desk, "FUNDING_FEE") == [sign * D("0.6")]  # 0.1 x 60,000 x 0.01 %
    update = desk.events("ACCOUNT_UPDATE")[-1]["a"]
    assert (update["m"], D(update["B"][0]["bc"]), update["P"]) == ("FUNDING_FEE", sign * D("0.6"), [])


@pytest.mark.parametrize(("mark", "rate"), [(60_000, "0.0001"), (61_000, "-0.0004"), (59_000, "0.0006")])
def test_the_funding_rate_leans_against_the_premium_and_is_clamped(open_desk, mark, rate):
    desk = open_desk(marks={"BTCUSDT": [(0, D(mark))]})
    assert funding_rate(desk.market, "BTCUSDT", 1_728_000_000_000) == D(rate)


def test_the_margin_of_a_position_and_of_open_orders(desk):
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    account = desk.ask("GET", "v3/account")
    assert D(account["totalPositionInitialMargin"]) == 600
    assert D(account["totalMaintMargin"]) == 24
    desk.order("BUY", "0.1", "59000")
    desk.order("SELL", "0.05", "61000")
    account = desk.ask("GET", "v3/account")
    assert D(account["totalOpenOrderInitialMargin"]) == 590  # only the direction that adds to the position
    free = D(account["totalCrossWalletBalance"]) + D(account["totalCrossUnPnl"]) - 600 - 590
    assert D(account["availableBalance"]) == free


def test_turning_a_position_needs_margin_only_for_what_is_new(open_desk, code):
    desk = open_desk(deposit=500)
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.05")
    assert code(lambda: desk.order("BUY", "0.05")) == -2019
    assert desk.order("SELL", "0.1")["status"] == "FILLED"


def test_isolated_margin_is_set_aside_and_given_back(desk):
    desk.ask("POST", "v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    position = desk.position()
    assert (position["marginType"], D(position["isolatedWallet"])) == ("isolated", D("600.006"))
    balance = desk.ask("GET", "v2/balance")[0]
    assert D(balance["balance"]) - D(balance["crossWalletBalance"]) == D("600.006")
    desk.order("SELL", "0.05")
    assert D(desk.position()["isolatedWallet"]) == D("300.003")
    desk.order("SELL", "0.05")
    assert D(desk.position()["isolatedWallet"]) == 0


def test_a_liquidation_price_is_where_liquidation_happens(open_desk):
    desk = open_desk(deposit=700)
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    price = D(desk.position()["liquidationPrice"])
    desk.market.marks["BTCUSDT"] = [(0, D(60_000)), (1_500, price + 1), (2_500, price - 1)]
    desk.wait(2_000)
    assert desk.amount() == D("0.1")
    desk.wait(3_000)
    assert desk.amount() == 0


def test_a_cross_account_is_warned_then_liquidated_and_owes_nothing(open_desk):
    marks = [(0, D(60_000)), (1_500, D("53260")), (2_500, D("40000"))]
    desk = open_desk(deposit=700, marks={"BTCUSDT": marks})
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    resting = desk.order("BUY", "0.1", "3000", symbol="ETHUSDT", leverage=20)
    desk.events()
    desk.wait(2_000)
    warnings = desk.events("MARGIN_CALL")
    assert [row["s"] for event in warnings for row in event["p"]] == ["BTCUSDT"]
    desk.wait(4_000)
    assert desk.amount() == 0
    assert desk.wallet() == 0
    assert desk.state(resting)["status"] == "CANCELED"
    forced = [event["o"] for event in desk.events("ORDER_TRADE_UPDATE") if event["o"]["c"].startswith("autoclose-")]
    assert [(order["x"], order["X"], order["o"]) for order in forced] == [
        ("NEW", "NEW", "LIQUIDATION"),
        ("CALCULATED", "FILLED", "LIQUIDATION"),
    ]


def test_an_isolated_liquidation_costs_no_more_than_was_set_aside(open_desk):
    desk = open_desk(marks={"BTCUSDT": [(0, D(60_000)), (1_500, D("40000"))]})
    desk.ask("POST", "v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    before = desk.wallet()
    desk.wait(3_000)
    assert desk.amount() == 0
    assert before - desk.wallet() == D("600.006")


def test_a_changed_leverage_is_announced_once(desk):
    for _ in range(2):
        answer = desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=50)
        assert answer == {"leverage": 50, "maxNotionalValue": "10000000", "symbol": "BTCUSDT"}
    (event,) = desk.events("ACCOUNT_CONFIG_UPDATE")
    assert event["ac"] == {"s": "BTCUSDT", "l": 50}
    assert desk.ask("GET", "v1/symbolConfig", symbol="BTCUSDT")[0]["leverage"] == 50


def test_a_second_account_of_that_name_is_refused(desk):
    with pytest.raises(ValueError, match="already an account 'trader'"):
        desk.venue.open_account("trader", {"USDT": D(1)})


def test_the_break_even_price_counts_the_fees_of_this_position_only(desk):
    desk.order("BUY", "0.01")
    desk.order("SELL", "0.01")
    desk.order("BUY", "0.01")
    assert desk.position()["breakEvenPrice"] == "60030.6003"  # 60,000.6 and its own taker fee, once


def test_the_warning_comes_once_until_the_margin_has_recovered(open_desk):
    marks = [(0, D(60_000)), (1_500, D(53_260)), (4_500, D(58_000)), (6_500, D(53_260))]
    desk = open_desk(deposit=700, marks={"BTCUSDT": marks})
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    desk.wait(4_000)
    assert len(desk.events("MARGIN_CALL")) == 1
    desk.wait(9_000)
    assert len(desk.events("MARGIN_CALL")) == 1


def test_a_cross_liquidation_leaves_the_isolated_margin_alone(open_desk):
    desk = open_desk(deposit=1_000, marks={"BTCUSDT": [(0, D(60_000)), (1_500, D(40_000))]})
    desk.ask("POST", "v1/marginType", symbol="ETHUSDT", marginType="ISOLATED")
    desk.ask("POST", "v1/leverage", symbol="ETHUSDT", leverage=10)
    desk.order("BUY", "1", symbol="ETHUSDT")
    desk.order("BUY", "0.1")
    desk.wait(3_000)
    assert (desk.amount(), desk.amount("ETHUSDT")) == (0, 1)
    balance = desk.ask("GET", "v3/balance")[0]
    assert (D(balance["balance"]), D(balance["crossWalletBalance"])) == (D("300.003"), 0)


def test_an_isolated_position_pays_funding_out_of_its_own_margin(desk):
    desk.ask("POST", "v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    cross = desk.ask("GET", "v3/balance")[0]["crossWalletBalance"]
    desk.wait(8 * HOUR)
    assert D(desk.position()["isolatedWallet"]) == D("600.006") - D("0.6")
    assert desk.ask("GET", "v3/balance")[0]["crossWalletBalance"] == cross
    (row,) = desk.events("ACCOUNT_UPDATE")[-1]["a"]["P"]
    assert D(row["iw"]) == D("599.406")


def test_an_isolated_position_is_liquidated_where_its_own_margin_ends(desk):
    desk.ask("POST", "v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.order("BUY", "0.1")
    price = D(desk.position()["liquidationPrice"])
    assert price.quantize(D("0.01")) == D("54217.41")  # (6,000.06 - 600.006) / (0.1 x 0.996)
    desk.market.marks["BTCUSDT"] = [(0, D(60_000)), (1_500, price + 1), (2_500, price - 1)]
    desk.wait(2_000)
    assert desk.amount() == D("0.1")
    desk.wait(3_000)
    assert desk.amount() == 0


def test_an_amended_order_frees_the_margin_it_held(open_desk):
    desk = open_desk(deposit=700)
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    order = desk.order("BUY", "0.1", "59000")
    amend = {"symbol": "BTCUSDT", "orderId": order["orderId"], "quantity": "0.1", "price": "58000"}
    assert desk.ask("PUT", "v1/order", **amend)["price"] == "58000.00"
