"""The endpoints of ordinary orders: place, amend, cancel, query, alone and in batches."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Final

from pipeline.simulator.errors import ApiError
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import ledger, matching, payloads
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.intake import asked_specs, check_filters, find_spec, optional_spec, read_order
from pipeline.simulator.venue.liquidation import Force
from pipeline.simulator.venue.orders import Order, OrderType, ResponseType, Status, TimeInForce
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.refusals import refuse


class AutoClose(StrEnum):
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"


FORCED: Final = {AutoClose.LIQUIDATION: (Force.LIQUIDATION,), AutoClose.ADL: (Force.ADL,)}
MAX_PLACED: Final = 5
MAX_CANCELLED: Final = 10
ID_LISTS: Final = ("orderIdList", "orderidlist")  # the manual's name, and the one that several clients use
CANCEL_LISTS: Final = (*ID_LISTS, "origClientOrderIdList", "origclientorderidlist")


@dataclass(frozen=True, slots=True)
class OrderDesk:
    """Answers about ordinary orders."""

    engine: Engine

    def place(self, account: Account, params: Params, now: int) -> Payload:
        """POST order"""
        response = params.word("newOrderRespType", ResponseType, -1130) or ResponseType.ACK
        order = read_order(self.engine, account, params, now)
        last = self.engine.market.price(order.symbol, now)
        self.engine.check_takeable(order, last, self.engine.mark(order.symbol, now))
        self.engine.check_margin(account, order, last, now)
        order.id = self.engine.ids.take("order")
        order.client_id = order.client_id or self.engine.ids.text()
        self.engine.accept(account, order, last, now)
        spec = self.engine.spec(order.symbol)
        return self.engine.terms.forms.placed(spec, order, acknowledge=response is ResponseType.ACK)

    def amend(self, account: Account, params: Params, now: int) -> Payload:
        """PUT order: another price or quantity for a resting limit order."""
        order = self._find(account, params, now, unknown=-2013)
        if not order.is_open or order.type is not OrderType.LIMIT:
            raise refuse(-2013)
        spec = self.engine.spec(order.symbol)
        before = (order.quantity, order.price)
        wanted = (params.need_number("quantity"), params.need_number("price"))
        if before == wanted:
            raise refuse(-5027)
        last = self.engine.market.price(order.symbol, now)
        order.quantity, order.price = wanted
        try:
            check_filters(self.engine, spec, order, now)
            if order.time_in_force is TimeInForce.GTX and matching.crosses(spec, order.side, order.price, last):
                raise refuse(-5022)
            self._check_amended_margin(account, order, last, now)
        except ApiError:
            order.quantity, order.price = before
            raise
        self._amended(account, order, last, now)
        return self.engine.terms.forms.placed(spec, order)

    def cancel(self, account: Account, params: Params, now: int) -> Payload:
        """DELETE order"""
        order = self._find(account, params, now, unknown=-2011)
        if not order.is_open:
            raise refuse(-2011)
        self.engine.end(account, order, Status.CANCELED, now)
        return self.engine.terms.forms.placed(self.engine.spec(order.symbol), order)

    def query(self, account: Account, params: Params, now: int) -> Payload:
        """GET order"""
        order = self._find(account, params, now, unknown=-2013)
        return self.engine.terms.forms.queried(self.engine.spec(order.symbol), order)

    def query_open(self, account: Account, params: Params, now: int) -> Payload:
        """GET openOrder"""
        order = self._find(account, params, now, unknown=-2013)
        if not order.is_open:
            raise refuse(-2013)
        return self.engine.terms.forms.queried(self.engine.spec(order.symbol), order)

    def place_batch(self, account: Account, params: Params, now: int) -> list[Payload]:
        """POST batchOrders: each item succeeds or fails alone."""
        items = params.array("batchOrders")
        if not 1 <= len(items) <= MAX_PLACED:
            raise refuse(-4082)
        return [each(partial(self._place_item, account, item, now)) for item in items]

    def amend_batch(self, account: Account, params: Params, now: int) -> list[Payload]:
        """PUT batchOrders: each item succeeds or fails alone."""
        items = params.array("batchOrders")
        if not 1 <= len(items) <= MAX_PLACED:
            raise refuse(-4082)
        return [each(partial(self._amend_item, account, item, now)) for item in items]

    def cancel_batch(self, account: Account, params: Params, now: int) -> list[Payload]:
        """DELETE batchOrders"""
        symbol = find_spec(self.engine, params, now).symbol
        name = next(filter(params.text, CANCEL_LISTS), "origClientOrderIdList")
        key = "orderId" if name in ID_LISTS else "origClientOrderId"
        items = params.array(name)
        if not 1 <= len(items) <= MAX_CANCELLED:
            raise refuse(-4082)
        requests = [Params({"symbol": symbol, key: str(item)}) for item in items]
        return [each(partial(self.cancel, account, request, now)) for request in requests]

    def cancel_all(self, account: Account, params: Params, now: int) -> Payload:
        """DELETE allOpenOrders"""
        for order in account.orders_of(find_spec(self.engine, params, now).symbol):
            self.engine.end(account, order, Status.CANCELED, now)
        return payloads.CANCELLED_ALL

    def count_down(self, account: Account, params: Params, now: int) -> Payload:
        """POST countdownCancelAll: cancels the orders of a symbol when the time is up; 0 takes it back."""
        symbol = find_spec(self.engine, params, now).symbol
        params.need("countdownTime")
        wait = params.integer("countdownTime") or 0
        account.countdowns.pop(symbol, None)
        if wait:
            account.countdowns[symbol] = now + wait
        return {"symbol": symbol, "countdownTime": str(wait)}

    def list_open(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET openOrders: of a symbol, of a pair, or all."""
        orders = list(account.open_orders.values())
        if params.text("symbol") or params.text("pair"):
            orders = _of(orders, asked_specs(self.engine, params, now))
        return self._listed(orders)

    def list_all(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET allOrders: of a symbol or of a pair."""
        orders = _of(account.orders.values(), asked_specs(self.engine, params, now))
        found = page(orders, params, now, number=lambda o: o.id, time=lambda o: o.created, first="orderId", default=500)
        return self._listed(found)

    def list_forced(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET forceOrders: the exchange's own, by which it closed a position."""
        spec, kind = optional_spec(self.engine, params, now), params.word("autoCloseType", AutoClose, -1130)
        wanted = FORCED[kind] if kind else tuple(start for starts in FORCED.values() for start in starts)
        orders = [
            order
            for order in account.orders.values()
            if order.type is OrderType.LIQUIDATION
            and order.client_id.startswith(wanted)
            and spec in {None, self.engine.spec(order.symbol)}
        ]
        found = page(orders, params, now, number=lambda o: o.id, time=lambda o: o.created, first=None, default=50)
        return self._listed(found)

    def _listed(self, orders: Iterable[Order]) -> list[Payload]:
        return [self.engine.terms.forms.queried(self.engine.spec(order.symbol), order) for order in orders]

    def _place_item(self, account: Account, item: object, now: int) -> Payload:
        return self.place(account, item_params(item), now)

    def _amend_item(self, account: Account, item: object, now: int) -> Payload:
        return self.amend(account, item_params(item), now)

    def _find(self, account: Account, params: Params, now: int, *, unknown: int) -> Order:
        symbol = find_spec(self.engine, params, now).symbol
        number, client_id = params.integer("orderId"), params.text("origClientOrderId")
        if number is not None:
            order = account.orders.get(number)
        elif client_id is not None:
            order = account.by_client_id.get(client_id)
        else:
            raise refuse(-1102, "orderId")
        if order is None or order.symbol != symbol:
            raise refuse(unknown)
        return order

    def _check_amended_margin(self, account: Account, order: Order, last: int, now: int) -> None:
        account.open_orders.pop(order.id)
        try:
            self.engine.check_margin(account, order, last, now)
        finally:
            account.open_orders[order.id] = order

    def _amended(self, account: Account, order: Order, last: int, now: int) -> None:
        order.updated = now
        self.engine.ledger.append(
            ledger.Amended(now, account.name, order.id, order.symbol, order.quantity, order.price)
        )
        if order.remaining <= 0:
            self.engine.end(account, order, Status.CANCELED, now)
            return
        self.engine.report(account, order, "AMENDMENT", now)
        self.engine.take(account, order, last, now)


def _of(orders: Iterable[Order], specs: Iterable[SymbolSpec]) -> list[Order]:
    symbols = {spec.symbol for spec in specs}
    return [order for order in orders if order.symbol in symbols]


def each(answer: Callable[[], Payload]) -> Payload:
    """The answer of one item of a batch, its refusal included."""
    try:
        return answer()
    except ApiError as refusal:
        return refusal.body()


def item_params(item: object) -> Params:
    """The parameters of one item of a batch, as text whatever JSON type they came in."""
    if not isinstance(item, dict):
        raise refuse(-1102, "batchOrders")
    return Params({str(name): _text(value) for name, value in item.items()})


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else str(value)
