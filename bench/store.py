"""The candle store: load and write 300 days of 1m against the other ways, on a mongod of its own.

Every way gets the same candles, of 22 fields, and ends with the same thing: a polars table when it loads, stored
candles when it writes. They take turns, and the median counts.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from pymongo import AsyncMongoClient, InsertOne, MongoClient, UpdateOne
from pymongo.database import Database
from pymongoarrow.api import Schema, aggregate_polars_all, find_polars_all

from bench.table import Row, alternate, rate
from pipeline.candle import Candle, CandleWrite
from pipeline.store import connect
from pipeline.store.candles.codec import decode_buckets, encode_buckets
from pipeline.store.candles.frame import FRAME_SCHEMA, from_frame, to_grid
from pipeline.store.candles.live import AsyncCandleWriter, upsert_operations
from pipeline.store.candles.store import BUCKETS_A_BATCH, BUCKETS_AT_ONCE, CandleStore
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE, interval, to_datetime
from schemas.candles import CANDLE_FIELDS, CANDLES
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
STEP = interval("1m")
START = STEP.bucket(1_760_000_000_000).start
FLAT = "one_document_a_candle"
PER_BULK = 5_000
SERIES_A_BULK = 100
WRITING_ROUNDS = 3

_ARROW = {"closed": pa.bool_(), "trades": pa.int64()} | dict.fromkeys(("t", "te", "u"), pa.timestamp("ms"))
ARROW_SCHEMA = Schema({name: _ARROW.get(name, pa.float64()) for name in CANDLE_FIELDS})


def run(quick: bool) -> list[Row]:
    """Load, write, and the guarded updates of the present."""
    count = 21_600 if quick else 432_000
    frame = history(count)
    with mongod_at() as (database, uri):
        written = writing(database, frame)
        loaded = loading(database, frame, rounds=3 if quick else 5)
        updated = updating(database, uri, 100 if quick else 2_500)
    return [*loaded, *written, *codec(frame), updated]


def history(count: int) -> pl.DataFrame:
    """A closed 1m candle a minute, a random walk, every field filled."""
    random = np.random.default_rng(7)
    t = START + np.arange(count) * MINUTE
    columns: dict[str, Any] = {name: 60_000 + np.cumsum(random.normal(size=count)) for name in FRAME_SCHEMA}
    columns |= {"t": t, "te": t + MINUTE - 1, "u": t + MINUTE + 7}
    columns |= {"trades": random.integers(1, 9_000, count), "closed": np.ones(count, np.bool_)}
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())


@contextmanager
def mongod() -> Iterator[Database[dict[str, Any]]]:
    """An empty, prepared database on a server that is gone afterwards."""
    with mongod_at() as (database, _):
        yield database


@contextmanager
def mongod_at() -> Iterator[tuple[Database[dict[str, Any]], str]]:
    """The same, and its URI."""
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=1.0, oplog_mb=990))
        with server.running() as uri, connect.client(uri) as client:
            yield _prepared(client), uri


def _prepared(client: MongoClient[dict[str, Any]]) -> Database[dict[str, Any]]:
    database = client["bench"]
    prepare(database)
    return database


def loading(database: Database[dict[str, Any]], frame: pl.DataFrame, rounds: int) -> list[Row]:
    """Everything into one polars table. pymongoarrow gets the schema, and both ways of storing candles. Each way is
    asked once before it is measured, and must answer with every candle; find() is asked for a tenth of them."""
    count, end = frame.height, int(frame["t"].cast(pl.Int64)[-1])
    tenth = START + count // 10 * MINUTE
    store, buckets, flat = CandleStore(database), database[CANDLES.name], database[FLAT]
    unwind = [{"$match": {"symbol": KEY.symbol}}, {"$sort": {"_id": 1}}, {"$unwind": "$candles"}]
    unwind.append({"$replaceRoot": {"newRoot": "$candles"}})

    def plain() -> pl.DataFrame:
        found = buckets.find({"symbol": KEY.symbol, "start": {"$lt": to_datetime(tenth)}}, sort=[("_id", 1)])
        candles = [candle for bucket in found for candle in bucket["candles"] if candle is not None]
        return pl.DataFrame(candles, schema=FRAME_SCHEMA)

    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: store.load(KEY, START, end),
        "two columns": lambda: store.load(KEY, START, end, ("t", "close")),
        "pymongoarrow, $unwind": lambda: aggregate_polars_all(buckets, unwind, schema=ARROW_SCHEMA),
        "pymongoarrow, one document a candle": lambda: find_polars_all(
            flat, {}, schema=ARROW_SCHEMA, sort=[("_id", 1)]
        ),
        "find(), a tenth of the history": plain,
        "raw batches": lambda: drain(database),
        "presence": lambda: store.presence(KEY, START, end),
    }
    sizes = {name: count // 10 if way is plain else count for name, way in ways.items()}
    for name, way in ways.items():
        loaded = way()
        if isinstance(loaded, pl.DataFrame) and loaded.height != sizes[name]:
            raise RuntimeError(f"{name} loaded {loaded.height} candles, not {sizes[name]}")
        if name == "ours" and not loaded.equals(frame):
            raise RuntimeError("what was loaded is not what was written")
    medians = alternate(rounds, *(lambda way=way, name=name: rate(sizes[name], way) for name, way in ways.items()))
    measured = dict(zip(ways, medians, strict=True))
    peer = max(("pymongoarrow, $unwind", "pymongoarrow, one document a candle"), key=measured.__getitem__)
    others = ", ".join(f"{name} {measured[name] / 1e6:.3f} M/s" for name in ways if name.startswith(("py", "find")))
    size = f"{count:,} candles"
    return [
        Row(
            group="Load",
            name=f"{size}, every field",
            ours=measured["ours"],
            unit="candles/s",
            peer_name=peer,
            peer=measured[peer],
            limit_name="raw batches drained",
            limit=measured["raw batches"],
            times_peer=4,
            share_of_limit=0.6,
            note=others,
        ),
        Row(group="Load", name=f"{size}, two columns", ours=measured["two columns"], unit="candles/s"),
        Row(group="Load", name=f"{size}, which slots are filled", ours=measured["presence"], unit="candles/s"),
    ]


def drain(database: Database[dict[str, Any]]) -> int:
    """Receive the same documents in the same batches and look at none of them."""
    batches = database[CANDLES.name].find_raw_batches(
        {"_id": {"$gte": f"{KEY}:", "$lt": f"{KEY};"}}, sort=[("_id", 1)], batch_size=BUCKETS_A_BATCH
    )
    return sum(len(batch) for batch in batches)


def writing(database: Database[dict[str, Any]], frame: pl.DataFrame) -> list[Row]:
    """The same history into an empty collection. The peer's operations and the limit's bytes are made beforehand. The
    peer writes the history once, a third in each round, so that its rate is seen while its collection grows."""
    count, candles, flat = frame.height, database[CANDLES.name], database[FLAT]
    store = CandleStore(database)
    documents = encode_buckets(KEY, to_grid(from_frame(frame, STEP, CANDLE_FIELDS), STEP))
    thirds = iter(range(0, count, count // WRITING_ROUNDS))
    peer_rates: list[float] = []

    def ours() -> float:
        candles.delete_many({})
        return rate(count, lambda: store.replace_closed(KEY, frame))

    def ready_made() -> float:
        candles.delete_many({})
        bulks = [documents[first : first + BUCKETS_AT_ONCE] for first in range(0, len(documents), BUCKETS_AT_ONCE)]
        return rate(
            count, lambda: [candles.bulk_write([InsertOne[Any](one) for one in bulk], ordered=False) for bulk in bulks]
        )

    def one_each() -> float:
        upserts = _upserts(frame.slice(next(thirds), count // WRITING_ROUNDS))
        bulks = [upserts[first : first + PER_BULK] for first in range(0, len(upserts), PER_BULK)]
        peer_rates.append(rate(len(upserts), lambda: [flat.bulk_write(bulk, ordered=False) for bulk in bulks]))
        return peer_rates[-1]

    def again() -> float:
        return rate(count, lambda: store.replace_closed(KEY, frame))

    ours_rate, limit, peer = alternate(WRITING_ROUNDS, ours, ready_made, one_each)
    candles.delete_many({})
    store.replace_closed(KEY, frame)
    return [
        Row(
            group="Write",
            name=f"{count:,} candles, every field",
            ours=ours_rate,
            unit="candles/s",
            peer_name="an upsert a candle",
            peer=peer,
            limit_name="the same documents, encoded beforehand",
            limit=limit,
            times_peer=8,
            share_of_limit=0.85,
            note="the peer writes a third of the history in each round, into the same collection: "
            + ", ".join(f"{one:,.0f}/s" for one in peer_rates),
        ),
        Row(
            group="Write",
            name="the same again: nothing changes",
            ours=alternate(WRITING_ROUNDS, again)[0],
            unit="candles/s",
        ),
    ]


def _upserts(frame: pl.DataFrame) -> list[UpdateOne]:
    rows = frame.with_columns(pl.col("t", "te", "u").cast(pl.Int64)).iter_rows(named=True)
    return [UpdateOne({"_id": f"{KEY}:{row['t']}"}, {"$set": row}, upsert=True) for row in map(_bson_types, rows)]


def _bson_types(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: DatetimeMS(row[name]) for name in ("t", "te", "u")}
    return row | times | {"trades": Int64(row["trades"])}


def codec(frame: pl.DataFrame) -> list[Row]:
    """Encoding and decoding alone."""
    grid = to_grid(from_frame(frame, STEP, CANDLE_FIELDS), STEP)
    raws = [document.raw for document in encode_buckets(KEY, grid)]
    batches = [b"".join(raws[first : first + BUCKETS_A_BATCH]) for first in range(0, len(raws), BUCKETS_A_BATCH)]
    encoded, decoded = alternate(
        5,
        lambda: rate(frame.height, lambda: encode_buckets(KEY, grid)),
        lambda: rate(frame.height, lambda: [decode_buckets(KEY, batch) for batch in batches]),
    )
    return [
        Row(group="Codec", name="columns to BSON", ours=encoded, unit="candles/s"),
        Row(group="Codec", name="BSON to columns, every constant byte verified", ours=decoded, unit="candles/s"),
    ]


def fill(database: Database[dict[str, Any]], keys: Sequence[SeriesKey], frame: pl.DataFrame) -> None:
    """The same candles into each of these empty series, all of one interval."""
    step = interval(keys[0].interval)
    grid = to_grid(from_frame(frame, step, CANDLE_FIELDS), step)
    for first in range(0, len(keys), SERIES_A_BULK):
        chosen = keys[first : first + SERIES_A_BULK]
        documents = [InsertOne[Any](one) for key in chosen for one in encode_buckets(key, grid)]
        database[CANDLES.name].bulk_write(documents, ordered=False)


async def _connected(uri: str) -> AsyncMongoClient[dict[str, Any]]:
    return connect.async_client(uri)


def updating(database: Database[dict[str, Any]], uri: str, series: int) -> Row:
    """One bulk of guarded updates over many series, the candle in the middle of its bucket."""
    moment = START + 120 * MINUTE
    keys = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(series)]

    def candles(event: int) -> list[CandleWrite]:
        return [
            CandleWrite(key, Candle(moment, *(1.0,) * 6, 3, 1.0, 1.0, closed=False, u=moment + event)) for key in keys
        ]

    fill(database, keys, history(120))
    events = iter(range(1, 1_000))

    def build() -> float:
        batch = candles(next(events))
        return rate(series, lambda: upsert_operations(batch))

    with asyncio.Runner() as runner:
        client = runner.run(_connected(uri))
        writer = AsyncCandleWriter(client[database.name])
        runner.run(writer.write(candles(next(events))))

        def send() -> float:
            batch = candles(next(events))
            return rate(series, lambda: runner.run(writer.write(batch)))

        operations, upserts = alternate(7, build, send)
        runner.run(connect.close(client))
    return Row(
        group="Live",
        name=f"a bulk of {series:,} guarded updates",
        ours=upserts,
        unit="candles/s",
        note=f"one bulk takes {1_000 * series / upserts:.0f} ms; building its operations runs at {operations:,.0f}/s",
    )
