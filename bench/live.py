"""The ingester under load, on a mongod of its own, fed by a process of its own over real websockets.

It begins as an hour ends, when the candles of all series close in one moment; what comes after is an ordinary minute,
in which a fifth of them do, and is judged by itself. Every series has its whole window of stored candles, so that each
update computes indicators, and each close asks every shipped strategy, as they do in earnest. A frame counts as stored
when the server has acknowledged the write that holds it; frames that a newer one replaced before the flush are
coalesced, as the design wants it, and not counted. The plain way beside it is what most collectors do: one
`update_one(upsert=True)` a frame, one document a candle.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import psutil

from bench import cryptofeed_way, disk
from bench.store import fill, history
from bench.table import Row
from pipeline.candle import Candle, CandleWrite
from pipeline.exchange.clock import ServerClock, local_time
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.errors import NotDoneError
from pipeline.exchange.frames import decode, kline_stream
from pipeline.exchange.market import MarketData
from pipeline.exchange.traffic import Traffic
from pipeline.ingest.core import Core
from pipeline.ingest.events import NO_CANDLES
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester
from pipeline.ingest.signals import LiveSignals
from pipeline.ingest.window import Recipe
from pipeline.periods import WINDOW
from pipeline.store import connect
from pipeline.store.candles.live import WriteReport
from pipeline.store.candles.store import CandleStore
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from pipeline.strategies import registry
from pipeline.timeline import SECOND, interval
from schemas.candles import CANDLE_FIELDS
from schemas.series import SeriesKey

INTERVALS = ("1m", "3m", "5m", "15m", "1h")
EXCHANGE = "sim"


def run(quick: bool) -> list[Row]:
    """2,500 series at 10,000 frames a second, an hour's end and a minute; quick: 150 series, 1,000 a second."""
    symbols, rate, hours_end, minute = (30, 1_000, 4.0, 6.0) if quick else (500, 10_000, 20.0, 60.0)
    briefly = 1.0 if quick else 5.0
    keys = [SeriesKey(EXCHANGE, f"S{number}USDT", code) for number in range(symbols) for code in INTERVALS]
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=1.0, oplog_mb=990))
        with server.running() as uri:
            mongod = find_mongod(folder)
            hour = interval("1h").ceil(local_time())
            begins = hour - int(hours_end * SECOND / 2)
            with disk.watched(Path(folder)) as pages:
                steady = asyncio.run(Bench(uri, mongod, keys).measure(rate, hours_end + minute, begins))
            turn = interval("1m").ceil(begins + int((hours_end + minute) * SECOND))
            before = turn - int(briefly * SECOND)
            flood = asyncio.run(Bench(uri, mongod, keys).measure(20 * rate, 2 * briefly, before, goes_on=True))
            plain = plain_way(uri, keys, briefly)
            appended = cryptofeed_way.frames_stored_a_second(uri, briefly) if cryptofeed_way.is_installed() else None
    return [
        *rows(steady, len(keys), rate, begins + int(hours_end * SECOND), pages),
        *ceiling(flood, plain, appended),
        core_alone(),
    ]


def rows(found: "Outcome", series: int, rate: int, ordinary_from: int, pages: list[float]) -> list[Row]:
    """What the steady load came to; from that moment on it was an ordinary minute."""
    p50, p99 = quantiles(age for at, age in found.ages if at >= ordinary_from)
    worst50, worst99 = quantiles(age for at, age in found.ages if at < ordinary_from)
    what = f"{series:,} series, {rate:,} frames/s"
    note = (
        f"{found.taken:,} frames taken of {found.sent:,} sent; {found.closes:,} candles closed, {found.lost} lost; "
        f"REST asked {found.fetches} times; cores used: ingester {found.ingester_cores:.2f}, "
        f"mongod {found.mongod_cores:.2f}; opening all series took {found.opening:.0f} s"
    )
    return [
        Row(
            group="Live",
            name=f"{what}: frame to stored, p50",
            ours=p50,
            unit="ms",
            lower_is_better=True,
            note=note,
        ),
        Row(
            group="Live",
            name=f"{what}: frame to stored, p99",
            ours=p99,
            unit="ms",
            lower_is_better=True,
            at_most=500,
            note=disk.in_words(pages),
        ),
        Row(
            group="Live",
            name="the same while an hour ends, p99",
            ours=worst99,
            unit="ms",
            lower_is_better=True,
            note=f"every candle closes and the next one opens; p50 {worst50:.0f} ms",
        ),
        Row(
            group="Live",
            name=f"{what}: closed candles lost",
            ours=found.lost,
            unit="",
            lower_is_better=True,
            at_most=0,
        ),
        Row(
            group="Live",
            name=f"{what}: growth of the ingester's memory",
            ours=found.growth / 2**20,
            unit="MiB",
            lower_is_better=True,
            at_most=50,
            note=f"from {found.memory / 2**20:,.0f} MiB when all series were open",
        ),
    ]


def quantiles(ages: Iterable[int]) -> tuple[float, float]:
    """The median, and what 99 of 100 stay below."""
    known = list(ages)
    return float(np.quantile(known, 0.5)), float(np.quantile(known, 0.99))


def ceiling(flood: "Outcome", plain: float, appended: float | None) -> list[Row]:
    """More is sent than can be taken, around a minute's turn: what is taken a second is the highest rate."""
    highest = Row(
        group="Live",
        name="highest rate of frames taken and stored",
        ours=flood.taken / flood.seconds,
        unit="frames/s",
        peer_name="update_one(upsert=True) a frame",
        peer=plain,
        times_peer=4,
        note=f"around a minute's turn: {flood.closes:,} candles closed meanwhile, {flood.lost} lost",
    )
    if appended is None:
        return [highest]
    beside = replace(
        highest,
        name="the same, beside cryptofeed",
        peer_name="its Mongo backend, frames handed over decoded",
        peer=appended,
        times_peer=None,
        note="it appends a document a frame: no candle is current, none is guarded",
    )
    return [highest, beside]


