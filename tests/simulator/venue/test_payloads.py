"""The shape of every answer and event: judged by the models of the exchange's own client, which know the field names
and the JSON types, and by rows written out here where the digits matter."""

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest

SDK = "binance_sdk_derivatives_trading_usds_futures"


def judge(model: str, payload: dict[str, Any], family: str = "rest_api") -> None:
    """The payload fits the model: no field unknown to it, every type as it says."""
    module = importlib.import_module(f"{SDK}.{family}.models")
    parsed = getattr(module, model).from_dict(json.loads(json.dumps(payload)))
    assert parsed.additional_properties == {}


@pytest.fixture(name="busy")
def _busy(open_desk):
    """An account with a position, open orders, a waiting and a triggered conditional order, and a history."""
    desk = open_desk([(0, 600_000, 1), (1_000, 590_000, 1), (2_000, 610_000, 1)])
    desk.order("BUY", "0.02")
    desk.order("BUY", "0.01", "58000")
    desk.algo("SELL", "TRAILING_STOP_MARKET", quantity="0.001", callbackRate="9", reduceOnly="true")
    desk.algo("SELL", "STOP_MARKET", quantity="0.001", triggerPrice="59000", reduceOnly="true")
    desk.wait(3_000)
    return desk


@pytest.mark.parametrize(
    ("model", "path", "params"),
    [
        ("AllOrdersResponseInner", "v1/allOrders", {"symbol": "BTCUSDT"}),
        ("CurrentAllOpenOrdersResponseInner", "v1/openOrders", {}),
        ("AccountTradeListResponseInner", "v1/userTrades", {"symbol": "BTCUSDT"}),
        ("GetIncomeHistoryResponseInner", "v1/income", {}),
        ("FuturesAccountBalanceV2ResponseInner", "v2/balance", {}),
        ("FuturesAccountBalanceV2ResponseInner", "v3/balance", {}),
        ("AccountInformationV2Response", "v2/account", {}),
        ("AccountInformationV3Response", "v3/account", {}),
        ("PositionInformationV2ResponseInner", "v2/positionRisk", {}),
        ("PositionInformationV3ResponseInner", "v3/positionRisk", {}),
        ("SymbolConfigurationResponseInner", "v1/symbolConfig", {}),
        ("FuturesAccountConfigurationResponse", "v1/accountConfig", {}),
        ("NotionalAndLeverageBracketsResponse1Inner", "v1/leverageBracket", {}),
        ("UserCommissionRateResponse", "v1/commissionRate", {"symbol": "BTCUSDT"}),
        ("GetCurrentMultiAssetsModeResponse", "v1/multiAssetsMargin", {}),
        ("GetCurrentPositionModeResponse", "v1/positionSide/dual", {}),
        ("QueryAllAlgoOrdersResponseInner", "v1/allAlgoOrders", {"symbol": "BTCUSDT"}),
    ],
)
def test_an_answer_fits_the_model_of_the_official_client(busy, model, path, params):
    answer = busy.ask("GET", path, **params)
    rows = answer if isinstance(answer, list) else [answer]
    assert rows
    for row in rows:
        trailing = {"activatePrice", "callbackRate"} if row.get("orderType") == "TRAILING_STOP_MARKET" else set()
        judge(model, {name: value for name, value in row.items() if name not in trailing})


def test_the_answers_to_orders_fit_too(desk):
    order = desk.order("BUY", "0.01", "59000")
    judge("NewOrderResponse", order)
    judge("QueryOrderResponse", desk.state(order))
    amend = {"symbol": "BTCUSDT", "orderId": order["orderId"], "quantity": "0.02", "price": "59000"}
    judge("ModifyOrderResponse", desk.ask("PUT", "v1/order", **amend))
    judge("CancelOrderResponse", desk.ask("DELETE", "v1/order", symbol="BTCUSDT", orderId=order["orderId"]))
    judge("CancelAllOpenOrdersResponse", desk.ask("DELETE", "v1/allOpenOrders", symbol="BTCUSDT"))


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": "STOP_MARKET", "quantity": "0.01", "triggerPrice": "59000"},
        {"kind": "TRAILING_STOP_MARKET", "quantity": "0.01", "callbackRate": "1"},
    ],
)
def test_the_answers_to_conditional_orders_fit_too(desk, terms):
    algo = desk.algo("SELL", **terms)
    judge("NewAlgoOrderResponse", algo)
    judge("CancelAlgoOrderResponse", desk.ask("DELETE", "v1/algoOrder", algoId=algo["algoId"]))
    judge("CancelAllAlgoOpenOrdersResponse", desk.ask("DELETE", "v1/algoOpenOrders", symbol="BTCUSDT"))


