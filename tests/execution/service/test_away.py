"""The database goes away while a position is opened: what protects is sent all the same, and written down later."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from pipeline.errors import AttentionError
from pipeline.exchange.errors import StoppedError
from pipeline.execution.runtime.executor import pause_after
from pipeline.execution.runtime.lease import Leadership
from pipeline.execution.runtime.session import TradingSession
from pipeline.settings import Risk
from pipeline.store import connect
from pipeline.store.control import ControlStore
from pipeline.store.lease import LeaseStore
from pipeline.store.orders import OrderJournal


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"127.0.0.1:{silent.getsockname()[1]}"


async def test_a_stop_is_placed_without_the_journal_and_found_in_it_afterwards(house: Any, monkeypatch: Any) -> None:
    async with house.executor():
        truly = OrderJournal.append
        away = [True]

        def append(journal: OrderJournal, *others: Any) -> None:
            if away[0]:
                raise AutoReconnect("the database is away")
            truly(journal, *others)

        monkeypatch.setattr(OrderJournal, "append", append)
        name = house.say("trial")
        await house.until(lambda: house.held() and len(house.stops()) == 1)
        (entry,) = house.orders()
        assert (entry.leg, entry.state) == ("trial", "intended")
        second = house.say("trial", symbol="ETHUSDT")
        await house.until(lambda: house.orders() == [entry])
        away[0] = False
        await house.verdict(name)
        await house.verdict(second)
        await house.until(lambda: {"trial", "stop"} <= {one.leg for one in house.orders()})
        await house.check()
        (stop,) = house.orders(leg="stop", symbol="BTCUSDT")
        assert stop.state == "accepted"
        assert stop.exchange_id == house.stops()[0].algo_id


@pytest.mark.parametrize("collection", ["orders", "positions"])
async def test_a_write_that_is_refused_for_certain_keeps_no_stop_from_going_out(house: Any, collection: str) -> None:
    async with house.executor() as executor:
        term = executor.term
        house.db.command("collMod", collection, validator={"leg": {"$nin": ["stop", "flatten", None]}})
        name = house.say("trial")
        await house.until(lambda: house.held() and len(house.stops()) == 1)
        await asyncio.sleep(2)
        assert executor.term is term, "the term goes on"
        assert [one.title for one in house.notes].count("the journal refuses a write") == 1
        second = house.say("trial", symbol="ETHUSDT")
        await asyncio.sleep(1)
        assert house.trading.positions("ETHUSDT") == [], "and nothing is opened"
        house.db.command("collMod", collection, validator={})
        assert (await house.verdict(name)).verdict == "taken"
        await house.verdict(second)
        await house.check()


async def test_a_term_that_fails_for_certain_begins_anew_less_and_less_often(house: Any) -> None:
    house.simulator.faults.add("answer_code", code=-1000, method="GET", path="/fapi/v1/symbolConfig")
    ended = []
    async with house.executor(ready=False):
        for number in range(1, 5):
            await house.until(lambda number=number: len(house.notes) >= number)
            ended.append(time.monotonic())
    assert {one.title for one in house.notes} == {"the executor starts anew"}
    gaps = [late - early for early, late in pairwise(ended)]
    assert all(gap >= pause for gap, pause in zip(gaps, (1, 2, 4), strict=True)), gaps


def test_the_pause_between_two_terms_grows_to_a_minute_and_begins_anew_after_one_that_lasted() -> None:
    pauses = [0.0]
    for _ in range(8):
        pauses.append(pause_after(pauses[-1], 2.0))
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(60.0, 3_600.0) == 1


async def test_without_the_lease_nothing_that_changes_anything_leaves(house: Any) -> None:
    async with house.executor() as executor:
        sending = executor._context.sending
        await house.until(lambda: house.trading.symbol_config("BTCUSDT").leverage == Risk().leverage)
        before = len(house.ledger("attempts"))
        executor._leadership._set(None)
        for send in (
            lambda: sending.set_leverage("BTCUSDT", 4),
            lambda: sending.cancel_order("BTCUSDT", "none"),
            lambda: sending.cancel_algo("none"),
        ):
            with pytest.raises(StoppedError, match="does not hold the executor's lease; nothing was sent"):
                send()
        sending.account()
        assert len(house.ledger("attempts")) == before


async def test_a_lease_that_cannot_be_renewed_is_not_believed_longer_than_it_lasts(db: Any) -> None:
    moment = [100.0]
    store = LeaseStore(db, "executor:sim", "me", life=5.0, clock=lambda: moment[0])
    leadership = Leadership(store, clock=lambda: moment[0])
    assert leadership.fence is None
    assert await leadership.win() == 1
    moment[0] = 104.9
    assert leadership.fence == 1
    moment[0] = 105.0
    assert leadership.fence is None
    assert "ran out" in await leadership.hold()


async def test_a_database_that_does_not_answer_is_not_waited_for_longer_than_the_lease_lasts(
    db: Any, silent_server: str
) -> None:
    leadership = Leadership(store := LeaseStore(db, "executor:sim", "me", life=1.0))
    await leadership.win()
    with connect.client(f"mongodb://{silent_server}/?serverSelectionTimeoutMS=60000&connectTimeoutMS=60000") as away:
        store._control = away["kept"].control
        async with asyncio.timeout(30):
            assert "ran out" in await leadership.hold()
    assert leadership.fence is None


async def test_a_lease_that_comes_to_one_who_was_told_to_stop_is_given_back(db: Any, monkeypatch: Any) -> None:
    leadership = Leadership(store := LeaseStore(db, "executor:sim", "me", life=60.0))
    acquire, asked, answered = store.acquire, threading.Event(), threading.Event()

    def slowly() -> Any:
        found = acquire()
        asked.set()
        assert answered.wait(60)
        return found

    monkeypatch.setattr(store, "acquire", slowly)
    winning = asyncio.create_task(leadership.win())
    assert await asyncio.to_thread(asked.wait, 60)
    winning.cancel()
    await asyncio.sleep(0)
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await winning
    assert store.holder() is None
    assert leadership.fence is None


@pytest.mark.parametrize(
    "path",
    [
        "/fapi/v1/multiAssetsMargin",
        "/fapi/v1/positionSide/dual",
        "/fapi/v1/exchangeInfo",
        "/fapi/v1/symbolConfig",
        "/fapi/v1/leverageBracket",
        "/fapi/v1/income",
    ],
)
async def test_after_a_restart_what_is_held_waits_for_no_answer_that_protection_does_not_need(
    house: Any, path: str
) -> None:
    async with house.executor():
        await house.hold()
    await house.lose_its_stop()
    house.simulator.faults.add("maintenance", method="GET", path=path)
    async with house.executor(ready=False):
        await house.until(lambda: house.held() and [one.close_position for one in house.stops()] == [True])
        house.simulator.faults.clear()


async def test_an_account_that_is_not_understood_any_more_leaves_no_position_alone(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AttentionError("the futures account holds 0.01 USDC")

    async with house.executor():
        await house.hold()
    await house.lose_its_stop()
    monkeypatch.setattr("pipeline.execution.runtime.opening.require_understood", refuse)
    async with house.executor():
        await house.until(lambda: house.stops())
        found = await house.verdict(house.say("entry", symbol="ETHUSDT"))
        assert (found.verdict, "0.01 USDC" in found.reason) == ("skipped", True)
    monkeypatch.undo()
    async with house.executor():
        assert not ControlStore(house.db, "sim").read().breakers["account"].tripped


@pytest.mark.timeout(120)
async def test_a_term_ends_also_where_what_it_does_loses_its_cancellation(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def loses_one(_: TradingSession) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(TradingSession, "_keep_clock", loses_one)
    async with house.executor():
        pass
