"""What the gateway of spot makes of what the exchange says, word for word."""

import json
from dataclasses import replace
from decimal import Decimal as D
from types import SimpleNamespace

import pytest

from pipeline.exchange.answers import Call, Raw, failure
from pipeline.exchange.coin_trading import Balance, CoinOrder, CoinTrade, CoinTrading, Replaced
from pipeline.exchange.errors import BadAnswerError, RefusedError
from pipeline.exchange.outcomes import Outcome, outcome_of
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.product import Ask
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange.reports import CommissionRate, read
from pipeline.exchange.user_events import CoinOrderUpdate, decode_message
from pipeline.execution.account.coins import Held, account_of
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.events import CallCounted, OrderFailed, OrderRejected, OrderSeen, OrderUnknown, Snapshot
from pipeline.execution.engine.state import OrderRecord, PositionRecord
from pipeline.execution.gateway import coin_reports
from pipeline.execution.gateway.coin_desk import CoinDesk
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.execution.gateway.reports_in import Market

T = 1_760_000_000_000
STOP_ID, TARGET_ID = "tm-abc123-s-1", "tm-abc123-p-1"
LISTED = {
    "BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT", "USDT", SPOT.arithmetic),
    "ETHBTC": Instrument("ETHBTC", "ETH", "BTC", "BTC", SPOT.arithmetic),
}


def answer(**fields) -> CoinOrder:
    known = {
        "symbol": "BTCUSDT", "orderId": 7, "orderListId": -1, "clientOrderId": "tm-abc123-e-1", "transactTime": T,
        "price": "0.00000000", "origQty": "0.02000000", "executedQty": "0.02000000", "origQuoteOrderQty": "0",
        "cummulativeQuoteQty": "1200.00000000", "status": "FILLED", "timeInForce": "GTC", "type": "MARKET",
        "side": "BUY",
    }  # fmt: skip
    return read(known | fields, CoinOrder, "here")


def streamed(**fields) -> CoinOrderUpdate:
    known = {
        "e": "executionReport", "E": T, "s": "BTCUSDT", "c": "tm-abc123-e-1", "S": "BUY", "o": "MARKET", "f": "GTC",
        "q": "0.02000000", "p": "0.00000000", "P": "0.00000000", "F": "0", "g": -1, "C": "", "x": "TRADE",
        "X": "FILLED", "r": "NONE", "i": 7, "l": "0.02000000", "z": "0.02000000", "L": "60000.00", "n": "0.00002",
        "N": "BTC", "T": T, "t": 1, "w": False, "m": False, "O": T, "Z": "1200.00000000", "Y": "1200", "Q": "0",
        "W": T, "V": "NONE",
    }  # fmt: skip
    found = decode_message(json.dumps({"subscriptionId": 0, "event": known | fields}).encode())
    assert isinstance(found, CoinOrderUpdate)
    return found


FILLS = [
    {"price": "60000", "qty": "0.015", "commission": "0.000015", "commissionAsset": "BTC", "tradeId": 1},
    {"price": "60000", "qty": "0.005", "commission": "0.001", "commissionAsset": "BNB", "tradeId": 2},
]
STOP = {"type": "STOP_LOSS", "side": "SELL", "stopPrice": "59400.00", "executedQty": "0", "cummulativeQuoteQty": "0",
        "clientOrderId": STOP_ID, "status": "NEW"}  # fmt: skip


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (answer(fills=FILLS), {"state": "filled", "average_price": D(60_000), "kept": D("0.000015")}),
        (answer(fills=FILLS[:1]), {"kept": None}),
        (answer(), {"kept": None, "algo": False, "close_position": False}),
        (answer(side="SELL"), {"kept": D(0)}),
        (answer(executedQty="0.01", cummulativeQuoteQty="600", status="EXPIRED"),
         {"state": "expired", "filled": D("0.01"), "average_price": D(60_000)}),
        (answer(executedQty="0", cummulativeQuoteQty="-1", status="EXPIRED"), {"average_price": None, "kept": None}),
        (answer(**STOP, workingTime=-1),
         {"state": "accepted", "algo": True, "close_position": True, "trigger_price": D(59_400), "id": STOP_ID}),
        (answer(**STOP), {"state": "accepted"}),
        (answer(**STOP, workingTime=T), {"state": "partially_filled"}),
        (answer(**STOP | {"status": "CANCELED", "clientOrderId": "xyz", "origClientOrderId": STOP_ID}),
         {"state": "cancelled", "id": STOP_ID}),
        (answer(status="PENDING_CANCEL"), {"state": None}),
    ],
)  # fmt: skip
def test_an_order_as_an_answer_says_it(report, told):
    found = coin_reports.order_told(report, "BTC")
    assert {name: getattr(found, name) for name in told} == told
    assert found.exchange_id == 7


