"""The kill switch and the other switches of a person: with an executor, without one, and without the database."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.control import ControlStore
from pipeline.store.mongod.launch import any_free_port
from pipeline.timeline import HOUR
from schemas.control import Halt

Run = Callable[..., Any]


async def command(run: Run, *arguments: str, code: int = 0) -> Any:
    found = await asyncio.to_thread(run, *arguments, code=code)
    return json.loads(found.stdout) if "--json" in arguments else found


async def test_halt_and_resume_with_an_executor(house: Any, run: Run) -> None:
    """The exchange is compared once in an hour only: the books follow the end of a position all the same."""
    async with house.executor(reconcile_every=HOUR) as executor:
        await house.hold()
        await command(run, "halt", "--reason", "a look")
        await house.until(lambda: executor.term.core._memory.halted)
        refused = await house.verdict(house.say("entry"))
        assert (refused.verdict, refused.reason) == ("skipped", "halted")
        assert len(house.stops()) == 1, "what is held keeps its stop"

        lines = house.db.accounts.count_documents({})
        done = await command(run, "halt", "--flatten", "--json")
        assert done["flattened"] == {
            "closed": {}, "cancelled": [], "left": [], "in_doubt": [], "others": [], "crossed": [],
            "problems": [], "flat": True,
        }  # fmt: skip
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        (closing,) = house.orders(leg="flatten")
        assert [(one["symbol"], one["side"], one["by"]) for one in done["closed"]] == [
            ("BTCUSDT", "long", ["the executor"])
        ]
        assert Decimal(done["closed"][0]["quantity"]) == closing.filled
        assert Decimal(done["closed"][0]["price"]) == closing.average_price
        await house.until(lambda: house.db.accounts.count_documents({}) > lines)
        assert house.db.accounts.find_one(sort=[("at", -1)])["open_positions"] == 0
        await command(run, "resume")
        await house.until(lambda: not executor.term.core._memory.halted)
        await house.hold()
        await house.check()
    halt = Halt.model_validate(house.db.control.find_one({"kind": "halt"}))
    assert [(one.new, one.reason) for one in halt.changes] == [
        ("halted", "a look"),
        ("halted, flatten", None),
        ("running", None),
    ]
    assert all("@" in one.by for one in halt.changes)


async def test_flatten_without_an_executor_closes_what_is_ours_and_journals_it(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    house.simulator.faults.add("unknown_after", method="POST", path="/fapi/v1/order", next=1)
    house.simulator.faults.add("maintenance", method="DELETE", next=1)
    done = await command(run, "halt", "--flatten", "--json")
    assert (done["halted"], done["flattened"]["left"], done["flattened"]["problems"]) == (True, [], [])
    assert house.held() == 0
    assert house.stops() == []
    assert [one.symbol for one in house.trading.positions() if one.position_amt] == ["ETHUSDT"]
    (closing,) = house.orders(leg="flatten")
    assert (closing.state, closing.history[0].by, closing.reduce_only) == ("unknown", "command", True)
    async with house.executor() as executor:
        await house.until(lambda: house.orders(leg="flatten")[0].state == "filled")
        assert executor.term.core._memory.halted
        refused = await house.verdict(house.say("entry"))
        assert refused.reason == "halted"
        await house.check()


async def test_flatten_with_a_database_that_does_not_know_the_position_leaves_none_without_its_stop(
    house: Any, run: Run
) -> None:
    async with house.executor():
        await house.hold()
    house.db.positions.delete_many({})
    house.db.orders.delete_many({})
    house.trade_by_hand()
    await command(run, "halt", "--flatten")
    assert house.held() == 0
    assert house.stops() == []
    assert [one.symbol for one in house.trading.positions() if one.position_amt] == ["ETHUSDT"]


async def test_flatten_without_the_database_goes_straight_to_the_exchange(
    house: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://127.0.0.1:{any_free_port()}/?serverSelectionTimeoutMS=300")
    failed = await command(run, "halt", "--flatten", code=3)
    assert "not recorded" in failed.output
    assert [one for one in house.trading.positions() if one.position_amt] == []
    assert house.stops() == []
    assert "run `tidemark halt` again" in failed.output.replace("\n", " ")


async def test_what_cannot_be_closed_is_said(house: Any, run: Run) -> None:
    async with house.executor():
        await house.hold()
    house.simulator.faults.add("maintenance", method="POST", path="/fapi/v1/order")
    failed = await command(run, "halt", "--flatten", code=3)
    assert "not everything is closed: BTCUSDT" in failed.output
    assert "NOT flat" in failed.stdout
    assert len(house.stops()) == 1, "until it is flat, the stop stands"
    house.simulator.faults.clear()
    await command(run, "halt", "--flatten")
    assert house.held() == 0


def test_the_mode_is_shown_changed_and_audited(house: Any, run: Run) -> None:
    assert json.loads(run("mode", "--json").stdout)["mode"] == "signal-only"
    run("mode", "auto-execute", "--reason", "tested")
    shown = json.loads(run("mode", "signal-only", "--json").stdout)
    assert shown["mode"] == "signal-only"
    assert [(one["old"], one["new"], one["reason"]) for one in shown["changes"]] == [
        (None, "auto-execute", "tested"),
        ("auto-execute", "signal-only", None),
    ]
    assert "Allowed" in run("mode", "fast", code=2).output


def test_real_money_is_not_switched_on_by_accident(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", "binance-um")
    monkeypatch.delenv("TIDEMARK_API_KEY")
    refused = run("mode", "auto-execute", code=3)
    assert "I trade real money" in refused.output
    assert json.loads(run("mode", "--json").stdout)["mode"] == "signal-only"
    assert "TIDEMARK_API_KEY" in run("execute", code=2).output
    monkeypatch.setenv("TIDEMARK_CONFIRM_PRODUCTION", "I trade real money")
    assert json.loads(run("mode", "auto-execute", "--json").stdout)["mode"] == "auto-execute"


def test_a_stage_is_left_only_after_clean_days(house: Any, run: Run) -> None:
    assert "stage 1" in run("stage").output
    assert "0 clean days" in run("stage", "2", code=3).output
    assert "not for 3" in run("stage", "3", code=2).output
    control = ControlStore(house.db, "sim")
    for day in range(1, 6):
        control.add_clean_day(f"2026-03-0{day}")
    assert json.loads(run("stage", "2", "--json").stdout) == {
        "environment": "sim", "stage": 2, "clean_days": [], "too_small": {},
    }  # fmt: skip
    assert json.loads(run("stage", "1", "--json").stdout)["stage"] == 1


def test_a_symbol_has_settings_of_its_own(run: Run) -> None:
    run("trading", "btcusdt", "--off", "--leverage", "5", "--stop-atr", "1.5", "--max-position", "250")
    run("trading", "BTCUSDT", "--on", "--stop-atr", "default", "--strategy", "macd_cross", "--strategy", "macd_turtle")
    (found,) = json.loads(run("trading", "BTCUSDT", "--json").stdout)
    assert (found["enabled"], found["leverage"], found["stop_atr"]) == (True, 5, None)
    assert (found["max_position"], found["strategies"]) == ("250", ["macd_cross", "macd_turtle"])
    assert "BTCUSDT" in run("trading").output
    for bad in (["--leverage", "0"], ["--stop-atr", "-1"], ["--stop-atr", "NaN"], ["--max-position", "lots"]):
        run("trading", "BTCUSDT", *bad, code=2)
    assert "name the symbol" in run("trading", "--off", code=2).output
    assert "no symbol" in run("trading", '{"$gt":""}', "--off", code=2).output


async def test_breakers_orders_positions_and_account_are_shown(house: Any, run: Run) -> None:
    async with house.executor() as executor:
        await house.hold()
        house.simulator.faults.add("answer_code", code=-1111, method="POST", path="/fapi/v1/order", next=1)
        await house.verdict(house.say("exit"))
        await house.until(lambda: executor.term.core.breakers())
        await house.until(lambda: ControlStore(house.db, "sim").read().breakers)
        shown = await command(run, "breakers", "--json")
        assert [(one["name"], one["tripped"]) for one in shown] == [("refused:BTCUSDT", True)]
        assert "TRIPPED" in (await command(run, "breakers")).output
        assert "Tripped: refused" in (await command(run, "breakers", "--reset", "no", code=2)).output
        await command(run, "breakers", "--reset", "refused:BTCUSDT", "--reason", "looked")
        await house.until(lambda: not executor.term.core.breakers())
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.check()
    listed = (await command(run, "orders", "--json", "--limit", "2", "--symbol", "btcusdt"))["orders"]
    assert len(listed) == 2
    assert {"_id", "history", "state"} <= set(listed[0])
    assert "BTCUSDT" in (await command(run, "orders")).output
    assert (await command(run, "positions", "--json"))["positions"] == []
    every = (await command(run, "positions", "--all", "--json"))["positions"]
    assert [one["symbol"] for one in every] == ["BTCUSDT"]
    found = await command(run, "account", "--json")
    assert Decimal(found["latest"]["wallet"]) > 0
    assert len(found["days"]) == 1
    assert "today" in (await command(run, "account")).output
    for said in ("orders", "positions", "account", "breakers", "trading", "mode", "stage"):
        output = (await command(run, said)).output + json.dumps(await command(run, said, "--json"))
        assert house.account.key not in output
        assert house.account.secret not in output
    assert "no symbol" in (await command(run, "orders", "--symbol", "$where", code=2)).output


def test_the_executor_as_a_process_says_that_it_lives_and_ends_in_order(house: Any, run: Run, home: Path) -> None:
    with (home / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", "execute"], stderr=log, cwd=home)
        try:
            deadline = time.monotonic() + 60
            while not house.db.control.find_one({"kind": "heartbeat", "figures.acts": 1.0}):
                assert process.poll() is None, (home / "log").read_text(encoding="utf-8")
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert "acts" in run("status").output
            process.terminate()
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            process.wait()
    assert house.db.control.find_one({"kind": "heartbeat"}) is None
