"""`tidemark close SYMBOL`, `halt --symbol`: one symbol is closed, or opens nothing more; the others go on."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.store.control import ControlStore
from pipeline.store.mongod.launch import any_free_port
from schemas.control import Trading

Run = Callable[..., Any]


def trading(house: Any, symbol: str = "BTCUSDT") -> Trading | None:
    return ControlStore(house.db, "sim").read().trading.get(symbol)


async def test_an_executor_closes_what_is_asked_for_and_says_when_it_is_done(house: Any) -> None:
    control, asked = ControlStore(house.db, "sim"), datetime.now(UTC)
    async with house.executor():
        await house.hold()
        control.set_trading("BTCUSDT", {"close_asked": asked}, by="a person", now=asked)
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.until(lambda: trading(house).close_asked is None)
        await house.hold()
        await house.check()
    assert [one.leg for one in house.orders() if one.leg == "flatten"] == ["flatten"], "once"


def test_what_was_asked_again_meanwhile_stays_asked(house: Any) -> None:
    control, first, again = ControlStore(house.db, "sim"), datetime.now(UTC), datetime(2030, 1, 1, tzinfo=UTC)
    for asked in (first, again):
        control.set_trading("BTCUSDT", {"close_asked": asked}, by="a person", now=asked)
    control.close_done("BTCUSDT", first)
    assert trading(house).close_asked == again
    control.close_done("BTCUSDT", again)
    assert trading(house).close_asked is None


async def command(run: Run, *arguments: str, code: int = 0) -> Any:
    return await asyncio.to_thread(run, *arguments, code=code)


def held(house: Any) -> set[str]:
    return {one.symbol for one in house.trading.positions() if one.position_amt}


async def hold_both(house: Any) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        price = float(house.price(symbol))
        said = house.say(symbol=symbol, price=price, indicators={"atr": round(price * 0.01, 2)})
        assert (await house.verdict(said)).verdict == "taken"
    await house.until(lambda: {one.symbol for one in house.stops()} == {"BTCUSDT", "ETHUSDT"})


async def test_with_an_executor_one_symbol_is_closed_and_the_other_keeps_its_stop(house: Any, run: Run) -> None:
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}):
        await hold_both(house)
        done = json.loads((await command(run, "close", "btcusdt", "--json")).stdout)
        assert (done["symbols"], done["flattened"]["flat"], done["flattened"]["closed"]) == (["BTCUSDT"], True, {})
        assert held(house) == {"ETHUSDT"}
        assert {one.symbol for one in house.stops()} == {"ETHUSDT"}
        await house.until(lambda: trading(house).close_asked is None)
        await house.hold()
    assert trading(house).enabled is None, "nobody has switched it on or off"
    assert [one.symbol for one in house.orders(leg="flatten")] == ["BTCUSDT"]


async def test_without_an_executor_it_is_closed_from_here_and_a_later_one_opens_it_again(house: Any, run: Run) -> None:
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}):
        await hold_both(house)
    done = await command(run, "close", "BTCUSDT", "--reason", "the news")
    assert "BTCUSDT: flat, says the exchange" in done.stdout
    assert re.search(r"^closed BTCUSDT long [\d.]+ @ [\d,.]+, by this command$", done.stdout, re.MULTILINE)
    assert held(house) == {"ETHUSDT"}
    assert {one.symbol for one in house.stops()} == {"ETHUSDT"}
    assert trading(house).close_asked is None
    assert [one.reason for one in trading(house).changes] == ["the news"]
    assert [one.history[0].by for one in house.orders(leg="flatten")] == ["command"]
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}):
        await house.hold()
        await asyncio.sleep(1)
        assert held(house) == {"BTCUSDT", "ETHUSDT"}


async def test_what_cannot_be_closed_keeps_its_stop_and_stays_asked(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.simulator.faults.add("maintenance", method="POST", path="/fapi/v1/order")
    failed = await command(run, "close", "BTCUSDT", code=3)
    assert "not everything is closed: BTCUSDT" in failed.output
    assert len(house.stops()) == 1
    assert trading(house).close_asked is not None
    house.simulator.faults.clear()
    async with house.executor():
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.until(lambda: trading(house).close_asked is None)


async def test_a_position_that_is_not_ours_is_left_and_refused(house: Any, run: Run) -> None:
    house.trade_by_hand()
    refused = await command(run, "close", "ETHUSDT", code=3)
    assert "the position in ETHUSDT is not Tidemark's" in refused.stderr.replace("\n", " ")
    assert held(house) == {"ETHUSDT"}


async def test_a_mistyped_symbol_is_refused_and_the_nearest_named(
    house: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.executor():
        await house.hold()
    for asked in (["close", "BTCUSD"], ["halt", "--symbol", "BTCUSD", "--flatten"], ["resume", "--symbol", "BTCUSD"]):
        refused = await command(run, *asked, code=2)
        assert "Did you mean BTCUSDT?" in refused.stderr.replace("\n", " ")
    assert "no symbol" in (await command(run, "close", "$where", code=2)).stderr
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://127.0.0.1:{any_free_port()}/?serverSelectionTimeoutMS=300")
    refused = await command(run, "close", "BTCUSD", code=2)
    assert "Did you mean BTCUSDT?" in refused.stderr.replace("\n", " ")
    assert held(house) == {"BTCUSDT"}
    assert len(house.stops()) == 1


async def test_without_the_database_everything_in_the_symbol_is_closed_and_nothing_else(
    house: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}):
        await hold_both(house)
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://127.0.0.1:{any_free_port()}/?serverSelectionTimeoutMS=300")
    done = await command(run, "close", "BTCUSDT")
    assert "everything in BTCUSDT is closed" in done.stderr.replace("\n", " ")
    assert held(house) == {"ETHUSDT"}
    assert {one.symbol for one in house.stops()} == {"ETHUSDT"}


async def test_a_symbol_that_is_halted_opens_nothing_and_the_others_do(house: Any, run: Run) -> None:
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}) as executor:
        await hold_both(house)
        halted = await command(run, "halt", "--symbol", "BTCUSDT", "--reason", "thin")
        assert "nothing is opened in BTCUSDT any more" in halted.stdout
        assert "no" in (await command(run, "trading", "BTCUSDT")).stdout.splitlines()[4].split(), "the same switch"
        assert len(house.stops()) == 2
        done = json.loads((await command(run, "halt", "--symbol", "BTCUSDT", "--flatten", "--json")).stdout)
        assert (done["halted"], done["symbols"], done["flattened"]["flat"]) == (True, ["BTCUSDT"], True)
        assert held(house) == {"ETHUSDT"}
        refused = await house.verdict(house.say())
        assert (refused.verdict, refused.reason) == ("skipped", "trading of BTCUSDT is off")
        assert "off, each by itself: BTCUSDT" in (await command(run, "resume")).stderr
        assert json.loads((await command(run, "resume", "--symbol", "BTCUSDT", "--json")).stdout)["off"] == []
        await house.until(lambda: executor.term.core._memory.market("BTCUSDT").trading.enabled)
        await house.hold()
        assert ControlStore(house.db, "sim").read().halt.halted is False


async def test_a_close_that_is_cut_short_is_finished_by_the_executor(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
        closing = await asyncio.create_subprocess_exec(sys.executable, "-m", "pipeline.cli", "close", "BTCUSDT")
        await house.until(lambda: trading(house) is not None)
        closing.send_signal(signal.SIGINT)
        await asyncio.wait_for(closing.wait(), 60)
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.until(lambda: trading(house).close_asked is None)