def core_alone() -> Row:
    """Decode and book, in one core: no network, no database."""
    count, keys = 200_000, [SeriesKey(EXCHANGE, f"S{number}USDT", "1m") for number in range(500)]
    step, now = interval("1m"), local_time()
    core = Core(Recipe(LiveIndicators(), WINDOW))
    names = {kline_stream(key.symbol, key.interval): key for key in keys}
    for key in keys:
        core.watch(key, settled=step.after(step.floor(now), -1), history=NO_CANDLES, decimals=1)
    frames = [one_frame(name, step.floor(now), number) for number in range(count // len(names)) for name in names]
    begun = time.perf_counter()
    for message in frames:
        incoming = decode(message)
        if incoming is None or incoming.data is None:
            raise RuntimeError("a frame of the benchmark cannot be read")
        k = incoming.data.k
        candle = Candle(k.t, k.o, k.h, k.l, k.c, k.v, k.q, k.n, k.V, k.Q, k.x, incoming.data.E)
        core.frame(names[incoming.stream], candle, now)
    return Row(
        group="Live",
        name="core alone: decode and book",
        ours=len(frames) / (time.perf_counter() - begun),
        unit="frames/s",
    )


def one_frame(name: str, opened: int, number: int) -> bytes:
    """A frame of the open candle."""
    return (
        b'{"stream":"%s","data":{"e":"kline","E":%d,"s":"X","k":{"t":%d,"T":%d,"i":"1m","o":"60500.0","c":"60501.5",'
        b'"h":"61001.0","l":"59999.0","v":"7.25","n":%d,"x":false,"q":"9000000.50","V":"60.1","Q":"3600000.25"}}}'
    ) % (name.encode(), opened + number, opened, opened + 59_999, number)


def plain_way(uri: str, keys: Sequence[SeriesKey], seconds: float) -> float:
    """Frames a second when each is written by itself, as one document a candle."""
    with connect.client(uri) as client:
        collection = client["bench"]["one_document_a_candle"]
        collection.drop()
        count, begun = 0, time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds:
            key = keys[count % len(keys)]
            update = {name: float(count) for name in CANDLE_FIELDS}
            collection.update_one({"_id": f"{key}:1"}, {"$set": update}, upsert=True)
            count += 1
        return count / passed


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

    @property
    def ages(self) -> Iterator[tuple[int, int]]:
        """Of each candle written: when that was acknowledged, and how old its newest frame was then."""
        return zip(self.written.at, self.written.old, strict=True)


class Bench:
    """One ingester, one load."""

    def __init__(self, uri: str, mongod: psutil.Process, keys: Sequence[SeriesKey]) -> None:
        self._uri = uri
        self._mongod = mongod
        self._keys = keys
        self._process = psutil.Process()

    async def measure(self, rate: int, seconds: float, begins: int, *, goes_on: bool = False) -> Outcome:
        """Fill the windows, open every series, send, and compare what is stored with what was sent. One that goes on
        finds the windows as the load before it left them, the candles that are open now included."""
        outcome = Outcome(seconds)
        asynchronous = connect.async_client(self._uri, retry_writes=False)
        with feeding(rate, seconds, len(self._keys), begins) as feed, connect.client(self._uri) as client:
            database = client["bench"]
            clock = ServerClock(local=feed.now)
            if not goes_on:
                prepare(database)
                await asyncio.to_thread(fill_windows, database, self._keys, clock.now())
                Watchlist(database, EXCHANGE).watch(self._keys, datetime.now(UTC))
            ingester = self._ingester(feed, clock, database, asynchronous["bench"], outcome)
            stop = asyncio.Event()
            running = asyncio.create_task(ingester.run(stop))
            begun = time.monotonic()
            while len(ingester.core.watched()) < len(self._keys):
                await asyncio.wait([running], timeout=0.05)
                if running.done():
                    running.result()
            outcome.opening = time.monotonic() - begun
            await self._load(feed, ingester, outcome)
            stop.set()
            await running
            outcome.lost = await asyncio.to_thread(lost, CandleStore(database), feed.closes)
            outcome.closes = len(feed.closes)
        await connect.close(asynchronous)
        return outcome

    def _ingester(
        self, feed: "Feeding", clock: ServerClock, database: Any, async_database: Any, outcome: Outcome
    ) -> Ingester:
        def refuse(*_: object) -> pl.DataFrame:
            outcome.fetches += 1
            raise NotDoneError("this benchmark has no REST")

        client = SimpleNamespace(
            environment=at(SIM, f"http://127.0.0.1:{feed.port}"),
            clock=clock,
            stop=threading.Event(),
            sync_clock=lambda: None,
            traffic=Traffic(SIM.weight_limit),
        )
        known = MarketData(client)
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


def lost(store: CandleStore, closes: Sequence[tuple[str, int, int]]) -> int:
    """How many closed candles are not stored as closed with what their closing frame said."""
    missing = 0
    for name, opened, trades in closes:
        symbol, _, code = name.partition("@kline_")
        stored = store.load(SeriesKey(EXCHANGE, symbol.upper(), code), opened, opened)
        missing += stored.select("closed", "trades").rows() != [(True, trades)]
    return missing


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
def feeding(rate: int, seconds: float, streams: int, moment: int) -> Iterator[Feeding]:
    """A load that waits for its word to begin: the market's time is `moment` until then."""
    command = json.dumps({"rate": rate, "seconds": seconds, "streams": streams, "moment": moment})
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
