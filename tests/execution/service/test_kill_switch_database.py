"""`halt --flatten` whatever the database does: it takes no writes, it allows none, it sleeps, it vanishes half way."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.execution.runtime.opening import identify
from pipeline.store.control import ControlStore
from pipeline.store.lease import LeaseStore
from pipeline.store.mongod import launch
from pipeline.store.mongod.folder import Folder

SOON = 20.0
"""Seconds until everything must be closed, on a machine that does much else. A database alone took 60 and more."""

Run = Callable[..., Any]


@pytest.fixture
def locked(mongo: Any) -> Iterator[Callable[[], None]]:
    """Let the database take no writes, as a backup does that takes its files; it still answers."""

    def lock() -> None:
        mongo.admin.command("fsync", lock=True)

    yield lock
    while mongo.admin.command("currentOp").get("fsyncLock"):
        mongo.admin.command("fsyncUnlock")


@pytest.fixture
def mongod(scratch: Path, mongo_uri: str) -> Iterator[int]:
    """The process of the database. It goes on when the test has ended."""
    process = launch.find_process(Folder(scratch / "shared"))
    assert process is not None
    yield process.pid
    os.kill(process.pid, signal.SIGCONT)


EACH = pytest.mark.parametrize("house", ["sim", "sim-cm"], indirect=True)
"""In both futures."""


@contextmanager
def soon() -> Iterator[None]:
    """What is inside must not take long."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON


async def flatten(run: Run, code: int) -> Any:
    with soon():
        return await asyncio.to_thread(run, "halt", "--flatten", "--json", code=code)


def held(house: Any) -> list[str]:
    return [one.symbol for one in house.trading.positions() if one.position_amt]


@EACH
async def test_a_database_that_takes_no_writes(house: Any, run: Run, locked: Callable[[], None]) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    locked()
    failed = await flatten(run, code=3)
    assert held(house) == [house.other], "it can be read, so what is ours is known"
    assert house.stops() == []
    done = json.loads(failed.stdout)
    assert (done["halted"], done["flattened"]["flat"]) == (False, True)
    assert "not recorded" in failed.stderr
    assert "Traceback" not in failed.output


async def test_one_position_is_closed_though_the_database_takes_no_writes(
    house: Any, run: Run, locked: Callable[[], None]
) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    locked()
    with soon():
        done = await asyncio.to_thread(run, "close", "BTCUSDT")
    assert held(house) == [house.other]
    assert house.stops() == []
    assert "not recorded" in done.stderr


async def test_a_user_who_may_only_read(
    house: Any, run: Run, mongo: Any, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    mongo[house.db.name].command("createUser", "reader", pwd="only-looks", roles=["read"])
    hosts = mongo_uri.rpartition("@")[2].partition("/")[0]
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://reader:only-looks@{hosts}/?authSource={house.db.name}")
    failed = await flatten(run, code=3)
    assert held(house) == [house.other]
    assert house.stops() == []
    assert json.loads(failed.stdout)["halted"] is False
    assert "may not" in failed.stderr
    for said in (["halt"], ["resume"], ["mode", "auto-execute"], ["trading", "BTCUSDT", "--off"]):
        refused = await asyncio.to_thread(run, *said, code=3)
        assert "may not" in refused.stderr.replace("\n", " ")


@EACH
async def test_a_database_that_sleeps(house: Any, run: Run, mongod: int) -> None:
    async with house.executor():
        await house.hold()
    house.trade_by_hand()
    os.kill(mongod, signal.SIGSTOP)
    failed = await flatten(run, code=3)
    assert held(house) == [], "nobody knows what is ours"
    assert house.stops() == []
    assert json.loads(failed.stdout)["halted"] is False


async def test_a_database_that_vanishes_while_the_executor_is_waited_for(house: Any, run: Run, mongod: int) -> None:
    async with house.executor():
        await house.hold()
    LeaseStore(house.db, "executor:sim", "one that hangs", life=600).acquire()

    def until_halted() -> None:
        while ControlStore(house.db, "sim").read().halt is None:
            time.sleep(0.01)
        os.kill(mongod, signal.SIGSTOP)

    sleeping = asyncio.create_task(asyncio.to_thread(until_halted))
    done = json.loads((await flatten(run, code=0)).stdout)
    await sleeping
    assert (done["halted"], done["flattened"]["flat"]) == (True, True)
    assert held(house) == []
    assert house.stops() == []


async def test_the_first_cancel_waits_for_no_database(house: Any, run: Run, mongod: int) -> None:
    ours = identify(ControlStore(house.db, "sim"), "sim").order_id("a limit", "entry")
    house.rest(ours)
    os.kill(mongod, signal.SIGSTOP)
    began = house.simulator.now()
    await flatten(run, code=3)
    assert house.trading.open_orders() == []
    cancelled = next(one for one in house.ledger("attempts") if one["method"] == "DELETE")
    assert cancelled["time"] - began < 2_500
