"""Turns the parameters of a request into an order of spot, or refuses them. Looks at form and filters; whether the
market and the balances allow the order is the engine's question."""

import re
from decimal import Decimal
from typing import Final

from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot import filters
from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.engine import Engine
from pipeline.simulator.spot.orders import (
    AT_MARKET,
    STOPS,
    TIMED,
    Hold,
    Order,
    OrderType,
    ResponseType,
    SelfTrade,
    TimeInForce,
)
from pipeline.simulator.spot.refusals import filtered, refuse
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.intake import find
from pipeline.simulator.venue.orders import ZERO, Side
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.refusals import refuse as refuse_form

_CLIENT_ID: Final = r"[.A-Z:/a-z0-9_-]{1,36}"
_UNSERVED: Final = ("icebergQty", "trailingDelta", "pegPriceType")


def find_spec(engine: Engine, params: Params, now: int) -> SymbolSpec:
    """The pair of the mandatory `symbol`."""
    return find(engine.market, params, now)


def optional_spec(engine: Engine, params: Params, now: int) -> SymbolSpec | None:
    """The pair of `symbol`, or None if it was not sent."""
    return find_spec(engine, params, now) if params.text("symbol") else None


def read_client_id(engine: Engine, params: Params, name: str) -> str:
    """The id the client chose, or a generated one."""
    client_id = params.text(name)
    if client_id is None:
        return engine.ids.text()
    if not re.fullmatch(_CLIENT_ID, client_id):
        raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^{_CLIENT_ID}$'.")
    return client_id


def read_response(params: Params) -> ResponseType | None:
    """How long an answer is wanted, or None if that was not said."""
    return params.word("newOrderRespType", ResponseType, -1130)


def read_order(engine: Engine, account: Account, params: Params, now: int) -> Order:
    """The order of POST order, checked in its form and against the filters."""
    spec = find_spec(engine, params, now)
    side = params.need_word("side", Side, -1117)
    kind = params.need_word("type", OrderType, -1116)
    return build_order(engine, account, spec, params, now, side=side, kind=kind)


def build_order(
    engine: Engine,
    account: Account,
    spec: SymbolSpec,
    params: Params,
    now: int,
    *,
    side: Side,
    kind: OrderType,
) -> Order:
    """The order of those parameters, under their names in POST order."""
    _check_form(params, kind)
    order = Order(
        id=0,
        client_id=read_client_id(engine, params, "newClientOrderId"),
        symbol=spec.symbol,
        side=side,
        type=kind,
        time_in_force=params.need_word("timeInForce", TimeInForce, -1115) if kind in TIMED else TimeInForce.GTC,
        quantity=params.number("quantity") or ZERO,
        price=params.number("price") or ZERO,
        stop_price=params.number("stopPrice") or ZERO,
        quote_quantity=params.number("quoteOrderQty") or ZERO,
        self_trade=params.word("selfTradePreventionMode", SelfTrade, -1130) or SelfTrade.EXPIRE_MAKER,
        created=now,
        updated=now,
        hold=Hold(spec.quote if side is Side.BUY else spec.base),
    )
    filters.check_status(spec, now)
    check_filters(engine, spec, order, now)
    check_numbers(account, spec, [order])
    return order


def _check_form(params: Params, kind: OrderType) -> None:
    """What an order of that type has to say, and what it must not."""
    wanted = {"price": kind not in AT_MARKET, "stopPrice": kind in STOPS, "timeInForce": kind in TIMED}
    for name, is_wanted in wanted.items():
        if is_wanted:
            params.need(name)
        elif params.text(name) is not None:
            raise refuse(-1106, params.called(name))
    of_money = params.text("quoteOrderQty") is not None
    if of_money and kind is not OrderType.MARKET:
        raise refuse(-1106, "quoteOrderQty")
    if of_money and params.text("quantity") is not None:
        raise refuse(-1128)
    if not of_money:
        params.need("quantity")
    for name in _UNSERVED:
        if params.text(name) is not None:
            raise refuse(-1106, params.called(name))


def check_filters(engine: Engine, spec: SymbolSpec, order: Order, now: int) -> None:
    """Quantity, prices, band and worth of an order."""
    average = filters.average_price(engine.market, spec, now)
    market = order.type in AT_MARKET
    if order.type in STOPS:
        filters.check_price(spec, "stopPrice", order.stop_price)
    if not market:
        filters.check_price(spec, "price", order.price)
        filters.check_band(spec, order.price, average)
    if order.quote_quantity:
        filters.check_precision("quoteOrderQty", order.quote_quantity)
        filters.check_notional(spec, order.quote_quantity, market=True)
        return
    filters.check_quantity(spec, order.quantity, market=market)
    worth: Decimal = order.quantity * (order.price or order.stop_price or average)
    filters.check_notional(spec, worth, market=market)


def check_numbers(account: Account, spec: SymbolSpec, orders: list[Order]) -> None:
    """An account has only so many open orders of a pair, and only so many that wait for their price."""
    has = account.orders_of(spec.symbol)
    if len(has) + len(orders) > spec.max_orders:
        raise filtered("MAX_NUM_ORDERS")
    stops = [order for order in orders if order.type in STOPS]
    waiting = [order for order in has if order.type in STOPS and order.worked < 0]
    if stops and len(waiting) + len(stops) > spec.max_algo_orders:
        raise filtered("MAX_NUM_ALGO_ORDERS")


def find_order(
    engine: Engine, account: Account, params: Params, now: int, *, unknown: int, names: tuple[str, str]
) -> Order:
    """The order that one of the two names means, of the mandatory `symbol`."""
    symbol = find_spec(engine, params, now).symbol
    number, client_id = params.integer(names[0]), params.text(names[1])
    if number is None and client_id is None:
        raise refuse_form(-1102, names[0])
    found = account.orders.get(number) if number is not None else account.by_client_id.get(client_id or "")
    if found is None or found.symbol != symbol or (client_id and found.client_id != client_id):
        raise refuse(unknown)
    return found
