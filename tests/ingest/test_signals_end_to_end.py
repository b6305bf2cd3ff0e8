"""From the exchange's closing frame to a signal in MongoDB, with everything real between them, and a recomputation over
the history that finds exactly the same."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
from pymongo.database import Database

from pipeline.exchange.clock import ServerClock, local_time
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.stream_session import FeedLimits
from pipeline.history.backfill import Backfill
from pipeline.history.derive import Derivation
from pipeline.history.listing import wanted_series
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester, Pace
from pipeline.ingest.signals import LiveSignals
from pipeline.ingest.window import Recipe
from pipeline.periods import PERIODS, WINDOW
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from pipeline.store.watchlist import Watchlist
from pipeline.strategies import registry
from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.timeline import HOUR, SECOND
from schemas.series import SeriesKey
from tests.past import PlainPast

SPEED = 30
KEY = SeriesKey("sim", "BTCUSDT", "1m")


@dataclass(frozen=True)
class Every:
    """Says something at every candle."""

    name: ClassVar[str] = "every"
    needs: ClassVar[tuple[str, ...]] = ("close", "rsi")
    lookback: ClassVar[int] = 0

    def signals(self, columns: Prices) -> Codes:
        return np.full(len(columns["close"]), int(Kind.ENTRY), dtype=np.int8)


STRATEGIES = [*(registry.get(name) for name in registry.SHIPPED), Every()]


async def test_each_close_has_its_signals_and_history_finds_the_same(
    start_simulator: Callable[..., Simulator], db: Database[Any], mongo_uri: str
) -> None:
    prepare(db)
    simulator = start_simulator(speed=SPEED, lifted_limits=True, seed=11)
    began = local_time()

    def fast() -> int:
        return began + (local_time() - began) * SPEED

    client = RestClient(at(SIM, simulator.url), clock=ServerClock(fast, fast))
    client.sync_clock()
    market = MarketData(client)
    listed = market.symbols()
    SymbolStore(db).save(listed)
    decimals = {one.symbol: one.price_precision for one in listed}
    derivation = Derivation(db, STRATEGIES, PERIODS)

    def fill(key: SeriesKey) -> None:
        with Backfill(db, market) as work:
            work.fill(*wanted_series([key.symbol], [key.interval], listed, key.exchange), days=2)
        derivation.bring_up(key, client.clock.now())

    asynchronous = connect.async_client(mongo_uri)
    ingester = Ingester(
        market,
        db,
        asynchronous[db.name],
        PlainPast(fill, decimals.__getitem__, fetch=fill),
        Recipe(LiveIndicators(), WINDOW, LiveSignals(STRATEGIES), shows_open=True),
        pace=Pace(
            flush=0.05,
            tend=0.02,
            watchlist=0.2,
            progress=0.2,
            clock=1.0,
            feed=FeedLimits(command_every=0.01, first_delay=0.05, longest_delay=0.5),
            fresh=HOUR / SECOND,
        ),
    )
    Watchlist(db, "sim").watch([KEY], datetime.now(UTC))
    stop = asyncio.Event()
    running = asyncio.create_task(ingester.run(stop))
    try:
        live = {"source": "live", "strategy": "every", "confirmed": True}
        await has(db, live, 2)
        await an_open_signal_gives_way_to_that_of_the_close(db)
        simulator.drop_connections()
        seen = db["signals"].count_documents(live)
        await has(db, live, seen + 2)
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running
        await connect.close(asynchronous)
        client.close()

    for one in db["signals"].find({"source": "live", "confirmed": True}):
        assert (one["verdict"] == "fresh") == (one["created_at"] <= one["fresh_until"])
    stored = db["signals"].count_documents({"confirmed": True})
    again = derivation.bring_up(KEY, client.clock.now() + HOUR, anew=True)
    assert (again.written, again.signals.changed, again.signals.withdrawn) == (0, 0, 0)
    assert (again.signals.found, again.signals.added) == (stored, 0)


async def an_open_signal_gives_way_to_that_of_the_close(db: Database[Any]) -> None:
    """It is shown while its candle is open, for nobody to act on; the close puts its own in its place."""
    shown = {"strategy": "every", "confirmed": False}
    async with asyncio.timeout(120):
        while (one := await asyncio.to_thread(db["signals"].find_one, shown)) is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    assert (one["_id"][-5:], one["verdict"], one.get("fresh_until")) == (":open", "expired", None)
    await has(db, {"_id": one["_id"].removesuffix(":open"), "confirmed": True}, 1)
    async with asyncio.timeout(120):
        while await asyncio.to_thread(db["signals"].count_documents, {"_id": one["_id"]}):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def has(db: Database[Any], wanted: dict[str, Any], count: int) -> None:
    """Wait until so many are stored."""
    async with asyncio.timeout(120):
        while await asyncio.to_thread(db["signals"].count_documents, wanted) < count:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)
