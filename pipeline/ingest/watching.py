"""Who is watched: follows the watchlist, opens the series of this process's share when they are asked for and lets them
go when they are not.

A newly watched series is backfilled first while its frames already arrive; one the exchange does not trade, or not any
more, is noted as gone, said once and given up until somebody asks for it anew. Each series has one stream and one book,
however often it is asked for.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError, UsageError, sentence
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.errors import RefusedError
from pipeline.exchange.listed import EndedError, NotTradedError
from pipeline.exchange.streams import Feed
from pipeline.ingest.background import Background, pause_garbage_searches
from pipeline.ingest.core import Core
from pipeline.ingest.history import Beginnings, Past
from pipeline.store.candles.unfinished import GIVEN_UP, Candles, remove_open, unfinished
from pipeline.store.series import SeriesStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import Window, interval, iso, to_datetime, to_ms
from schemas.series import Hole, SeriesKey

log = logging.getLogger(__name__)

StreamName = Callable[[SeriesKey], str]

REOPEN_AFTER: Final = 5.0
_SHARD: Final = re.compile(r"([1-9]\d*)/([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `of` shares, counted from 1. A rendezvous hash says which share has which series, so that a
    changed number of shares moves few."""

    number: int = 1
    of: int = 1

    def takes(self, key: SeriesKey) -> bool:
        """Whether this share holds the series. Every series is in exactly one share."""
        return self.of == 1 or max(range(1, self.of + 1), key=lambda number: _weight(key, number)) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE: Final = Shard()
"""One process has every series."""


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four shares."""
    written = _SHARD.fullmatch(text.strip())
    if written is None or int(written[1]) > int(written[2]):
        raise UsageError(f"{text!r} is no share; write it as NUMBER/OF, for example 2/4, counted from 1")
    return Shard(int(written[1]), int(written[2]))


def _weight(key: SeriesKey, number: int) -> bytes:
    return blake2b(f"{key}|{number}".encode(), digest_size=8).digest()


class Watching:
    """The watched series of this process: what they are called on the wire, and which are up."""

    def __init__(
        self,
        core: Core,
        feed: Feed,
        background: Background,
        watchlist: Watchlist,
        series: SeriesStore,
        clock: ServerClock,
        beginnings: Beginnings,
        past: Past,
        candles: Candles,
        *,
        shard: Shard,
        stream_name: StreamName,
        make_up: Callable[[Iterable[SeriesKey]], None],
        flush: Callable[[], Awaitable[bool]],
        reopen_after: float = REOPEN_AFTER,
    ) -> None:
        self._core = core
        self._feed = feed
        self._background = background
        self._watchlist = watchlist
        self._series = series
        self._clock = clock
        self._beginnings = beginnings
        self._shard = shard
        self._stream_name = stream_name
        self._past = past
        self._candles = candles
        self._flush = flush
        self._make_up = make_up
        self._reopen_after = reopen_after
        self._up: set[str] = set()
        self._asked: dict[SeriesKey, datetime] = {}
        self._given_up: dict[SeriesKey, datetime | None] = {}
        self._readable = True
        self._opening = 0
        self._live: list[SeriesKey] = []
        self.keys: dict[str, SeriesKey] = {}
        """The series of each stream."""

    async def follow(self) -> None:
        """Take up what is newly wanted, let go what is not wanted any more, and note what went live since."""
        await self._note_live()
        try:
            self._asked = await self._background.short(self._watchlist.asked)
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
            self._background.start(self._note_gone(key, error))
        self._let_go({key})

    async def is_traded(self, key: SeriesKey) -> bool:
        """Whether the exchange trades it, asked anew; where it does not, the series is given up."""
        try:
            await self._background.short(self._past.must_trade, key.symbol)
        except NotTradedError as error:
            self.give_up(key, error)
            return False
        return True

    async def _note_gone(self, key: SeriesKey, cause: Exception) -> None:
        """What it had to write is written first: what is missing after that nobody will ever tell."""
        why, has_past = str(cause), isinstance(cause, EndedError)
        end = cause.end if isinstance(cause, EndedError) else None
        while True:
            try:
                is_news = await self._background.short(self._series.note_gone, key, why, self._clock.now(), end)
                if await self._flush():
                    lost = await self._background.short(self._end, key, has_past)
                    break
            except PyMongoError as error:
                log.warning("%s is given up, which could not be noted: %s; trying again", key, str(error)[:200])
            await asyncio.sleep(self._reopen_after)
        if is_news:
            log.error("%s is given up: %s `tidemark unwatch %s` forgets it", key, sentence(why), key.symbol)
        if lost:
            count = sum(interval(key.interval).count(*window) for window in lost)
            log.warning(
                "%s: %d candles never closed here, the first of %s; they are holes", key, count, iso(lost[0].start)
            )

    def _end(self, key: SeriesKey, has_past: bool) -> list[Window]:
        """What it leaves open is a hole, and what is missing where the exchange cannot be asked for the past any more:
        said first, so that nothing is missing that is not said."""
        known = self._series.get(key)
        if known is None or known.gone is None:
            return []
        holes = [Window(to_ms(hole.start), to_ms(hole.end)) for hole in known.holes]
        until = None if has_past else to_ms(known.gone.end or known.gone.since)
        left = unfinished(self._candles, key, holes, until)
        found_at = to_datetime(self._clock.now())
        for start, end in left.unsaid:
            hole = Hole(start=to_datetime(start), end=to_datetime(end), evidence=GIVEN_UP, found_at=found_at)
            self._series.record_hole(key, hole)
        remove_open(self._candles, key, left.left_open)
        return left.unsaid

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
            self._background.start(self._open(key))

    async def _open(self, key: SeriesKey) -> None:
        self._opening += 1
        try:
            if await self._is_opened(key):
                self._live.append(key)
        finally:
            self._opening -= 1
        if not self._opening:
            pause_garbage_searches()
            log.info("%d of %d watched series are live", len(self._core.watched()), len(self.keys))
            await self._note_live()

    async def _is_opened(self, key: SeriesKey) -> bool:
        try:
            beginning = await self._background.long(self._beginnings.find, key)
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
        begun = beginning.opening
        self._core.watch(
            key, settled=begun.settled, history=begun.history, ahead=begun.ahead, decimals=beginning.decimals
        )
        if name in self._up:
            self._core.connected([key], self._clock.now())
        if not beginning.complete:
            self._make_up([key])
        return True

    async def _note_live(self) -> None:
        """All that went live since the last time, in one write: at a start it is thousands."""
        live, self._live = [key for key in self._live if key in self._core.watched()], []
        if not live:
            return
        try:
            await self._background.short(self._watchlist.went_live, live, datetime.now(UTC))
            await self._background.short(self._series.note_back, live)
        except PyMongoError as error:
            self._live += live
            log.warning("%d series are live, which could not be noted: %s; trying again", len(live), str(error)[:200])

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
