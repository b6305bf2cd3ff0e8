"""What trading COIN-M costs and earns, in coins: each sum worked out by hand, or as it was captured."""

from decimal import Decimal

import pytest

from pipeline.simulator.market.coin_contracts import coin_contracts
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import margin
from pipeline.simulator.venue.account import Account, PositionMode
from pipeline.simulator.venue.brackets import brackets_of
from pipeline.simulator.venue.orders import PositionSide
from pipeline.simulator.venue.positions import Position
from pipeline.simulator.worth import Inverse

D = Decimal
HOUR = 3_600_000
CENT = D("0.00000001")
BTC_100 = Inverse("BTC", D(100))
PERP = SymbolSpec("BTCUSD_PERP", "BTC", "USD", D("0.1"), D(1), 0, worth=BTC_100, bracket_unit=D("0.0001"))


def position(*fills: tuple[int, str], isolated: bool = False, leverage: int = 10) -> Position:
    found = Position(PERP.symbol, PositionSide.BOTH, worth=BTC_100)
    for change, price in fills:
        found.fill(D(change), D(price), leverage, isolated)
    return found


def incomes(desk, kind, asset="BTC"):
    rows = desk.ask("GET", "v1/income", incomeType=kind)
    return [D(row["income"]) for row in rows if row["asset"] == asset]


@pytest.mark.parametrize(("contracts", "profit"), [(100, "0.01818182"), (-100, "-0.01818182")])
def test_the_profit_of_a_hundred_contracts_from_50000_to_55000(contracts: int, profit: str) -> None:
    held = position((contracts, "50000"))
    assert held.unrealised(D(55_000)).quantize(CENT) == D(profit)
    assert held.fill(D(-contracts), D(55_000), 10, isolated=False) == D(profit)
    assert (held.quantity, held.cost, held.entry) == (0, 0, 0)


def test_the_average_entry_is_harmonic_and_comes_out_as_it_went_in() -> None:
    assert position((10, "50000"), (30, "60000")).entry.quantize(CENT) == D("57142.85714286")
    assert position((1, "82945.2")).entry.quantize(D("1e-12")) == D("82945.2")
    shrunk = position((7, "82945.2"), (-3, "81000"), (-2, "90000"))
    assert shrunk.entry.quantize(D("1e-10")) == D("82945.2"), "what is closed leaves the entry as it was"
    turned = position((10, "50000"), (-30, "60000"))
    assert (turned.quantity, turned.entry.quantize(CENT)) == (-20, D(60_000))


def test_break_even_is_the_entry_marked_up_by_the_fee() -> None:
    held = position((1, "82945.2"))
    held.fees = held.notional(D("82945.2")) * D("0.0004")
    assert held.break_even.quantize(CENT) == D("82978.37808000")
    sold = position((-1, "82945.2"))
    sold.fees = -sold.notional(D("82945.2")) * D("0.0004")
    assert sold.break_even.quantize(CENT) == D("82912.02192000")


@pytest.mark.parametrize(
    ("contracts", "entry", "leverage", "expected"),
    [
        (100, "50000", 10, "45636.36363636"),
        (-100, "50000", 10, "55333.33333333"),
        (2, "37643.10000021", 2, None),
    ],
)
def test_the_liquidation_price_of_an_isolated_position(
    contracts: int, entry: str, leverage: int, expected: str | None
) -> None:
    account = Account("a", "a", 0, isolated={PERP.symbol})
    held = account.positions[PERP.symbol, PositionSide.BOTH] = position((contracts, entry), isolated=True,
                                                                        leverage=leverage)  # fmt: skip
    if expected is None:  # captured, with the margin that it had
        held.isolated_wallet, expected = D("0.00268058"), "25119.97"
        mark = D("38103.05510455")
        assert 0 <= held.unrealised(mark) - D("0.00006413") < CENT
        assert held.notional(mark).quantize(CENT) == D("0.00524892")
    found = margin.liquidation_price(account, held, {PERP.symbol: PERP}, lambda _: D(entry))
    assert abs(found - D(expected)) < D("0.01")
    at = held.isolated_wallet + held.unrealised(found)
    assert abs(at - D("0.004") * abs(held.notional(found))) < CENT, "there the margin is the maintenance margin"


