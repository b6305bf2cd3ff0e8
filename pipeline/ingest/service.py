"""The ingester as a process: the feed, the core, REST and the database around one event loop.

Everything that decides is in `core` and `book`; this module carries events in and effects out. It stops when told to,
writing what it has; killed at any moment it loses nothing, because what is missing is found and fetched at the next
start.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo.database import Database

from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.frames import KlineFrame, kline_stream
from pipeline.exchange.market import Market
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.streams import Feed
from pipeline.ingest import long_lived
from pipeline.ingest.book import Compute, Patience
from pipeline.ingest.core import Core
from pipeline.ingest.errands import Errands
from pipeline.ingest.events import Candle
from pipeline.ingest.figures import Figures
from pipeline.ingest.flusher import Flusher
from pipeline.ingest.heartbeat import Heartbeat
from pipeline.ingest.jobs import Jobs
from pipeline.ingest.mending import AGAIN_AFTER, Backfill, Mending
from pipeline.ingest.pulse import BEHIND_AFTER, Pulse
from pipeline.ingest.returning import Returning
from pipeline.ingest.shard import Shard
from pipeline.ingest.verdicts import Verdicts
from pipeline.ingest.voice import Decide
from pipeline.ingest.watching import REOPEN_AFTER, StreamName, Watching
from pipeline.ingest.watchlist import Watchlist
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import FRESH_FOR
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import SECOND
from schemas.series import SeriesKey

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, and how long what may take. Seconds."""

    flush: float = 0.25
    tend: float = 0.1
    watchlist: float = 1.0
    progress: float = 2.0
    write_timeout: float = 10.0
    last_words: float = 5.0
    clock: float = 600.0
    clock_in_doubt: float = 1.0
    verdicts: float = 30.0
    again_after: float = AGAIN_AFTER
    reopen_after: float = REOPEN_AFTER
    behind_after: float = BEHIND_AFTER
    errands: int = 4
    """Threads for requests of a moment."""
    histories: int = 3
    """Threads for backfills."""


def plain_kline(key: SeriesKey) -> str:
    """The stream of the symbol itself."""
    return kline_stream(key.symbol, key.interval)


