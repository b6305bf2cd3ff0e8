"""Carries the core's requests to the exchange and brings back what the answers mean, as events.

Each method blocks for one request and runs in a worker thread. Nothing is sent twice here: the core decides whether an
order is sent again. What only reads may be asked again by the client.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    BlockedError,
    CircuitOpenError,
    ClockSkewError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    StoppedError,
    UnknownOutcomeError,
)
from pipeline.exchange.outcomes import Outcome, outcome_of
from pipeline.exchange.reports import Account, AlgoReport, PositionReport, TradeReport
from pipeline.exchange.trading import NewAlgo, NewOrder, Trading
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.events import (
    CallCounted,
    CancelFailed,
    Event,
    FillsSeen,
    MarginNotSet,
    MarginSet,
    NumberNotFound,
    OrderFailed,
    OrderNotFound,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    PositionsSeen,
    ReconcileFailed,
    Snapshot,
    SymbolGone,
)
from pipeline.execution.engine.state import ZERO, Margin, OrderRecord, OrderTold, PositionTold, TradeTold
from pipeline.execution.gateway import reports_in
from pipeline.execution.gateway.reports_in import Market
from pipeline.timeline import MINUTE, SECOND

log = logging.getLogger(__name__)

Tell = Callable[[Event], None]
DayStarts = Callable[[Account, int], Mapping[str, Decimal]]
"""The equity in each asset at 00:00 UTC, moved by deposits and withdrawals since, by an account that was asked for
then; none while it cannot be said."""

_KEY_REFUSED = -2015
_BLOCKED_FOR = MINUTE


@dataclass(slots=True)
class Gateway:
    """`sending` never retries: each attempt is the core's decision. `asking` may."""

    sending: Trading
    asking: Trading
    tell: Tell
    day_starts: DayStarts
    earned: Callable[[], Mapping[str, Decimal]]
    rates: Rates
    market: Market
    worth: dict[str, PositionReport] = field(default_factory=dict)
    """What the exchange last said about each position, for whoever shows it."""
    account: Account | None = None

    def place(self, order: OrderRecord) -> bool:
        """Send it once; whether the exchange took it for sure."""
        try:
            seen = self._send(order)
        except ExchangeError as error:
            self._count(error)
            self.tell(self._unplaced(order, error))
            return False
        self.tell(CallCounted(True))
        self.tell(OrderSeen(seen, "answer"))
        return True

    def cancel(self, order: OrderRecord) -> None:
        """Cancel it."""
        try:
            seen = self._cancel(order)
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            self.tell(CancelFailed(order.id, str(error)))
            return
        self.tell(CallCounted(True))
        gone = CancelFailed(order.id, "the exchange has no such open order (-2011)")
        self.tell(gone if seen is None else OrderSeen(seen, "answer"))

    def query(self, order: OrderRecord) -> None:
        """Ask how it stands; a question that fails is not answered, and asked again by the core."""
        asof = self._surely_before_now()
        found = self._ask(
            lambda: _if_listed(lambda: self._query(order)), f"the order {order.id} could not be asked for"
        )
        if found is _GONE:
            self.tell(SymbolGone(order.symbol, asof, order.id))
        elif found is not _FAILED:
            self.tell(OrderNotFound(order.id, asof) if found is None else OrderSeen(found, "query"))

    def query_number(self, symbol: str, number: int) -> None:
        """Ask whose order it is that the exchange has under that number."""
        found = self._ask(
            lambda: self.asking.query_order_number(symbol, number), f"order {number} of {symbol} could not be asked for"
        )
        if found is not _FAILED:
            told = NumberNotFound(number) if found is None else OrderSeen(reports_in.order_told(found), "query")
            self.tell(told)

    def query_fills(self, symbol: str, since: int) -> None:
        """Ask for the trades of a symbol."""
        asof = self._surely_before_now()
        found = self._ask(
            lambda: _if_listed(lambda: self.asking.trades(symbol, since)), f"trades of {symbol} could not be asked for"
        )
        if found is _GONE:
            self.tell(SymbolGone(symbol, asof))
        elif found is not _FAILED:
            self.tell(
                FillsSeen(symbol, tuple(reports_in.trade_told(one, self._fee(one)) for one in found), since, asof)
            )

    def query_positions(self, symbol: str) -> None:
        """Ask for the position of a symbol; one that is not listed is flat."""
        asof = self._surely_before_now()
        found = self._ask(lambda: self.asking.positions(symbol), f"the position of {symbol} could not be asked for")
        if found is not _FAILED:
            held = reports_in.positions_told(found) or (PositionTold(symbol, ZERO, ZERO),)
            self.tell(PositionsSeen(held, asof, "query"))

    def past(self, symbol: str, since: int) -> tuple[tuple[OrderTold, ...], tuple[TradeTold, ...]] | None:
        """Every order of a symbol since then, conditional ones first, and its trades; None where it cannot be had."""

        def read() -> tuple[tuple[OrderTold, ...], tuple[TradeTold, ...]]:
            algos = [reports_in.algo_told(one) for one in self.asking.all_algos(symbol, since)]
            orders = [reports_in.order_told(one) for one in self.asking.all_orders(symbol, since)]
            return (*algos, *orders), tuple(
                reports_in.trade_told(one, None) for one in self.asking.trades(symbol, since)
            )

        found = self._ask(read, f"the past of {symbol} could not be asked for")
        return None if found is _FAILED else found

    def reconcile(self) -> None:
        """Read everything that is open."""
        asof = self._surely_before_now()
        try:
            snapshot = self._snapshot(asof)
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            self.tell(ReconcileFailed(str(error)))
        else:
            self.tell(CallCounted(True))
            self.tell(snapshot)

    def set_margin(self, symbol: str, margin: Margin) -> None:
        """Set it. Once more does no harm, but that is for the core to say."""
        try:
            self.sending.set_margin_type(symbol, "ISOLATED" if margin.type == "isolated" else "CROSSED")
            self.sending.set_leverage(symbol, margin.leverage)
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            self.tell(MarginNotSet(symbol, margin, str(error), outcome_of(error) is Outcome.REFUSED))
            return
        self.tell(CallCounted(True))
        self.tell(MarginSet(symbol, margin, self._now()))

    def costs(self, order: OrderRecord) -> dict[str, Decimal] | None:
        """Fee, profit and average price of a filled order, from its trades; None where they cannot be had now."""
        number = order.exchange_id
        try:
            if order.algo:
                number = self._number_fired(order)
            trades = [] if number is None else self.asking.trades_of(order.symbol, number)
            fees = [self.rates.worth(one.commission, one.commission_asset) for one in trades]
        except ExchangeError as error:
            log.warning("the costs of order %s could not be asked for: %s", order.id, error)
            return None
        if not trades:
            return None
        return {
            "fee": sum(fees, ZERO),
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

    def _send(self, order: OrderRecord) -> OrderTold:
        if order.algo:
            return reports_in.algo_told(self.sending.place_algo(_new_algo(order)))
        return reports_in.order_told(self.sending.place_order(_new_order(order, self._good_till(order))))

    def _good_till(self, order: OrderRecord) -> int | None:
        """When the exchange itself ends what is left of a limit order: as soon as it can, but not before we would.
        Nobody else does, should this process die. A moment is told in whole seconds, and judged when it arrives."""
        place = self.sending.client.environment
        if order.price is None or place.product.good_till is None:
            return None
        wanted = order.plan.cancel_at if order.plan and order.plan.cancel_at else 0
        latest = max(wanted, self._now() + place.product.good_till) + place.recv_window
        return (latest // SECOND + 1) * SECOND

    def _cancel(self, order: OrderRecord) -> OrderTold | None:
        if not order.algo:
            report = self.sending.cancel_order(order.symbol, order.id)
            return None if report is None else reports_in.order_told(report)
        if not self.sending.cancel_algo(order.id):
            return None
        return OrderTold(order.id, order.symbol, order.side, "cancelled", ZERO, self._now(), algo=True)

    def _query(self, order: OrderRecord) -> OrderTold | None:
        if order.algo:
            algo = self.asking.query_algo(order.symbol, order.id)
            if algo is not None:
                return self._fired(order, algo) or reports_in.algo_told(algo)
            if self.asking.knows_ended_algos:
                return None
        report = self.asking.query_order(order.symbol, order.id)
        return None if report is None else reports_in.order_told(report)

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

    def _snapshot(self, asof: int) -> Snapshot:
        orders = open_orders(self.asking)
        positions = self.asking.positions()
        self.account = self.asking.account()
        self.worth = {one.symbol: one for one in positions}
        starts = self.day_starts(self.account, asof)
        views = reports_in.account_views(self.account, asof, starts, self.earned(), self.market)
        return Snapshot(orders, reports_in.positions_told(positions), views, asof)

    def _unplaced(self, order: OrderRecord, error: ExchangeError) -> Event:
        self._mend(error)
        if isinstance(error, BannedError | BlockedError):
            banned = error.until if isinstance(error, BannedError) else self._now() + _BLOCKED_FOR
            return OrderFailed(order.id, str(error), banned)
        match outcome_of(error):
            case Outcome.UNKNOWN:
                return OrderUnknown(order.id, str(error))
            case Outcome.NOT_DONE:
                until = error.until if isinstance(error, RateLimitedError | CircuitOpenError) else None
                return OrderFailed(order.id, str(error), until)
            case Outcome.REFUSED:
                return OrderRejected(order.id, error.code or _KEY_REFUSED, str(error))

    def _ask(self, ask: Callable[[], Any], what: str) -> Any:
        try:
            found = ask()
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            log.warning("%s: %s", what, error)
            return _FAILED
        self.tell(CallCounted(True))
        return found

    def _mend(self, error: ExchangeError) -> None:
        """A clock that is off is measured again before anything else is signed."""
        if not isinstance(error, ClockSkewError):
            return
        try:
            self.asking.client.sync_clock()
        except ExchangeError as failure:
            log.warning("the exchange's clock could not be measured: %s", failure)

    def _count(self, error: ExchangeError) -> None:
        held_back = isinstance(error, RateLimitedError) and error.status is None
        if held_back or isinstance(error, StoppedError | CircuitOpenError):
            return  # it never left: that says nothing about the exchange
        silent = isinstance(error, UnknownOutcomeError | NotDoneError | BadAnswerError | BlockedError)
        self.tell(CallCounted(not silent or isinstance(error, KeyProblemError)))

    def _now(self) -> int:
        return self.sending.client.clock.now()

    def _surely_before_now(self) -> int:
        clock = self.asking.client.clock
        return clock.now() - clock.uncertainty


_FAILED, _GONE = object(), object()
_NO_SUCH_SYMBOL: Final = -1121


def _if_listed(ask: Callable[[], Any]) -> Any:
    """What the question answers, or `_GONE` where the exchange knows no such symbol."""
    try:
        return ask()
    except RefusedError as error:
        if error.code != _NO_SUCH_SYMBOL:
            raise
        return _GONE


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
