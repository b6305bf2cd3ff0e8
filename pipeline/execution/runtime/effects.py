"""Performs the core's effects in the order given: what is to be journaled is handed to the journal, requests are begun.
It decides nothing.

A request waits for no write: what it may not leave without is its intent, and for that the core itself waits. So a
position gets its stop as long as the lease lasts, whatever becomes of the journal.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from pipeline.execution.engine.effects import (
    Cancel,
    Effect,
    JournalOrder,
    Notify,
    Place,
    Query,
    QueryFills,
    QueryNumber,
    QueryPositions,
    Recall,
    Reconcile,
    SetMargin,
)
from pipeline.execution.engine.events import Recalled
from pipeline.execution.engine.rebuild import unexplained
from pipeline.execution.engine.state import OrderRecord
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.execution.runtime import documents
from pipeline.execution.runtime.journaling import Journaling
from pipeline.execution.runtime.writing import Stores, Write
from pipeline.timeline import to_datetime

log = logging.getLogger(__name__)

Request = Place | Cancel | Query | QueryNumber | QueryFills | QueryPositions | Recall | SetMargin | Reconcile


@dataclass(frozen=True, slots=True)
class Performer:
    """One term's hands. `begin` starts a request in a worker thread and returns at once."""

    stores: Stores
    journaling: Journaling
    gateway: Gateway
    begin: Callable[..., None]
    notify: Callable[[Notify], None]

    def perform(self, effect: Effect) -> None:
        """See to it."""
        if isinstance(effect, Notify):
            self.notify(effect)
        elif isinstance(effect, Request):
            self._ask(effect)
        else:
            self.journaling.add(effect)

    def written(self, write: Write) -> None:
        """It is durable."""
        if isinstance(write, JournalOrder):
            order = write.order
            if order.algo and order.filled and not order.unsettled and order.fee is None:
                self.begin(self._book_costs, order)

    def _ask(self, request: Request) -> None:
        match request:
            case Place(order, beside, instead):
                self.begin(self.gateway.place, order, beside, instead)
            case Cancel(order):
                self.begin(self.gateway.cancel, order)
            case Query(order):
                self.begin(self.gateway.query, order)
            case QueryNumber(symbol, number):
                self.begin(self.gateway.query_number, symbol, number)
            case QueryFills(symbol, since):
                self.begin(self.gateway.query_fills, symbol, since)
            case QueryPositions(symbol):
                self.begin(self.gateway.query_positions, symbol)
            case Recall(symbol, since):
                self.begin(self._recall, symbol, since)
            case SetMargin(symbol, margin):
                self.begin(self.gateway.set_margin, symbol, margin)
            case Reconcile():
                self.begin(self.gateway.reconcile)

    def _recall(self, symbol: str, since: int) -> None:
        """A symbol's past, of the exchange and of the journal."""
        past = self.gateway.past(symbol, since)
        if past is None:
            return
        orders, trades = past
        try:
            found = self.stores.journal.named(one.id for one in orders)
            known = tuple(documents.order_record(one) for one in found)
            wanted = unexplained(orders, known)
            signals = self.stores.signals.of_symbol(symbol, to_datetime(since)) if wanted else []
        except PyMongoError as error:
            log.warning("the past of %s cannot be read in the database: %s", symbol, str(error)[:200])
            return
        self.gateway.tell(
            Recalled(
                symbol,
                orders,
                known,
                trades,
                tuple(documents.signal_view(one) for one in signals),
            )
        )

    def _book_costs(self, order: OrderRecord) -> None:
        """What a fired conditional order cost and brought, from the trades of the order that it became. Nothing depends
        on it: a failure is left at that. Of any other order the engine asks itself."""
        costs = self.gateway.costs(order)
        if costs is None:
            return
        try:
            self.stores.journal.add(order.id, costs)
        except PyMongoError as error:
            log.warning("the costs of order %s could not be written: %s", order.id, str(error)[:200])
