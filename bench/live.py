"""The ingester under load, on a mongod of its own: in one market, and spread over three.

It begins as an hour ends, when the candles of all series close in one moment; what comes after is an ordinary minute,
in which a fifth of them do, and is judged by itself. The plain way beside it is what most collectors do: one
`update_one(upsert=True)` a frame, one document a candle.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import cryptofeed_way, disk
from bench.ingesting import Bench, Outcome, find_mongod, quantiles
from bench.live_markets import INTERVALS, Stretches, spread
from bench.table import Row
from pipeline.candle import Candle
from pipeline.exchange.clock import local_time
from pipeline.exchange.frames import decode, kline_stream
from pipeline.ingest.core import Core
from pipeline.ingest.events import NO_CANDLES
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.window import Recipe
from pipeline.periods import WINDOW
from pipeline.store import connect
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.timeline import SECOND, interval
from schemas.candles import CANDLE_FIELDS
from schemas.series import SeriesKey

EXCHANGE = "sim"
COMPARED = 25.0
"""Seconds at the end of the ordinary minute, its turn among them, that three markets have too."""


def run(quick: bool) -> list[Row]:
    """2,500 series at 10,000 frames a second, an hour's end and a minute; quick: 150 series, 1,000 a second, in
    seconds."""
    symbols, rate, hours_end, minute = (30, 1_000, 3.0, 4.0) if quick else (500, 10_000, 20.0, 60.0)
    briefly = 0.5 if quick else 5.0
    keys = [SeriesKey(EXCHANGE, f"S{number}USDT", code) for number in range(symbols) for code in INTERVALS]
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=1.0, oplog_mb=990))
        with server.running() as uri:
            mongod = find_mongod(folder)
            hour = interval("1h").ceil(local_time())
            begins = hour - int(hours_end * SECOND / 2)
            ordinary = begins + int(hours_end * SECOND)
            ends = ordinary + int(minute * SECOND)
            with disk.watched(Path(folder)) as pages:
                steady = asyncio.run(Bench(uri, mongod, keys).measure(rate, hours_end + minute, begins))
            stretches = Stretches(begins, ordinary, max(ordinary, ends - int(COMPARED * SECOND)), ends)
            beside = spread(uri, mongod.pid, symbols, rate, stretches, steady)
            before = interval("1m").ceil(ends) - int(briefly * SECOND)
            flood = asyncio.run(Bench(uri, mongod, keys).measure(20 * rate, 2 * briefly, before, goes_on=True))
            plain = plain_way(uri, keys, briefly)
            appended = cryptofeed_way.frames_stored_a_second(uri, briefly) if cryptofeed_way.is_installed() else None
    return [
        *rows(steady, len(keys), rate, ordinary, pages),
        *beside,
        *ceiling(flood, plain, appended),
        core_alone(20_000 if quick else 200_000),
    ]


def rows(found: Outcome, series: int, rate: int, ordinary_from: int, pages: list[float]) -> list[Row]:
    """What the steady load came to; from that moment on it was an ordinary minute."""
    p50, p99 = quantiles(found.ages(since=ordinary_from))
    worst50, worst99 = quantiles(found.ages(until=ordinary_from))
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


def ceiling(flood: Outcome, plain: float, appended: float | None) -> list[Row]:
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


def core_alone(count: int) -> Row:
    """Decode and book, in one core: no network, no database."""
    keys = [SeriesKey(EXCHANGE, f"S{number}USDT", "1m") for number in range(500)]
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