SOLD = {"S": "SELL", "o": "STOP_LOSS", "P": "59400.00", "c": STOP_ID}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (streamed(), {"state": "filled", "average_price": D(60_000), "kept": D("0.00002"), "at": T}),
        (streamed(N="BNB", n="0.001"), {"kept": D(0)}),
        (streamed(l="0.01"), {"kept": None}),
        (streamed(l="0", z="0", Z="0", x="NEW", X="NEW", N=None, n="0"),
         {"state": "accepted", "kept": None, "average_price": None}),
        (streamed(**SOLD, x="NEW", X="NEW", z="0", Z="0", W=-1), {"state": "accepted", "algo": True, "id": STOP_ID}),
        (streamed(**SOLD, x="NEW", X="NEW", z="0", Z="0", W=T), {"state": "partially_filled"}),
        (streamed(**SOLD), {"state": "filled", "kept": D(0)}),
        (streamed(**SOLD | {"c": "xyz"}, C=STOP_ID, x="CANCELED", X="CANCELED", z="0", Z="0"),
         {"state": "cancelled", "id": STOP_ID}),
        (streamed(**SOLD | {"o": "TAKE_PROFIT", "c": TARGET_ID}, x="EXPIRED", X="EXPIRED", z="0", Z="0"),
         {"state": "expired", "id": TARGET_ID}),
    ],
)  # fmt: skip
def test_an_order_as_the_stream_says_it(event, told):
    found = coin_reports.order_streamed(event, "BTC")
    assert {name: getattr(found, name) for name in told} == told


def trade(**fields) -> CoinTrade:
    known = {"id": 1, "orderId": 7, "symbol": "BTCUSDT", "price": "60000", "qty": "0.02", "commission": "0.00002",
             "commissionAsset": "BTC", "time": T, "isBuyer": True}  # fmt: skip
    return read(known | fields, CoinTrade, "here")


class Exchange:
    """Answers what it was given, and remembers what it was asked."""

    def __init__(self, **answers) -> None:
        self.answers, self.asked = answers, []
        clock = SimpleNamespace(now=lambda: T, surely=T)
        self.client = SimpleNamespace(clock=clock, environment=SimpleNamespace(product=SPOT))

    def __getattr__(self, name):
        def ask(*asked):
            self.asked.append((name, *asked))
            found = self.answers[name]
            if isinstance(found, Exception):
                raise found
            return found

        return ask


HELD = PositionRecord("BTCUSDT", D("0.5"), D(60_000), side="long", signal="s1", parts=("e",))


def desk_of(exchange: Exchange, *, ours=(), symbols=(), **known) -> CoinDesk:
    data = SimpleNamespace(prices=lambda: {"BNBUSDT": (D(600), T), "BTCUSDT": (D(66_000), T)}, symbols=list)
    rates = Rates(data, None)
    return CoinDesk(
        exchange, exchange, lambda account, asof: known.get("starts", {}), dict, rates, Market(SPOT, dict(LISTED)),
        data, lambda: ours, lambda: symbols,
    )  # fmt: skip


def gateway_of(exchange: Exchange, **known) -> tuple[Gateway, list]:
    told: list = []
    return Gateway(exchange.client, desk_of(exchange, **known), told.append), told


@pytest.mark.parametrize(
    ("fill", "fee", "kept"),
    [
        (trade(), D("1.2"), D("0.00002")),
        (trade(commissionAsset="BNB", commission="0.001"), D("0.6"), D(0)),
        (trade(commissionAsset="USDT", commission="1.2", isBuyer=False), D("1.2"), D(0)),
        (trade(commissionAsset="XYZ"), None, D(0)),
        (trade(symbol="ETHBTC", price="0.05", commissionAsset="ETH", commission="0.02"), D("0.001"), D("0.02")),
    ],
)
def test_what_a_trade_cost_and_what_was_kept_of_it(fill, fee, kept):
    (told,) = desk_of(Exchange(trades=[fill])).trades(fill.symbol, 0)
    assert (told.fee, told.kept) == (fee, kept)