MODELS = {
    "ORDER_TRADE_UPDATE": "OrderTradeUpdate",
    "ACCOUNT_UPDATE": "AccountUpdate",
    "ALGO_UPDATE": "AlgoUpdate",
    "ACCOUNT_CONFIG_UPDATE": "AccountConfigUpdate",
    "MARGIN_CALL": "MarginCall",
}


def test_every_event_fits_the_model_of_the_official_client(open_desk):
    marks = [(0, Decimal(60_000)), (1_500, Decimal(53_260)), (2_500, Decimal(40_000))]
    desk = open_desk(deposit=700, marks={"BTCUSDT": marks})
    desk.ask("POST", "v1/leverage", symbol="BTCUSDT", leverage=10)
    desk.algo("SELL", "STOP_MARKET", triggerPrice="59000", closePosition="true")
    desk.order("BUY", "0.1")
    desk.wait(4_000)
    events = desk.events()
    assert {event["e"] for event in events} == set(MODELS)
    for event in events:
        judge(MODELS[event["e"]], {name: value for name, value in event.items() if name != "e"}, "websocket_streams")


def test_placing_says_neither_the_average_price_nor_the_quote_sum(desk):
    order = desk.order("BUY", "0.01", "59000", newClientOrderId="mine")
    at = 1_728_000_000_000
    assert order == {
        "orderId": 8_000_000_001, "symbol": "BTCUSDT", "status": "NEW", "clientOrderId": "mine", "price": "59000.00",
        "origQty": "0.010", "executedQty": "0.000", "cumQty": "0.000", "timeInForce": "GTC", "type": "LIMIT",
        "reduceOnly": False, "closePosition": False, "side": "BUY", "positionSide": "BOTH", "stopPrice": "0.00",
        "workingType": "CONTRACT_PRICE", "priceProtect": False, "origType": "LIMIT", "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER", "goodTillDate": 0, "updateTime": at,
    }  # fmt: skip
    assert desk.state(order) == {name: value for name, value in order.items() if name != "cumQty"} | {
        "price": "59000", "stopPrice": "0", "avgPrice": "0.00", "cumQuote": "0", "time": at,
    }  # fmt: skip


def test_v3_lists_only_what_is_held_or_ordered_and_v2_lists_everything(desk):
    assert desk.ask("GET", "v3/positionRisk") == []
    assert desk.ask("GET", "v3/account")["positions"] == []
    symbols = ["BTCUSDT", "ETHUSDT", "NEWUSDT", "OLDUSDT"]
    assert [row["symbol"] for row in desk.ask("GET", "v2/positionRisk")] == symbols
    assert [row["symbol"] for row in desk.ask("GET", "v2/account")["positions"]] == symbols
    desk.order("BUY", "1", "2900", symbol="ETHUSDT")
    assert [row["symbol"] for row in desk.ask("GET", "v3/positionRisk")] == ["ETHUSDT"]
    assert desk.ask("GET", "v3/positionRisk", symbol="BTCUSDT") == []


def test_the_ledger_is_json(busy):
    rows = json.loads(json.dumps([entry.as_dict() for entry in busy.venue.ledger]))
    deposit = {"kind": "Deposit", "time": 1_728_000_000_000, "account": "trader", "amount": "10000", "asset": "USDT"}
    assert rows[0] == deposit
    assert {row["kind"] for row in rows} == {"Deposit", "Accepted", "Fill", "AlgoMoved"}
