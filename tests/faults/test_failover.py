"""Three MongoDB servers, authenticated, used by a user who may do no more than needed; and their primary killed."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest

from pipeline.errors import AttentionError, UsageError
from pipeline.exchange.clock import ServerClock, local_time
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.stream_session import FeedLimits
from pipeline.ingest.book import Patience
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester, Pace
from pipeline.ingest.window import Recipe
from pipeline.periods import WINDOW
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.candles.store import CandleStore
from pipeline.store.mongod.initiate import Administrator, initiate, wanted
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import MINUTE, interval
from schemas.series import SeriesKey
from tests.past import PlainPast
from tests.truth import candle_differences

SPEED = 30
STEP = interval("1m")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
KEYS = [SeriesKey("sim", symbol, "1m") for symbol in SYMBOLS]
LIMITS = FeedLimits(command_every=0.01, silence=3.0, first_delay=0.05, longest_delay=0.5, ack_timeout=2.0)
PACE = Pace(
    flush=0.05,
    tend=0.02,
    watchlist=0.2,
    progress=0.2,
    clock=1.0,
    patience=Patience(grace=4_000, retries=(2_000, 4_000), silence=2 * MINUTE),
    feed=LIMITS,
)


def tidemark(home: Path, uri: str, simulator: Simulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_MONGO_URI": uri,
        "TIDEMARK_DATABASE": "kept",
        "TIDEMARK_ENVIRONMENT": "sim",
        "TIDEMARK_SIM_URL": simulator.url,
    }
    program = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_user_of_one_database_on_three_servers_can_do_everything(
    cluster: Any, kept: Any, home: Path, simulator: Simulator
) -> None:
    filled = tidemark(home, cluster.uri, simulator, "backfill", "BTCUSDT", "-i", "1h", "--days", "3", "--json")
    assert filled.returncode == 0, filled.stderr
    assert json.loads(filled.stdout)[0]["stored"] >= 71
    status = json.loads(tidemark(home, cluster.uri, simulator, "db", "status", "--json").stdout)
    assert status["ready"] is True
    backed = tidemark(home, cluster.uri, simulator, "backup", str(home / "copy"), "--json")
    assert backed.returncode == 0, backed.stderr
    before = [bson.encode(one) for one in kept["candles"].find().sort("_id")]
    for name in kept.list_collection_names():
        if not name.startswith("system."):
            kept.drop_collection(name)
    restored = tidemark(home, cluster.uri, simulator, "restore", str(home / "copy"))
    assert restored.returncode == 0, restored.stderr
    assert [bson.encode(one) for one in kept["candles"].find().sort("_id")] == before != []
    with pytest.raises(Exception, match="not authorized"):
        kept.client["another"]["x"].insert_one({})
    assert not (home / "mongo").exists()


def test_the_user_is_made_once_and_his_password_can_be_changed(cluster: Any, kept: Any) -> None:
    other = cluster.uri.replace("keeper:", "second:")
    for password in ("first", "changed"):
        uri = other.replace("a%20pass%2Fword%40of%3Aours", password)
        initiate(uri, cluster.administrator, "kept")
        with connect.client(uri) as client:
            connect.require(client, uri)


def test_what_cannot_be_initiated_is_refused_in_words(cluster: Any) -> None:
    with pytest.raises(UsageError, match="must name the replica set, the user and the password"):
        wanted("mongodb://127.0.0.1/")
    with pytest.raises(AttentionError, match="refuses the administrator 'root'") as refused:
        initiate(cluster.uri, Administrator("root", "hunter22"), "kept")
    assert "hunter22" not in str(refused.value)
    nobody = "mongodb://u:p@127.0.0.1:1/?replicaSet=r"
    with pytest.raises(AttentionError, match="was not ready within 0 seconds"):
        initiate(nobody, Administrator("root", "x"), "kept", patience=0)


def fast_clock() -> ServerClock:
    began = local_time()

    def fast() -> int:
        return began + (local_time() - began) * SPEED

    return ServerClock(fast, fast)


@asynccontextmanager
async def ingesting(simulator: Simulator, database: Any, uri: str):
    """The ingester on the three servers, against an exchange whose minute lasts two seconds."""
    rest = RestClient(at(SIM, simulator.url), clock=fast_clock())
    rest.sync_clock()
    asynchronous = connect.async_client(uri)
    Watchlist(database, "sim").watch(KEYS, datetime.now(UTC))
    ingester = Ingester(
        MarketData(rest),
        database,
        asynchronous[database.name],
        PlainPast(),
        Recipe(LiveIndicators(), WINDOW),
        pace=PACE,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(ingester.run(stop))
    try:
        yield running
        stop.set()
        async with asyncio.timeout(60):
            await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await connect.close(asynchronous)
        rest.close()


def difference(simulator: Simulator, store: CandleStore, since: int, until: int) -> str | None:
    """The first closed candle of the exchange's ledger that is not stored as it was."""
    return next(candle_differences(simulator, store, KEYS, since, until), None)


async def becomes_right(simulator: Simulator, store: CandleStore, since: int, until: int) -> str | None:
    deadline = time.monotonic() + 60
    while (found := await asyncio.to_thread(difference, simulator, store, since, until)) is not None:
        if time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)
    return None


async def test_the_ingester_goes_on_when_the_primary_is_killed_and_then_the_next(
    cluster: Any, kept: Any, start_simulator: Callable[..., Simulator]
) -> None:
    simulator = start_simulator(speed=SPEED, lifted_limits=True, seed=5)
    prepare(kept)
    store = CandleStore(kept)
    since = STEP.ceil(simulator.now())
    async with ingesting(simulator, kept, cluster.uri) as running:
        assert await becomes_right(simulator, store, since, since) is None
        for _ in range(2):
            dead = await asyncio.to_thread(cluster.kill_primary)
            struck = STEP.ceil(simulator.now())
            assert await asyncio.to_thread(cluster.primary) != dead
            assert await becomes_right(simulator, store, since, struck + MINUTE) is None
            await asyncio.to_thread(cluster.start, dead)
        assert not running.done()
    until = STEP.floor(simulator.now()) - 2 * MINUTE
    assert await becomes_right(simulator, store, since, until) is None
