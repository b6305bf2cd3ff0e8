"""The backfill against the simulator and a mongod of its own: the weight it may use, candles a second beside a plain
ccxt loop, where the time goes, how much memory fifty series take, and what Prefect adds.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ccxt
from pymongo import UpdateOne

from bench import budgets
from bench.backfill_ways import SAYS, UNLIMITED
from bench.filling import client_at, fill, soon
from bench.table import Row
from pipeline.exchange import market as market_module
from pipeline.exchange.klines import candles
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import FETCHERS, Backfill
from pipeline.history.listing import wanted_series
from pipeline.history.report import SeriesReport
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.timeline import DAY, MINUTE, Window, interval

PAGE = UM.klines.page
GROUP = "backfill"
MEMORY_LIMIT_MB = 600
MEMORY_SERIES = 50
MEMORY_SECONDS = 45
"""After so long the fifty series are left as they are; the note says how far they came and if the peak still grew."""
PREFECT_DAYS = 100


def run(quick: bool) -> list[Row]:
    """All of them; the quick form is shorter in minutes, days and series."""
    with _mongod() as uri:
        rows = [*budgets.rows(uri, quick), *beside_ccxt(uri, days=4 if quick else 100)]
        rows.append(memory(uri, 3, series=10) if quick else memory(uri, 300))
        if not quick:  # Prefect's part is mostly fixed: a short run says nothing of it
            rows.append(prefect_overhead(uri, days=PREFECT_DAYS))
    return rows


def beside_ccxt(uri: str, days: int) -> list[Row]:
    """Without a weight limit: the same candles, stored, and where the time goes."""
    with Simulator.start(lifted_limits=True) as simulator, client_at(simulator.url) as client:
        client.weight.limit = UNLIMITED
        _remember(client, ["BTCUSDT"], days)
        with _timed() as spent:
            ours = _rate(fill(uri, client, days))
        theirs = _ccxt_rate(uri, simulator.url, days)
        with_archive = _rate(fill(uri, client, days, archive=True))
        with_archive = max(with_archive, _rate(fill(uri, client, days, archive=True)))
    parts = ", ".join(f"{name} {seconds / sum(spent.values()):.0%}" for name, seconds in spent.items())
    return [
        Row(
            group=GROUP,
            name=f"fetch and store {days} days of 1m by REST",
            ours=ours,
            unit="candles/s",
            peer_name="ccxt fetch_ohlcv loop, upserts",
            peer=theirs,
            times_peer=1.0,
            note=f"time of {FETCHERS} fetchers: {parts}",
        ),
        Row(group=GROUP, name=f"{days} days of 1m, archive first", ours=with_archive, unit="candles/s"),
    ]


def memory(uri: str, days: int, series: int = MEMORY_SERIES) -> Row:
    """The highest resident memory of a process that fills fifty series, and what it was half of the time before."""
    with Simulator.start(lifted_limits=True, universe=series + 10) as simulator:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(target=_fill_many, args=(uri, simulator.url, days, series, theirs))
        began = time.perf_counter()
        process.start()
        theirs.close()  # so that its end is heard, however it comes
        stored, halfway, peak = mine.recv()
        process.join()
        seconds = time.perf_counter() - began
    whole = series * days * DAY // MINUTE
    return Row(
        group=GROUP,
        name=f"resident memory, {series} series x {days} days of 1m",
        ours=peak,
        unit="MB",
        at_most=MEMORY_LIMIT_MB,
        lower_is_better=True,
        note=f"{stored / whole:.0%} of the {whole:,} candles were fetched in {seconds:,.0f} s "
        f"(it is stopped after {MEMORY_SECONDS}); the peak of the first {MEMORY_SECONDS // 2} s: {halfway:.0f} MB",
    )


def prefect_overhead(uri: str, days: int) -> Row:
    """The same three series, with all that belongs to them, with and without Prefect, each in its turn on an empty
    database; then again, where nothing is left but what a run takes by itself."""
    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    with Simulator.start(lifted_limits=True) as simulator, client_at(simulator.url) as client:
        client.weight.limit = UNLIMITED
        _remember(client, symbols, days)
        plain, plain_again = _seconds("plain", uri, simulator.url, symbols, days)
        flow, flow_again = _seconds("flow", uri, simulator.url, symbols, days)
    return Row(
        group=GROUP,
        name=f"the flow's time over the plain one's, 3 x {days} days of 1m",
        ours=flow / plain,
        unit="x",
        at_most=1.05,
        lower_is_better=True,
        note=f"{flow:.1f} s with Prefect, {plain:.1f} s without: candles, mark prices, indicators, signals; the same "
        f"again, nothing to fetch: {flow_again:.2f} and {plain_again:.2f} s",
    )


@contextmanager
def _mongod() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=1.0, oplog_mb=990))
        with server.running() as uri:
            yield uri


def _remember(client: RestClient, symbols: list[str], days: int) -> None:
    """Let the simulator make all minutes (half hours are made of them) beforehand, so that nobody waits for it."""
    step, market = interval("30m"), MarketData(client)
    first, last = client.clock.now() - days * DAY, client.clock.now()
    for symbol in symbols:
        for start in range(first, last, PAGE * 30 * MINUTE):
            market.klines(symbol, step, Window(start, min(start + PAGE * 30 * MINUTE, last) - 1))


def _rate(report: SeriesReport) -> float:
    return report.stored / report.seconds


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """How long the parts of a backfill take, summed over its threads."""
    spent: dict[str, float] = defaultdict(float)
    lock = threading.Lock()

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                with lock:
                    spent[name] += time.perf_counter() - began

        return measured

    get, check, store = RestClient.get, candles, Backfill._store
    RestClient.get = timed("asking the exchange", get)  # type: ignore[method-assign]
    market_module.candles = timed("checking rows", check)  # type: ignore[attr-defined]
    Backfill._store = timed("storing", store)  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        RestClient.get, Backfill._store = get, store  # type: ignore[method-assign]
        market_module.candles = check  # type: ignore[attr-defined]


def _ccxt_rate(uri: str, url: str, days: int) -> float:
    """The loop that people write: fetch a page, upsert its candles one by one in a bulk, go on from the last."""
    exchange = ccxt.binanceusdm({"enableRateLimit": False, "options": {"fetchCurrencies": False}})
    for name, address in exchange.urls["api"].items():
        if isinstance(address, str):
            exchange.urls["api"][name] = address.replace("https://fapi.binance.com", url)
    exchange.load_markets()
    with connect.client(uri) as mongo:
        mongo.drop_database("bench")
        candles = mongo["bench"]["plain"]
        count, began = 0, time.perf_counter()
        end = time.time_ns() // 1_000_000 // MINUTE * MINUTE
        since = end - days * DAY
        while since < end:
            rows = exchange.fetch_ohlcv("BTC/USDT:USDT", "1m", since=since, limit=1500)
            candles.bulk_write(
                [
                    UpdateOne(
                        {"_id": f"BTCUSDT:1m:{row[0]}"},
                        {"$set": dict(zip(("t", "open", "high", "low", "close", "volume"), row, strict=True))},
                        upsert=True,
                    )
                    for row in rows
                ],
                ordered=False,
            )
            count += len(rows)
            since = rows[-1][0] + MINUTE
        return count / (time.perf_counter() - began)


def _fill_many(uri: str, url: str, days: int, count: int, answer: Connection) -> None:
    peaks: list[float] = []
    with connect.client(uri) as mongo, client_at(url) as client:
        client.weight.limit = UNLIMITED
        mongo.drop_database("bench")
        prepare(mongo["bench"])
        market = MarketData(client)
        trading = [one.symbol for one in market.symbols() if one.status == "TRADING"][:count]
        series = wanted_series(trading, ["1m"], market.symbols(), "sim")
        with (
            soon(MEMORY_SECONDS / 2, lambda: peaks.append(_peak())),
            soon(MEMORY_SECONDS, client.stop.set),
            Backfill(mongo["bench"], market) as work,
        ):
            reports = work.fill_all(series, days)
    answer.send((sum(report.fetched for report in reports), *peaks, *[_peak()] * (2 - len(peaks))))


def _peak() -> float:
    """The most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seconds(way: str, uri: str, url: str, symbols: list[str], days: int) -> list[float]:
    """Of that way of `bench.backfill_ways`, on an empty database: the first time, and again."""
    with connect.client(uri) as mongo:
        mongo.drop_database("bench")
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        settings = {
            "TIDEMARK_HOME": folder,
            "TIDEMARK_MONGO_URI": uri,
            "TIDEMARK_DATABASE": "bench",
            "TIDEMARK_SIM_URL": url,
            "PREFECT_HOME": folder,
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        done = subprocess.run(
            [sys.executable, "-m", "bench.backfill_ways", way, str(days), *symbols],
            env={**os.environ, **settings},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=900,
        )
    return [float(line.removeprefix(SAYS)) for line in done.stdout.splitlines() if line.startswith(SAYS)]