class Ingester:
    """Keeps the watched series current. Make one, `run` it once."""

    def __init__(
        self,
        market: Market,
        database: Database[dict[str, Any]],
        async_database: Any,
        *,
        compute: Compute,
        window: int,
        decimals: Callable[[str], int],
        backfill: Backfill,
        must_trade: Callable[[str], None] = lambda _: None,
        is_whole: Callable[[SeriesKey], bool] = lambda _: True,
        stream_name: StreamName = plain_kline,
        shard: Shard | None = None,
        pace: Pace | None = None,
        patience: Patience | None = None,
        feed_limits: FeedLimits | None = None,
        outbox_limit: int = 100_000,
        decide: Decide | None = None,
        shows_open: bool = False,
        fresh_at_most: int = FRESH_FOR,
        said: Callable[[Iterable[dict[str, Any]]], None] = lambda _: None,
    ) -> None:
        pace, shard = pace or Pace(), shard or Shard()
        self._pace = pace
        self._market = market
        self._clock = market.client.clock
        self.core = Core(
            compute,
            window_size=window - 1,
            decide=decide,
            shows_open=shows_open,
            patience=patience,
            outbox_limit=outbox_limit,
        )
        self.figures = Figures()
        self.feed = Feed(market.client.environment, self, limits=feed_limits)
        self._jobs = Jobs(pace.errands, pace.histories)
        mending = Mending(self.core, self._jobs, backfill, again_after=pace.again_after)
        self._flusher = Flusher(
            self.core,
            async_database,
            self.figures,
            every=pace.flush,
            write_timeout=pace.write_timeout,
            refill=mending.refill,
            now=self.now,
            corrected=mending.make_up,
            closed=Returning(self._jobs, database, market.client.environment.name).closed,
            said=said,
            fresh_at_most=fresh_at_most,
        )
        self._watching = Watching(
            self.core,
            self.feed,
            self._jobs,
            Watchlist(database, market.client.environment.name),
            CandleStore(database),
            SeriesStore(database),
            self._clock,
            shard=shard,
            window=window,
            stream_name=stream_name,
            decimals=decimals,
            backfill=backfill,
            must_trade=must_trade,
            is_whole=is_whole,
            make_up=mending.make_up,
            reopen_after=pace.reopen_after,
        )
        self._errands = Errands(
            self.core,
            self._jobs,
            market,
            SeriesStore(database),
            SymbolStore(database),
            self.figures,
            renew=self._watching.renew,
            give_up=self._watching.give_up,
            is_traded=self._watching.is_traded,
            changed=self._flusher.changed,
            make_up=mending.make_up,
            again_after=pace.again_after,
        )
        self._heartbeat = Heartbeat(async_database, "ingester", str(shard))
        self._pulse = Pulse(
            self.core,
            self.feed.counters,
            self.figures,
            self._heartbeat,
            exchange=lambda: {**market.client.traffic.figures(), **self.feed.figures()},
            calls=market.client.traffic.calls,
            behind_after=pace.behind_after,
        )
        self._verdicts = Verdicts(database, market.client.environment, self.figures)

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest until `stop` is set, then write what is left. Where the exchange refuses us for good, say why."""
        try:
            first = await self._heartbeat.succeed()
            if first is not None:
                log.info(
                    "%s keeps this share already; this one stands by: it stores too, and goes on alone if need be",
                    first,
                )
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(one)
                    for one in (
                        self.feed.run(),
                        self._flusher.run(),
                        self._every(self._pace.tend, self._errands.tend),
                        self._every(self._pace.watchlist, self._watching.follow),
                        self._every(self._pace.progress, self._tell),
                        self._every(self._pace.clock, self._sync_clock),
                        self._every(self._pace.clock_in_doubt, self._keep_clock),
                        self._every(self._pace.verdicts, self._judge),
                    )
                ]
                await stop.wait()
                await end(running)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._leave()
            long_lived.take_back()

    def now(self) -> int:
        """The exchange's time."""
        return self._clock.now()

    # What the feed tells (FeedListener)

    def frame(self, stream: str, frame: KlineFrame) -> None:
        """A candle arrived."""
        key = self._watching.keys.get(stream)
        if key is None:
            return
        k = frame.k
        now = self._clock.now()
        candle = Candle(k.t, k.o, k.h, k.l, k.c, k.v, k.q, k.n, k.V, k.Q, k.x, frame.E)
        self.core.frame(key, candle, now)
        self.figures.recent_lags.add((now - frame.E) / SECOND)
        self._flusher.changed()

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
        await self._flusher.tell_progress()
        await self._pulse.beat(self._clock.now())

    async def _sync_clock(self) -> None:
        try:
            await self._jobs.errand(self._market.client.sync_clock)
        except ExchangeError as error:
            log.warning("the exchange's clock could not be measured: %s", error)

    async def _keep_clock(self) -> None:
        if self._clock.in_doubt:
            await self._sync_clock()

    async def _judge(self) -> None:
        await self._jobs.errand(self._verdicts.look)

    async def _every(self, seconds: float, do: Callable[[], Any]) -> None:
        while True:
            await do()
            await asyncio.sleep(seconds)

    async def _leave(self) -> None:
        self._market.client.stop.set()
        self._jobs.end()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._pace.last_words
        with pymongo.timeout(self._pace.last_words):
            while not (written := await self._flusher.flush()) and loop.time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(self._pace.flush)
            if written:
                await self._flusher.tell_progress(most=None)
                await self._pulse.end()
            else:
                log.error("the database did not take the last candles; the next start fetches them")


async def end(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    """Cancel until they have ended. Once may not do: a library may take a cancellation for its own time-out."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=0.5)
