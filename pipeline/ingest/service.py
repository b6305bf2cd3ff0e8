"""The ingester as a process: the feed, the core, REST and the database around one event loop.

Everything that decides is in `core` and `book`; this module carries events in and effects out. It stops when told to,
writing what it has; killed at any moment it loses nothing, because what is missing is found and fetched at the next
start.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo.database import Database

from pipeline.candle import Candle
from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.frames import KlineFrame, kline_stream
from pipeline.exchange.market import MarketData
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.streams import Feed
from pipeline.ingest.background import Background, resume_garbage_searches
from pipeline.ingest.book import Patience
from pipeline.ingest.core import Core
from pipeline.ingest.fetching import Fetching
from pipeline.ingest.history import AGAIN_AFTER, Beginnings, Past, Repairs
from pipeline.ingest.telemetry import BEHIND_AFTER, Metrics, TargetMetrics, Telemetry
from pipeline.ingest.watching import REOPEN_AFTER, WHOLE, Shard, StreamName, Watching
from pipeline.ingest.window import Recipe
from pipeline.ingest.writer import Writer
from pipeline.store.candles.store import CandleStore
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import FRESH_FOR
from pipeline.store.symbols import SymbolStore
from pipeline.store.watchlist import Watchlist
from pipeline.tasks import until_one_ends
from pipeline.timeline import SECOND
from schemas.candles import CANDLES
from schemas.series import SeriesKey

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, how long what may take, and how much is kept. Seconds."""

    flush: float = 0.25
    tend: float = 0.1
    watchlist: float = 10.0
    progress: float = 2.0
    write_timeout: float = 10.0
    last_words: float = 5.0
    clock: float = 600.0
    clock_in_doubt: float = 1.0
    targets: float = 30.0
    strategies: float = 2.0
    again_after: float = AGAIN_AFTER
    reopen_after: float = REOPEN_AFTER
    behind_after: float = BEHIND_AFTER
    short_threads: int = 4
    """Threads for requests of a moment."""
    long_threads: int = 3
    """Threads for backfills."""
    patience: Patience | None = None
    """With what is missing; None: as the market's streams need it."""
    feed: FeedLimits | None = None
    """Of its connections; None: as the market's streams allow."""
    fresh: float = FRESH_FOR / SECOND
    """A signal may be acted on so long at most."""
    outbox: int = 100_000
    """So many closed candles wait for a database that is away; what is more is fetched again."""


Renewed = Callable[[], Recipe | None]
"""What is to be computed from now on, where it became something else since it was last asked for. May block."""


def plain_kline(key: SeriesKey) -> str:
    """The stream of the symbol itself."""
    return kline_stream(key.symbol, key.interval)


