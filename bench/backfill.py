"""The backfill against the simulator and a mongod of its own: the weight it may use, candles a second beside a plain
ccxt loop, where the time goes, how much memory fifty series take, and what Prefect adds.
"""

import logging
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
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ccxt
from pymongo import UpdateOne

from bench.table import Row
from pipeline.app.wiring import derivation_of
from pipeline.exchange import market as market_module
from pipeline.exchange.archive import Archive
from pipeline.exchange.clock import local_time
from pipeline.exchange.environments import SIM, environment
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import FETCHERS, SERIES_AT_ONCE, Backfill
from pipeline.history.listing import Wanted, wanted_series
from pipeline.history.report import SeriesReport
from pipeline.settings import load
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import DAY, MINUTE, SECOND, Window, interval

PAGE = UM.klines.page
GROUP = "backfill"
MEMORY_LIMIT_MB = 600
MEMORY_SERIES = 50
MEMORY_SECONDS = 75
"""After so long the fifty series are left as they are; the note says how far they came and if the peak still grew."""
UNLIMITED = 10**9
STARTING = 5 * SECOND
"""For the simulator to start."""
PROCESSES_STARTING = 10 * SECOND
"""The same for two processes that fetch."""
POOL = {"um": ("sim", "BTCUSDT"), "cm": ("sim-cm", "BTCUSD_PERP")}
"""Markets that share what an address may ask, and a series of each."""
PREFECT_DAYS = 100
ENDLESS = 2_000
"""Days: more candles than can be fetched while the weight is measured."""

FLOW = """
import json, sys, time
from dataclasses import replace
from pipeline.exchange import environments
environments.ENVIRONMENTS = {"sim": replace(environments.SIM, weight_limit=10**9)}
from prefect.testing.utilities import prefect_test_harness
from flows.backfill import BackfillChoice, backfill
with prefect_test_harness(server_startup_timeout=120):
    began = time.perf_counter()
    backfill(BackfillChoice(symbols=json.loads(sys.argv[1]), intervals=["1m"], days=int(sys.argv[2]), source="rest"))
    print("seconds", time.perf_counter() - began)
"""


def run(quick: bool) -> list[Row]:
    """All of them; the quick form is shorter in minutes, days and series."""
    with _mongod() as uri:
        rows = [under_the_limits(uri, quick), both_of_a_pool(uri, quick), *beside_ccxt(uri, days=4 if quick else 100)]
        rows.append(memory(uri, 3, series=10) if quick else memory(uri, 300))
        if not quick:  # Prefect's part is mostly fixed: a short run says nothing of it
            rows.append(prefect_overhead(uri, days=PREFECT_DAYS))
    return rows


def under_the_limits(uri: str, quick: bool) -> Row:
    """The real weight rules: the budgets of two minutes, spent within half a minute each around the minute's turn; in
    the quick form an eighth of the weight. The simulator's clock is set so that nobody waits for that moment."""
    limit, around = _weight_and_time(quick)
    with Simulator.start(weight_limit=limit, clock_offset=_before_a_turn(around, STARTING)) as simulator:
        turn = _turn_after(simulator.now() + around)
        stored, refused = _spend_around(turn, around, uri, simulator.url, "um", limit)
    return _budget_row("two minutes' budgets under the weight rules", stored, limit, around, refused)


def both_of_a_pool(uri: str, quick: bool) -> Row:
    """The same by two processes at once, one of USD-M and one of COIN-M, which have one budget and do not know of each
    other: each goes by the count in the answers it gets."""
    limit, around = _weight_and_time(quick)
    context = multiprocessing.get_context("spawn")
    offset = _before_a_turn(around, STARTING + PROCESSES_STARTING)
    with (
        Simulator.start(weight_limit=limit, clock_offset=offset, markets=tuple(POOL)) as simulator,
        ProcessPoolExecutor(len(POOL), mp_context=context) as processes,
    ):
        turn = _turn_after(simulator.now() + PROCESSES_STARTING + around)
        spent = [
            processes.submit(_spend_around, turn, around, uri, simulator.at(market).url, market, limit)
            for market in POOL
        ]
        by_market = [one.result() for one in spent]
    stored, refused = (sum(column) for column in zip(*by_market, strict=True))
    shares = ", ".join(f"{market} {fetched / stored:.0%}" for market, (fetched, _) in zip(POOL, by_market, strict=True))
    row = _budget_row("the same by USD-M and COIN-M at once, which share it", stored, limit, around, refused)
    return replace(row, note=f"{row.note}; of it {shares}")


def _weight_and_time(quick: bool) -> tuple[int, int]:
    return (300, 4 * SECOND) if quick else (2400, 30 * SECOND)


def _before_a_turn(around: int, starting: int) -> int:
    """How far the exchange's clock is to be set, so that a minute turns that long after what starts has started."""
    return -(local_time() + around + starting) % MINUTE


