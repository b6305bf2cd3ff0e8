"""A symbol's past, asked for again: of thousands of signals none is read where the journal has what was decided."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import Recall
from pipeline.execution.engine.events import Event, Recalled
from pipeline.execution.engine.state import OrderRecord, OrderTold, PlanRecord
from pipeline.execution.runtime import documents
from pipeline.execution.runtime.effects import Performer
from pipeline.execution.runtime.writing import stores_of
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE

NOW = 1_790_000_000_000
MINE = Identity("sim", "mine00")
SAID = 500
PLAN = PlanRecord("macd_cross", Decimal(100), Decimal(2), Decimal(1), Decimal(96), None, NOW + MINUTE)


@dataclass
class Desk:
    """Whoever asks an exchange that lists these orders, and a journal."""

    db: Any
    listed: list[OrderTold]
    told: list[Event] = field(default_factory=list)

    def past(self, _symbol: str, _since: int) -> Any:
        return tuple(self.listed), ()

    def tell(self, event: Event) -> None:
        self.told.append(event)

    def recalled(self) -> Recalled:
        durable, _ = stores_of(self.db, "sim")

        def begin(do: Callable[..., None], *arguments: Any) -> None:
            do(*arguments)

        hands = Performer(durable, SimpleNamespace(), self, begin, lambda _: None)  # type: ignore[arg-type]
        hands.perform(Recall("BTCUSDT", NOW - SAID * MINUTE))
        (event,) = self.told
        assert isinstance(event, Recalled)
        return event


@pytest.fixture
def signals(db: Any, signal_document: Callable[..., dict[str, Any]]) -> list[str]:
    """One a minute."""
    prepare(db)
    db.signals.insert_many(signal_document(NOW - number * MINUTE, interval="1m") for number in range(SAID))
    return [one["_id"] for one in db.signals.find({}, {"_id": 1}).sort("at", 1)]


def entry(signal: str, plan: PlanRecord | None) -> OrderRecord:
    return OrderRecord(
        id=MINE.order_id(signal, "entry"), symbol="BTCUSDT", signal=signal, leg="entry", side="BUY", type="MARKET",
        quantity=Decimal(1), created_at=NOW, updated_at=NOW, state="filled", filled=Decimal(1), plan=plan,
    )  # fmt: skip


def told(order: OrderRecord) -> OrderTold:
    return OrderTold(order.id, "BTCUSDT", "BUY", "filled", Decimal(1), NOW)


def test_none_is_read_where_the_journal_has_what_was_decided(db: Any, signals: list[str]) -> None:
    order = entry(signals[-1], PLAN)
    stores_of(db, "sim")[0].journal.intend(documents.order_document(order, "sim", 1))
    past = Desk(db, [told(order)]).recalled()
    assert [one.id for one in past.known] == [order.id]
    assert past.signals == ()


def test_of_an_order_that_the_journal_lost_its_signal_is_looked_for(db: Any, signals: list[str]) -> None:
    past = Desk(db, [told(entry(signals[-1], None))]).recalled()
    assert past.known == ()
    assert signals[-1] in {one.id for one in past.signals}


def test_nor_of_somebody_elses(db: Any, signals: list[str]) -> None:
    assert Desk(db, [replace(told(entry(signals[-1], None)), id="by-hand-1")]).recalled().signals == ()
