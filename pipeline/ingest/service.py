"""The ingester as a process: the feed, the core, REST and the database around one event loop.

Everything that decides is in `core` and `book`; this module carries events in and effects out. It stops when told to,
writing what it has; killed at any moment it loses nothing, because what is missing is found and fetched at the next
start.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.exchange.errors import ExchangeError, RefusedError
from pipeline.exchange.frames import KlineFrame, kline_stream
from pipeline.exchange.market import Market
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.streams import Feed
from pipeline.ingest.book import Compute, Patience
from pipeline.ingest.core import Core
from pipeline.ingest.events import Answer, Candle, Effect, FetchCandles, RecordHole, SilentStream
from pipeline.ingest.figures import Figures
from pipeline.ingest.flusher import Flusher
from pipeline.ingest.heartbeat import Heartbeat
from pipeline.ingest.opening import Opening, open_series, to_candles
from pipeline.ingest.shard import Shard
from pipeline.ingest.voice import Decide
from pipeline.ingest.watchlist import Watchlist
from pipeline.store.candles import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals import FRESH_FOR
from pipeline.timeline import SECOND, Window, interval
from schemas.series import Hole, SeriesKey

log = logging.getLogger(__name__)

Backfill = Callable[[SeriesKey], None]
"""Fetch what is missing of a series' history and compute its indicators. Blocks; runs in a worker thread."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done. Seconds."""

    flush: float = 0.25
    tend: float = 0.1
    watchlist: float = 1.0
    progress: float = 2.0
    write_timeout: float = 10.0
    last_words: float = 5.0
    clock: float = 600.0
    workers: int = 4
    far_behind: int = 1_500
    """More candles than this to catch up are a backfill, not a gap."""


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
        shard: Shard | None = None,
        pace: Pace | None = None,
        patience: Patience | None = None,
        feed_limits: FeedLimits | None = None,
        outbox_limit: int = 100_000,
        decide: Decide | None = None,
        shows_open: bool = False,
        fresh_at_most: int = FRESH_FOR,
    ) -> None:
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
        self._pace = pace or Pace()
        self._shard = shard or Shard()
        self._market = market
        self._clock = market.client.clock
        self._decimals = decimals
        self._backfill = backfill
        self._window = window
        self._candles = CandleStore(database)
        self._series = SeriesStore(database)
        self._watchlist = Watchlist(database, market.client.environment.name)
        self._flusher = Flusher(
            self.core,
            async_database,
            self.figures,
            every=self._pace.flush,
            write_timeout=self._pace.write_timeout,
            refill=self._refill,
            now=self.now,
            corrected=self._make_up,
            fresh_at_most=fresh_at_most,
        )
        self._heartbeat = Heartbeat(async_database, "ingester", str(self._shard))
        self._workers = ThreadPoolExecutor(self._pace.workers, thread_name_prefix="ingest")
        self._jobs: set[asyncio.Task[None]] = set()
        self._keys: dict[str, SeriesKey] = {}
        self._live: set[str] = set()
        self._refused: set[SeriesKey] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest until `stop` is set, then write what is left."""
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(one)
                    for one in (
                        self.feed.run(),
                        self._flusher.run(),
                        self._every(self._pace.tend, self._tend),
                        self._every(self._pace.watchlist, self._follow_watchlist),
                        self._every(self._pace.progress, self._tell),
                        self._every(self._pace.clock, self._sync_clock),
                    )
                ]
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            await self._leave()

    def now(self) -> int:
        """The exchange's time."""
        return self._clock.now()

    # What the feed tells (FeedListener)

    def frame(self, stream: str, frame: KlineFrame) -> None:
        """A candle arrived."""
        key = self._keys.get(stream)
        if key is None:
            return
        k = frame.k
        now = self._clock.now()
        candle = Candle(k.t, k.o, k.h, k.l, k.c, k.v, k.q, k.n, k.V, k.Q, k.x, frame.E)
        self.core.frame(key, candle, now)
        self.figures.frames.inc()
        self.figures.recent_lags.add((now - frame.E) / SECOND)
        self._flusher.changed()

    def up(self, streams: Iterable[str]) -> None:
        """These streams carry data."""
        names = set(streams)
        self._live |= names
        self.core.connected(self._known(names), self._clock.now())

    def down(self, streams: Iterable[str], reason: str) -> None:
        """These streams carry nothing for now."""
        names = set(streams)
        log.warning("%d streams are down: %s; connecting anew", len(names), reason)
        self._live -= names
        self.core.disconnected(self._known(names))

    def refused(self, streams: Iterable[str], reason: str) -> None:
        """The exchange will not send these."""
        for name in streams:
            log.error("the exchange refuses the stream %s: %s. REST keeps its candles current", name, reason)

    def _known(self, streams: Iterable[str]) -> list[SeriesKey]:
        return [self._keys[name] for name in streams if name in self._keys]

    # What the core asks for

    async def _tend(self) -> None:
        self.core.time(self._clock.now())
        for effect in self.core.effects():
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case FetchCandles(key, window):
                self._start(self._fetch(key, window))
            case RecordHole(key, window, evidence):
                self._start(self._record_hole(key, window, evidence))
            case SilentStream(key, silent_for):
                name = kline_stream(key.symbol, key.interval)
                log.warning(
                    "%s: the stream %s is connected and acknowledged but silent for %d s while REST tells of trades; "
                    "subscribing again",
                    key,
                    name,
                    silent_for // SECOND,
                )
                self.feed.renew([name])

    async def _fetch(self, key: SeriesKey, window: Window) -> None:
        try:
            frame = await self._in_thread(self._market.klines, key.symbol, interval(key.interval), window)
        except RefusedError as error:
            self._give_up(key, error)
            return
        except ExchangeError as error:
            self.figures.fetches.labels("failed").inc()
            log.warning("%s: candles could not be fetched: %s; asking again", key, error)
            self.core.fetch_failed(key, self._clock.now())
            return
        self.figures.fetches.labels("answered").inc()
        candles = to_candles(frame)
        asof = candles[-1].u if candles else self._clock.now()
        self.core.answer(Answer(key, window, candles, asof), self._clock.now())
        self._flusher.changed()

    def _give_up(self, key: SeriesKey, error: RefusedError) -> None:
        """The exchange will never answer for this series: it is said once and let go."""
        if key not in self._refused:
            log.error("%s is given up: %s. `tidemark unwatch %s` forgets it", key, error, key.symbol)
        self._refused.add(key)
        self._let_go({key})

    async def _record_hole(self, key: SeriesKey, window: Window, evidence: str) -> None:
        log.warning(
            "%s: the exchange does not have %d candles: %s", key, interval(key.interval).count(*window), evidence
        )
        now = datetime.fromtimestamp(self._clock.now() / SECOND, UTC)
        hole = Hole(start=_moment(window.start), end=_moment(window.end), evidence=evidence, found_at=now)
        await self._in_thread(self._series.record_hole, key, hole)

    def _refill(self) -> None:
        """The database is back: fetch and compute what could not be kept for it."""
        for key, window in self.core.unsaved.items():
            log.info("%s: candles since %s are fetched again", key, _moment(window.start))
            self._start(self._in_thread(self._backfill, key))
        self.core.unsaved.clear()

    def _make_up(self, keys: Iterable[SeriesKey]) -> None:
        """Closed candles of these were corrected: what builds on them has to be computed again."""
        for key in keys:
            self._start(self._in_thread(self._backfill, key))

    # What is watched

    async def _follow_watchlist(self) -> None:
        try:
            wanted = await self._in_thread(self._watchlist.wanted)
        except PyMongoError as error:
            log.warning("the watchlist cannot be read: %s; what is watched stays as it is", str(error)[:200])
            return
        self._refused &= wanted
        mine = {key for key in wanted - self._refused if self._shard.takes(key)}
        for key in sorted(mine - set(self._keys.values())):
            self._begin(key)
        self._let_go(set(self._keys.values()) - mine)

    def _begin(self, key: SeriesKey) -> None:
        name = kline_stream(key.symbol, key.interval)
        self._keys[name] = key
        self.feed.add([name])
        self._start(self._open(key))

    async def _open(self, key: SeriesKey) -> None:
        try:
            opening = await self._in_thread(self._opening_of, key)
            decimals = await self._in_thread(self._decimals, key.symbol)
        except RefusedError as error:
            self._give_up(key, error)
            return
        except (TidemarkError, PyMongoError) as error:
            log.error("%s cannot be opened: %s; trying again", key, error)
            self._forget(key)
            return
        name = kline_stream(key.symbol, key.interval)
        if self._keys.get(name) != key:
            return
        self.core.watch(key, settled=opening.settled, history=opening.history, decimals=decimals)
        if name in self._live:
            self.core.connected([key], self._clock.now())
        await self._in_thread(self._watchlist.went_live, key, datetime.now(UTC))

    def _opening_of(self, key: SeriesKey) -> Opening:
        """Runs in a worker thread: the frames that arrive meanwhile wait for nobody, the next ones will do."""
        now = self._clock.now()
        step = interval(key.interval)
        opening = open_series(self._candles, key, window=self._window, now=now)
        if opening is None or step.count(opening.settled, now) > self._pace.far_behind:
            self._backfill(key)
            opening = open_series(self._candles, key, window=self._window, now=self._clock.now())
        return opening or Opening(step.after(now, -1), ())

    def _let_go(self, keys: set[SeriesKey]) -> None:
        for key in keys:
            self.feed.remove([kline_stream(key.symbol, key.interval)])
            self._forget(key)

    def _forget(self, key: SeriesKey) -> None:
        self._keys.pop(kline_stream(key.symbol, key.interval), None)
        if key in self.core.watched():
            self.core.unwatch(key)

    # How it lives

    async def _tell(self) -> None:
        await self._flusher.tell_progress()
        figures, views = self.figures, list(self.core.view(self._clock.now()))
        figures.series.set(len(views))
        figures.missing.set(sum(view.missing for view in views))
        figures.connections.set(self.feed.counters.connections)
        figures.undecodable.set(self.feed.counters.undecodable)
        figures.implausible.set(self.core.implausible)
        figures.lag.set(figures.recent_lags.quantile(0.5))
        await self._heartbeat.beat(
            {
                "series": len(views),
                "missing": sum(view.missing for view in views),
                "connections": self.feed.counters.connections,
                "breaks": self.feed.counters.breaks,
                "frames": self.feed.counters.frames,
                "lag_p50": figures.recent_lags.quantile(0.5),
                "lag_p99": figures.recent_lags.quantile(0.99),
                "flush_p50": figures.recent_flushes.quantile(0.5),
                "flush_p99": figures.recent_flushes.quantile(0.99),
                "stored_after_p50": figures.recent_stored_after.quantile(0.5),
                "stored_after_p99": figures.recent_stored_after.quantile(0.99),
            }
        )

    async def _sync_clock(self) -> None:
        try:
            await self._in_thread(self._market.client.sync_clock)
        except ExchangeError as error:
            log.warning("the exchange's clock could not be measured: %s", error)

    async def _every(self, seconds: float, do: Callable[[], Any]) -> None:
        while True:
            await do()
            await asyncio.sleep(seconds)

    def _start(self, job: Any) -> None:
        task = asyncio.create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job of the ingester failed: %s", error, exc_info=error)

    async def _in_thread(self, do: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._workers, do, *arguments)

    async def _leave(self) -> None:
        for job in self._jobs:
            job.cancel()
        self._market.client.stop.set()
        self._workers.shutdown(wait=False, cancel_futures=True)
        try:
            async with asyncio.timeout(self._pace.last_words):
                while not await self._flusher.flush():  # noqa: ASYNC110 - a database that is back tells nobody
                    await asyncio.sleep(self._pace.flush)
                await self._flusher.tell_progress()
                await self._heartbeat.end()
        except TimeoutError:
            log.error("the database did not take the last candles; the next start fetches them")


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time / SECOND, UTC)
