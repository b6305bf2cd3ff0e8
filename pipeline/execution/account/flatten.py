"""Closes what is held, straight at the exchange: what the kill switch does when no executor does it.

It needs no database and no lease. Everything it sends can only reduce or cancel, so it does no harm twice, nor beside
an executor. The stops go last: until a position is flat, they stand. It is never content with what it has sent: flat is
what the exchange says after everything that could still open something has its end.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from pymongo.errors import PyMongoError

from pipeline.exchange.errors import (
    BannedError,
    CircuitOpenError,
    ClockSkewError,
    ExchangeError,
    RateLimitedError,
    RefusedError,
    until_text,
)
from pipeline.exchange.market import MarketData
from pipeline.exchange.reports import AlgoReport, OrderReport, PositionReport
from pipeline.exchange.trading import NewOrder, Side, Trading
from pipeline.execution.account.whose import is_ours
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.order_life import state_of
from pipeline.store.orders import OrderJournal
from pipeline.timeline import SECOND
from schemas.orders import UNSETTLED, Order, Transition

log = logging.getLogger(__name__)

Sent = Callable[[NewOrder, OrderReport | None], None]
_TRIES = 12
"""So often in a row it tries in vain where nobody says when to go on."""
_PAUSE = 0.5
_DOUBT_PAUSE = 1.0
_LATE = 2.0
_OVER_LARGEST_LOT = -4005


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be closed: everything, or only what is ours; and nothing that is not `within` its symbols, where it
    names some. `symbols`: where the journal has something of ours. It counts where the exchange does not say whose a
    position is.

    `entering` are the orders of ours, with their symbols, whose end is not known and that may open something; None
    where nobody knows of any.
    """

    symbols: Collection[str] | None = None
    is_ours: Callable[[str], bool] | None = None
    entering: Mapping[str, str] | None = None
    within: Collection[str] | None = None

    def covers(self, symbol: str) -> bool:
        """Whether anything in this symbol is to be looked at."""
        return self.within is None or symbol in self.within

    def order(self, symbol: str, client_id: str) -> bool:
        """Whether this order is to be cancelled."""
        return self.covers(symbol) and (self.is_ours is None or self.is_ours(client_id))


@dataclass(slots=True)
class Report:
    """What was done, what could not be, and how the exchange was found at the end."""

    closed: dict[str, Decimal] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    in_doubt: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)
    """Where nothing was held, and what strategies held against each other has ended."""
    problems: list[str] = field(default_factory=list)
    flat: bool = False

    def done(self) -> tuple[Decimal, int]:
        """Grows with everything that is closed or cancelled."""
        return sum(self.closed.values(), Decimal(0)), len(self.cancelled)


