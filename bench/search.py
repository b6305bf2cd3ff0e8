"""Searches: a thousand sets of parameters over ten symbols and 300 days, as they are asked for, tried and kept; with
two workers and with one; and what asking, sending and keeping cost beside the trials themselves.

All candles are in memory, which a search otherwise reads first. Seconds of a core are those of all processes of a
search but the database's, which are given beside. The peers are those of `research`.
"""

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import psutil
from pymongo.database import Database

from bench.research import BEGIN, PEERS, QUARTER, STOP_ATR, compile_rules, question, walk
from bench.store import mongod
from bench.table import Row
from pipeline.app.trying import try_all, workers_of
from pipeline.periods import PERIODS
from pipeline.research.search.asking import Asking
from pipeline.research.search.candles import Candles
from pipeline.research.search.evaluate import Stage
from pipeline.research.search.jobs import in_this_process
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.space import Point, space_of
from pipeline.research.search.trial import Plan, Trials
from pipeline.research.walk_forward import folds_of
from pipeline.store.searches import SearchStore
from pipeline.strategies.ma_breakout import MaBreakout
from pipeline.timeline import MINUTE, interval, to_datetime
from schemas.searches import Search

GROUP = "search"
SPACE = ("n=5..200", "stop=1..4:0.5", "target=2..6:0.5")
FOLDS = 6


@dataclass(frozen=True, slots=True)
class Took:
    """A search: seconds of the clock and of a core, those of the database's, and its memory at most, in MB, of which
    what processes share is counted once."""

    clock: float
    cores: float
    database: float
    memory: float


def run(quick: bool) -> list[Row]:
    """With one and with two, then beside others."""
    symbols, days, trials, few = (2, 30, 40, 20) if quick else (10, 300, 1_000, 200)
    compile_rules()
    judged = trials_over(symbols, days)
    points = points_of(judged, few)
    bare = min(cores_of(judged, points[:5]) / 5, cores_of(judged, points) / few)
    with mongod() as database, TemporaryDirectory() as folder:
        alone = searched(database, judged, few, Path(folder), 1)
        two = searched(database, judged, trials, Path(folder), 2)
    name = f"sets x {symbols} symbols x {days} days, 15m signals, 1m fills"
    said = (
        f"{two.cores:.0f} s of a core, and {two.database:.1f} of the database's; a bare trial {bare * 1e3:.0f} ms of a "
        f"core; candles are in memory; load {os.getloadavg()[0]:.0f}"
    )
    each, both = alone.cores / few, two.cores / trials
    row = partial(Row, group=GROUP, lower_is_better=True)
    return [
        row(name=f"{trials:,} {name}, 2 workers", ours=two.clock, unit="s", at_most=60, note=said),
        row(name="the same: memory of all processes", ours=two.memory, unit="MB", at_most=1_000),
        Row(
            group=GROUP, name="two workers beside one, by the clock", ours=alone.clock / few / (two.clock / trials),
            unit="x", at_least=1.8, note=f"one: {few} trials in {alone.clock:.0f} s",
        ),
        row(
            name="Optuna, Dask and MongoDB, by all of it", ours=100 * (1 - bare / (both + two.database / trials)),
            unit="%", at_most=20, note=f"a core for a trial: bare {bare * 1e3:.1f} ms, asked for and kept "
            f"{each * 1e3:.1f} ms, with two workers {both * 1e3:.1f} ms, and the database's "
            f"{two.database / trials * 1e3:.1f} ms",
        ),
        *beside_others(days, few),
    ]  # fmt: skip


def beside_others(days: int, trials: int) -> list[Row]:
    """One symbol. The others are given the signals, ready; ours works them out."""
    if PEERS is None:
        return []
    judged = trials_over(1, days, folds=0)
    points = points_of(judged, trials)
    judged.answer(points[0])
    ours = cores_of(judged, points)
    rows = []
    for peer, (took, tried, found) in told_by_others(judged, points).items():
        said = f"{found:,} trades of {tried}; neither ladder, funding nor margin, and the signals ready"
        rows.append(
            Row(
                group=GROUP, name=f"{trials} trials, a symbol, {days} days, beside {peer}", ours=ours,
                unit="s of a core", peer_name=peer, peer=took / tried * trials,
                times_peer=50 if peer == "vectorbt" else None,
                lower_is_better=True, note=said,
            )
        )  # fmt: skip
    return rows


