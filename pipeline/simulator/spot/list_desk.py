"""The endpoints of lists of orders: one of two (OCO), one after the other (OTO), one and then one of two (OTOCO)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot import events, filters, payloads
from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.engine import Engine
from pipeline.simulator.spot.intake import build_order, check_numbers, find_spec, read_client_id, read_response
from pipeline.simulator.spot.order_desk import OrderDesk
from pipeline.simulator.spot.orders import (
    STOP_LOSSES,
    Contingency,
    Hold,
    Order,
    OrderList,
    OrderType,
    ResponseType,
    Status,
)
from pipeline.simulator.spot.payloads import Payload
from pipeline.simulator.spot.refusals import DUPLICATE, INSUFFICIENT, WRONG_SIDES, filtered, refuse, reject
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.orders import Side
from pipeline.simulator.venue.params import Params
from pipeline.timeline import DAY

_LEG: Final = (
    "type", "price", "stopPrice", "timeInForce", "clientOrderId", "icebergQty", "trailingDelta", "pegPriceType",
)  # fmt: skip
_PROFITS: Final = frozenset((OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT))
_WORKING: Final = frozenset((OrderType.LIMIT, OrderType.LIMIT_MAKER))


@dataclass(frozen=True, slots=True)
class ListDesk:
    """Answers about lists of orders."""

    engine: Engine
    orders: OrderDesk

    def place_oco(self, account: Account, params: Params, now: int) -> Payload:
        """POST orderList/oco: above the price one, below it the other, and the coins are set aside once."""
        spec = find_spec(self.engine, params, now)
        side = params.need_word("side", Side, -1117)
        response = read_response(params)
        group = self._begin(account, spec, params, Contingency.OCO, now)
        pair = self._pair(account, spec, params, now, side=side, prefix="", quantity="quantity")
        check_numbers(account, spec, pair)
        self._check_around(spec, pair, now)
        hold = pair[0].hold
        needed = max(order.needs for order in pair)
        if needed > account.free(hold.asset):
            raise reject(INSUFFICIENT)
        self._number(group, pair)
        account.set_aside(hold, needed)
        for order in pair:
            self.engine.enter(account, order, now)
        self._started(account, group, now)
        for order in pair:
            self.engine.begin(account, order, now)
        return self._placed(account, group, response, now)

    def place_oto(self, account: Account, params: Params, now: int) -> Payload:
        """POST orderList/oto: when the working order is filled, the pending one is placed."""
        spec = find_spec(self.engine, params, now)
        side = params.need_word("pendingSide", Side, -1117)
        kind = params.need_word("pendingType", OrderType, -1116)
        leg = params.renamed(_names("pending", "pendingQuantity"))
        pending = build_order(self.engine, account, spec, leg, now, side=side, kind=kind)
        self.engine.check_name(account, pending)
        return self._place_chain(account, spec, params, [pending], now)

    def place_otoco(self, account: Account, params: Params, now: int) -> Payload:
        """POST orderList/otoco: when the working order is filled, an OCO is placed."""
        spec = find_spec(self.engine, params, now)
        side = params.need_word("pendingSide", Side, -1117)
        pair = self._pair(account, spec, params, now, side=side, prefix="pending", quantity="pendingQuantity")
        return self._place_chain(account, spec, params, pair, now)

    def cancel(self, account: Account, params: Params, now: int) -> Payload:
        """DELETE orderList"""
        group = self._find(
            account, params, ("orderListId", "listClientOrderId"), ApiError(-2011, "Unknown order sent.")
        )
        if not group.is_open or group.symbol != find_spec(self.engine, params, now).symbol:
            raise refuse(-2011)
        cancel_id = params.text("newClientOrderId") or self.engine.ids.text()
        self.engine.cancel(account, group.orders[0], now, cancel_id)
        reports = [payloads.cancelled(order, now, cancel_id) for order in group.orders]
        return {**payloads.listed(group), "orderReports": reports}

    def query(self, account: Account, params: Params, now: int) -> Payload:
        """GET orderList"""
        del now
        unknown = ApiError(-2013, "Order list does not exist.")
        return payloads.listed(self._find(account, params, ("orderListId", "origClientOrderId"), unknown))

    def list_open(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET openOrderList"""
        del params, now
        return [payloads.listed(group) for group in account.open_lists()]

    def list_all(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET allOrderList: of a day at most."""
        found = page(
            account.lists.values(), params, now, number=lambda g: g.id, time=lambda g: g.created, first="fromId",
            default=500, longest=DAY, recent=None,
        )  # fmt: skip
        return [payloads.listed(group) for group in found]

    def _place_chain(
        self, account: Account, spec: SymbolSpec, params: Params, pending: list[Order], now: int
    ) -> Payload:
        response = read_response(params)
        group = self._begin(account, spec, params, Contingency.OTO, now)
        leg = params.renamed(_names("working", "workingQuantity"))
        kind = params.need_word("workingType", OrderType, -1116)
        if kind not in _WORKING:
            raise refuse(-1128)
        side = params.need_word("workingSide", Side, -1117)
        working = build_order(self.engine, account, spec, leg, now, side=side, kind=kind)
        _check_names([working, *pending])
        check_numbers(account, spec, [working, *pending])
        self.engine.check(account, working, now)
        self._number(group, [working, *pending])
        account.set_aside(working.hold, working.needs)
        self.engine.enter(account, working, now)
        for order in pending:
            order.status = Status.PENDING_NEW
            self.engine.enter(account, order, now)
        self._started(account, group, now)
        self.engine.begin(account, working, now)
        return self._placed(account, group, response, now)

    def _pair(
        self, account: Account, spec: SymbolSpec, params: Params, now: int, *, side: Side, prefix: str, quantity: str
    ) -> list[Order]:
        """The two orders of an OCO, the upper one first. They share what is set aside."""
        hold = Hold(spec.quote if side is Side.BUY else spec.base)
        pair = []
        for place in ("Above", "Below"):
            leg = params.renamed(_names((prefix + place) if prefix else place.lower(), quantity))
            kind = leg.need_word("type", OrderType, -1116)
            is_stop = kind in STOP_LOSSES
            if not (is_stop or kind in _PROFITS) or is_stop is not ((place == "Above") is (side is Side.BUY)):
                raise refuse(-1128)
            order = build_order(self.engine, account, spec, leg, now, side=side, kind=kind)
            self.engine.check_name(account, order)
            order.hold = hold
            pair.append(order)
        _check_names(pair)
        return pair

    def _check_around(self, spec: SymbolSpec, pair: list[Order], now: int) -> None:
        """The price is between the two."""
        above, below = (order.stop_price or order.price for order in pair)
        if not below < self.engine.last(spec.symbol, now) * spec.tick < above:
            raise reject(WRONG_SIDES)
        for order in pair:
            self.engine.check_prices(order, now)

    def _begin(
        self, account: Account, spec: SymbolSpec, params: Params, contingency: Contingency, now: int
    ) -> OrderList:
        if len([one for one in account.open_lists() if one.symbol == spec.symbol]) >= filters.MOST_LISTS:
            raise filtered("MAX_NUM_ORDER_LISTS")
        client_id = read_client_id(self.engine, params, "listClientOrderId")
        if any(one.client_id == client_id for one in account.open_lists()):
            raise reject(DUPLICATE)
        return OrderList(
            id=0, client_id=client_id, symbol=spec.symbol, contingency=contingency, created=now, updated=now
        )

    def _number(self, group: OrderList, orders: list[Order]) -> None:
        group.id = self.engine.ids.take("list")
        group.orders = orders
        for order in orders:
            order.id, order.group = self.engine.ids.take("order"), group

    def _started(self, account: Account, group: OrderList, now: int) -> None:
        account.lists[group.id] = group
        account.events.append(events.list_status(group, now, "EXEC_STARTED"))

    def _placed(self, account: Account, group: OrderList, response: ResponseType | None, now: int) -> Payload:
        reports = [self.orders.placed(account, order, response, now) for order in group.orders]
        return {**payloads.listed(group), "orderReports": reports}

    def _find(self, account: Account, params: Params, names: tuple[str, str], unknown: ApiError) -> OrderList:
        number, client_id = params.integer(names[0]), params.text(names[1])
        if number is None and client_id is None:
            params.need(names[0])
        found = [
            one for one in account.lists.values() if number == one.id or (number is None and client_id == one.client_id)
        ]
        if not found:
            raise unknown
        return found[-1]


def _check_names(orders: list[Order]) -> None:
    """No two of a list bear one name."""
    if len({order.client_id for order in orders}) < len(orders):
        raise refuse(-1128)


def _names(prefix: str, quantity: str) -> Mapping[str, str]:
    """What the parameters of one order of a list are called: `abovePrice`, `pendingBelowStopPrice`, ..."""
    names = {name: prefix + name[0].upper() + name[1:] for name in _LEG}
    return {**names, "quantity": quantity, "newClientOrderId": names["clientOrderId"]}