@dataclass(slots=True)
class Flattener:
    """Cancels and closes until nothing of the scope is left, or it cannot. `trading` makes one try a call, and `tell`
    is told what is waited for. `report` is what was done so far, also when it is interrupted."""

    trading: Trading
    market: MarketData
    sent: Sent
    tell: Callable[[str], None]
    identity: Identity
    sleep: Callable[[float], None] = time.sleep
    report: Report = field(default_factory=Report)
    held: dict[str, Decimal] = field(default_factory=dict)
    """What of the scope it has found open, as it was found first."""
    _whose: dict[tuple[str, str, Decimal, int], bool | None] = field(default_factory=dict)
    """Of each position that was looked at, whether it is ours; None: the exchange did not say it in this round."""
    _largest: dict[str, Decimal] = field(default_factory=dict)
    _number: int = 0
    _until: int = 0
    _waits_for: str = ""
    _began: float = field(default_factory=time.monotonic)

    def cancel_orders(self, scope: Scope) -> None:
        """One go at the orders that could still open something: the first thing to do, before anybody is asked."""
        with self._noting():
            for order in self.trading.open_orders():
                if scope.order(order.symbol, order.client_order_id):
                    with self._noting():
                        if self.trading.cancel_order(order.symbol, order.client_order_id):
                            self.report.cancelled.append(order.client_order_id)

    def is_flat(self, scope: Scope) -> bool:
        """Whether the exchange holds and has open nothing of the scope, and nothing is in doubt. Changes nothing."""
        if scope.entering or any(scope.order(one.symbol, one.client_order_id) for one in self.trading.open_orders()):
            return False
        algos = self._algos_of(scope)
        stray = self._found(scope, algos)
        self.report.flat = not self.report.left and not stray
        return self.report.flat

    def flatten(self, scope: Scope) -> Report:
        """Orders first, so that nothing opens again; then positions; stops and targets when those are flat."""
        tries_left = _TRIES
        while tries_left:
            done = self.report.done()
            self._round(scope)
            if self.report.flat:
                break
            if self._until > self.trading.client.clock.now():
                self._wait()
            elif self.report.in_doubt and not self.report.problems:
                self._watch(scope)
            else:
                tries_left = _TRIES if self.report.done() > done else tries_left - 1
                self.sleep(_PAUSE if tries_left else 0)
        return self.report

    def _watch(self, scope: Scope) -> None:
        """Until what is in doubt has its end, or has come. The exchange counts what it is asked, so it is asked
        little."""
        with self._noting():
            while self._in_doubt(scope) and not any(True for _ in self._to_close(scope, (), self.trading.positions())):
                self.sleep(_DOUBT_PAUSE)

    def _round(self, scope: Scope) -> None:
        """One go at everything, then a look at what is left. A call that fails keeps none of the others from it."""
        report, algos = self.report, list[AlgoReport]()
        self._whose = {one: ours for one, ours in self._whose.items() if ours is not None}
        report.problems.clear()
        report.flat = False
        self.cancel_orders(scope)
        with self._noting():
            algos = self._algos_of(scope)
        with self._noting():
            for position in self._to_close(scope, algos, self.trading.positions()):
                self.held.setdefault(position.symbol, position.position_amt)
                with self._noting():
                    self._close(position)
        with self._noting():
            report.in_doubt = self._in_doubt(scope)  # asked before what is held: one that ends in between is not missed
            for algo in self._found(scope, algos):
                with self._noting():
                    if self.trading.cancel_algo(algo.client_algo_id):
                        report.cancelled.append(algo.client_algo_id)
            report.flat = not (report.left or report.in_doubt or report.problems)

    def _algos_of(self, scope: Scope) -> list[AlgoReport]:
        return [one for one in self.trading.open_algos() if scope.order(one.symbol, one.client_algo_id)]

    def _found(self, scope: Scope, algos: Collection[AlgoReport]) -> list[AlgoReport]:
        """Look at what is held, ours and not ours; what is returned of the stops and targets protects none of it."""
        held = [one for one in self.trading.positions() if one.position_amt and scope.covers(one.symbol)]
        ours = list(self._to_close(scope, algos, held))
        self.report.left = [one.symbol for one in held if one in ours]
        self.report.others = [one.symbol for one in held if one not in ours]
        return [algo for algo in algos if not any(_closes(algo, one) for one in held)]

    def _to_close(
        self, scope: Scope, algos: Collection[AlgoReport], positions: Iterable[PositionReport]
    ) -> Iterator[PositionReport]:
        """Those that are, what the journal has first: for no other's sake it waits for an answer."""
        held = [one for one in positions if one.position_amt and scope.covers(one.symbol)]
        for one in sorted(held, key=lambda one: not _taken_for_ours(one, scope, algos)):
            proven = None if scope.symbols is None else self._proven(one)
            if _taken_for_ours(one, scope, algos) if proven is None else proven:
                yield one

    def _proven(self, position: PositionReport) -> bool | None:
        """Whether it is ours, as the exchange's own fills say."""
        key = position.symbol, position.position_side, position.position_amt, position.update_time
        if key not in self._whose:
            try:
                self._whose[key] = is_ours(self.trading, self.identity, position)
            except ExchangeError as error:
                log.warning("the exchange does not say whose the position in %s is: %s", position.symbol, error)
                self._whose[key] = None
        return self._whose[key]

    def _in_doubt(self, scope: Scope) -> list[str]:
        """The orders that may still open something. One that the exchange does not know proves nothing until no copy
        of its request can be carried out any more."""
        window = self.trading.client.environment.recv_window / SECOND
        may_come = time.monotonic() - self._began < window + _LATE
        if scope.entering is None:
            return ["whatever is on its way"] if may_come else []
        found = {one: self.trading.query_order(symbol, one) for one, symbol in scope.entering.items()}
        return [
            name
            for name, order in found.items()
            if (may_come if order is None else state_of(order.status) in {*UNSETTLED, None})
        ]

    def _close(self, position: PositionReport) -> None:
        amount = abs(position.position_amt)
        side: Side = "SELL" if position.position_amt > 0 else "BUY"
        order = NewOrder(
            symbol=position.symbol,
            side=side,
            client_id=self._next_id(position.symbol),
            quantity=min(amount, self._largest.get(position.symbol, amount)),
            reduce_only=True,
            position_side=position.position_side,
        )
        try:
            answer = self.trading.place_order(order)
        except ExchangeError as error:
            self.sent(order, None)
            if isinstance(error, RefusedError) and error.code == _OVER_LARGEST_LOT:
                self._learn_largest_lots()
            raise
        self.sent(order, answer)
        closed = self.report.closed
        closed[position.symbol] = closed.get(position.symbol, Decimal(0)) + answer.executed_qty

    def _learn_largest_lots(self) -> None:
        with self._noting():
            self._largest = {
                one.symbol: one.filters.market_max_quantity for one in self.market.symbols() if one.filters
            }

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What fails inside is a problem of this round, and the round goes on."""
        try:
            yield
        except ExchangeError as error:
            self.report.problems.append(str(error))
            log.warning("%s; trying again", error)
            if isinstance(error, RateLimitedError | BannedError | CircuitOpenError):
                self._wait_for(error.until, str(error))
            if isinstance(error, ClockSkewError):
                self._mend_clock()

    def _mend_clock(self) -> None:
        try:
            self.trading.client.sync_clock()
        except ExchangeError as failure:
            log.warning("the exchange's clock could not be measured: %s", failure)

    def _wait_for(self, until: int, reason: str) -> None:
        if until > self._until:
            self._until, self._waits_for = until, reason

    def _wait(self) -> None:
        seconds = (self._until - self.trading.client.clock.now()) / SECOND
        self.tell(f"waiting {seconds:.0f} s, {until_text(self._until)}, to go on: {self._waits_for}")
        self.sleep(max(0.0, seconds))

    def _next_id(self, symbol: str) -> str:
        self._number += 1
        return self.identity.order_id(f"command:{symbol}:{self.trading.client.clock.now()}", "flatten", self._number)


def _taken_for_ours(position: PositionReport, scope: Scope, algos: Iterable[AlgoReport]) -> bool:
    """Whether it is to be closed as far as the journal, and what stands under it, can tell."""
    among = scope.symbols is None or position.symbol in scope.symbols
    return among or any(_closes(one, position) for one in algos)


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
