"""Performs the core's effects in the order given: what is to be journaled is durable before the next one begins;
requests are only begun. It decides nothing.

While the database is away, or refuses a write for certain, what is to be journaled queues in its order, no new intent
is taken, and requests go on: so a position gets its stop as long as the lease lasts.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pymongo
from pymongo.errors import BulkWriteError, PyMongoError, WriteError

from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    Cancel,
    CloseDone,
    Effect,
    Explain,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Notify,
    Place,
    Query,
    QueryFills,
    QueryNumber,
    QueryPositions,
    Recall,
    Reconcile,
    ResetBreaker,
    SetMargin,
    TripBreaker,
    WriteVerdict,
)
from pipeline.execution.engine.events import Event, IntentJournaled, IntentRefused, Recalled
from pipeline.execution.engine.state import By, OrderRecord, PositionRecord
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.execution.runtime import documents
from pipeline.store.account import PositionStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.signals.feed import SignalFeed
from pipeline.timeline import to_datetime

log = logging.getLogger(__name__)

InThread = Callable[..., Awaitable[Any]]
Request = Place | Cancel | Query | QueryNumber | QueryFills | QueryPositions | Recall | SetMargin | Reconcile
AGAIN_AFTER = 0.5
AGAIN_AT_MOST = 60.0
_FOR_CERTAIN = (WriteError, BulkWriteError, ValueError)
"""It would be refused again: the document is not what it should be."""
WRITE_WITHIN = 1.5


@dataclass(frozen=True, slots=True)
class Stores:
    """Where things are written."""

    journal: OrderJournal
    positions: PositionStore
    signals: SignalFeed
    control: ControlStore


@dataclass(slots=True)
class Performer:
    """One term's hands. `begin` starts a request in a worker thread and returns at once."""

    identity: Identity
    fence: int
    stores: Stores
    gateway: Gateway
    tell: Callable[[Event], None]
    begin: Callable[..., None]
    in_thread: InThread
    notify: Callable[[Notify], None]
    now: Callable[[], int]
    _behind: deque[tuple[Any, ...]] = field(default_factory=deque)
    _refused: bool = False

    async def perform(self, effect: Effect) -> None:  # noqa: C901 - a table of effects
        """Do it."""
        match effect:
            case JournalIntent(order):
                await self._intend(order)
            case JournalOrder(order, by, detail):
                await self._write(self._append, order, by, detail)
                if order.filled and not order.unsettled and order.fee is None:
                    self.begin(self._book_costs, order)
            case JournalPosition(position):
                await self._write(self._save, position)
            case WriteVerdict():
                await self._write(self._decide, effect)
            case Explain(signal_id, reason):
                await self._write(self.stores.signals.explain, signal_id, reason)
            case TripBreaker(breaker):
                await self._write(
                    self.stores.control.trip, documents.breaker_document(breaker, self.identity.environment)
                )
            case ResetBreaker(name):
                await self._write(self._reset, name)
            case CloseDone(symbol, asked):
                await self._write(self.stores.control.close_done, symbol, to_datetime(asked))
            case Notify():
                self.notify(effect)
            case _:
                self._ask(effect)

    def _ask(self, request: Request) -> None:
        match request:
            case Place(order):
                self.begin(self.gateway.place, order)
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

    async def catch_up(self) -> None:
        """Write what the database did not take, in its order, until cancelled. What it refuses for certain is tried
        again with growing pauses: a person may mend it."""
        pause = AGAIN_AFTER
        while True:
            while self._behind and await self._tried(*self._behind[0]):
                self._behind.popleft()
                self._refused = False
            pause = min(pause * 2, AGAIN_AT_MOST) if self._behind and self._refused else AGAIN_AFTER
            await asyncio.sleep(pause)

    async def _intend(self, order: OrderRecord) -> None:
        """While the journal is behind it takes no intents: the core sends then what protects, and opens nothing."""
        if self._behind:
            self.tell(IntentRefused(order.id, exists=False, reason="the journal is behind"))
            return
        try:
            document = documents.order_document(order, self.identity.environment, self.fence)
            is_new = await self.in_thread(_bounded, self.stores.journal.intend, document)
        except (PyMongoError, *_FOR_CERTAIN) as error:
            self._complain(error)
            self.tell(IntentRefused(order.id, exists=False, reason=str(error)[:200]))
            return
        if is_new:
            self.tell(IntentJournaled(order.id))
        else:
            await self._already_there(order.id)

    async def _already_there(self, order_id: str) -> None:
        try:
            found = await self.in_thread(_bounded, self.stores.journal.get, order_id)
        except PyMongoError as error:
            self.tell(IntentRefused(order_id, exists=False, reason=str(error)[:200]))
            return
        known = None if found is None else documents.order_record(found)
        self.tell(IntentRefused(order_id, exists=True, reason="an order of that id is in the journal", known=known))

    async def _write(self, write: Callable[..., None], *arguments: Any) -> None:
        """Durable when it returns; or put behind what is not written yet either, so that nothing overtakes anything
        and what has to be sent is not kept waiting by a database that is away."""
        if self._behind or not await self._tried(write, *arguments):
            self._behind.append((write, *arguments))

    async def _tried(self, write: Callable[..., None], *arguments: Any) -> bool:
        try:
            await self.in_thread(_bounded, write, *arguments)
        except (PyMongoError, *_FOR_CERTAIN) as error:
            self._complain(error)
            return False
        return True

    def _complain(self, error: Exception) -> None:
        """A database that is away comes back; one that refuses what we write has to be seen to by a person."""
        reason = str(error)[:200]
        log.warning("the database did not take a write of the executor: %s; trying again", reason)
        if isinstance(error, _FOR_CERTAIN) and not self._refused:
            self._refused = True
            told = f"{reason}. Nothing is opened until it takes it; what is held keeps its stop and is closed by it"
            self.notify(Notify("error", "the journal refuses a write", told))

    # The writes themselves, in a worker thread

    def _append(self, order: OrderRecord, by: By, detail: str | None) -> None:
        document = documents.order_document(order, self.identity.environment, self.fence)
        self.stores.journal.append(document, documents.transition(order, by, detail), documents.order_changes(order))

    def _decide(self, effect: WriteVerdict) -> None:
        written = self.stores.signals.decide(
            effect.signal_id,
            effect.verdict,
            to_datetime(self.now()),
            reason=effect.reason,
            decision=None if effect.decision is None else documents.decision_document(effect.decision),
            orders=effect.orders,
        )
        if not written:
            log.info("signal %s has a verdict already; %s is not written", effect.signal_id, effect.verdict)

    def _reset(self, name: str) -> None:
        self.stores.control.reset(name, now=to_datetime(self.now()), reason="its time is over")

    def _save(self, position: PositionRecord) -> None:
        worth = self.gateway.worth.get(position.symbol)
        self.stores.positions.save([documents.position_document(position, self.identity, self.now(), worth)])

    def _recall(self, symbol: str, since: int) -> None:
        """A symbol's past, of the exchange and of the journal."""
        past = self.gateway.past(symbol, since)
        if past is None:
            return
        orders, trades = past
        try:
            known = self.stores.journal.named(one.id for one in orders)
            signals = self.stores.signals.of_symbol(symbol, to_datetime(since))
        except PyMongoError as error:
            log.warning("the past of %s cannot be read in the database: %s", symbol, str(error)[:200])
            return
        self.gateway.tell(
            Recalled(
                symbol,
                orders,
                tuple(documents.order_record(one) for one in known),
                trades,
                tuple(documents.signal_view(one) for one in signals),
            )
        )

    def _book_costs(self, order: OrderRecord) -> None:
        """What a filled order cost and brought, from its trades. Nothing depends on it: a failure is left at that."""
        costs = self.gateway.costs(order)
        if costs is None:
            return
        try:
            self.stores.journal.add(order.id, costs)
        except PyMongoError as error:
            log.warning("the costs of order %s could not be written: %s", order.id, str(error)[:200])


def _bounded(write: Callable[..., Any], *arguments: Any) -> Any:
    """A write that ends soon, one way or the other: the lease does not wait for a database that is away."""
    with pymongo.timeout(WRITE_WITHIN):
        return write(*arguments)
