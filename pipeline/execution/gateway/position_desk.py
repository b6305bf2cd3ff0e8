"""The account of a market of positions: its orders and conditional orders, positions, and what it is worth."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.products.product import NotOfferedError
from pipeline.exchange.reports import Account, AlgoReport, PositionReport, TradeReport
from pipeline.exchange.trading import NewAlgo, NewOrder, Trading
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.events import Snapshot
from pipeline.execution.engine.state import ZERO, Margin, OrderRecord, OrderTold, PositionTold, TradeTold
from pipeline.execution.gateway import reports_in
from pipeline.execution.gateway.desk import DayStarts, Past, Replaced
from pipeline.execution.gateway.reports_in import Market
from pipeline.timeline import SECOND

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PositionDesk:
    """`sending` never retries: each attempt is the core's decision. `asking` may."""

    sending: Trading
    asking: Trading
    day_starts: DayStarts
    earned: Callable[[], Mapping[str, Decimal]]
    rates: Rates
    market: Market
    worth: dict[str, PositionReport] = field(default_factory=dict)
    account: Account | None = None

    def send(self, order: OrderRecord, _beside: OrderRecord | None) -> tuple[OrderTold, ...]:
        """One order a request."""
        if order.algo:
            return (reports_in.algo_told(self.sending.place_algo(_new_algo(order))),)
        return (reports_in.order_told(self.sending.place_order(_new_order(order, self._good_till(order)))),)

    def replace(self, order: OrderRecord, instead: OrderRecord) -> Replaced:
        """Two of its kind may stand at a time: nothing has to."""
        raise NotOfferedError(f"{order.symbol}: {instead.id} is not replaced by one request")

    def cancel(self, order: OrderRecord) -> tuple[OrderTold, ...]:
        """Cancel it; nothing where it was not open."""
        if not order.algo:
            report = self.sending.cancel_order(order.symbol, order.id)
            return () if report is None else (reports_in.order_told(report),)
        if not self.sending.cancel_algo(order.id):
            return ()
        now = self.sending.client.clock.now()
        return (OrderTold(order.id, order.symbol, order.side, "cancelled", ZERO, now, algo=True),)

    def query(self, order: OrderRecord) -> OrderTold | None:
        """How it stands; of a conditional one that has fired, the order says that it placed."""
        if order.algo:
            algo = self.asking.query_algo(order.symbol, order.id)
            if algo is not None:
                return self._fired(order, algo) or reports_in.algo_told(algo)
            if self.asking.knows_ended_algos:
                return None
        report = self.asking.query_order(order.symbol, order.id)
        return None if report is None else reports_in.order_told(report)

    def query_number(self, symbol: str, number: int) -> OrderTold | None:
        """The order that the exchange has under that number."""
        report = self.asking.query_order_number(symbol, number)
        return None if report is None else reports_in.order_told(report)

    def trades(self, symbol: str, since: int) -> tuple[TradeTold, ...]:
        """Our fills since then."""
        return tuple(reports_in.trade_told(one, self._fee(one)) for one in self.asking.trades(symbol, since))

    def positions(self, symbol: str) -> tuple[PositionTold, ...]:
        """What is held in the symbol; one that is not listed is flat."""
        return reports_in.positions_told(self.asking.positions(symbol)) or (PositionTold(symbol, ZERO, ZERO),)

    def past(self, symbol: str, since: int) -> Past:
        """What happened in the symbol since then."""
        algos = [reports_in.algo_told(one) for one in self.asking.all_algos(symbol, since)]
        orders = [reports_in.order_told(one) for one in self.asking.all_orders(symbol, since)]
        return (*algos, *orders), tuple(reports_in.trade_told(one, None) for one in self.asking.trades(symbol, since))

    def snapshot(self, asof: int) -> Snapshot:
        """Everything that is open, and the account."""
        orders = self.open_orders()
        positions = self.asking.positions()
        self.account = self.asking.account()
        self.worth = {one.symbol: one for one in positions}
        starts = self.day_starts(self.account, asof)
        views = reports_in.account_views(self.account, asof, starts, self.earned(), self.market)
        return Snapshot(orders, reports_in.positions_told(positions), views, asof)

    def open_orders(self) -> tuple[OrderTold, ...]:
        """Every order that is open on the account, conditional ones too."""
        return open_orders(self.asking)

    def set_margin(self, symbol: str, margin: Margin) -> None:
        """Set how the symbol is margined."""
        self.sending.set_margin_type(symbol, "ISOLATED" if margin.type == "isolated" else "CROSSED")
        self.sending.set_leverage(symbol, margin.leverage)

    def costs(self, order: OrderRecord) -> dict[str, Decimal] | None:
        """Fee, profit and average price of a filled order, from its trades."""
        number = self._number_fired(order) if order.algo else order.exchange_id
        trades = [] if number is None else self.asking.trades_of(order.symbol, number)
        if not trades:
            return None
        return {
            "fee": sum((self.rates.worth(one.commission, one.commission_asset) for one in trades), ZERO),
            "realized": sum((one.realized_pnl for one in trades), ZERO),
            "average_price": self.market.product.arithmetic.average((one.qty, one.price) for one in trades),
        }

    def _fee(self, trade: TradeReport) -> Decimal | None:
        """What a trade cost; None while its asset has no price: what the trade proves does not wait for that."""
        try:
            return self.rates.worth(trade.commission, trade.commission_asset)
        except ExchangeError as error:
            log.warning("a fee in %s cannot be counted yet: %s", trade.commission_asset, error)
            return None

    def _good_till(self, order: OrderRecord) -> int | None:
        """When the exchange itself ends what is left of a limit order: as soon as it can, but not before we would.
        Nobody else does, should this process die. A moment is told in whole seconds, and judged when it arrives."""
        place = self.sending.client.environment
        if order.price is None or place.product.good_till is None:
            return None
        wanted = order.plan.cancel_at if order.plan and order.plan.cancel_at else 0
        latest = max(wanted, self.sending.client.clock.now() + place.product.good_till) + place.recv_window
        return (latest // SECOND + 1) * SECOND

    def _number_fired(self, order: OrderRecord) -> int | None:
        """The number of the order that a conditional one has placed; None while there is none."""
        if self.asking.knows_ended_algos:
            algo = self.asking.query_algo(order.symbol, order.id)
            return int(algo.actual_order_id) if algo and algo.actual_order_id else None
        report = self.asking.query_order(order.symbol, order.id)
        return None if report is None else report.order_id

    def _fired(self, order: OrderRecord, algo: AlgoReport) -> OrderTold | None:
        """What the order says that it became when it fired: only that says how it ended."""
        if not algo.actual_order_id:
            return None
        report = self.asking.query_order_number(order.symbol, int(algo.actual_order_id))
        return None if report is None else replace(reports_in.order_told(report), id=order.id)


def open_orders(asking: Trading) -> tuple[OrderTold, ...]:
    """Every order that is open on the account, conditional ones too."""
    orders = [reports_in.order_told(one) for one in asking.open_orders()]
    return (*orders, *(reports_in.algo_told(one) for one in asking.open_algos()))


def _new_order(order: OrderRecord, good_till: int | None) -> NewOrder:
    if order.quantity is None:
        raise ValueError(f"order {order.id} has no quantity")
    return NewOrder(
        symbol=order.symbol,
        side=order.side,
        client_id=order.id,
        quantity=order.quantity,
        price=order.price,
        good_till=good_till,
        reduce_only=order.reduce_only,
    )


def _new_algo(order: OrderRecord) -> NewAlgo:
    if order.trigger_price is None or order.type not in {"STOP_MARKET", "TAKE_PROFIT_MARKET"}:
        raise ValueError(f"order {order.id} is no stop and no take-profit, or has no trigger")
    return NewAlgo(
        symbol=order.symbol,
        side=order.side,
        client_id=order.id,
        type="STOP_MARKET" if order.type == "STOP_MARKET" else "TAKE_PROFIT_MARKET",
        trigger_price=order.trigger_price,
        quantity=None if order.close_position else order.quantity,
    )