STOP_RECORD = OrderRecord(
    STOP_ID, "BTCUSDT", "s1", "stop", "SELL", "STOP_MARKET", D("0.02"), T, T, algo=True, trigger_price=D(59_400)
)
TARGET_RECORD = OrderRecord(
    TARGET_ID, "BTCUSDT", "s1", "take_profit", "SELL", "TAKE_PROFIT_MARKET", D("0.02"), T, T, algo=True,
    trigger_price=D(61_000),
)  # fmt: skip
ENTRY = OrderRecord("tm-abc123-e-1", "BTCUSDT", "s1", "entry", "BUY", "MARKET", D("0.02"), T, T)


def test_a_pair_leaves_in_one_request_and_both_are_told():
    target = STOP | {"type": "TAKE_PROFIT", "clientOrderId": TARGET_ID, "orderId": 8}
    exchange = Exchange(protect=(answer(**target), answer(**STOP)))
    gateway, told = gateway_of(exchange)
    assert gateway.place(STOP_RECORD, TARGET_RECORD)
    ((what, pair),) = exchange.asked
    assert what == "protect"
    assert pair.parameters() == {
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.02", "aboveType": "TAKE_PROFIT", "aboveStopPrice": "61000",
        "aboveClientOrderId": TARGET_ID, "belowType": "STOP_LOSS", "belowStopPrice": "59400",
        "belowClientOrderId": STOP_ID, "newOrderRespType": "RESULT",
    }  # fmt: skip
    assert [one.told.id for one in told if isinstance(one, OrderSeen)] == [TARGET_ID, STOP_ID]


def test_a_sale_and_a_purchase_are_sent_at_the_market():
    exchange = Exchange(trade=answer(fills=FILLS))
    gateway, told = gateway_of(exchange)
    gateway.place(ENTRY)
    assert exchange.asked == [("trade", "BTCUSDT", "BUY", D("0.02"), ENTRY.id)]
    assert [one.told.kept for one in told if isinstance(one, OrderSeen)] == [D("0.000015")]


def test_with_one_of_a_pair_both_are_cancelled():
    exchange = Exchange(cancel=(answer(**STOP | {"status": "CANCELED"}), answer(**STOP | {"status": "CANCELED"})))
    gateway, told = gateway_of(exchange)
    gateway.cancel(STOP_RECORD)
    assert [one.told.state for one in told if isinstance(one, OrderSeen)] == ["cancelled", "cancelled"]


@pytest.mark.parametrize(
    ("status", "body", "um", "spot"),
    [
        (503, b'{"code": -1001, "msg": "Internal error; unable to process your request."}', "not_done", "unknown"),
        (503, b'{"code": 0, "msg": "Service Unavailable."}', "not_done", "unknown"),
        (503, b'{"code": 0, "msg": "Unknown error, please check your request or try again later."}', *["unknown"] * 2),
        (400, b'{"code": -2010, "msg": "Account has insufficient balance for requested action."}', *["refused"] * 2),
        (429, b'{"code": -1003, "msg": "Too much request weight used."}', *["not_done"] * 2),
    ],
)
def test_what_became_of_a_request_that_failed(status, body, um, spot):
    """On spot no answer about a failure of the server's own says for sure that nothing was done."""
    outcomes = [
        outcome_of(failure(Call("POST", "/order", product.says_not_done), Raw(status, {}, body), T))
        for product in (UM, SPOT)
    ]
    assert outcomes == [Outcome[um.upper()], Outcome[spot.upper()]]


@pytest.mark.parametrize(
    ("status", "body", "event"),
    [
        (503, b'{"code": -1001, "msg": "Internal error; unable to process your request."}', OrderUnknown),
        (400, b'{"code": -2010, "msg": "Duplicate order sent."}', OrderRejected),
        (429, b'{"code": -1015, "msg": "Too many new orders."}', OrderFailed),
    ],
)
def test_a_request_whose_outcome_is_unknown_is_told_so_and_sent_once(status, body, event):
    exchange = Exchange(trade=failure(Call("POST", "/order", SPOT.says_not_done), Raw(status, {}, body), T))
    gateway, told = gateway_of(exchange)
    assert not gateway.place(ENTRY)
    assert [type(one) for one in told if hasattr(one, "order_id")] == [event]
    assert len(exchange.asked) == 1