def trials_over(symbols: int, days: int, folds: int = FOLDS) -> Trials:
    """Each a random walk."""
    parts = [question(f"B{number}USDT", days, [], number) for number in range(symbols)]
    asked = replace(
        parts[0],
        symbols=[one for part in parts for one in part.symbols],
        minutes={name: one for part in parts for name, one in part.minutes.items()},
        funding={name: one for part in parts for name, one in part.funding.items()},
    )
    first = interval("15m").index(BEGIN)
    candles = []
    for number, name in enumerate(asked.minutes):
        opened, high, low, close = (one.reshape(-1, QUARTER) for one in walk(days, number))
        prices = {
            "open": opened[:, 0].copy(), "high": high.max(axis=1), "low": low.min(axis=1),
            "close": close[:, -1].copy(), "volume": np.ones(len(close)),
        }  # fmt: skip
        numbers = np.arange(first, first + len(close))
        candles.append(Candles(name, "15m", numbers, prices, PERIODS, 1, QUARTER * MINUTE))
    stage = Stage(asked, candles, space_of(MaBreakout, {}, SPACE))
    return Trials(stage, Plan(Objectives.of(["sharpe"]), folds_of(days, folds) if folds else [], early=False)).settle()


def points_of(judged: Trials, count: int) -> list[Point]:
    """At random, as a search asks for them."""
    asking = Asking(judged.stage.space, "random", 1, led=False)
    found: list[Point] = []
    while len(found) < count and (wanted := asking.ask(count - len(found))):
        found += [one.point for one in wanted]
    return found


def cores_of(judged: Trials, points: Sequence[Point]) -> float:
    """Seconds of a core."""
    begun = process_time()
    for one in points:
        judged.answer(one)
    return process_time() - begun


def searched(database: Database[dict[str, Any]], judged: Trials, trials: int, folder: Path, count: int) -> Took:
    """Ask, try and keep so many; the workers' beginning is counted."""
    store, kept = SearchStore(database, "sim"), document(judged, trials)
    store.add(kept)
    server = next(one for one in psutil.Process().children() if "mongod" in one.name())
    before, with_server, begun = spent(server), seconds(server), perf_counter()
    workers = workers_of(folder, count, None) if count > 1 else nullcontext(in_this_process)
    with watched(server) as seen, workers as those:
        try_all(store, kept, judged, trials, those(judged), lambda _: None)
        after = spent(server)
        clock = perf_counter() - begun
    assert store.count(kept.id) == trials
    return Took(clock, after - before, seconds(server) - with_server, max(seen))


def document(judged: Trials, trials: int) -> Search:
    """Of a search that does not go on."""
    stage = judged.stage
    return Search(
        id=uuid.uuid4().hex, environment="sim", at=datetime.now(UTC), strategy="ma_breakout", fixed={},
        space={one.name: list(one.values) for one in stage.space.axes}, symbols=list(stage.asked.minutes),
        intervals=["15m"], start=to_datetime(stage.start), end=to_datetime(stage.end), equity=Decimal(10_000),
        trials=trials, sampler="random", seed=1, objectives=["sharpe"], folds=FOLDS, anchored=False, prune=False,
        sealed=None, code="", candles=[], notes=[],
    )  # fmt: skip


def family(server: psutil.Process) -> list[psutil.Process]:
    """This process and all that it began, but for the database."""
    own = psutil.Process()
    return [one for one in (own, *own.children(recursive=True)) if one.pid != server.pid]


def seconds(process: psutil.Process) -> float:
    """Of a core."""
    with suppress(psutil.Error):
        took = process.cpu_times()
        return float(took.user + took.system)
    return 0.0


def spent(server: psutil.Process) -> float:
    """Seconds of a core of the whole family so far."""
    return sum(seconds(one) for one in family(server))


@contextmanager
def watched(server: psutil.Process) -> Iterator[list[float]]:
    """The memory of the family, in MB, every second; what processes share is divided among them."""
    seen, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(1):
            held = 0
            for one in family(server):
                with suppress(psutil.Error):
                    held += one.memory_full_info().pss
            seen.append(held / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def told_by_others(judged: Trials, points: Sequence[Point]) -> dict[str, tuple[float, int, int]]:
    """Seconds of a core, how many trials were made in them, and trades, of each program that is there."""
    stage = judged.stage
    (minutes,) = stage.asked.minutes.values()
    columns = {name: getattr(minutes, name) * 0.1 for name in ("open", "high", "low", "close")}
    rows = [stage.signals(one) for one in points]
    told = {name: np.concatenate([one[name] for one in rows]) for name in ("minute", "side", "atr", "price")}
    told["trial"] = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "minutes.npz"
        np.savez(file, allow_pickle=False, **columns, **told)
        way = Path(__file__).with_name("backtest_ways.py")
        command = [str(PEERS), str(way), str(file), str(STOP_ATR)]
        answer = subprocess.run(command, capture_output=True, check=True, text=True)
    return {name: tuple(found) for name, found in json.loads(answer.stdout.splitlines()[-1]).items()}