def test_a_short_with_much_behind_it_is_never_liquidated() -> None:
    account = Account("a", "a", 0, {"BTC": D(1)})
    held = account.positions[PERP.symbol, PositionSide.BOTH] = position((-100, "50000"))
    assert margin.liquidation_price(account, held, {PERP.symbol: PERP}, lambda _: D(50_000)) == 0


def test_maintenance_is_by_the_bracket_of_the_coins_that_a_position_is_worth() -> None:
    first, second, *_ = brackets_of(PERP)
    assert (first.cap, second.floor, second.cap) == (5, 5, 50)
    at = {"BTCUSD_PERP": D(25_000)}
    account = Account("a", "a", 0, {"BTC": D(10)})
    account.positions[PERP.symbol, PositionSide.BOTH] = position((100, "25000"))
    assert account.maintenance({PERP.symbol: PERP}, at.__getitem__, "BTC") == D("0.0016")


def test_fees_profits_and_balance_are_in_the_coin(open_coin_desk) -> None:
    desk = open_coin_desk([(0, 500_000, 1), (1_000, 550_000, 1)])
    desk.order("BUY", 100)  # at 50,000.5
    desk.wait(1_000)
    desk.order("SELL", 100, reduceOnly="true")  # at 54,999.5
    bought, sold = (10_000 / D(price) for price in ("50000.5", "54999.5"))
    assert incomes(desk, "COMMISSION") == [-(each * D("0.0004")).quantize(CENT) for each in (bought, sold)]
    assert incomes(desk, "REALIZED_PNL") == [(bought - sold).quantize(CENT)]
    assert desk.wallets() == {"BTC": 1 + sum(incomes(desk, "COMMISSION") + incomes(desk, "REALIZED_PNL")), "ETH": 20}
    row = desk.ask("GET", "v1/userTrades", symbol="BTCUSD_PERP")[0]
    assert (row["pair"], row["marginAsset"], row["commissionAsset"]) == ("BTCUSD", "BTC", "BTC")
    assert (D(row["baseQty"]), D(row["quoteQty"])) == (bought.quantize(CENT), 10_000)


def test_an_order_is_answered_with_its_pair_and_its_coins(coins) -> None:
    placed = coins.order("BUY", 10)
    assert (placed["pair"], placed["status"]) == ("BTCUSD", "FILLED")
    assert not {"avgPrice", "cumBase", "goodTillDate"} & set(placed)
    asked = coins.state(placed)
    assert (asked["avgPrice"], asked["cumBase"]) == ("50000.5000", "0.01999980")
    assert "cumQuote" not in asked
    income = coins.ask("GET", "v1/income")[0]
    assert isinstance(income["tranId"], str)


def test_each_coin_is_a_margin_of_its_own(coins) -> None:
    coins.order("BUY", 100, symbol="ETHUSD_PERP")
    assets = {row["asset"]: row for row in coins.ask("GET", "v1/account")["assets"]}
    assert assets["BTC"]["initialMargin"] == "0.00000000"
    assert assets["BTC"]["availableBalance"] == "1.00000000"
    assert D(assets["ETH"]["initialMargin"]) == (1_000 / D(3_000) / 20).quantize(CENT)
    assert "totalWalletBalance" not in coins.ask("GET", "v1/account")


def test_a_coin_that_is_not_there_is_no_margin(open_coin_desk, code) -> None:
    desk = open_coin_desk(deposit="0.01")
    assert code(lambda: desk.order("BUY", 110)) == -2019
    desk.order("BUY", 80)
    desk.order("BUY", 1_000, symbol="ETHUSD_PERP")


