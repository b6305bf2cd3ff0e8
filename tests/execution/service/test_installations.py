"""Two installations on one account, and one whose database was lost or is older than the exchange: whose is what, and
no stop is ever cancelled under what it protects."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AttentionError
from pipeline.execution.engine.client_ids import installation_of
from pipeline.execution.engine.events import StreamBack
from pipeline.store.backup.restore import restore
from pipeline.store.backup.take import take
from pipeline.store.control import ControlStore
from pipeline.store.prepare import prepare


@pytest.fixture
def beside(house: Any) -> Iterator[Any]:
    """A second installation on the same account: another database."""
    db = house.db.client[f"{house.db.name}-beside"]
    prepare(db)
    yield replace(house, db=db, notes=[])
    db.client.drop_database(db.name)


def stop_of(house: Any) -> str | None:
    """The order that protects the stored position."""
    position = house.position()
    return None if position is None else position.stop_order


async def hold(house: Any, kind: str = "entry") -> Any:
    """Take a position and leave; what stands for it."""
    async with house.executor():
        assert (await house.verdict(house.say(kind))).verdict == "taken"
        await house.until(lambda: house.held() and house.stops() and stop_of(house))
        await house.check()
    (stop,) = house.stops()
    return stop


def backed_up(house: Any, folder: Path) -> Path:
    take(house.db, folder, clock=lambda: datetime.now(UTC))
    return folder


def restored(house: Any, folder: Path) -> None:
    restore(house.db, folder, clock=lambda: datetime.now(UTC), force=True)


def cancels_since(house: Any, stop: Any) -> list[Any]:
    """What was cancelled at the exchange after that stop was placed."""
    truth = house.ledger()
    placed = next(n for n, one in enumerate(truth) if one.get("client_id") == stop.client_algo_id)
    return [one for one in truth[placed:] if "ancel" in one["kind"]]


def execute(house: Any, uri: str, home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """The command, until it ends by itself."""
    with running(house, uri, home, *options) as command:
        told = command.communicate(timeout=60)
    return subprocess.CompletedProcess(command.args, command.returncode, *told)


@contextmanager
def running(house: Any, uri: str, home: Path, *options: str) -> "Iterator[subprocess.Popen[str]]":
    house.simulator.forgive()  # what other tests have asked of it in this minute
    settings = {
        "HOME": str(home), "MONGO_URI": uri, "DATABASE": house.db.name, "SIM_URL": house.simulator.url,
        "API_KEY": house.account.key, "API_SECRET": house.account.secret,
    }  # fmt: skip
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "execute", *options],
        env=os.environ | {f"TIDEMARK_{name}": value for name, value in settings.items()},
        cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield command
    finally:
        command.kill()
        command.wait()


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


async def test_with_a_journal_from_before_the_position_it_is_managed_again_and_its_stop_stands_all_along(
    house: Any, home: Path
) -> None:
    async with house.executor():
        await house.check()
    backup = await asyncio.to_thread(backed_up, house, home / "backup")
    stop = await hold(house)
    entry = house.orders(leg="entry")[0]
    signal = house.signal(entry.signal)
    await asyncio.to_thread(restored, house, backup)
    assert house.orders() == []
    house.db.signals.insert_one(signal.to_mongo() | {"verdict": "fresh"})  # its strategy finds it again
    async with house.executor():
        decided = await house.verdict(signal.id)
        assert (decided.verdict, decided.orders) == ("taken", [entry.id])
        await house.until(lambda: stop_of(house) == stop.client_algo_id)
        position = house.position()
        assert (position.ours, position.strategy, position.signal) == (True, "turtle", signal.id)
        assert position.stop_price == stop.trigger_price
        await house.check()
        assert house.stops() == [stop]
        assert not cancels_since(house, stop)
        assert (await house.verdict(house.say("exit"))).verdict == "taken"
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.check()
    assert len([one for one in house.accepted() if one["client_id"] == entry.id]) == 1


async def test_with_a_journal_from_before_an_entry_the_stop_does_not_loosen(house: Any, home: Path) -> None:
    await hold(house, "trial")
    backup = await asyncio.to_thread(backed_up, house, home / "backup")
    async with house.executor():
        nearer = {"atr": round(float(house.price()) * 0.004, 1)}
        entry = await house.verdict(house.say("entry", indicators=nearer))
        assert entry.verdict == "taken"
        await house.until(lambda: stop_of(house) not in {None, house.orders(leg="stop")[0].id})
        await house.until(
            lambda: [stop_of(house)] == [one.client_algo_id for one in house.stops() if one.close_position]
        )
    (stop,) = house.stops()
    grown = house.position()
    await asyncio.to_thread(restored, house, backup)
    assert house.position().stop_price < grown.stop_price
    async with house.executor():
        await house.until(lambda: stop_of(house) == stop.client_algo_id)
        await house.until(lambda: house.position().stop_price == grown.stop_price)
        assert house.position().quantity == grown.quantity
        await house.until(lambda: entry.orders[0] in {one.id for one in house.orders()})
        await house.check()
        assert house.stops() == [stop]
        assert not cancels_since(house, stop)


async def test_what_is_taken_over_is_managed_and_what_it_was_is_recorded(
    house: Any, beside: Any, mongo_uri: str, home: Path
) -> None:
    stop = await hold(house)
    (name,) = {installation_of(stop.client_algo_id)}
    with running(beside, mongo_uri, home, "--take-over") as command:
        await beside.until(lambda: stop_of(beside) == stop.client_algo_id)
        position = beside.position()
        assert (position.ours, position.stop_price, position.strategy) == (True, stop.trigger_price, None)
        await asyncio.to_thread(
            ControlStore(beside.db, "sim").set_halt, True, flatten=True, by="ann", now=datetime.now(UTC)
        )
        await beside.until(lambda: beside.held() == 0 and beside.stops() == [])
        command.terminate()
        _, told = await asyncio.to_thread(command.communicate, timeout=60)
    assert f"taken over: 1 order of another Tidemark installation ({name}) on this account: BTCUSDT" in told
    installation = ControlStore(beside.db, "sim").read().installation
    assert installation.taken_over == [name]
    (change,) = installation.changes
    assert "@" in change.by
    assert (change.new, name in change.reason) == (f"took over {name}", True)


async def test_a_position_that_is_found_in_a_symbol_nobody_watches_gets_its_stop(house: Any) -> None:
    async with house.executor():
        signal = await house.verdict(house.say("entry", symbol="ETHUSDT", price=float(house.price("ETHUSDT"))))
        assert signal.verdict == "taken"
        await house.until(lambda: [one.symbol for one in house.stops()] == ["ETHUSDT"])
    (stop,) = house.stops()
    house.trading.cancel_algo(stop.client_algo_id)
    house.db.orders.delete_many({})
    house.db.positions.delete_many({})
    async with house.executor():
        await house.until(lambda: [one.symbol for one in house.stops()] == ["ETHUSDT"])
        assert house.orders(leg="flatten") == []
        found = house.db.positions.find_one({"symbol": "ETHUSDT"})
        assert (found["signal"], found["ours"]) == (signal.id, True)
