"""How each thing that is to be journaled is written, alone or together with others. For a worker thread; it decides
nothing. What was written before, and is written again, is what it was.

Together is not a transaction: one that its process left behind, killed, would keep its documents locked for a minute.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import NotPrimaryError
from pymongo.write_concern import WriteConcern

from pipeline.exchange.reports import PositionReport
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    CloseDone,
    Explain,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    ResetBreaker,
    TripBreaker,
    WriteVerdict,
)
from pipeline.execution.engine.state import OrderRecord
from pipeline.execution.runtime import documents
from pipeline.store.account import PositionStore
from pipeline.store.control import ControlStore
from pipeline.store.likeness import LikenessStore
from pipeline.store.orders import OrderJournal
from pipeline.store.signals.feed import SignalFeed
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import to_datetime
from schemas.orders import Order

log = logging.getLogger(__name__)

Write = JournalIntent | JournalOrder | JournalPosition | WriteVerdict | Explain | TripBreaker | ResetBreaker | CloseDone
Together = JournalIntent | JournalOrder | JournalPosition | WriteVerdict | Explain
"""What can be written together with others."""


UNHURRIED: Final = WriteConcern(w=1)


@dataclass(frozen=True, slots=True)
class Stores:
    """Where things are written."""

    journal: OrderJournal
    positions: PositionStore
    signals: SignalFeed
    control: ControlStore
    symbols: SymbolStore
    likeness: LikenessStore


def stores_of(database: Database[dict[str, Any]], environment: str) -> tuple[Stores, Stores]:
    """Those whose writes are durable when they return, and the same that wait for no disk."""
    durable = Stores(
        OrderJournal(database, environment),
        PositionStore(database, environment),
        SignalFeed(database, environment),
        ControlStore(database, environment),
        SymbolStore(database),
        LikenessStore(database, environment),
    )
    loose = database.with_options(write_concern=UNHURRIED)
    return durable, replace(
        durable,
        journal=OrderJournal(loose, environment, UNHURRIED),
        positions=PositionStore(loose, environment),
        signals=SignalFeed(loose, environment),
    )


@dataclass(frozen=True, slots=True)
class Writing:
    """One term's hand. `worth` is what the exchange last said of the position in a symbol."""

    identity: Identity
    fence: int
    durable: Stores
    unhurried: Stores
    worth: Callable[[str], PositionReport | None]
    now: Callable[[], int]

    def all(self, writes: Sequence[Together]) -> list[bool]:
        """Each of them, as `one` does: durable when this returns. The disk is waited for once, behind the last, for a
        server makes durable in its order what it took. Where another was elected meanwhile, nobody knows what it has.
        """
        before = self.durable.journal.primary()
        found = [self._together(write, self.unhurried) for write in writes[:-1]]
        found.append(self._together(writes[-1], self.durable))
        if self.durable.journal.primary() != before:
            raise NotPrimaryError("another server takes the writes")
        return found

    def one(self, write: Write) -> bool:
        """That one. False where it is the intent of an order that is in the journal already."""
        control = self.durable.control
        match write:
            case TripBreaker(breaker):
                control.trip(documents.breaker_document(breaker, self.identity.environment))
            case ResetBreaker(name):
                control.reset(name, now=to_datetime(self.now()), reason="its time is over")
            case CloseDone(symbol, asked):
                control.close_done(symbol, to_datetime(asked))
            case _:
                return self._together(write, self.durable)
        return True

    def _together(self, write: Together, stores: Stores) -> bool:
        match write:
            case JournalIntent(order, why):
                return stores.journal.intend(self._order(order, why))
            case JournalOrder(order, by, detail):
                step, changes = documents.transition(order, by, detail), documents.order_changes(order)
                stores.journal.append(self._order(order), step, changes)
            case JournalPosition(position):
                worth = self.worth(position.symbol)
                stores.positions.save([documents.position_document(position, self.identity, self.now(), worth)])
            case WriteVerdict():
                self._decide(write, stores.signals)
            case Explain(signal_id, reason):
                stores.signals.explain(signal_id, reason)
        return True

    def _order(self, order: OrderRecord, why: str | None = None) -> Order:
        return documents.order_document(order, self.identity.environment, self.fence, why)

    def _decide(self, told: WriteVerdict, signals: SignalFeed) -> None:
        written = signals.decide(
            told.signal_id,
            told.verdict,
            to_datetime(self.now()),
            reason=told.reason,
            decision=None if told.decision is None else documents.decision_document(told.decision),
            orders=told.orders,
        )
        if not written:
            log.info("signal %s has a verdict already; %s is not written", told.signal_id, told.verdict)