@pytest.mark.parametrize(("side", "sign"), [("BUY", -1), ("SELL", 1)])
def test_funding_is_paid_in_the_coin_at_the_mark_price_and_a_dated_contract_has_none(
    open_coin_desk, side: str, sign: int
) -> None:
    desk = open_coin_desk(marks={"BTCUSD_PERP": [(0, D(50_000))]})
    desk.order(side, 100)
    desk.order(side, 100, symbol="BTCUSD_241004")
    desk.wait(8 * HOUR)
    assert incomes(desk, "FUNDING_FEE") == [sign * D("0.2") * D("0.0001")]
    (entry,) = [each for each in desk.venue.ledger if type(each).__name__ == "Funding"]
    assert (entry.symbol, entry.asset) == ("BTCUSD_PERP", "BTC")


def test_a_dated_contract_is_delivered_at_the_mean_of_its_last_half_hour(open_coin_desk, code) -> None:
    symbol = "BTCUSD_241004"
    marks = [(0, D(50_000)), (9 * HOUR + 1_800_000, D(52_000)), (9 * HOUR + 2_700_000, D(54_000))]
    desk = open_coin_desk(marks={symbol: marks})
    desk.order("BUY", 100, symbol=symbol)
    resting = desk.order("BUY", 5, "49000", symbol=symbol)
    stop = desk.algo("SELL", "STOP_MARKET", symbol=symbol, triggerPrice="40000", closePosition="true")
    desk.order("SELL", 10)
    desk.events()
    desk.wait(10 * HOUR)
    profit = (10_000 / D("50000.5") - 10_000 / D(53_000)).quantize(CENT)
    assert incomes(desk, "DELIVERED_SETTELMENT") == [profit]
    assert incomes(desk, "COMMISSION")[-1] == -(10_000 / D(53_000) * D("0.0004")).quantize(CENT)
    (delivered,) = [each for each in desk.venue.ledger if type(each).__name__ == "Delivered"]
    assert (delivered.symbol, delivered.quantity, delivered.price) == (symbol, 100, 53_000)
    assert (desk.state(resting)["status"], desk.algo_state(stop)["algoStatus"]) == ("EXPIRED", "EXPIRED")
    told = [event["o"] for event in desk.events("ORDER_TRADE_UPDATE")]
    assert told[-1]["c"].startswith("settlement_autoclose-")
    assert desk.amount(symbol="BTCUSD_PERP") == -10, "the perpetual goes on"
    assert code(lambda: desk.order("BUY", 1, symbol=symbol)) == -4141
    desk.wait(11 * HOUR)
    assert code(lambda: desk.order("BUY", 1, symbol=symbol)) == -1121


def test_the_last_margin_of_a_coin_is_liquidated_and_the_others_are_not(open_coin_desk) -> None:
    fall = [(0, 500_000, 1), (60_000, 440_000, 1), (120_000, 300_000, 1)]
    desk = open_coin_desk(fall, deposit="0.01")
    desk.ask("POST", "v1/leverage", symbol="BTCUSD_PERP", leverage=100)
    desk.order("BUY", 50)
    desk.order("BUY", 10, symbol="ETHUSD_PERP")
    desk.wait(180_000)
    kinds = [type(entry).__name__ for entry in desk.venue.ledger]
    assert kinds.count("Liquidated") == 1
    assert "Insured" in kinds
    assert desk.wallets()["BTC"] == 0
    assert desk.amount(symbol="ETHUSD_PERP") == 10


def test_what_listeners_are_told(coins) -> None:
    coins.algo("SELL", "STOP_MARKET", triggerPrice="40000", closePosition="true")
    coins.order("BUY", 3)
    events = coins.events()
    assert [event["e"] for event in events] == ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    assert [event["o"]["ma"] for event in events if "o" in event] == ["BTC", "BTC"]
    account = events[1]
    assert account["i"]
    assert [row["a"] for row in account["a"]["B"]] == ["BTC"]
    assert [(row["s"], row["pa"], row["ep"], row["ma"]) for row in account["a"]["P"]] == [
        ("BTCUSD_PERP", "3", "50000.5", "BTC")
    ]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"quantity": "1.5"}, -1111),
        ({"quantity": "0"}, -4003),
        ({"price": "50000.05"}, -1111),
        ({"timeInForce": "GTD", "goodTillDate": 2_000_000_000_000}, -1115),
        ({"type": "STOP_MARKET", "stopPrice": "40000"}, -4120),
        ({"symbol": "BTCUSDT"}, -1121),
    ],
)
def test_refused(coins, code, params: dict[str, object], expected: int) -> None:
    order = {"quantity": "1", "price": "49000"} | params
    assert code(lambda: coins.order("BUY", order.pop("quantity"), order.pop("price"), **order)) == expected


