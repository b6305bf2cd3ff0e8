"""The ingester and the database, killed and frozen at random moments while frames flow: the store is right in the end.

Each test has a mongod of its own, so that it can be killed, and an exchange whose minute lasts two seconds.
"""

import asyncio
import multiprocessing
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.exchange.clock import ServerClock, local_time
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.stream_session import FeedLimits
from pipeline.history.backfill import Backfill
from pipeline.history.listing import wanted_series
from pipeline.ingest.book import Patience
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester, Pace
from pipeline.ingest.window import Recipe
from pipeline.periods import WINDOW
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.candles.store import CandleStore
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import MINUTE, interval
from schemas.series import SeriesKey
from tests.past import PlainPast
from tests.truth import candle_differences

SPEED = 30
DATABASE = "faults"
STEP = interval("1m")
KEYS = tuple(SeriesKey("sim", symbol, "1m") for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"))
LIMITS = FeedLimits(command_every=0.01, silence=3.0, first_delay=0.05, longest_delay=0.5, ack_timeout=2.0)
PACE = Pace(
    flush=0.05,
    tend=0.02,
    watchlist=0.2,
    progress=0.2,
    clock=1.0,
    write_timeout=1.0,
    again_after=0.2,
    reopen_after=0.2,
    patience=Patience(grace=4_000, retries=(2_000, 4_000), silence=2 * MINUTE),
    feed=LIMITS,
)
URI_OPTIONS = "&serverSelectionTimeoutMS=1000&socketTimeoutMS=2000&connectTimeoutMS=1000"


@dataclass(frozen=True)
class Place:
    """Where everything is: what an ingester in a process of its own has to be told."""

    uri: str
    url: str
    began: int

    def clock(self) -> ServerClock:
        """As fast as the exchange's, in every process the same."""

        def fast() -> int:
            return self.began + (local_time() - self.began) * SPEED

        return ServerClock(fast, fast)

    @asynccontextmanager
    async def ingester(self, **chosen: Any) -> AsyncIterator[Ingester]:
        asynchronous = connect.async_client(self.uri, retry_writes=False)
        with (
            connect.client(self.uri) as mongo,
            RestClient(at(SIM, self.url), clock=self.clock()) as client,
            Backfill(mongo[DATABASE], market := MarketData(client)) as history,
        ):
            client.sync_clock()
            listed = market.symbols()

            def fill(key: SeriesKey) -> None:
                (series,) = wanted_series([key.symbol], [key.interval], listed, key.exchange)
                assert not history.fill(series, 1).failures

            yield Ingester(
                market,
                mongo[DATABASE],
                asynchronous[DATABASE],
                PlainPast(fill, fetch=fill),
                Recipe(LiveIndicators(), WINDOW),
                pace=replace(PACE, **chosen),
            )
        await connect.close(asynchronous)


def ingest(place: Place) -> None:
    """An ingester that nobody ever tells to stop."""

    async def run() -> None:
        async with place.ingester() as ingester:
            await ingester.run(asyncio.Event())

    asyncio.run(run())


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    own = Server(home, port=any_free_port(), limits=Limits(cache_gb=0.25, oplog_mb=990))
    own.ensure()
    yield own
    own.stop(force=True)


@pytest.fixture
def simulator(start_simulator: Callable[..., Simulator]) -> Simulator:
    return start_simulator(speed=SPEED, lifted_limits=True, seed=17)


@pytest.fixture
def place(server: Server, simulator: Simulator) -> Place:
    uri = server.uri + URI_OPTIONS
    with connect.client(uri) as mongo:
        prepare(mongo[DATABASE])
        Watchlist(mongo[DATABASE], "sim").watch(KEYS, datetime.now(UTC))
    return Place(uri, simulator.url, local_time())


def process_of(server: Server) -> psutil.Process:
    found = server.status().process_id
    assert found is not None
    return psutil.Process(found)


def difference(place: Place, simulator: Simulator, since: int, until: int) -> str | None:
    """The first candle that is not stored as it truly was."""
    with connect.client(place.uri) as mongo:
        return next(candle_differences(simulator, CandleStore(mongo[DATABASE]), KEYS, since, until), None)


def becomes_right(place: Place, simulator: Simulator, since: int, until: int, seconds: float = 60.0) -> str | None:
    deadline = time.monotonic() + seconds
    while (found := difference(place, simulator, since, until)) is not None and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def test_killed_again_and_again_ingester_and_database_lose_nothing(
    server: Server, simulator: Simulator, place: Place
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "pipeline.ingest.service", "pipeline.history.backfill"])
    chance = random.Random(5)
    since = STEP.ceil(simulator.now())
    running = context.Process(target=ingest, args=(place,))
    running.start()
    try:
        for victims in ("ingester", "database", "both", "ingester", "both", "database"):
            time.sleep(chance.uniform(0.5, 3.0))
            if victims != "ingester":
                process_of(server).kill()
            if victims != "database":
                running.kill()
                running.join()
            if victims != "ingester":
                server.ensure()
            if victims != "database":
                running = context.Process(target=ingest, args=(place,))
                running.start()
        until = STEP.floor(simulator.now())
        assert becomes_right(place, simulator, since, until) is None
        assert running.is_alive(), "the ingester outlives a database that dies"
    finally:
        running.kill()
        running.join()


# Where our deadline ends an attempt of PyMongo's to connect, it leaves that socket to the garbage.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("outbox", [100_000, 2], ids=["kept", "too many to keep"])
async def test_while_the_database_stands_still_nothing_is_lost(
    server: Server, simulator: Simulator, place: Place, outbox: int
) -> None:
    since = STEP.ceil(simulator.now())
    async with place.ingester(outbox=outbox) as ingester:
        stop = asyncio.Event()
        running = asyncio.create_task(ingester.run(stop))
        await until_true(lambda: len(ingester.core.watched()) == len(KEYS))
        frozen = process_of(server)
        frozen.send_signal(signal.SIGSTOP)
        try:
            taken, begun = ingester.feed.counters.frames, simulator.now()
            await until_true(lambda: simulator.now() > begun + 4 * MINUTE)
            assert ingester.feed.counters.frames > taken, "frames are taken all the while"
            await until_true(lambda: ingester.metrics.registry.get_sample_value("tidemark_store_up") == 0)
        finally:
            frozen.send_signal(signal.SIGCONT)
        until = STEP.floor(simulator.now())
        assert await asyncio.to_thread(becomes_right, place, simulator, since, until) is None
        stop.set()
        async with asyncio.timeout(30):
            await running


async def until_true(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - state of other processes, which have no event for it
            await asyncio.sleep(0.05)
