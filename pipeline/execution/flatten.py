"""Closes what is held, straight at the exchange: what the kill switch does when no executor does it.

It needs no database and no lease. Everything it sends can only reduce or cancel, so it does no harm twice, nor beside
an executor. The stops go last: until a position is flat, they stand.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from pymongo.errors import PyMongoError

from pipeline.exchange.errors import ClockSkewError, ExchangeError
from pipeline.exchange.market import Market
from pipeline.exchange.reports import AlgoReport, OrderReport, PositionReport
from pipeline.exchange.trading import NewOrder, Side, Trading
from pipeline.execution.names import Identity
from pipeline.execution.states import state_of
from pipeline.store.orders import OrderJournal
from schemas.orders import Order, Transition
from schemas.symbols import Filters

log = logging.getLogger(__name__)

Sent = Callable[[NewOrder, OrderReport | None], None]
_TRIES = 12
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be closed: everything, or only positions in these symbols and orders with these ids."""

    symbols: Collection[str] | None = None
    is_ours: Callable[[str], bool] | None = None

    def position(self, position: PositionReport) -> bool:
        """Whether this position is to be closed."""
        return bool(position.position_amt) and (self.symbols is None or position.symbol in self.symbols)

    def order(self, client_id: str) -> bool:
        """Whether this order is to be cancelled."""
        return self.is_ours is None or self.is_ours(client_id)


@dataclass(slots=True)
class Report:
    """What was done, and what could not be."""

    closed: dict[str, Decimal] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Flattener:
    """Cancels and closes until nothing of the scope is left, or it cannot."""

    trading: Trading
    market: Market
    sent: Sent
    identity: Identity
    sleep: Callable[[float], None] = time.sleep
    _number: int = 0

    def flatten(self, scope: Scope) -> Report:
        """Orders first, so that nothing opens again; then positions; stops and targets when those are flat."""
        report = Report()
        filters = self._filters(report)
        for tries_left in range(_TRIES - 1, -1, -1):
            report.problems.clear()
            report.left = self._round(scope, filters, report)
            if not report.left and not report.problems:
                break
            if tries_left:
                self.sleep(_PAUSE)
        return report

    def _round(self, scope: Scope, filters: dict[str, Filters], report: Report) -> list[str]:
        """One go at everything; the symbols that still hold something."""
        try:
            for order in self.trading.open_orders():
                if scope.order(order.client_order_id) and self.trading.cancel_order(
                    order.symbol, order.client_order_id
                ):
                    report.cancelled.append(order.client_order_id)
            algos = [one for one in self.trading.open_algos() if scope.order(one.client_algo_id)]
            for position in self.trading.positions():
                if _in_scope(position, scope, algos):
                    self._close(position, filters.get(position.symbol), report)
            positions = self.trading.positions()
            for algo in algos:
                if not any(_closes(algo, one) for one in positions) and self.trading.cancel_algo(algo.client_algo_id):
                    report.cancelled.append(algo.client_algo_id)
            held = [one.symbol for one in positions if _in_scope(one, scope, algos)]
        except ExchangeError as error:
            self._problem(error, report)
            return report.left
        return held

    def _close(self, position: PositionReport, filters: Filters | None, report: Report) -> None:
        amount = abs(position.position_amt)
        most = filters.market_max_quantity if filters else amount
        side: Side = "SELL" if position.position_amt > 0 else "BUY"
        order = NewOrder(
            symbol=position.symbol,
            side=side,
            client_id=self._next_id(position.symbol),
            quantity=min(amount, most),
            reduce_only=True,
            position_side=position.position_side,
        )
        try:
            answer = self.trading.place_order(order)
        except ExchangeError as error:
            self.sent(order, None)
            self._problem(error, report)
            return
        self.sent(order, answer)
        report.closed[position.symbol] = report.closed.get(position.symbol, Decimal(0)) + answer.executed_qty

    def _problem(self, error: ExchangeError, report: Report) -> None:
        report.problems.append(str(error))
        log.warning("%s; trying again", error)
        if isinstance(error, ClockSkewError):
            try:
                self.trading.client.sync_clock()
            except ExchangeError as failure:
                log.warning("the exchange's clock could not be measured: %s", failure)

    def _filters(self, report: Report) -> dict[str, Filters]:
        """The largest lots. Where they cannot be had, whole positions are tried."""
        try:
            return {one.symbol: one.filters for one in self.market.symbols() if one.filters}
        except ExchangeError as error:
            self._problem(error, report)
            return {}

    def _next_id(self, symbol: str) -> str:
        self._number += 1
        return self.identity.order_id(f"command:{symbol}:{self.trading.client.clock.now()}", "flatten", self._number)


def _in_scope(position: PositionReport, scope: Scope, algos: Iterable[AlgoReport]) -> bool:
    """Whether it is to be closed: what a stop or target of ours would close is ours, whatever the database knows."""
    return scope.position(position) or any(_closes(one, position) for one in algos)


def _closes(algo: AlgoReport, position: PositionReport) -> bool:
    """Whether the position is what it would close."""
    same = (algo.symbol, algo.position_side) == (position.symbol, position.position_side)
    side = "SELL" if position.position_amt > 0 else "BUY"
    return same and position.position_amt != 0 and algo.side == side


def journaled(
    journal: OrderJournal, environment: str, order: NewOrder, report: OrderReport | None, now: datetime
) -> None:
    """Write down an order that a person's command has sent. A database that fails now does not keep it from closing."""
    step = Transition(state=state_of(report.status) or "accepted" if report else "unknown", at=now, by="command")
    document = Order(
        id=order.client_id,
        environment=environment,
        symbol=order.symbol,
        signal=None,
        leg="flatten",
        side=order.side,
        type="MARKET",
        quantity=order.quantity,
        reduce_only=True,
        fence=0,
        state=step.state,
        history=[step],
        exchange_id=report.order_id if report else None,
        attempts=1,
        filled=report.executed_qty if report else Decimal(0),
        created_at=now,
        updated_at=now,
    )
    try:
        journal.intend(document)
    except PyMongoError as error:
        log.warning("order %s is not in the journal: %s", order.client_id, str(error)[:200])