STOOD = replace(STOP_RECORD, id="tm-abc123-s-0", state="accepted")
GONE = STOP | {"clientOrderId": "cancel", "origClientOrderId": STOOD.id, "orderId": 6, "status": "CANCELED"}
GONE_TOO = GONE | {"type": "TAKE_PROFIT", "origClientOrderId": "tm-abc123-p-0", "orderId": 5}


def raw(**fields) -> dict:
    """An order as it is written."""
    return {
        "symbol": "BTCUSDT", "orderId": 7, "orderListId": -1, "transactTime": T, "price": "0", "origQty": "0.02",
        "executedQty": "0", "origQuoteOrderQty": "0", "cummulativeQuoteQty": "0", "timeInForce": "GTC",
    } | fields  # fmt: skip


def replaced(status: int, answered: dict) -> list:
    """What the gateway tells of a replacement that is answered so."""
    client = SimpleNamespace(clock=SimpleNamespace(now=lambda: T, surely=T), environment=None)
    client.environment = SimpleNamespace(product=SPOT)

    def ask_signed(ask, asked, *, need):
        assert (ask, asked["cancelOrigClientOrderId"]) == (Ask.REPLACE_ORDER, STOOD.id)
        assert (asked["cancelReplaceMode"], asked["type"], asked["stopPrice"]) == (
            "STOP_ON_FAILURE", "STOP_LOSS", "59400",
        )  # fmt: skip
        if status == 200:
            return SimpleNamespace(payload=answered)
        raise failure(Call("POST", "/r", SPOT.says_not_done), Raw(status, {}, json.dumps(answered).encode()), T)

    client.ask_signed = ask_signed
    told: list = []
    gateway = Gateway(client, desk_of(CoinTrading(client)), told.append)
    taken = gateway.place(STOP_RECORD, None, STOOD)
    assert taken is (isinstance(told[-1], OrderSeen))
    return [
        (type(one).__name__, one.told.id, one.told.state) if isinstance(one, OrderSeen)
        else (type(one).__name__, one.order_id, getattr(one, "code", None))
        for one in told
        if not isinstance(one, CallCounted)
    ]  # fmt: skip


HALF = {"code": -2021, "msg": "Order cancel-replace partially failed."}
WHOLE = {"code": -2022, "msg": "Order cancel-replace failed."}
NOT_THERE = {"code": -2011, "msg": "Unknown order sent."}
AT_ONCE = {"code": -2010, "msg": "Order would trigger immediately."}
CANCELLED = ("OrderSeen", STOOD.id, "cancelled")


@pytest.mark.parametrize(
    ("status", "answered", "told"),
    [
        (
            200,
            {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "cancelResponse": raw(**GONE),
             "newOrderResponse": raw(**STOP)},
            [CANCELLED, ("OrderSeen", STOP_ID, "accepted")],
        ),
        (
            200,
            {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "newOrderResponse": raw(**STOP),
             "cancelResponse": {"orderListId": 3, "orderReports": [raw(**GONE_TOO), raw(**GONE)]}},
            [("OrderSeen", "tm-abc123-p-0", "cancelled"), CANCELLED, ("OrderSeen", STOP_ID, "accepted")],
        ),
        (
            409,
            HALF | {"data": {"cancelResult": "SUCCESS", "newOrderResult": "FAILURE", "cancelResponse": raw(**GONE),
                             "newOrderResponse": AT_ONCE}},
            [CANCELLED, ("OrderRejected", STOP_ID, -2010)],
        ),
        (
            400,
            WHOLE | {"data": {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
                              "cancelResponse": NOT_THERE, "newOrderResponse": None}},
            [("CancelFailed", STOOD.id, None), ("OrderFailed", STOP_ID, None)],
        ),
        (400, {"code": -1013, "msg": "Filter failure: NOTIONAL"}, [("OrderRejected", STOP_ID, -1013)]),
        (429, {"code": -1015, "msg": "Too many new orders."}, [("OrderFailed", STOP_ID, None)]),
        (503, {"code": -1001, "msg": "Internal error"}, [("OrderUnknown", STOP_ID, None)]),
        (409, HALF, [("OrderUnknown", STOP_ID, None)]),
        (400, WHOLE | {"data": {"cancelResult": "FAILURE"}}, [("OrderUnknown", STOP_ID, None)]),
        (200, {}, [("OrderUnknown", STOP_ID, None)]),
    ],
)  # fmt: skip
def test_what_became_of_a_stop_and_of_the_one_in_its_place(status, answered, told):
    assert replaced(status, answered) == told


