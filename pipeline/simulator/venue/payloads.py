"""The answers about orders, trades and conditional orders, field by field as the exchange names and writes them."""

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import formats
from pipeline.simulator.venue.account import Income, Trade
from pipeline.simulator.venue.orders import ZERO, Algo, Order, OrderType, Side, Status

Payload = dict[str, object]

CANCELLED_ALL: Payload = {"code": 200, "msg": "The operation of cancel all open order is done."}
SUCCESS: Payload = {"code": 200, "msg": "success"}


def placed(spec: SymbolSpec, order: Order, *, acknowledge: bool = False) -> Payload:
    """The answer to placing, amending and cancelling: fixed decimals, and neither average price nor quote sum. An
    acknowledgement shows the order as it was accepted, whatever has filled since."""
    filled = ZERO if acknowledge else order.filled
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": Status.NEW if acknowledge else order.status,
        "clientOrderId": order.client_id,
        "price": formats.price(spec, order.price),
        "origQty": formats.quantity(spec, order.quantity),
        "executedQty": formats.quantity(spec, filled),
        "cumQty": formats.quantity(spec, filled),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": formats.price(spec, order.stop_price),
        "workingType": order.working_type,
        "priceProtect": False,
        "origType": order.original_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade,
        "goodTillDate": order.good_till,
        "updateTime": order.created if acknowledge else order.updated,
    }


def queried(spec: SymbolSpec, order: Order) -> Payload:
    """The answer to asking for an order."""
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": formats.bare(order.price),
        "avgPrice": formats.average(spec, order.average),
        "origQty": formats.quantity(spec, order.quantity),
        "executedQty": formats.quantity(spec, order.filled),
        "cumQuote": formats.bare(order.quote),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": formats.bare(order.stop_price),
        "workingType": order.working_type,
        "priceProtect": False,
        "origType": order.original_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade,
        "goodTillDate": order.good_till,
        "time": order.created,
        "updateTime": order.updated,
    }


def trade_row(spec: SymbolSpec, trade: Trade) -> Payload:
    """A row of `userTrades`."""
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.order_id,
        "side": trade.side,
        "price": formats.price(spec, trade.price),
        "qty": formats.quantity(spec, trade.quantity),
        "realizedPnl": formats.money(trade.realised),
        "quoteQty": formats.money(trade.price * trade.quantity),
        "commission": formats.money(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time,
        "positionSide": trade.position_side,
        "buyer": trade.side is Side.BUY,
        "maker": trade.maker,
    }


def income_row(income: Income) -> Payload:
    """A row of `income`."""
    return {
        "symbol": income.symbol,
        "incomeType": income.kind,
        "income": formats.money(income.amount),
        "asset": income.asset,
        "info": income.info,
        "time": income.time,
        "tranId": income.id,
        "tradeId": income.trade_id,
    }


def algo_placed(spec: SymbolSpec, algo: Algo) -> Payload:
    """The answer to placing a conditional order."""
    answer: Payload = {
        "algoId": algo.id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": formats.quantity(spec, algo.quantity),
        "algoStatus": algo.status,
        "triggerPrice": formats.price(spec, algo.trigger),
        "price": formats.price(spec, algo.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.self_trade,
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "createTime": algo.created,
        "updateTime": algo.updated,
        "triggerTime": algo.triggered,
        "goodTillDate": algo.good_till,
    }
    if algo.type is OrderType.TRAILING_STOP_MARKET:
        answer["activatePrice"] = formats.price(spec, algo.activate) if algo.activate is not None else None
        answer["callbackRate"] = formats.bare(algo.callback or ZERO)
    return answer


def algo_queried(spec: SymbolSpec, algo: Algo) -> Payload:
    """The answer to asking for a conditional order: what became of it is in the `actual` fields."""
    order = algo.order
    return algo_placed(spec, algo) | {
        "actualOrderId": str(order.id) if order else "",
        "actualPrice": formats.average(spec, order.average) if order else "0.00000",
        "actualType": order.type if order else "",
        "actualQty": formats.quantity(spec, order.filled) if order else "0",
        "tpOrderType": "",
    }


def algo_listed(spec: SymbolSpec, algo: Algo) -> Payload:
    """A row of `openAlgoOrders` and `allAlgoOrders`."""
    order = algo.order
    return algo_placed(spec, algo) | {
        "actualOrderId": str(order.id) if order else "",
        "actualPrice": formats.average(spec, order.average) if order else "0.00000",
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
    }


def algo_cancelled(algo: Algo) -> Payload:
    """The answer to cancelling a conditional order. Its code is text, unlike every other code of the exchange."""
    return {"algoId": algo.id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}
