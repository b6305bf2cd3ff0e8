"""What a person asks and orders of an account on spot: with an executor, without one, and without the database."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipeline.store.mongod.launch import any_free_port
from tests.execution.service.spot import OWN, STEP, SYMBOL, SpotHouse

Run = Callable[..., Any]


@pytest.fixture
def house(spot: SpotHouse) -> SpotHouse:
    return spot


async def command(run: Run, *arguments: str, code: int = 0) -> Any:
    found = await asyncio.to_thread(run, *arguments, code=code)
    return json.loads(found.stdout) if "--json" in arguments else found


async def test_an_executor_that_acts_is_left_to_sell(house: SpotHouse, run: Run) -> None:
    async with house.executor():
        held = await house.hold()
        done = await command(run, "halt", "--flatten", "--json")
        assert (done["flattened"]["flat"], done["flattened"]["problems"]) == (True, [])
        (sold,) = done["closed"]
        assert (sold["symbol"], sold["by"]) == (SYMBOL, ["the executor"])
        assert Decimal(sold["quantity"]) == held.quantity // STEP * STEP
        await house.closed()


async def test_without_an_executor_the_command_sells_what_is_ours_and_no_more(house: SpotHouse, run: Run) -> None:
    async with house.executor():
        held = await house.hold()
    house.trading.trade(SYMBOL, "BUY", Decimal("0.01"), "by-hand")
    done = await command(run, "halt", "--flatten", "--json")
    assert (done["flattened"]["flat"], done["flattened"]["problems"]) == (True, [])
    assert done["closed"][0]["by"] == ["this command"]
    assert Decimal(done["closed"][0]["quantity"]) == held.quantity // STEP * STEP
    assert house.balance() >= OWN + Decimal("0.00999")
    await house.calm()
    house.db.orders.update_many({"side": "SELL"}, {"$set": {"updated_at": datetime.now(UTC) + timedelta(minutes=1)}})
    again = await command(run, "halt", "--flatten", "--json")  # what a sale has cost was learnt meanwhile
    assert (again["flattened"]["flat"], again["closed"]) == (True, [])
    assert len([one for one in house.ledger() if one["kind"] == "Fill" and one["side"] == "SELL"]) == 1


async def test_one_symbol_is_closed_and_nothing_is_decided_for_it(house: SpotHouse, run: Run) -> None:
    async with house.executor():
        await house.hold()
    said = house.say("entry")
    done = await command(run, "close", SYMBOL, "--json")
    assert done["flattened"]["flat"]
    await house.closed()
    assert house.verdict(said) == "fresh"


async def test_what_the_journal_has_lost_is_found_and_sold(house: SpotHouse, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.db.orders.delete_many({})
    house.db.positions.delete_many({})
    assert (await command(run, "close", SYMBOL, "--json"))["flattened"]["flat"]
    assert 0 <= (house.balance() - OWN) * house.price() < 6
    assert house.standing() == []


async def test_without_the_database_nothing_is_sold_and_the_pair_stands(
    house: SpotHouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.executor():
        held = await house.hold()
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://127.0.0.1:{any_free_port()}/?serverSelectionTimeoutMS=300")
    failed = await command(run, "halt", "--flatten", code=3)
    assert "nobody knows which coins are ours: nothing is sold" in failed.output.replace("\n", " ")
    assert house.balance() == OWN + held.quantity
    assert len(house.standing()) == 2


async def test_the_account_its_positions_and_orders_as_stored_and_as_the_exchange_says(
    house: SpotHouse, run: Run
) -> None:
    async with house.executor():
        held = await house.hold()
        await house.until(lambda: house.db.accounts.find_one({"asset": "USDT"}))
    (position,) = (await command(run, "positions", "--json"))["positions"]
    assert (position["symbol"], Decimal(str(position["quantity"]))) == (SYMBOL, held.quantity)
    (account,) = (await command(run, "account", "--json"))["accounts"]
    latest = account["latest"]
    assert latest["asset"] == "USDT"
    assert abs(Decimal(str(latest["equity"])) - 10_000) < 20, "ten thousand dollars: no coins of the user's"
    now = await command(run, "account", "--now", "--json")
    balances = {one["asset"]: Decimal(str(one["wallet"])) for one in now["wallets"]}
    assert balances["BTC"] == OWN + held.quantity
    orders = (await command(run, "orders", "--now", "--symbol", SYMBOL, "--json"))["orders"]
    assert {(one["type"], one["whose"], one["open"]) for one in orders} == {
        ("STOP_LOSS", "ours", True), ("TAKE_PROFIT", "ours", True), ("MARKET", "ours", False),
    }  # fmt: skip
    assert len((await command(run, "orders", "--json"))["orders"]) == 3
    for shown in ("positions", "orders", "orders --now"):
        assert SYMBOL in (await command(run, *shown.split())).output
    assert "USDT" in (await command(run, "account")).output
    shown = (await command(run, "account", "--now")).output
    assert re.search(r"equity [\d,]+\.\d\d USDT, wallet [\d,]+\.\d\d, ", shown), shown
    assert re.search(r"equity 0\.1\d{7} BTC, wallet 0\.1\d{7}, ", shown), shown
    assert f"held: {SYMBOL}" in (await command(run, "status")).output
    assert "accepted, and may trade" in (await command(run, "doctor", "--only", "keys")).output
    await command(run, "doctor", "--only", "stage")
