"""What `halt --flatten` calls flat: the exchange holds nothing of ours, and nothing of ours can still come. Where the
exchange says when it may be asked again, it is waited for; where it does not, it is said that not everything is closed.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.app.beside import remember
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import NewOrder, Trading
from pipeline.execution.account.flatten import Flattener, Scope
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.runtime.opening import identify
from pipeline.settings import load
from pipeline.store.control import ControlStore
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.orders import OrderJournal
from schemas.orders import Order, Transition

Run = Callable[..., Any]


async def flatten(run: Run, *, code: int = 0) -> Any:
    return await asyncio.to_thread(run, "halt", "--flatten", "--json", code=code)


def us(house: Any) -> Identity:
    """Who the house's executors are at the exchange."""
    return identify(ControlStore(house.db, "sim"), "sim")


def let_it_be_second(house: Any, second: int) -> None:
    """Move the exchange's clock forward to that second of its minute."""
    house.simulator.skew_clock((second * 1_000 - house.simulator.now()) % 60_000)


async def test_a_rate_limit_is_waited_for_until_its_end_and_shown(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    let_it_be_second(house, 42)
    house.simulator.faults.add("rate_limited", path="/fapi/v3/positionRisk", next=1)
    done = await flatten(run)
    assert house.held() == 0
    assert "to go on: GET /fapi/v3/positionRisk: the exchange answered 429" in done.stderr
    assert json.loads(done.stdout)["flattened"]["flat"] is True


async def test_a_ban_is_waited_for_until_its_end(house: Any) -> None:
    async with house.executor():
        await house.hold()
    ahead, said = [0], list[str]()

    def sleep(seconds: float) -> None:
        ahead[0] += round(seconds * 1_000)
        house.simulator.skew_clock(ahead[0])
        house.simulator.forgive()

    with RestClient(replace(house.place, retries=0), house.credentials) as client:
        client.clock.local = lambda: house.simulator.now() + ahead[0]
        flattener = Flattener(Trading(client), MarketData(client), lambda *_: None, said.append, us(house), sleep)
        house.simulator.faults.add("banned", path="/fapi/v3/positionRisk", next=1)
        report = flattener.flatten(Scope({"BTCUSDT"}, us(house).owns, {}))
    assert (report.flat, report.problems) == (True, [])
    assert 119_000 < ahead[0] < 140_000, "a ban lasts two minutes"
    assert len(said) == 1
    assert "banned" in said[0]
    assert house.held() == 0


async def test_a_position_is_closed_though_its_orders_cannot_be_cancelled(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.rest(us(house).order_id("a limit", "entry"))
    house.simulator.faults.add("maintenance", method="DELETE", path="/fapi/v1/order")
    failed = await flatten(run, code=3)
    assert house.held() == 0
    assert json.loads(failed.stdout)["flattened"]["flat"] is False


async def test_stored_flatness_is_not_believed_while_an_entry_is_in_flight(house: Any, run: Run) -> None:
    async with house.executor():
        house.simulator.freeze_connections("private")
        house.simulator.faults.add("unknown_after", method="POST", path="/fapi/v1/order", next=1)
        house.simulator.faults.add("maintenance", method="GET", path="/fapi/v1/order", next=4)
        house.say("entry")
        await house.until(house.held)
        assert house.position() is None or house.position().quantity == 0, "nobody has told the executor"
        done = json.loads((await flatten(run)).stdout)
        assert house.held() == 0
        assert done["flattened"]["flat"] is True
        await house.check()


async def test_an_entry_that_arrives_after_the_death_of_its_executor_is_closed(house: Any, run: Run) -> None:
    order, before = intended(house), looks(house)
    flattening = asyncio.create_task(flatten(run))
    await house.until(lambda: looks(house) > before)
    assert not flattening.done(), "it may still come"
    await arrives(house, order.id)
    done = json.loads((await flattening).stdout)
    assert house.held() == 0
    assert Decimal(done["flattened"]["closed"]["BTCUSDT"]) == order.quantity


async def test_without_the_database_whatever_is_on_its_way_is_waited_for(
    house: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://127.0.0.1:{any_free_port()}/?serverSelectionTimeoutMS=300")
    before = looks(house)
    flattening = asyncio.create_task(flatten(run, code=3))
    await house.until(lambda: looks(house) > before)
    assert not flattening.done(), "something may still come"
    await arrives(house, us(house).order_id("late", "entry"))
    assert json.loads((await flattening).stdout)["flattened"]["flat"] is True
    assert house.held() == 0


async def test_what_is_not_ours_is_left_and_named(house: Any, run: Run) -> None:
    house.trade_by_hand()
    done = await asyncio.to_thread(run, "halt", "--flatten")
    assert "not ours: ETHUSDT" in done.stdout.replace("\n", " ")


async def test_a_symbol_that_was_traded_once_is_not_ours_for_ever(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
        await house.verdict(house.say("exit"))
        await house.until(lambda: house.held() == 0)
        await house.until(lambda: (found := house.position()) is not None and found.quantity == 0 and not found.signal)
    house.trade_by_hand("BTCUSDT")
    done = await asyncio.to_thread(run, "halt", "--flatten")
    assert "not ours: BTCUSDT" in done.stdout.replace("\n", " ")
    assert house.held() != 0


@pytest.mark.parametrize("behind", ["orders", "positions", "both"])
async def test_what_somebody_holds_is_not_ours_however_old_the_journal_is(house: Any, run: Run, behind: str) -> None:
    """As one that was killed leaves it: before it heard of the end, or between two writes."""
    async with house.executor():
        await house.hold()
        kept = {name: list(house.db[name].find()) for name in ("orders", "positions")}
        await house.verdict(house.say("exit"))
        await house.until(lambda: house.held() == 0 and house.stops() == [])
    for name in kept if behind == "both" else [behind]:
        for one in kept[name]:
            house.db[name].replace_one({"_id": one["_id"]}, one)
    house.trade_by_hand("BTCUSDT")
    await assert_left_alone(house, run)


async def test_what_somebody_holds_is_not_ours_for_the_stop_that_stands_under_it(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand("BTCUSDT", -house.held())
    house.trade_by_hand("BTCUSDT")
    await assert_left_alone(house, run)
    assert len(house.stops()) == 1, "it stands until nothing is held that it would close"


async def test_what_our_entry_opened_is_ours_though_neither_journal_nor_stop_knows_it(house: Any, run: Run) -> None:
    await arrives(house, us(house).order_id("nobody knows", "entry"))
    house.trade_by_hand("BTCUSDT")
    done = json.loads((await flatten(run)).stdout)
    assert done["flattened"]["closed"] == {"BTCUSDT": "0.11"}, "with what was added: one position has one stop"
    assert house.held() == 0


async def test_where_the_exchange_does_not_tell_of_its_fills_the_journal_counts(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    house.simulator.faults.add("maintenance", path="/fapi/v1/userTrades")
    done = await asyncio.to_thread(run, "halt", "--flatten")
    assert house.held() == 0
    assert "not ours: ETHUSDT" in done.stdout.replace("\n", " ")


async def assert_left_alone(house: Any, run: Run) -> None:
    done = await asyncio.to_thread(run, "halt", "--flatten")
    assert "not ours: BTCUSDT" in done.stdout.replace("\n", " ")
    assert house.held() == Decimal("0.1")


@pytest.mark.parametrize(("known", "left"), [(True, 1), (False, 0)], ids=["known who we are", "nobody traded here"])
async def test_the_orders_of_another_installation_are_left_where_it_is_known_who_we_are(
    house: Any, run: Run, known: bool, left: int
) -> None:
    another = Identity("sim", "zzzzzz").order_id("a limit", "entry")
    house.rest(another)
    house.rest(us(house).order_id("a limit", "entry"))
    if known:
        remember(load(), us(house).name)
    await asyncio.to_thread(run, "halt", "--flatten")
    open_ = [one.client_order_id for one in house.trading.open_orders()]
    assert open_ == [another][:left]


def looks(house: Any) -> int:
    """How often somebody has asked what is held."""
    return int(house.simulator.ledger()["requests"].get("GET /fapi/v3/positionRisk", 0))


def intended(house: Any) -> Order:
    """An entry that its executor wrote down before it was killed; nobody knows whether it left."""
    now = datetime.now(UTC)
    order = Order(
        id=us(house).order_id("in flight", "entry"), environment="sim", symbol="BTCUSDT", signal="in flight",
        leg="entry", side="BUY", type="MARKET", quantity=Decimal("0.01"), fence=1, state="intended",
        history=[Transition(state="intended", at=now, by="executor")], filled=Decimal(0), created_at=now,
        updated_at=now,
    )  # fmt: skip
    assert OrderJournal(house.db, "sim").intend(order)
    return order


async def arrives(house: Any, client_id: str) -> None:
    order = NewOrder(symbol="BTCUSDT", side="BUY", client_id=client_id, quantity=Decimal("0.01"))
    await asyncio.to_thread(house.trading.place_order, order)
