"""A cost follows what is new, never what is stored: over a history that does not change, whatever runs for ever writes
nothing and reads a constant a series.

The exchange's clock stands still here, so that nothing is new; the database's profiler counts. Everything that is
served on a schedule is under this law, whatever will be added to it, and so is the ingester.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import Flow
from pymongo.database import Database

from flows.serve import deployments
from pipeline.simulator.handle import Simulator
from pipeline.store.mongod.launch import any_free_port
from pipeline.timeline import HOUR, MINUTE
from tests.profile import Cost, profiled

SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVALS = ("1h", "4h")
SERIES = len(SYMBOLS) * len(INTERVALS)
HISTORIES = (60, 240)
"""Days. A 1h series of them has 7 buckets, or 25."""
READ_A_SERIES = 30
SENT_A_SERIES = 30_000
"""Bytes. One bucket has 86,000."""
SETTLED_AFTER = 5.0
MINUTE_OF_LIVE = 60.0
READ_A_MINUTE = 100
"""A series: the watchlist is looked at each second."""
BEATS_A_MINUTE = 35
PATIENCE = 60.0


@pytest.fixture
def standstill(start_simulator: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """An exchange whose time is some twenty minutes past an hour, and stays there."""
    now = int(time.time() * 1_000)
    then = now // HOUR * HOUR - 2 * HOUR + 20 * MINUTE
    simulator = start_simulator(clock_offset=then - now, speed=0.001, lifted_limits=True)
    monkeypatch.setenv("TIDEMARK_SIM_URL", simulator.url)
    monkeypatch.setenv("TIDEMARK_SYMBOLS", ",".join(SYMBOLS))
    monkeypatch.setenv("TIDEMARK_INTERVALS", ",".join(INTERVALS))
    return simulator


def served() -> list[RunnerDeployment]:
    """What runs by itself."""
    return [one for one in deployments() if one.schedules and not one.paused]


def run(deployment: RunnerDeployment) -> None:
    """Its flow, with its parameters."""
    module, _, name = str(deployment.entrypoint).rpartition(".")
    flow: Flow[Any, Any] = getattr(import_module(module), name)
    flow(**(deployment.parameters or {}))


def an_ingester_lives(db: Database[Any]) -> None:
    beat = {"kind": "heartbeat", "role": "ingester", "host": "h", "pid": 1, "detail": "1/1", "figures": {}}
    times = {"started_at": datetime.now(UTC), "at": datetime.now(UTC) + timedelta(minutes=5)}
    db.control.replace_one({"_id": "heartbeat:ingester:test"}, beat | times, upsert=True)


def pass_of_all(db: Database[Any]) -> dict[str, Cost]:
    """What each deployment costs, one after the other."""
    costs: dict[str, Cost] = {}
    for one in served():
        told: list[Cost] = []
        an_ingester_lives(db)
        with profiled(db, told):
            run(one)
        (costs[f"{one.flow_name}/{one.name}"],) = told
    return costs


@pytest.mark.usefixtures("settings_of_the_run", "standstill")
def test_what_is_served_on_a_schedule_writes_nothing_and_reads_the_same_however_much_is_stored(
    db: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[dict[str, Cost]] = []
    for days in HISTORIES:
        monkeypatch.setenv("TIDEMARK_HISTORY_DAYS", str(days))
        first, second = pass_of_all(db), pass_of_all(db)
        written = {name for cost in first.values() for name in cost.written}
        assert written >= {"candles", "series", "signals"}, "the profiler sees it where something is new"
        assert {name: cost.written for name, cost in second.items()} == {name: {} for name in second}
        seconds.append(second)
    short, long = seconds
    assert db.candles.count_documents({}) >= 60, "it is the longer history"
    for name, cost in long.items():
        assert cost.read <= min(READ_A_SERIES * SERIES, short[name].read + 2 * SERIES), (name, short[name], cost)
        assert cost.sent <= min(SENT_A_SERIES * SERIES, short[name].sent + 2_000 * SERIES), (name, short[name], cost)


@pytest.fixture
def ingester(db: Database[Any], tmp_path: Path, standstill: Simulator) -> Iterator[subprocess.Popen[bytes]]:
    """The command `tidemark live`, when all its series are open."""
    command = [sys.executable, "-m", "pipeline.cli", "live", "--plain", "--metrics-port", str(any_free_port())]
    with (tmp_path / "live.log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | {"TIDEMARK_HISTORY_DAYS": "60"}, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while db.candles.count_documents({"candles.closed": False}) < SERIES:
            assert process.poll() is None, (tmp_path / "live.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "live.log").read_text()
            time.sleep(0.2)
        yield process
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


@pytest.mark.usefixtures("settings_of_the_run", "ingester")
def test_a_minute_of_live_writes_its_heartbeats(db: Database[Any]) -> None:
    time.sleep(SETTLED_AFTER)
    costs: list[Cost] = []
    with profiled(db, costs):
        time.sleep(MINUTE_OF_LIVE)
    (cost,) = costs
    assert cost.written.keys() == {"control"}
    assert {one["_id"].split(":")[1] for one in db.control.find({"kind": "heartbeat"})} == {"ingester"}
    assert cost.written["control"] <= BEATS_A_MINUTE
    assert cost.read <= READ_A_MINUTE * SERIES
    assert cost.sent <= SENT_A_SERIES * SERIES
