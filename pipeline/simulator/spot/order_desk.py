"""The endpoints of the orders of spot: place, try, cancel, replace, query."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot import payloads
from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.engine import FEE, Engine
from pipeline.simulator.spot.intake import find_order, find_spec, optional_spec, read_order, read_response
from pipeline.simulator.spot.orders import Order, OrderType, ResponseType, Status
from pipeline.simulator.spot.payloads import Payload
from pipeline.simulator.spot.refusals import HalfDoneError, refuse
from pipeline.simulator.venue.formats import money
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.params import Params
from pipeline.timeline import DAY

QUERY_NAMES: Final = ("orderId", "origClientOrderId")
_FULL: Final = frozenset((OrderType.LIMIT, OrderType.MARKET))


class ReplaceMode(StrEnum):
    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


class Restriction(StrEnum):
    ONLY_NEW = "ONLY_NEW"
    ONLY_PARTIALLY_FILLED = "ONLY_PARTIALLY_FILLED"


_RESTRICTED: Final = {
    Restriction.ONLY_NEW: Status.NEW,
    Restriction.ONLY_PARTIALLY_FILLED: Status.PARTIALLY_FILLED,
}


@dataclass(frozen=True, slots=True)
class OrderDesk:
    """Answers about orders."""

    engine: Engine

    def place(self, account: Account, params: Params, now: int) -> Payload:
        """POST order"""
        response = read_response(params)
        order = read_order(self.engine, account, params, now)
        self.engine.check(account, order, now)
        order.id = self.engine.ids.take("order")
        self.engine.place(account, order, now)
        return self.placed(account, order, response, now)

    def attempt(self, account: Account, params: Params, now: int) -> Payload:
        """POST order/test: as far as the matching engine, and no further."""
        read_order(self.engine, account, params, now)
        if not params.flag("computeCommissionRates"):
            return {}
        rates = {"maker": money(FEE), "taker": money(FEE)}
        nothing = dict.fromkeys(rates, money(FEE * 0))
        return {
            "standardCommissionForOrder": rates,
            "specialCommissionForOrder": nothing,
            "taxCommissionForOrder": nothing,
            "discount": DISCOUNTED,
        }

    def placed(self, account: Account, order: Order, response: ResponseType | None, now: int) -> Payload:
        """How the placing of an order is answered: as it was asked for, or as is usual for its type."""
        usual = ResponseType.FULL if order.type in _FULL else ResponseType.ACK
        return payloads.placed(order, account.trades_of(order), now, response or usual)

    def cancel(self, account: Account, params: Params, now: int) -> Payload:
        """DELETE order: of a list, all of it; and the answer is about all of it."""
        return self._cancel(account, params, now, QUERY_NAMES, "newClientOrderId")

    def cancel_all(self, account: Account, params: Params, now: int) -> list[Payload]:
        """DELETE openOrders: of a pair."""
        orders = account.orders_of(find_spec(self.engine, params, now).symbol)
        if not orders:
            raise refuse(-2011)
        return [self._end(account, order, now, self.engine.ids.text()) for order in orders if order.is_open]

    def replace(self, account: Account, params: Params, now: int) -> Payload:
        """POST order/cancelReplace: whether the new one is tried where there is nothing to cancel, the mode says. A new
        order that no filter lets through leaves the old one as it is."""
        params.need("cancelReplaceMode")
        mode = params.need_word("cancelReplaceMode", ReplaceMode, -1130)
        names, response = ("cancelOrderId", "cancelOrigClientOrderId"), read_response(params)
        order = read_order(self.engine, account, params, now)
        done: Payload = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED"}
        try:
            done["cancelResponse"] = self._cancel(account, params, now, names, "cancelNewClientOrderId")
        except ApiError as refusal:
            done |= {"cancelResult": "FAILURE", "cancelResponse": refusal.body(), "newOrderResponse": None}
            if mode is ReplaceMode.STOP_ON_FAILURE:
                raise HalfDoneError(done, partly=False) from refusal
        try:
            self.engine.check(account, order, now)
        except ApiError as refusal:
            done |= {"newOrderResult": "FAILURE", "newOrderResponse": refusal.body()}
            raise HalfDoneError(done, partly=done["cancelResult"] == "SUCCESS") from refusal
        order.id = self.engine.ids.take("order")
        self.engine.place(account, order, now)
        done |= {"newOrderResult": "SUCCESS", "newOrderResponse": self.placed(account, order, response, now)}
        if done["cancelResult"] == "FAILURE":
            raise HalfDoneError(done, partly=True)
        return done

    def query(self, account: Account, params: Params, now: int) -> Payload:
        """GET order"""
        order = find_order(self.engine, account, params, now, unknown=-2013, names=QUERY_NAMES)
        return payloads.queried(order)

    def list_open(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET openOrders: of a pair, or all; those that wait for their price among them."""
        spec = optional_spec(self.engine, params, now)
        orders = account.open_orders.values() if spec is None else account.orders_of(spec.symbol)
        return _listed(orders)

    def list_all(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET allOrders: of a pair, of a day at most."""
        symbol = find_spec(self.engine, params, now).symbol
        orders = [order for order in account.orders.values() if order.symbol == symbol]
        found = page(
            orders, params, now, number=lambda o: o.id, time=lambda o: o.created, first="orderId", default=500,
            longest=DAY, recent=None,
        )  # fmt: skip
        return _listed(found)

    def _cancel(self, account: Account, params: Params, now: int, names: tuple[str, str], cancel_name: str) -> Payload:
        order = find_order(self.engine, account, params, now, unknown=-2011, names=names)
        wanted = params.word("cancelRestrictions", Restriction, -1130)
        if not order.is_open:
            raise refuse(-2011)
        if wanted is not None and order.status is not _RESTRICTED[wanted]:
            raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
        return self._end(account, order, now, params.text(cancel_name) or self.engine.ids.text())

    def _end(self, account: Account, order: Order, now: int, cancel_id: str) -> Payload:
        """Cancel an order, and all of its list."""
        self.engine.cancel(account, order, now, cancel_id)
        if order.group is None:
            return payloads.cancelled(order, now, cancel_id)
        reports = [payloads.cancelled(one, now, cancel_id) for one in order.group.orders]
        return {**payloads.listed(order.group), "orderReports": reports}


DISCOUNTED: Final[Payload] = {
    "enabledForAccount": True,
    "enabledForSymbol": True,
    "discountAsset": "BNB",
    "discount": "0.75000000",
}


def _listed(orders: Iterable[Order]) -> list[Payload]:
    return [payloads.queried(order) for order in orders]
