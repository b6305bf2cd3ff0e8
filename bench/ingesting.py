"""One ingester under a load, fed by a process of its own over real websockets; what is stored is compared with what was
sent.

Every series has its whole window of stored candles, so that each update computes indicators, and each close asks every
shipped strategy, as they do in earnest. A frame counts as stored when the server has acknowledged the write that holds
it; frames that a newer one replaced before the flush are coalesced, as the design wants it, and not counted.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import psutil
from numpy.typing import NDArray

from bench.store import fill, history
from pipeline.candle import CandleWrite
from pipeline.exchange.clock import ServerClock, local_time
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.errors import NotDoneError
from pipeline.exchange.market import MarketData
from pipeline.exchange.traffic import Traffic
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester
from pipeline.ingest.signals import LiveSignals
from pipeline.ingest.window import Recipe
from pipeline.periods import WINDOW
from pipeline.store import connect
from pipeline.store.candles.live import WriteReport
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from pipeline.strategies import registry
from pipeline.timeline import interval
from schemas.series import SeriesKey

FOREVER = 2**62
CONTRACT_SIZE = Decimal(10)
"""Dollars, of every contract, where the market counts contracts."""


class Ages(NamedTuple):
    """Two numbers a candle and no object: what is measured beside it is the ingester's memory."""

    at: "array[int]"
    old: "array[int]"


@dataclass(slots=True)
class Outcome:
    """What one load came to."""

    seconds: float
    sent: int = 0
    taken: int = 0
    closes: int = 0
    lost: int = 0
    fetches: int = 0
    opening: float = 0.0
    memory: int = 0
    growth: int = 0
    ingester_cores: float = 0.0
    mongod_cores: float = 0.0
    written: Ages = field(default_factory=lambda: Ages(array("q"), array("q")))

    def ages(self, since: int = 0, until: int = FOREVER) -> NDArray[np.int64]:
        """Of each candle whose write was acknowledged in [since, until): how old its newest frame was then."""
        acknowledged = np.asarray(self.written.at)
        return np.asarray(self.written.old)[(since <= acknowledged) & (acknowledged < until)]


class Bench:
    """One ingester, one load. `keys`: of one exchange; `database`: where they are."""

    def __init__(self, uri: str, mongod: psutil.Process, keys: Sequence[SeriesKey], database: str = "bench") -> None:
        self._uri = uri
        self._database = database
        self._mongod = mongod
        self._keys = keys
        self._exchange = ENVIRONMENTS[keys[0].exchange]
        self._process = psutil.Process()

    async def measure(
        self,
        rate: int,
        seconds: float,
        begins: int,
        *,
        goes_on: bool = False,
        opened: Callable[[], object] = lambda: None,
    ) -> Outcome:
        """Fill the windows, open every series, send, and compare what is stored with what was sent. One that goes on
        finds the windows as the load before it left them, the candles that are open now included. `opened` is called
        before anything is sent, and may wait for others."""
        outcome = Outcome(seconds)
        asynchronous = connect.async_client(self._uri, retry_writes=False)
        contracts = self._exchange.product.arithmetic.counts != "base"
        with (
            feeding(rate, seconds, len(self._keys), begins, contracts=contracts) as feed,
            connect.client(self._uri) as client,
        ):
            database = client[self._database]
            clock = ServerClock(local=feed.now)
            if not goes_on:
                prepare(database)
                await asyncio.to_thread(fill_windows, database, self._keys, clock.now())
                Watchlist(database, self._exchange.name).watch(self._keys, datetime.now(UTC))
            ingester = self._ingester(feed, clock, database, asynchronous[self._database], outcome)
            stop = asyncio.Event()
            running = asyncio.create_task(ingester.run(stop))
            begun = time.monotonic()
            while len(ingester.core.watched()) < len(self._keys):
                await asyncio.wait([running], timeout=0.05)
                if running.done():
                    running.result()
            outcome.opening = time.monotonic() - begun
            await feed.listened_to()
            await asyncio.to_thread(opened)
            await self._load(feed, ingester, outcome)
            stop.set()
            await running
            outcome.lost = await asyncio.to_thread(lost, CandleStore(database), self._exchange.name, feed.closes)
            outcome.closes = len(feed.closes)
        await connect.close(asynchronous)
        return outcome

    def _ingester(
        self, feed: "Feeding", clock: ServerClock, database: Any, async_database: Any, outcome: Outcome
    ) -> Ingester:
        def refuse(*_: object) -> pl.DataFrame:
            outcome.fetches += 1
            raise NotDoneError("this benchmark has no REST")

        client: Any = SimpleNamespace(
            environment=at(self._exchange, f"http://127.0.0.1:{feed.port}"),
            clock=clock,
            stop=threading.Event(),
            sync_clock=lambda: None,
            traffic=Traffic(self._exchange.weight_limit),
        )
        known = MarketData(client, _sizes=dict.fromkeys({key.symbol for key in self._keys}, CONTRACT_SIZE))
        market: Any = SimpleNamespace(client=client, klines=refuse, volumes=known.volumes, page=known.page)
        ingester = Ingester(
            market,
            database,
            async_database,
            NoPast(),
            Recipe(LiveIndicators(), WINDOW, LiveSignals([registry.get(name) for name in registry.SHIPPED])),
        )
        watch_writes(ingester, clock, outcome.written)
        return ingester

    async def _load(self, feed: "Feeding", ingester: Ingester, outcome: Outcome) -> None:
        await feed.begin()
        for column in outcome.written:
            del column[:]
        before, frames = self._used(), ingester.feed.counters.frames
        outcome.memory = self._process.memory_info().rss
        begun = time.monotonic()
        outcome.sent, feed.closes = await feed.sent()
        outcome.taken = ingester.feed.counters.frames - frames
        passed, after = time.monotonic() - begun, self._used()
        outcome.growth = self._process.memory_info().rss - outcome.memory
        outcome.ingester_cores, outcome.mongod_cores = (
            (new - old) / passed for new, old in zip(after, before, strict=True)
        )
        quiet = ingester.feed.counters.frames
        while True:
            await asyncio.sleep(0.5)
            if ingester.feed.counters.frames == quiet:
                break
            quiet = ingester.feed.counters.frames

    def _used(self) -> tuple[float, float]:
        """Seconds of a core that ingester and mongod have used so far."""
        ours, theirs = (sum(one.cpu_times()[:2]) for one in (self._process, self._mongod))
        return ours, theirs


