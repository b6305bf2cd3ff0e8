"""Two installations on one account, and one whose database was lost or is older than the exchange: whose is what, and
no stop is ever cancelled under what it protects."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AttentionError
from pipeline.execution.events import StreamBack
from pipeline.execution.names import installation_of
from pipeline.store.backup import take
from pipeline.store.control import ControlStore
from pipeline.store.prepare import prepare
from pipeline.store.restore import restore


@pytest.fixture
def beside(house: Any) -> Iterator[Any]:
    """A second installation on the same account: another database."""
    db = house.db.client[f"{house.db.name}-beside"]
    prepare(db)
    yield replace(house, db=db, notes=[])
    db.client.drop_database(db.name)


async def hold(house: Any) -> Any:
    """Take a position and leave; what stands for it."""
    async with house.executor():
        assert (await house.verdict(house.say("entry"))).verdict == "taken"
        await house.until(lambda: house.held() and house.stops() and (house.position() or house).stop_order)
        await house.check()
    (stop,) = house.stops()
    return stop


def backed_up(house: Any, folder: Path) -> Path:
    take(house.db, folder, clock=lambda: datetime.now(UTC))
    return folder


def restored(house: Any, folder: Path) -> None:
    restore(house.db, folder, clock=lambda: datetime.now(UTC), force=True)


def execute(house: Any, uri: str, home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """The command, until it ends by itself."""
    settings = {
        "HOME": str(home), "MONGO_URI": uri, "DATABASE": house.db.name, "SIM_URL": house.simulator.url,
        "API_KEY": house.account.key, "API_SECRET": house.account.secret,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "execute", *options],
        env=os.environ | {f"TIDEMARK_{name}": value for name, value in settings.items()},
        cwd=home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_the_orders_of_another_installation_are_left_alone_in_signal_only(house: Any, beside: Any) -> None:
    stop = await hold(house)
    held, before = house.held(), len(house.ledger("attempts"))
    async with beside.executor(mode="signal-only") as executor:
        found = await beside.verdict(beside.say("entry"))
        assert found.reason == f"somebody else holds {held} BTCUSDT on this account"
        compared = executor.figures()["comparisons"]
        executor.term.tell(StreamBack())
        await beside.until(lambda: executor.figures()["comparisons"] > compared)
        assert beside.orders() == []
    assert house.stops() == [stop]
    assert house.held() == held
    sent = [one for one in house.ledger("attempts")[before:] if one["method"] != "GET"]
    assert not [one for one in sent if "rder" in one["path"]]
    told = [one.text for one in beside.notes if one.title.startswith("installation ")]
    assert len(told) == 1
    assert "BTCUSDT" in told[0]


async def test_beside_another_installation_executing_is_refused(
    house: Any, beside: Any, mongo_uri: str, home: Path
) -> None:
    stop = await hold(house)
    await asyncio.to_thread(ControlStore(beside.db, "sim").set_mode, "auto-execute", by="ann", now=datetime.now(UTC))
    ended = await asyncio.to_thread(execute, beside, mongo_uri, home)
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    (name,) = {installation_of(stop.client_algo_id)}
    assert " ".join(ended.stderr.split()).endswith(
        f"1 order of another Tidemark installation ({name}) on this account: BTCUSDT. Two that execute on one account "
        "could not tell whose is what. If that installation is gone, make what it left yours: `tidemark execute "
        "--take-over`. Otherwise stop it, or give this one a sub-account of its own"
    )
    assert house.stops() == [stop]
    assert beside.orders() == []


async def test_a_mode_that_is_switched_beside_another_installation_opens_nothing(house: Any, beside: Any) -> None:
    stop = await hold(house)
    async with beside.executor(mode="signal-only") as executor:
        await asyncio.to_thread(
            ControlStore(beside.db, "sim").set_mode, "auto-execute", by="ann", now=datetime.now(UTC)
        )
        await beside.until(lambda: "other-installation" in ControlStore(beside.db, "sim").read().breakers)
        found = await beside.verdict(beside.say("entry", symbol="ETHUSDT"))
        assert (found.verdict, beside.orders()) == ("skipped", [])
        assert "breaker other-installation" in found.reason
        async with house.executor():
            await house.verdict(house.say("exit"))
            await house.until(lambda: house.held() == 0 and house.stops() == [])
        executor.term.tell(StreamBack())
        await beside.until(lambda: not ControlStore(beside.db, "sim").read().breakers["other-installation"].tripped)
    assert stop.client_algo_id not in {one["client_id"] for one in beside.accepted() if one["type"] == "MARKET"}


async def test_a_copy_of_the_database_under_another_name_is_another_installation(
    house: Any, beside: Any, home: Path
) -> None:
    stop = await hold(house)
    restored(beside, backed_up(house, home / "backup"))
    with pytest.raises(AttentionError, match="another Tidemark installation"):
        async with beside.executor():
            pass
    stored = beside.position()
    assert (stored.ours, stored.quantity) == (False, house.held())
    async with beside.executor(mode="signal-only"):
        await beside.verdict(beside.say("exit"))
    assert house.stops() == [stop]
    async with house.executor():
        await house.check()
        assert house.position().ours
