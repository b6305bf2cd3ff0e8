"""A client of the running exchange, a prepared database, and the truth to compare with."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pymongo import MongoClient
from pymongo.database import Database

from pipeline.exchange.archive import Archive
from pipeline.exchange.environments import environment
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted, wanted_series
from pipeline.history.plan import wanted
from pipeline.simulator.handle import Simulator
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from pipeline.store.upgrade import META
from pipeline.timeline import DAY, SECOND, Window, interval
from schemas.series import SeriesKey
from tests.history.house import House, described

AT_ONCE = 3 * SECOND
PRICES = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base", "taker_buy_quote")


@pytest.fixture
def connect_to() -> Iterator[Callable[[Simulator], RestClient]]:
    """A client of that exchange that knows its clock, hurries, and has no weight limit to wait for."""
    with ExitStack() as ends:
        yield lambda simulator: ends.enter_context(connected(simulator.url))


@pytest.fixture
def client(simulator: Simulator, connect_to: Callable[[Simulator], RestClient]) -> RestClient:
    return connect_to(simulator)


class Hasty(random.Random):
    """Makes every wait before a retry as short as it can be."""

    def uniform(self, a: float, b: float) -> float:
        return a / 10


def connected(url: str) -> RestClient:
    made = RestClient(environment("sim", url=url), random_=Hasty())
    made.sync_clock()
    made.weight.limit = 10**9
    return made


@pytest.fixture
def market(client: RestClient) -> MarketData:
    return MarketData(client)


@pytest.fixture(scope="session")
def history(mongo: MongoClient[Any]) -> Iterator[Database[Any]]:
    """The one prepared database of these tests: making its collections anew would cost more than most of them."""
    prepare(mongo["history"])
    yield mongo["history"]
    mongo.drop_database("history")


@pytest.fixture
def prepared(history: Database[Any]) -> Database[Any]:
    """A prepared database without documents."""
    for name in history.list_collection_names(filter={"type": "collection", "name": {"$ne": META}}):
        if not name.startswith("system."):
            history[name].delete_many({})
    return history


@pytest.fixture
def house(prepared: Database[Any]) -> House:
    SymbolStore(prepared).save([described("sim"), described("binance-um")])
    return House(prepared)


def window_of(series: Wanted, client: RestClient, days: int) -> Window:
    """What is wanted now, and will be a moment later: not where the candle that is open ends at once."""
    while series.step.floor((now := client.clock.surely) + AT_ONCE) != series.step.floor(now):
        time.sleep(0.1)
    found = wanted(series.step, now, days, series.listed, series.delivered)
    assert found is not None
    return found


@pytest.fixture
def archive(client: RestClient) -> Iterator[Archive]:
    made = Archive(client.environment, clock=client.clock, stop=client.stop, random_=Hasty())
    yield made
    made.close()


@pytest.fixture
def work(prepared: Database[Any], market: MarketData, archive: Archive) -> Iterator[Backfill]:
    with Backfill(prepared, market, archive) as made:
        yield made


@pytest.fixture
def series(market: MarketData) -> Callable[[str, str], Wanted]:
    def find(symbol: str, code: str) -> Wanted:
        (found,) = wanted_series([symbol], [code], market.symbols(), "sim")
        return found

    return find


@pytest.fixture
def equals_truth(prepared: Database[Any], simulator: Simulator) -> Callable[[SeriesKey, Window], None]:
    """Every closed candle of the window is stored, and is what the exchange's market truly was."""

    def check(key: SeriesKey, window: Window, source: Simulator = simulator) -> None:
        step = interval(key.interval)
        for start in range(window.start, window.end + 1, 40 * DAY):
            end = min(start + 40 * DAY - 1, window.end)
            stored = CandleStore(prepared).load(key, start, end).filter(pl.col("closed"))
            rows = source.truth_klines(key.symbol, key.interval, start, end)
            assert stored.height == len(rows) == step.count(start, end)
            columns = list(zip(*rows, strict=True))
            truth = pl.DataFrame(
                {
                    "t": pl.Series(columns[0], dtype=pl.Int64),
                    "te": pl.Series(columns[6], dtype=pl.Int64),
                    "trades": pl.Series(columns[8], dtype=pl.Int64),
                    **{
                        name: [float(cell) for cell in columns[place]]
                        for name, place in zip(PRICES, (1, 2, 3, 4, 5, 7, 9, 10), strict=True)
                    },
                }
            )
            found = stored.with_columns(pl.col("t", "te").cast(pl.Int64)).select(truth.columns)
            assert_frame_equal(found, truth, check_exact=True)

    return check


class Recorder:
    """Stands between a client and the exchange, passes everything on, and remembers which candles were asked for."""

    def __init__(self, url: str) -> None:
        self.asked: list[Window] = []
        self.busy = 0
        self.idle = threading.Condition()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with recorder.noted(self.path):
                    with urlopen(url + self.path, timeout=30) as answer:
                        body = answer.read()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A killed client leaves its connections broken."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @contextmanager
    def noted(self, path: str) -> Iterator[None]:
        parts = urlsplit(path)
        with self.idle:
            self.busy += 1
            if parts.path.endswith("/klines"):
                sent = dict(parse_qsl(parts.query))
                self.asked.append(Window(int(sent["startTime"]), int(sent["endTime"])))
                self.idle.notify_all()
        try:
            yield
        finally:
            with self.idle:
                self.busy -= 1
                self.idle.notify_all()

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests for candles have come."""
        with self.idle:
            assert self.idle.wait_for(lambda: len(self.asked) >= requests, timeout=30)

    def settle(self) -> None:
        """Wait until no request is being passed on."""
        with self.idle:
            self.idle.wait_for(lambda: self.busy == 0, timeout=10)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def recorder(simulator: Simulator) -> Iterator[Recorder]:
    made = Recorder(simulator.url)
    yield made
    made.close()