def _turn_after(moment: int) -> int:
    return -(-moment // MINUTE) * MINUTE


def _spend_around(turn: int, around: int, uri: str, url: str, market: str, limit: int) -> tuple[int, int]:
    """Fetch from that long before a turn of the minute until that long after it: how many candles, and how often the
    exchange had to say stop."""
    exchange, symbol = POOL[market]
    with _client(url, exchange) as client, _refusals() as refused:
        client.weight.limit = limit
        client.stop.wait((turn - around - client.clock.now()) / SECOND)
        with _soon((turn + around - client.clock.now()) / SECOND, client.stop.set):
            fetched = _fill(uri, client, ENDLESS, [symbol], database=f"bench_{market}").fetched
    return fetched, len(refused)


def _budget_row(name: str, stored: int, limit: int, around: int, refused: int) -> Row:
    budget = int(limit * SIM.weight_buffer)
    return Row(
        group=GROUP,
        name=name,
        ours=stored,
        unit="candles",
        limit_name="the buffered budget allows",
        limit=2 * budget / UM.klines.weight(PAGE) * PAGE,
        share_of_limit=0.95,
        note=f"budgets of {budget} weight, {around // SECOND} s before and after a minute's turn; "
        f"answers 429: {refused}",
    )


def beside_ccxt(uri: str, days: int) -> list[Row]:
    """Without a weight limit: the same candles, stored, and where the time goes."""
    with Simulator.start(lifted_limits=True) as simulator, _client(simulator.url) as client:
        client.weight.limit = UNLIMITED
        _remember(client, ["BTCUSDT"], days)
        with _timed() as spent:
            ours = _rate(_fill(uri, client, days))
        theirs = _ccxt_rate(uri, simulator.url, days)
        with_archive = _rate(_fill(uri, client, days, archive=True))
        with_archive = max(with_archive, _rate(_fill(uri, client, days, archive=True)))
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
    """The same three series, with their indicators and signals, with and without Prefect, each in its turn on an empty
    database."""
    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    with Simulator.start(lifted_limits=True) as simulator, _client(simulator.url) as client:
        client.weight.limit = UNLIMITED
        _remember(client, symbols, days)
        plain = _plain_seconds(uri, client, symbols, days)
        flow = _flow_seconds(uri, simulator.url, symbols, days)
    return Row(
        group=GROUP,
        name=f"the flow's time over the plain one's, 3 x {days} days of 1m",
        ours=flow / plain,
        unit="x",
        at_most=1.05,
        lower_is_better=True,
        note=f"{flow:.1f} s with Prefect, {plain:.1f} s without: candles, indicators, signals",
    )


@contextmanager
def _mongod() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=1.0, oplog_mb=990))
        with server.running() as uri:
            yield uri


@contextmanager
def _soon(seconds: float, do: Callable[[], Any]) -> Iterator[None]:
    """Do it after so long, unless all is over before."""
    timer = threading.Timer(seconds, do)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _client(url: str, exchange: str = "sim") -> Iterator[RestClient]:
    with RestClient(environment(exchange, url=url)) as client:
        client.sync_clock()
        yield client


@contextmanager
def _refusals() -> Iterator[list[str]]:
    """What the client says about answers 429 meanwhile."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "answered 429" in record.getMessage():
                found.append(record.getMessage())

    logger, listener = logging.getLogger("pipeline.exchange.rest"), Listener()
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)


def _fill(
    uri: str,
    client: RestClient,
    days: int,
    symbols: list[str] | None = None,
    *,
    archive: bool = False,
    database: str = "bench",
) -> SeriesReport:
    """Fill an empty database; the report of the first series."""
    with connect.client(uri) as mongo:
        mongo.drop_database(database)
        prepare(mongo[database])
        market = MarketData(client)
        series = wanted_series(symbols or ["BTCUSDT"], ["1m"], market.symbols(), client.environment.name)
        zips = Archive(client.environment, clock=client.clock, stop=client.stop) if archive else None
        with Backfill(mongo[database], market, zips) as work:
            return work.fill_all(series, days)[0]


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

    get, check, store = RestClient.get, market_module.candles, Backfill._store
    RestClient.get = timed("asking the exchange", get)  # type: ignore[method-assign]
    market_module.candles = timed("checking rows", check)
    Backfill._store = timed("storing", store)  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        RestClient.get, Backfill._store = get, store  # type: ignore[method-assign]
        market_module.candles = check


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
    with connect.client(uri) as mongo, _client(url) as client:
        client.weight.limit = UNLIMITED
        mongo.drop_database("bench")
        prepare(mongo["bench"])
        market = MarketData(client)
        trading = [one.symbol for one in market.symbols() if one.status == "TRADING"][:count]
        series = wanted_series(trading, ["1m"], market.symbols(), "sim")
        with (
            _soon(MEMORY_SECONDS / 2, lambda: peaks.append(_peak())),
            _soon(MEMORY_SECONDS, client.stop.set),
            Backfill(mongo["bench"], market) as work,
        ):
            reports = work.fill_all(series, days)
    answer.send((sum(report.fetched for report in reports), *peaks, *[_peak()] * (2 - len(peaks))))


def _peak() -> float:
    """The most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _plain_seconds(uri: str, client: RestClient, symbols: list[str], days: int) -> float:
    """What a task of the flow does, in as many threads."""
    with connect.client(uri) as mongo, ThreadPoolExecutor(SERIES_AT_ONCE) as threads:
        mongo.drop_database("bench")
        began = time.perf_counter()
        prepare(mongo["bench"])
        market, derivation = MarketData(client), derivation_of(load(), mongo["bench"])
        SymbolStore(mongo["bench"]).save(market.symbols())
        with Backfill(mongo["bench"], market) as work:

            def whole(one: Wanted) -> None:
                work.fill(one, days, "rest")
                (derived,) = derivation.bring_up_all([one.key], client.clock.now())
                if derived.failure is not None:
                    raise RuntimeError(derived.failure)

            list(threads.map(whole, wanted_series(symbols, ["1m"], market.symbols(), "sim")))
        return time.perf_counter() - began


def _flow_seconds(uri: str, url: str, symbols: list[str], days: int) -> float:
    """The flow in a process and with a Prefect server of its own; the server's start does not count."""
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
        listed = "[" + ", ".join(f'"{symbol}"' for symbol in symbols) + "]"
        done = subprocess.run(
            [sys.executable, "-c", FLOW, listed, str(days)],
            env={**os.environ, **settings},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=900,
        )
    return float(done.stdout.split("seconds")[-1])
