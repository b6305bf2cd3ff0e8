"""`account --now`, `orders --exchange`: what the exchange itself says, also where nobody has stored it."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Run = Callable[..., Any]


async def command(run: Run, *arguments: str, code: int = 0) -> Any:
    return await asyncio.to_thread(run, *arguments, code=code)


async def test_the_account_is_asked_for_at_the_exchange(house: Any, run: Run) -> None:
    house.trade_by_hand()
    found = json.loads((await command(run, "account", "--now", "--json")).stdout)
    assert found["environment"] == "sim"
    (held,) = found["positions"]
    assert (held["symbol"], held["quantity"]) == ("ETHUSDT", "0.1")
    assert Decimal(held["worth"]) > 0
    account = house.trading.account()
    assert Decimal(found["wallet"]) == account.wallets[0].balance
    assert Decimal(found["available"]) < Decimal(found["equity"])
    said = await command(run, "account", "--now")
    assert f"sim ({house.simulator.url})" in said.stderr
    assert "sim, the exchange says: equity" in said.stdout
    assert "ETHUSDT" in said.stdout
    assert "leave --by and --days out" in (await command(run, "account", "--now", "--days", "3", code=2)).stderr


async def test_what_is_open_there_is_listed_with_whose_it_is(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.rest("by-hand-1")
    house.rest("tm-other0-e-0123456789abcdef01234567")
    found = json.loads((await command(run, "orders", "--now", "--json")).stdout)["orders"]
    assert {(one["type"], one["whose"]) for one in found} == {
        ("STOP_MARKET", "ours"),
        ("LIMIT", "installation other0"),
        ("LIMIT", "by hand, or another program"),
    }
    assert all(one["open"] for one in found)
    assert "installation other0" in (await command(run, "orders", "--now")).stdout
    of_another = (await command(run, "orders", "--now", "--symbol", "ETHUSDT", "--json")).stdout
    assert json.loads(of_another)["orders"] == []
    assert "Did you mean BTCUSDT?" in (await command(run, "orders", "--now", "--symbol", "BTCUSD", code=2)).stderr


async def test_of_a_symbol_what_has_ended_is_listed_after_what_is_open(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    found = json.loads((await command(run, "orders", "--now", "--symbol", "btcusdt", "--json")).stdout)["orders"]
    assert [(one["type"], one["status"], one["open"]) for one in found] == [
        ("STOP_MARKET", "NEW", True),
        ("MARKET", "FILLED", False),
    ]
    assert {one["whose"] for one in found} == {"ours"}