def test_why_nothing_came_in_its_place_is_told_by_the_words_of_that():
    told: list = []
    exchange = Exchange(
        replace=Replaced(gone=(answer(**GONE),), refusal=RefusedError("no: Market is closed.", code=-2010))
    )
    gateway = Gateway(exchange.client, desk_of(exchange), told.append)
    assert not gateway.place(STOP_RECORD, None, STOOD)
    assert "Market is closed." in told[-1].text


def test_a_comparison_tells_what_lies_there_of_each_symbol_and_what_is_ours_of_the_account():
    balances = {
        "BTC": Balance(asset="BTC", free=D("0.1"), locked=D("0.5")),
        "USDT": Balance(asset="USDT", free=D(900), locked=D(100)),
    }
    exchange = Exchange(balances=balances, open_orders=[answer(**STOP)])
    gone = PositionRecord("OLDUSDT", D(3), D(1), side="long", signal="s2", parts=("o",))
    gateway, told = gateway_of(
        exchange, ours=(HELD, gone), symbols={"BTCUSDT", "ETHBTC", "OLDUSDT"}, starts={"USDT": D(30_000)}
    )
    gateway.reconcile()
    (snapshot,) = (one for one in told if isinstance(one, Snapshot))
    assert [one[0] for one in exchange.asked] == ["balances", "open_orders"], "what is sold meanwhile is asked for"
    assert {one.symbol: one.quantity for one in snapshot.positions} == {
        "BTCUSDT": D("0.6"), "ETHBTC": D(0), "OLDUSDT": D(3),
    }  # fmt: skip
    assert [one.id for one in snapshot.orders] == [STOP_ID]
    views = {one.asset: one for one in snapshot.accounts}
    usdt = views["USDT"]
    assert (usdt.equity, usdt.wallet, usdt.available) == (D(34_000), D(31_000), D(900))
    assert usdt.day_start == D(30_000)
    assert [(one.quantity, one.entry_price, one.mark_price) for one in usdt.holdings] == [
        (D("0.5"), D(60_000), D(66_000))
    ]
    assert (views["BTC"].equity, views["BTC"].available) == (D("0.1"), D("0.1")), "ours are nothing to pay with"


def test_a_comparison_fails_whole():
    gateway, told = gateway_of(Exchange(balances=RefusedError("no", status=400, code=-1)), symbols={"BTCUSDT"})
    gateway.reconcile()
    assert [type(one).__name__ for one in told] == ["CallCounted", "ReconcileFailed"]


def test_the_past_is_told_with_what_was_kept_and_a_balance_proves_nothing():
    exchange = Exchange(orders=[answer(), answer(**STOP, orderId=9)], trades=[trade()])
    desk = desk_of(exchange)
    orders, trades = desk.past("BTCUSDT", 0)
    assert [one.algo for one in orders] == [True, False]
    assert [one.kept for one in trades] == [D("0.00002")]
    assert desk.positions("BTCUSDT") == ()


def test_the_costs_of_an_order_are_those_of_its_trades():
    second = trade(id=2, price="61000", commissionAsset="BNB", commission="0.001")
    exchange = Exchange(trades_of=[trade(), second])
    found = desk_of(exchange).costs(replace(ENTRY, exchange_id=7))
    assert found == {"fee": D("1.8"), "average_price": D(60_500)}
    assert exchange.asked == [("trades_of", "BTCUSDT", 7)]


def test_an_account_of_coins_counts_what_is_ours_and_no_other_coins():
    balances = {name: Balance(asset=name, free=D(1), locked=D(0)) for name in ("BTC", "BNB", "USDT")}
    held = [Held("BTCUSDT", "BTC", "USDT", D("0.01"), D(60_000), D(50_000))]
    (usdt,) = account_of(balances, held, ["USDT"]).wallets
    assert (usdt.balance, usdt.unrealized, usdt.equity, usdt.available) == (D(601), D(-100), D(501), D(1))


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ({"takerCommissionRate": "0.0004"}, D("0.0004")),
        ({"standardCommission": {"taker": "0.001"}, "specialCommission": {"taker": "0.0002"}}, D("0.0012")),
    ],
)
def test_what_the_account_pays(said, rate):
    assert read(said, CommissionRate, "here").taker == rate


def test_an_answer_that_names_no_rate_is_none():
    with pytest.raises(BadAnswerError, match="names no rate"):
        _ = read({}, CommissionRate, "here").taker