class NoPast:
    """Nothing is missing, and this benchmark would not notice."""

    def fetch(self, key: SeriesKey) -> None:
        """Nothing to do."""

    fill = fetch

    def is_whole(self, _: SeriesKey) -> bool:
        return True

    def decimals(self, _: str) -> int:
        return 1

    def must_trade(self, _: str) -> None:
        """It does."""


def watch_writes(ingester: Ingester, clock: ServerClock, ages: Ages) -> None:
    """Note of each candle how old its newest frame is when the server has acknowledged it."""
    writer = ingester._writer._candles
    write = writer.write

    async def measured(candles: Sequence[CandleWrite]) -> WriteReport:
        report = await write(candles)
        now = clock.now()
        ages.at.extend([now] * len(candles))
        ages.old.extend(now - one.candle.u for one in candles)
        return report

    writer.write = measured  # type: ignore[method-assign]


def fill_windows(database: Any, keys: Sequence[SeriesKey], now: int) -> None:
    """The whole window of every series, up to the candle before the one that is open."""
    table = history(WINDOW).with_columns(pl.lit(True).alias("closed"), pl.lit(60_500.0).alias("close"))
    for code in dict.fromkeys(key.interval for key in keys):
        step = interval(code)
        last = step.index(step.floor(now)) - 1
        times = np.array([step.open_time(number) for number in range(last - WINDOW + 1, last + 1)])
        moved = table.with_columns(t=times, te=times + step.milliseconds - 1, u=times + step.milliseconds)
        moved = moved.with_columns(pl.col("t", "te", "u").cast(table.schema["t"]))
        fill(database, [key for key in keys if key.interval == code], moved)


def lost(store: CandleStore, exchange: str, closes: Sequence[tuple[str, int, int]]) -> int:
    """How many closed candles are not stored as closed with what their closing frame said."""
    missing = 0
    for name, opened, trades in closes:
        symbol, _, code = name.partition("@kline_")
        stored = store.load(SeriesKey(exchange, symbol.upper(), code), opened, opened)
        missing += stored.select("closed", "trades").rows() != [(True, trades)]
    return missing


def quantiles(ages: NDArray[np.int64]) -> tuple[float, float]:
    """The median, and what 99 of 100 stay below."""
    return float(np.quantile(ages, 0.5)), float(np.quantile(ages, 0.99))


def find_mongod(folder: str) -> psutil.Process:
    """The server of this benchmark."""
    for process in psutil.process_iter(["cmdline"]):
        if any(folder in part for part in process.info["cmdline"] or ()):
            return process
    raise RuntimeError("the server of this benchmark does not run")


@dataclass(slots=True)
class Feeding:
    """The process that sends."""

    process: "subprocess.Popen[str]"
    port: int
    moment: int
    offset: int | None = None
    closes: list[tuple[str, int, int]] = field(default_factory=list)

    def now(self) -> int:
        """The time of the market: it stands still until the load begins."""
        return self.moment if self.offset is None else local_time() + self.offset

    async def listened_to(self) -> None:
        """Wait until somebody listens to every stream."""
        await self._read()

    async def begin(self) -> None:
        """Send now."""
        self._write()
        self.offset = (await self._read())["offset"]

    async def sent(self) -> tuple[int, list[tuple[str, int, int]]]:
        """Wait for the end: how many frames, and the closing ones."""
        said = await self._read()
        return said["sent"], [tuple(one) for one in said["closes"]]

    def _write(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    async def _read(self) -> dict[str, Any]:
        line = await asyncio.to_thread(self.process.stdout.readline)  # type: ignore[union-attr]
        said: dict[str, Any] = json.loads(line)
        return said


@contextmanager
def feeding(rate: int, seconds: float, streams: int, moment: int, *, contracts: bool) -> Iterator[Feeding]:
    """A load that waits for its word to begin: the market's time is `moment` until then."""
    load = {"rate": rate, "seconds": seconds, "streams": streams, "moment": moment, "contracts": contracts}
    command = json.dumps(load)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.feed_server", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        try:
            yield Feeding(process, said["port"], moment)
        finally:
            process.kill()
