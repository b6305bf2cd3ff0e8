"""Who is watched: follows the watchlist, opens a series when it is asked for and lets it go when it is not.

A newly watched series is backfilled first while its frames already arrive; one the exchange does not trade, or not any
more, is noted as gone, said once and given up until somebody asks for it anew. Each series has one stream and one book,
however often it is asked for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError, UsageError
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.errors import ExchangeError, RefusedError
from pipeline.exchange.listed import NotTradedError
from pipeline.exchange.streams import Feed
from pipeline.ingest import long_lived
from pipeline.ingest.core import Core
from pipeline.ingest.jobs import Jobs
from pipeline.ingest.mending import Backfill
from pipeline.ingest.opening import Opening, open_series
from pipeline.ingest.shard import Shard
from pipeline.ingest.watchlist import Watchlist
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import Window, interval, to_ms
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

StreamName = Callable[[SeriesKey], str]

FAR_BEHIND: Final = 1_500
"""More candles than this to catch up are a backfill, not a gap."""
REOPEN_AFTER: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Ready:
    """A series that can be begun. Not complete: part of its history is still to be fetched."""

    opening: Opening
    decimals: int
    complete: bool


class Watching:
    """The watched series of this process: what they are called on the wire, and which are up."""

    def __init__(
        self,
        core: Core,
        feed: Feed,
        jobs: Jobs,
        watchlist: Watchlist,
        candles: CandleStore,
        series: SeriesStore,
        clock: ServerClock,
        *,
        shard: Shard,
        window: int,
        stream_name: StreamName,
        decimals: Callable[[str], int],
        backfill: Backfill,
        must_trade: Callable[[str], None],
        is_whole: Callable[[SeriesKey], bool],
        make_up: Callable[[Iterable[SeriesKey]], None],
        reopen_after: float = REOPEN_AFTER,
    ) -> None:
        self._core = core
        self._feed = feed
        self._jobs = jobs
        self._watchlist = watchlist
        self._candles = candles
        self._series = series
        self._clock = clock
        self._shard = shard
        self._window = window
        self._stream_name = stream_name
        self._decimals = decimals
        self._backfill = backfill
        self._must_trade = must_trade
        self._is_whole = is_whole
        self._make_up = make_up
        self._reopen_after = reopen_after
        self._up: set[str] = set()
        self._asked: dict[SeriesKey, datetime] = {}
        self._given_up: dict[SeriesKey, datetime | None] = {}
        self._readable = True
        self._opening = 0
        self.keys: dict[str, SeriesKey] = {}
        """The series of each stream."""

    async def follow(self) -> None:
        """Take up what is newly wanted, let go what is not wanted any more."""
        try:
            self._asked = await self._jobs.errand(self._watchlist.asked)
        except PyMongoError as error:
            if self._readable:
                log.warning("the watchlist cannot be read: %s; what is watched stays as it is", str(error)[:200])
            self._readable = False
            return
        self._readable = True
        self._given_up = {key: asked for key, asked in self._given_up.items() if self._asked.get(key) == asked}
        mine = {key for key in self._asked.keys() - self._given_up if self._shard.takes(key)}
        known = set(self.keys.values())
        self._take_up(sorted(mine - known))
        self._let_go(known - mine)

    def renew(self, key: SeriesKey) -> None:
        """Subscribe its stream again."""
        self._feed.renew([self._stream_name(key)])

    def give_up(self, key: SeriesKey, error: Exception) -> None:
        """The exchange will never answer for this series."""
        if key not in self._given_up:
            self._given_up[key] = self._asked.get(key)
            self._jobs.start(self._note_gone(key, str(error)))
        self._let_go({key})

    async def is_traded(self, key: SeriesKey) -> bool:
        """Whether the exchange trades it, asked anew; where it does not, the series is given up."""
        try:
            await self._jobs.errand(self._must_trade, key.symbol)
        except NotTradedError as error:
            self.give_up(key, error)
            return False
        return True

    async def _note_gone(self, key: SeriesKey, why: str) -> None:
        while True:
            try:
                is_news = await self._jobs.errand(self._series.note_gone, key, why, self._clock.now())
            except PyMongoError as error:
                log.warning("%s is given up, which could not be noted: %s; trying again", key, str(error)[:200])
                await asyncio.sleep(self._reopen_after)
            else:
                break
        if is_news:
            log.error("%s is given up: %s. `tidemark unwatch %s` forgets it", key, why, key.symbol)

    def came_up(self, streams: Iterable[str]) -> None:
        """These carry data."""
        names = set(streams)
        self._up |= names
        self._core.connected(self._known(names), self._clock.now())

    def went_down(self, streams: Iterable[str]) -> None:
        """These carry nothing for now."""
        names = set(streams)
        self._up -= names
        self._core.disconnected(self._known(names))

    def _known(self, streams: Iterable[str]) -> list[SeriesKey]:
        return [self.keys[name] for name in streams if name in self.keys]

    def _take_up(self, keys: Iterable[SeriesKey]) -> None:
        new = {self._stream_name(key): key for key in keys}
        self.keys |= new
        self._feed.add(new)
        for key in new.values():
            self._jobs.start(self._open(key))

    async def _open(self, key: SeriesKey) -> None:
        self._opening += 1
        try:
            if await self._is_opened(key):
                await self._say_live(key)
        finally:
            self._opening -= 1
        if not self._opening:
            long_lived.set_aside()

    async def _is_opened(self, key: SeriesKey) -> bool:
        try:
            ready = await self._jobs.history(self._make_ready, key)
        except (RefusedError, UsageError) as error:
            self.give_up(key, error)
            return False
        except (TidemarkError, PyMongoError) as error:
            log.error("%s cannot be opened: %s; trying again", key, str(error)[:300])
            await asyncio.sleep(self._reopen_after)
            self._forget({key})
            return False
        name = self._stream_name(key)
        if self.keys.get(name) != key:
            return False
        begun = ready.opening
        self._core.watch(key, settled=begun.settled, history=begun.history, ahead=begun.ahead, decimals=ready.decimals)
        if name in self._up:
            self._core.connected([key], self._clock.now())
        if not ready.complete:
            self._make_up([key])
        return True

    async def _say_live(self, key: SeriesKey) -> None:
        try:
            await self._jobs.errand(self._watchlist.went_live, key, datetime.now(UTC))
            await self._jobs.errand(self._series.note_back, key)
        except PyMongoError as error:
            log.warning("%s is live, which could not be written down: %s", key, str(error)[:200])

    def _make_ready(self, key: SeriesKey) -> "_Ready":
        """What the core needs to begin. Runs in a thread: the frames that arrive meanwhile wait for nobody. A series
        that ended is filled to its end all the same."""
        opening, failed = self._stored(key), None
        if self._is_far_behind(key, opening):
            failed = self._failed_to_fill(key)
            opening = self._stored(key)
        self._refuse_ended(key)
        if failed is not None and self._is_far_behind(key, opening):
            raise failed
        nothing = Opening(interval(key.interval).after(self._clock.now(), -1))
        return _Ready(opening or nothing, self._decimals(key.symbol), complete=failed is None and self._is_whole(key))

    def _refuse_ended(self, key: SeriesKey) -> None:
        """Where the exchange does not say, the series is begun: its frames may come all the same."""
        try:
            self._must_trade(key.symbol)
        except ExchangeError as error:
            log.warning("%s: whether it is still traded is not known: %s", key, error)

    def _failed_to_fill(self, key: SeriesKey) -> TidemarkError | None:
        try:
            self._backfill(key)
        except (RefusedError, UsageError):
            raise
        except TidemarkError as error:
            return error
        return None

    def _stored(self, key: SeriesKey) -> Opening | None:
        known = self._series.get(key)
        holes = [Window(to_ms(hole.start), to_ms(hole.end)) for hole in known.holes] if known else []
        return open_series(self._candles, key, holes=holes, window=self._window, now=self._clock.now())

    def _is_far_behind(self, key: SeriesKey, opening: Opening | None) -> bool:
        return opening is None or interval(key.interval).count(opening.settled, self._clock.now()) > FAR_BEHIND

    def _let_go(self, keys: set[SeriesKey]) -> None:
        names = {self._stream_name(key) for key in keys}
        self._feed.remove(names)
        self._up -= names
        self._forget(keys)

    def _forget(self, keys: set[SeriesKey]) -> None:
        for key in keys:
            self.keys.pop(self._stream_name(key), None)
            if key in self._core.watched():
                self._core.unwatch(key)