class Ingester:
    """Keeps the watched series current. Make one, `run` it once."""

    def __init__(
        self,
        market: MarketData,
        database: Database[dict[str, Any]],
        async_database: Any,
        past: Past,
        recipe: Recipe,
        *,
        pace: Pace = Pace(),
        shard: Shard = WHOLE,
        stream_name: StreamName = plain_kline,
        said: Callable[[Iterable[dict[str, Any]]], None] = lambda _: None,
        renewed: Renewed = lambda: None,
    ) -> None:
        self._pace = pace
        self._shard = shard
        self._market = market
        self._clock = market.client.clock
        self._renewed = renewed
        streams = market.client.environment.product.streams
        patience = pace.patience or Patience(grace=int(streams.close_within * SECOND))
        self.core = Core(recipe, patience=patience, page=market.page, outbox_limit=pace.outbox)
        self.metrics = Metrics()
        self.feed = Feed(market.client.environment, self, limits=pace.feed)
        self._background = Background(pace.short_threads, pace.long_threads)
        repairs = Repairs(self.core, self._background, past, again_after=pace.again_after)
        self._writer = Writer(
            self.core,
            async_database,
            self.metrics,
            every=pace.flush,
            write_timeout=pace.write_timeout,
            refill=repairs.refill,
            now=self.now,
            corrected=repairs.make_up,
            said=said,
            fresh_at_most=int(pace.fresh * SECOND),
        )
        series = SeriesStore(database)
        self._watching = Watching(
            self.core,
            self.feed,
            self._background,
            Watchlist(database, market.client.environment.name),
            series,
            self._clock,
            Beginnings(CandleStore(database), series, self._clock, past, window=recipe.window),
            past,
            database[CANDLES.name],
            shard=shard,
            stream_name=stream_name,
            make_up=repairs.make_up,
            flush=self._writer.flush,
            reopen_after=pace.reopen_after,
        )
        self._fetching = Fetching(
            self.core,
            self._background,
            market,
            series,
            SymbolStore(database),
            self.metrics,
            renew=self._watching.renew,
            give_up=self._watching.give_up,
            is_traded=self._watching.is_traded,
            changed=self._writer.changed,
            make_up=repairs.make_up,
            again_after=pace.again_after,
        )
        self._heartbeat = Heartbeat(async_database, "ingester", market.client.environment.name, str(shard))
        self._telemetry = Telemetry(
            self.core,
            self.feed.counters,
            self.metrics,
            self._heartbeat,
            exchange=lambda: {**market.client.traffic.figures(), **self.feed.figures()},
            calls=market.client.traffic.calls,
            behind_after=pace.behind_after,
        )
        self._targets = TargetMetrics(database, market.client.environment, self.metrics)

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest until `stop` is set, then write what is left. Where the exchange refuses us for good, say why."""
        log.info("the ingester of %s begins, share %s", self._market.client.environment.name, self._shard)
        try:
            first = await self._heartbeat.succeed()
            if first is not None:
                log.info(
                    "%s keeps this share already; this one stands by: it stores too, and goes on alone if need be",
                    first,
                )
            await until_one_ends(
                stop.wait(),
                self.feed.run(),
                self._writer.keep_closed(),
                self._writer.keep_open(),
                self._every(self._pace.tend, self._fetching.tend),
                self._every(self._pace.watchlist, self._watching.follow),
                self._every(self._pace.progress, self._tell),
                self._every(self._pace.clock, self._sync_clock),
                self._every(self._pace.clock_in_doubt, self._keep_clock),
                self._every(self._pace.targets, self._look_at_targets),
                self._every(self._pace.strategies, self._renew),
            )
        finally:
            await self._leave()
            resume_garbage_searches()

    def now(self) -> int:
        """The exchange's time."""
        return self._clock.now()

    @property
    def waiting_ms(self) -> int:
        """How long what is fetched still waits for request weight; 0 where nothing does."""
        return self._market.client.weight.waiting_ms

    # What the feed tells (FeedListener)

    def frame(self, stream: str, frame: KlineFrame) -> None:
        """A candle arrived."""
        key = self._watching.keys.get(stream)
        if key is None:
            return
        k = frame.k
        now = self._clock.now()
        volumes = self._market.volumes(key.symbol, k)
        if volumes is None:
            return
        base, quote, taker_base, taker_quote = volumes
        candle = Candle(k.t, k.o, k.h, k.l, k.c, base, quote, k.n, taker_base, taker_quote, k.x, frame.E)
        self.core.frame(key, candle, now)
        self.metrics.recent_lags.add((now - frame.E) / SECOND)
        self._writer.changed()

    def up(self, streams: Iterable[str]) -> None:
        """These streams carry data."""
        self._watching.came_up(streams)

    def down(self, streams: Iterable[str], reason: str) -> None:
        """These streams carry nothing for now."""
        names = set(streams)
        log.warning("%d streams are down: %s; connecting anew", len(names), reason)
        self._watching.went_down(names)

    def refused(self, streams: Iterable[str], reason: str) -> None:
        """The exchange will not send these."""
        for name in streams:
            log.error("the exchange refuses the stream %s: %s. REST keeps its candles current", name, reason)

    # How it lives

    async def _tell(self) -> None:
        await self._writer.tell_progress()
        await self._telemetry.beat(self._clock.now())

    async def _sync_clock(self) -> None:
        try:
            await self._background.short(self._market.client.sync_clock)
        except ExchangeError as error:
            log.warning("the exchange's clock could not be measured: %s", error)

    async def _keep_clock(self) -> None:
        if self._clock.in_doubt:
            await self._sync_clock()

    async def _look_at_targets(self) -> None:
        await self._background.short(self._targets.look)

    async def _renew(self) -> None:
        """What is computed is exchanged here, between two candles."""
        recipe = await self._background.short(self._renewed)
        if recipe is not None:
            self.core.use(recipe)

    async def _every(self, seconds: float, do: Callable[[], Any]) -> None:
        while True:
            await do()
            await asyncio.sleep(seconds)

    async def _leave(self) -> None:
        self._market.client.stop.set()
        self._background.end()
        try:
            await self._write_last()
        finally:
            await self._background.ended()

    async def _write_last(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._pace.last_words
        with pymongo.timeout(self._pace.last_words):
            while not (written := await self._writer.flush()) and loop.time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(self._pace.flush)
            if written:
                await self._writer.tell_progress(most=None)
                await self._heartbeat.end()
                log.info("the ingester ends; every candle that came is stored")
            else:
                log.error("the database did not take the last candles; the next start fetches them")
