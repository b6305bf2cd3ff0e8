"""What the executor decided becomes durable in its order, and what waits together is one write to the disk."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    CloseDone,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Notify,
    WriteVerdict,
)
from pipeline.execution.engine.events import Event, IntentJournaled, IntentRefused
from pipeline.execution.engine.state import OrderRecord, flat
from pipeline.execution.runtime.journaling import Journaling
from pipeline.execution.runtime.writing import Write, Writing, stores_of
from pipeline.store.orders import OrderJournal
from pipeline.store.prepare import prepare

NOW = 1_790_000_000_000


def order(number: int, **changed: Any) -> OrderRecord:
    made = OrderRecord(
        id=f"tm-mine00-e-{number}", symbol="BTCUSDT", signal=None, leg="flatten", side="SELL", type="MARKET",
        quantity=Decimal(1), created_at=NOW, updated_at=NOW, reduce_only=True,
    )  # fmt: skip
    return replace(made, **changed)


@dataclass
class Desk:
    """A journaling whose disk takes a write only when it is let."""

    db: Any
    told: list[Event] = field(default_factory=list)
    written: list[Write] = field(default_factory=list)
    notes: list[Notify] = field(default_factory=list)
    disk: asyncio.Event = field(default_factory=asyncio.Event)
    waits: int = 0

    def __post_init__(self) -> None:
        prepare(self.db)
        durable, unhurried = stores_of(self.db, "sim")
        self.journal = durable.journal
        writing = Writing(Identity("sim", "mine00"), 1, durable, unhurried, lambda _: None, lambda: NOW)
        self.journaling = Journaling(writing, self.told.append, self.written.append, self.in_thread, self.notes.append)

    async def in_thread(self, do: Callable[..., Any], *arguments: Any) -> Any:
        self.waits += 1
        await self.disk.wait()
        return await asyncio.to_thread(do, *arguments)

    async def until(self, so: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not so():  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)

    def states(self) -> dict[str, tuple[str, int]]:
        return {one["_id"]: (one["state"], len(one["history"])) for one in self.db.orders.find().sort("_id", 1)}


@pytest.fixture
async def desk(db: Any) -> Any:
    made = Desk(db)
    running = asyncio.create_task(made.journaling.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def some(count: int) -> list[Write]:
    """Intents, states, a position and a verdict, in no order that a writer could choose."""
    writes: list[Write] = []
    for number in range(count):
        known = order(number)
        writes += [JournalIntent(order(100 + number)), JournalOrder(replace(known, state="sent"), "executor")]
        writes += [JournalPosition(flat(f"S{number}USDT")), JournalOrder(replace(known, state="accepted"), "answer")]
        writes += [WriteVerdict(f"signal {number}", "taken", orders=(known.id,))]
    return writes


async def test_what_waits_while_the_disk_has_a_write_is_the_next_write(desk: Desk) -> None:
    first, *others = writes = some(4)
    desk.journaling.add(first)
    await desk.until(lambda: desk.waits)
    for one in others:
        desk.journaling.add(one)
    assert desk.journaling.is_busy
    assert desk.told == []
    desk.disk.set()
    await desk.until(lambda: not desk.journaling.is_busy)
    assert desk.waits == 2
    assert desk.written == writes
    assert desk.told == [IntentJournaled(order(100 + number).id) for number in range(4)]
    intended = {order(100 + number).id: ("intended", 1) for number in range(4)}
    assert desk.states() == intended | {order(number).id: ("accepted", 2) for number in range(4)}


async def test_one_that_is_refused_for_certain_holds_up_what_is_behind_it_and_takes_no_intent(desk: Desk) -> None:
    desk.db.command("collMod", "positions", validator={"symbol": {"$ne": "S1USDT"}})
    writes = some(3)
    for one in writes:
        desk.journaling.add(one)
    desk.disk.set()
    await desk.until(lambda: desk.notes)
    refused = IntentRefused(order(102).id, exists=False, reason="the journal is behind")
    await desk.until(lambda: refused in desk.told)
    assert desk.told == [IntentJournaled(order(100).id), IntentJournaled(order(101).id), refused]
    assert desk.states()[order(1).id] == ("sent", 1)
    assert not desk.journaling.is_busy
    desk.journaling.add(late := JournalIntent(order(103)))
    assert desk.told[-1] == IntentRefused(late.order.id, exists=False, reason="the journal is behind")
    desk.db.command("collMod", "positions", validator={})
    await desk.until(lambda: len(desk.written) == len(writes) - 1)
    assert desk.written == [one for one in writes if one != JournalIntent(order(102))]
    assert desk.states()[order(2).id] == ("accepted", 2)
    assert [one.title for one in desk.notes] == ["the journal refuses a write"]
    desk.journaling.add(late)
    await desk.until(lambda: desk.told[-1] == IntentJournaled(late.order.id))


async def test_an_intent_that_the_journal_has_is_told_with_what_it_has(desk: Desk) -> None:
    known = order(101, state="filled", filled=Decimal(1))
    writing = desk.journaling._writing
    writing.one(JournalOrder(known, "answer"))
    for one in some(3):
        desk.journaling.add(one)
    desk.disk.set()
    await desk.until(lambda: len(desk.told) == 3)
    journaled, there, third = desk.told
    assert (journaled, third) == (IntentJournaled(order(100).id), IntentJournaled(order(102).id))
    assert isinstance(there, IntentRefused)
    assert there.exists
    assert there.known is not None
    assert (there.known.state, there.known.filled) == ("filled", 1)


async def test_where_another_server_was_elected_meanwhile_everything_is_written_again_and_is_what_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    elections = iter(range(2))
    monkeypatch.setattr(desk.journal, "primary", lambda: next(elections))
    writes = some(3)
    for one in writes:
        desk.journaling.add(one)
    desk.disk.set()
    await desk.until(lambda: not desk.journaling.is_busy)
    assert desk.waits == 1 + len(writes)
    assert desk.written == writes
    assert desk.told == [IntentJournaled(order(100 + number).id) for number in range(3)]
    intended = {order(100 + number).id: ("intended", 1) for number in range(3)}
    assert desk.states() == intended | {order(number).id: ("accepted", 2) for number in range(3)}


def test_an_election_is_seen(db: Any) -> None:
    journal = OrderJournal(db, "sim")
    known = journal.primary()
    assert known is not None
    assert journal.primary() == known


async def test_a_switch_is_written_by_itself_and_keeps_its_place(desk: Desk) -> None:
    writes = [*some(1), CloseDone("BTCUSDT", NOW), *some(2)[5:]]
    for one in writes:
        desk.journaling.add(one)
    desk.disk.set()
    await desk.until(lambda: not desk.journaling.is_busy)
    assert desk.waits == 3
    assert desk.written == writes
