"""The answers of spot about orders, lists and trades, field by field as the exchange names and writes them."""

from collections.abc import Iterable

from pipeline.simulator.spot.account import Trade
from pipeline.simulator.spot.orders import Order, OrderList, ResponseType
from pipeline.simulator.venue.formats import money
from pipeline.simulator.venue.orders import ZERO, Side

Payload = dict[str, object]


def placed(order: Order, trades: Iterable[Trade], now: int, response: ResponseType) -> Payload:
    """The answer to placing an order: as short as was asked for."""
    answer: Payload = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "transactTime": now,
    }
    if response is ResponseType.ACK:
        return answer
    answer |= _amounts(order) | _terms(order)
    if response is ResponseType.FULL:
        answer["fills"] = [_fill(trade) for trade in trades]
    return answer


def cancelled(order: Order, now: int, cancel_id: str) -> Payload:
    """The answer to cancelling an order: the cancel has a name of its own."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": cancel_id,
        "transactTime": now,
        **_amounts(order),
        **_terms(order),
    }


def queried(order: Order) -> Payload:
    """The answer to asking for an order."""
    answer: Payload = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        **_amounts(order),
        **_terms(order),
        "stopPrice": money(order.stop_price),
        "icebergQty": money(ZERO),
        "time": order.created,
        "updateTime": order.updated,
        "isWorking": order.worked >= 0,
        "workingTime": order.worked,
    }
    return answer


def listed(group: OrderList) -> Payload:
    """A list of orders."""
    return {
        "orderListId": group.id,
        "contingencyType": group.contingency,
        "listStatusType": "EXEC_STARTED" if group.is_open else "ALL_DONE",
        "listOrderStatus": "EXECUTING" if group.is_open else "ALL_DONE",
        "listClientOrderId": group.client_id,
        "transactionTime": group.updated,
        "symbol": group.symbol,
        "orders": [{"symbol": one.symbol, "orderId": one.id, "clientOrderId": one.client_id} for one in group.orders],
    }


def trade_row(trade: Trade) -> Payload:
    """A row of `myTrades`."""
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.order_id,
        "orderListId": trade.list_id,
        "price": money(trade.price),
        "qty": money(trade.quantity),
        "quoteQty": money(trade.turnover),
        "commission": money(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time,
        "isBuyer": trade.side is Side.BUY,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def _amounts(order: Order) -> Payload:
    return {
        "price": money(order.price),
        "origQty": money(order.quantity),
        "executedQty": money(order.filled),
        "origQuoteOrderQty": money(order.quote_quantity),
        "cummulativeQuoteQty": money(order.turned_over),
    }


def _terms(order: Order) -> Payload:
    terms: Payload = {
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "selfTradePreventionMode": order.self_trade,
    }
    if order.stop_price:
        terms["stopPrice"] = money(order.stop_price)
    if order.worked >= 0:
        terms["workingTime"] = order.worked
    return terms


def _fill(trade: Trade) -> Payload:
    return {
        "price": money(trade.price),
        "qty": money(trade.quantity),
        "commission": money(trade.fee),
        "commissionAsset": trade.fee_asset,
        "tradeId": trade.id,
    }