def test_one_contract_is_enough(coins) -> None:
    assert coins.order("BUY", 1)["status"] == "FILLED"


def test_orders_and_trades_of_a_pair(coins, code) -> None:
    coins.order("BUY", 1)
    coins.order("BUY", 1, symbol="BTCUSD_241004")
    coins.order("BUY", 1, symbol="ETHUSD_PERP")
    resting = coins.order("BUY", 1, "49000", symbol="BTCUSD_241004")
    assert len(coins.ask("GET", "v1/userTrades", pair="BTCUSD")) == 2
    assert len(coins.ask("GET", "v1/allOrders", pair="BTCUSD")) == 3
    assert [row["orderId"] for row in coins.ask("GET", "v1/openOrders", pair="BTCUSD")] == [resting["orderId"]]
    assert code(lambda: coins.ask("GET", "v1/allOrders", pair="DOGEUSD")) == -1121
    assert {row["symbol"] for row in coins.ask("GET", "v1/positionRisk", pair="BTCUSD")} == {
        "BTCUSD_PERP", "BTCUSD_241004",
    }  # fmt: skip
    assert {row["symbol"] for row in coins.ask("GET", "v1/positionRisk", marginAsset="ETH")} == {"ETHUSD_PERP"}


def test_brackets_and_leverage_are_in_coins(coins) -> None:
    assert coins.ask("POST", "v1/leverage", symbol="BTCUSD_PERP", leverage=125)["maxQty"] == "5"
    (pair,) = coins.ask("GET", "v1/leverageBracket", pair="BTCUSD")
    (symbol,) = coins.ask("GET", "v2/leverageBracket", symbol="BTCUSD_PERP")
    assert (pair["pair"], symbol["symbol"], pair["brackets"]) == ("BTCUSD", "BTCUSD_PERP", symbol["brackets"])
    assert symbol["brackets"][1]["qtylFloor"] == 5
    assert coins.ask("GET", "v1/commissionRate", symbol="BTCUSD_PERP")["takerCommissionRate"] == "0.000400"


def test_the_position_mode_is_that_of_all_markets_of_a_pool(open_desk, open_coin_desk, code) -> None:
    mode, dollars, coins = PositionMode(), open_desk(), open_coin_desk()
    dollars.venue.open_account("both", {"USDT": D(10_000)}, mode)
    coins.venue.open_account("both", {"BTC": D(1)}, mode)
    dollars.name = coins.name = "both"
    resting = coins.order("BUY", 1, "49000")
    assert code(lambda: dollars.ask("POST", "v1/positionSide/dual", dualSidePosition="true")) == -4067
    coins.ask("DELETE", "v1/order", symbol="BTCUSD_PERP", orderId=resting["orderId"])
    coins.order("BUY", 1)
    assert code(lambda: dollars.ask("POST", "v1/positionSide/dual", dualSidePosition="true")) == -4068
    coins.order("SELL", 1)
    dollars.ask("POST", "v1/positionSide/dual", dualSidePosition="true")
    assert coins.ask("GET", "v1/positionSide/dual") == {"dualSidePosition": True}
    assert code(lambda: coins.order("BUY", 1)) == -4061
    coins.order("BUY", 1, positionSide="LONG")


def test_every_contract_is_margined_in_its_own_coin_by_brackets_of_it() -> None:
    for spec in coin_contracts(0, 1_767_225_600_000).values():
        brackets = brackets_of(spec)
        assert brackets[0].leverage == 125
        assert [one.floor for one in brackets[1:]] == [one.cap for one in brackets[:-1]]
        assert spec.worth.asset == spec.base
