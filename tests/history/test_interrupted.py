"""Killed at random moments: the next run ends in the same state, and fetches nothing that was stored."""

import multiprocessing
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.environments import environment
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted
from pipeline.history.plan import wanted
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.candles.coverage import SlotState
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import Window

DAYS = 100
KILLS = 20


def fill_in_a_process(mongo_uri: str, database: str, url: str, series: Wanted, report: Any) -> None:
    """What the killed process does: a backfill of its own from start to end."""
    with connect.client(mongo_uri) as mongo, RestClient(environment("sim", url=url)) as client:
        client.sync_clock()
        client.weight.limit = 10**9
        report.send("begun")
        with Backfill(mongo[database], MarketData(client), fetchers=1) as work:
            report.send(work.fill(series, DAYS, "rest"))


@pytest.fixture(scope="module")
def processes() -> Any:
    """New processes are copies of a clean one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "pipeline.history.backfill", "pipeline.store.connect"])
    return context


def test_killed_twenty_times_it_ends_complete_and_fetches_nothing_twice(
    prepared: Database[Any],
    mongo_uri: str,
    simulator: Simulator,
    recorder: Any,
    series: Callable[[str, str], Wanted],
    equals_truth: Callable[..., None],
    processes: Any,
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    first = wanted(bitcoin.step, simulator.now(), DAYS, bitcoin.listed, bitcoin.delivered)
    assert first is not None
    chance = random.Random(20)
    killed_at: list[int] = []
    while len(killed_at) < KILLS:
        stored = stored_slots(prepared, bitcoin, first)
        recorder.asked.clear()
        mine, theirs = processes.Pipe()
        arguments = (mongo_uri, prepared.name, recorder.url, bitcoin, theirs)
        process = processes.Process(target=fill_in_a_process, args=arguments)
        process.start()
        assert mine.poll(30)
        mine.recv()
        recorder.wait_for(chance.randint(1, 26))
        process.join(chance.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it was still at work"
        recorder.settle()
        assert not fetched_again(recorder.asked, stored, bitcoin)
        killed_at.append(len(stored))

    assert len(set(killed_at)) >= 5, "the kills struck at different stages"
    arguments = (mongo_uri, prepared.name, recorder.url, bitcoin, theirs)
    process = processes.Process(target=fill_in_a_process, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == 0
    last = wanted(bitcoin.step, simulator.now(), DAYS, bitcoin.listed, bitcoin.delivered)
    assert last is not None
    whole = Window(last.start, first.end)
    assert stored_slots(prepared, bitcoin, whole) >= all_slots(bitcoin, whole)
    equals_truth(bitcoin.key, whole)


def all_slots(series: Wanted, window: Window) -> set[int]:
    return set(range(series.step.index(window.start), series.step.index(window.end) + 1))


def stored_slots(db: Database[Any], series: Wanted, window: Window) -> set[int]:
    states = CandleStore(db).presence(series.key, *window)
    base = series.step.index(window.start)
    return {base + number for number, state in enumerate(states.tolist()) if state == SlotState.CLOSED}


def fetched_again(asked: list[Window], stored: set[int], series: Wanted) -> list[Window]:
    step = series.step
    return [
        window
        for window in asked
        if any(number in stored for number in range(step.index(window.start), step.index(window.end) + 1))
    ]
