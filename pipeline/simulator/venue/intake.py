"""Turns the parameters of a request into an order, or refuses them. Looks at form, filters and modes; whether the
market and the margin allow the order is the engine's question."""

from decimal import Decimal
from typing import Final

from pipeline.simulator.types import UNLISTED, Prices, SymbolSpec
from pipeline.simulator.venue import filters
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.orders import (
    CONDITIONAL,
    ZERO,
    Order,
    OrderType,
    PositionSide,
    SelfTrade,
    Side,
    TimeInForce,
    closes,
)
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.refusals import refuse
from pipeline.timeline import MINUTE

_SOONEST_GOOD_TILL: Final = 10 * MINUTE


def find(market: Prices, params: Params, now: int) -> SymbolSpec:
    """What the mandatory `symbol` names of a market."""
    spec = market.specs.get(params.need("symbol"))
    if spec is None or spec.standing(now) == UNLISTED:
        raise refuse(-1121)
    return spec


def find_spec(engine: Engine, params: Params, now: int) -> SymbolSpec:
    """The contract of the mandatory `symbol`."""
    return find(engine.market, params, now)


def optional_spec(engine: Engine, params: Params, now: int) -> SymbolSpec | None:
    """The contract of `symbol`, or None if it was not sent."""
    return find_spec(engine, params, now) if params.text("symbol") else None


def asked_specs(engine: Engine, params: Params, now: int) -> list[SymbolSpec]:
    """The contracts of the mandatory `symbol`, or else of `pair`."""
    pair = params.text("pair")
    if pair is None or params.text("symbol"):
        return [find_spec(engine, params, now)]
    found = [spec for spec in engine.market.specs.values() if spec.pair == pair]
    if not found:
        raise refuse(-1121)
    return found


def read_position_side(account: Account, params: Params) -> PositionSide:
    """Which position the order is for: it must exist in the account's mode."""
    side = params.word("positionSide", PositionSide, -1130) or PositionSide.BOTH
    if side not in account.sides():
        raise refuse(-4061)
    return side


def read_reduce_only(account: Account, params: Params) -> bool:
    """Whether the order may only close. Hedge mode says so by the position side instead."""
    if account.dual and params.text("reduceOnly") is not None:
        raise refuse(-1106, "reduceonly")
    return params.flag("reduceOnly")


def read_client_id(params: Params, name: str, fallback: str) -> str:
    """The id the client chose, or a generated one."""
    client_id = params.text(name)
    if client_id is None:
        return fallback
    filters.check_client_id(client_id)
    return client_id


def read_good_till(params: Params, time_in_force: TimeInForce, now: int) -> int:
    """When a good-till-date order ends, in whole seconds; 0 for every other."""
    if time_in_force is not TimeInForce.GTD:
        return 0
    moment = params.integer("goodTillDate")
    if moment is None:
        raise refuse(-1102, "goodTillDate")
    if moment < now + _SOONEST_GOOD_TILL:
        raise refuse(-1130, "goodTillDate")
    return moment // 1000 * 1000


def read_order(engine: Engine, account: Account, params: Params, now: int) -> Order:
    """The order of `POST /fapi/v1/order`, checked in its form and against the filters."""
    spec = find_spec(engine, params, now)
    side = params.need_word("side", Side, -1117)
    kind = params.need_word("type", OrderType, -1116)
    if kind in CONDITIONAL:
        raise refuse(-4120)
    if kind is OrderType.LIQUIDATION:
        raise refuse(-1116)
    filters.check_status(spec, now)
    position_side = read_position_side(account, params)
    reduce_only = read_reduce_only(account, params)
    if params.text("priceMatch") not in {None, "NONE"}:
        raise refuse(-1130, "priceMatch")
    if params.flag("closePosition"):
        raise refuse(-4136, kind)
    time_in_force, price = _read_terms(params, kind)
    if time_in_force not in engine.terms.times_in_force:
        raise refuse(-1115)
    order = Order(
        id=0,
        client_id=read_client_id(params, "newClientOrderId", ""),
        symbol=spec.symbol,
        side=side,
        position_side=position_side,
        type=kind,
        original_type=kind,
        time_in_force=time_in_force,
        quantity=params.need_number("quantity"),
        price=price,
        reduce_only=reduce_only,
        self_trade=params.word("selfTradePreventionMode", SelfTrade, -1130) or SelfTrade.EXPIRE_MAKER,
        good_till=read_good_till(params, time_in_force, now),
        created=now,
        updated=now,
        worth=spec.worth,
    )
    check_filters(engine, spec, order, now)
    _check_book_rules(account, spec, order)
    return order


def check_filters(engine: Engine, spec: SymbolSpec, order: Order, now: int) -> None:
    """Quantity, price, band and notional of an order."""
    filters.check_quantity(spec, order.quantity, market=order.type is OrderType.MARKET)
    mark = engine.mark(spec.symbol, now)
    if order.type is OrderType.LIMIT:
        filters.check_price(spec, order.price)
        filters.check_band(spec, order.side, order.price, mark)
    if not order.only_closes:
        filters.check_notional(spec, order.quantity, order.price or mark)


def check_closes(account: Account, symbol: str, side: Side, position_side: PositionSide, *, reduce_only: bool) -> None:
    """An order that may only close needs something to close."""
    only_closes = reduce_only or closes(side, position_side)
    if only_closes and not account.closable(symbol, position_side, side):
        raise refuse(-2022)


def _read_terms(params: Params, kind: OrderType) -> tuple[TimeInForce, Decimal]:
    if kind is OrderType.MARKET:
        for name in ("price", "timeInForce"):
            if params.text(name) is not None:
                raise refuse(-1106, name.lower())
        return TimeInForce.GTC, ZERO
    return params.need_word("timeInForce", TimeInForce, -1115), params.need_number("price")


def _check_book_rules(account: Account, spec: SymbolSpec, order: Order) -> None:
    taken = account.by_client_id.get(order.client_id)
    if taken is not None and taken.is_open:
        raise refuse(-4116)
    check_closes(account, spec.symbol, order.side, order.position_side, reduce_only=order.reduce_only)
    if len(account.orders_of(spec.symbol)) >= spec.max_orders:
        raise refuse(-2025)
