"""Writes what the core collected: closed candles and what follows from them at once, open ones every flush interval,
neither waiting for the other; and again until the database takes it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import ceil
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from pipeline.ingest.core import Core
from pipeline.ingest.events import Batch
from pipeline.ingest.telemetry import Metrics
from pipeline.store.candles import stale
from pipeline.store.candles.live import AsyncCandleWriter
from pipeline.store.series import Progress, progress_operations
from pipeline.store.signals.write import FRESH_FOR, AsyncSignalWriter, Document, live_document, open_document, showing
from pipeline.timeline import Window
from schemas.series import SERIES, SeriesKey

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 5_000
"""Candles that the database takes well within the time a write may last, however slow it is."""
OPEN_AT_ONCE: Final = 500
"""Open candles in one write. The next are taken when it is done, as they are then: few are old when they arrive."""
TOLD_AT_ONCE: Final = 500
"""Series whose open candle is told of in `series` at a time. Nothing depends on it being told soon, and telling of
thousands at once keeps their candles waiting."""
SAID_AT_ONCE: Final = 20
"""Signals of one write that get a line each in the log."""
_RARER: Final = 4


class Writer:
    """The only writer of live candles in this process. While the database is away, the core keeps what matters."""

    def __init__(
        self,
        core: Core,
        database: Any,
        metrics: Metrics,
        *,
        every: float,
        write_timeout: float,
        refill: Callable[[], None],
        now: Callable[[], int],
        corrected: Callable[[Iterable[SeriesKey]], None],
        said: Callable[[Iterable[Document]], None] = lambda _: None,
        fresh_at_most: int = FRESH_FOR,
    ) -> None:
        self._core = core
        self._candles = AsyncCandleWriter(database)
        self._signals = AsyncSignalWriter(database)
        self._series = database[SERIES.name]
        self._metrics = metrics
        self._every = every
        self._write_timeout = write_timeout
        self._refill = refill
        self._now = now
        self._corrected = corrected
        self._tell_said = said
        self._fresh_at_most = fresh_at_most
        self._wake = asyncio.Event()
        self._showing = asyncio.Lock()
        self._flushing_closed = asyncio.Lock()
        self._flushing_open = asyncio.Lock()
        """Once everything is flushed, nothing is on its way any more."""
        self._closed_since: float | None = None
        self._open_since: float | None = None
        self._seen: dict[SeriesKey, int] = {}
        self._closed: dict[SeriesKey, list[int]] = {}
        self._took = 0.0
        self._is_up = True

    def changed(self) -> None:
        """The core has something to write. A closed candle does not wait for the next flush."""
        now = asyncio.get_running_loop().time()
        if self._core.closes_waiting():
            self._closed_since = self._closed_since or now
            if self._is_up:
                self._wake.set()
        if self._core.opens_waiting():
            self._open_since = self._open_since or now

    async def keep_closed(self) -> None:
        """Write what closed as it comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not await self.flush_closed():  # noqa: ASYNC110 - the database tells nobody that it is back
                await asyncio.sleep(self._pause())

    async def keep_open(self) -> None:
        """Write open candles, until cancelled."""
        while True:
            await asyncio.sleep(self._pause())
            begun = asyncio.get_running_loop().time()
            await self.flush_open()
            self._took = asyncio.get_running_loop().time() - begun

    def _pause(self) -> float:
        """Until the next flush begins. The interval counts from the last beginning, so a slow database makes flushes
        rarer and larger, and no queue. Longer where writing is of no use, or takes the time that frames need."""
        if not self._is_up or self._metrics.is_behind:
            return _RARER * self._every
        return max(0.0, self._every - self._took)

    async def flush(self) -> bool:
        """Write everything that changed. False where the database did not take it: then it is kept."""
        since = min(filter(None, (self._closed_since, self._open_since)), default=None)
        self._closed_since = self._open_since = None
        async with self._flushing_closed, self._flushing_open:
            written = await self._flushed(self._core.take, since)
        if written:
            return True
        self._closed_since = self._open_since = since
        return False

    async def flush_closed(self) -> bool:
        """The same of what closed."""
        since, self._closed_since = self._closed_since, None
        async with self._flushing_closed:
            written = await self._flushed(lambda _: self._core.take_closed(), since, turns=1)
        if written:
            return True
        self._closed_since = since
        return False

    async def flush_open(self) -> bool:
        """The same of open candles."""
        since, self._open_since = self._open_since, None
        async with self._flushing_open:
            written = await self._flushed(self._core.take_open, since)
        if written:
            return True
        self._open_since = since
        return False

    async def _flushed(self, take: Callable[[int], Batch], since: float | None, turns: int | None = None) -> bool:
        """In so many turns, or as many as the open candles need that wait now."""
        left = ceil(self._core.opens_waiting() / OPEN_AT_ONCE) if turns is None else turns
        batch = take(OPEN_AT_ONCE)
        if not batch:
            return True
        begun = asyncio.get_running_loop().time()
        try:
            await self._send(batch)
            while (left := left - 1) > 0:
                await self._send(take(OPEN_AT_ONCE))
        except PyMongoError as error:
            self._went_away(error)
            return False
        ended = asyncio.get_running_loop().time()
        if since is not None:
            self._metrics.flushed(ended - begun, ended - since)
        self._came_back()
        return True

    async def _send(self, batch: Batch) -> None:
        """What the database did not take goes back to the core."""
        left = deque(batch.pieces(MOST_AT_ONCE) if batch else ())
        try:
            while left:
                with pymongo.timeout(self._write_timeout):
                    await self._write(left[0])
                left.popleft()
        finally:
            for piece in reversed(left):
                self._core.put_back(piece)

    async def tell_progress(self, most: int | None = TOLD_AT_ONCE) -> None:
        """Advance the `series` documents by what was stored since the last time: of every series that closed a candle,
        and of at most so many others, those first that wait longest."""
        others = islice((key for key in self._seen if key not in self._closed), most)
        told = [
            Progress(key, self._seen[key], tuple(sorted(self._closed.get(key, ())))) for key in (*self._closed, *others)
        ]
        if not told:
            return
        try:
            with pymongo.timeout(self._write_timeout):
                await self._series.bulk_write(progress_operations(told), ordered=True)
        except PyMongoError as error:
            log.warning("series documents could not be advanced: %s; trying again", _brief(error))
            return
        for progress in told:
            self._forget(progress)

    def _forget(self, told: Progress) -> None:
        """It is written down; what came meanwhile is not, and waits behind the others."""
        newest = self._seen.pop(told.key)
        left = [opened for opened in self._closed.pop(told.key, ()) if opened not in told.closed]
        if left:
            self._closed[told.key] = left
        if left or newest > told.last_frame:
            self._seen[told.key] = newest

    async def _write(self, batch: Batch) -> None:
        """Candles and signals abreast: each waits until the disk has it, and a signal needs nothing of what is stored
        of its candle. Where one of the two failed, both are written again, which changes nothing the second time."""
        ended = await asyncio.gather(self._write_candles(batch), self._write_signals(batch), return_exceptions=True)
        for failure in ended:
            if failure is not None:
                raise failure
        self._corrected({one.key for one in batch.candles if one.repairs and one.indicators is None})
        for write in batch.candles:
            self._seen[write.key] = max(write.candle.u, self._seen.get(write.key, 0))
            if write.candle.closed:
                self._metrics.hour.closes += 1
                self._closed.setdefault(write.key, []).append(write.t)

    async def _write_candles(self, batch: Batch) -> None:
        marks = [stale.new_mark(one.key, Window(one.t, one.t)) for one in batch.candles if one.repairs]
        if marks:
            await self._series.bulk_write([stale.announcement(mark) for mark in marks])
        report = await self._candles.write(batch.candles)
        if marks:
            await self._series.bulk_write([stale.confirmation(mark) for mark in marks])
        await self._candles.write_indicators(batch.indicators)
        self._metrics.candles.inc(report.offered)
        self._metrics.refused.inc(report.refused)

    async def _write_signals(self, batch: Batch) -> None:
        """What is shown of open candles is written, and taken back, in the order in which it was said."""
        if not batch.shown:
            await self._write_said(batch)
            return
        async with self._showing:
            await self._write_said(batch)

    async def _write_said(self, batch: Batch) -> None:
        now = self._now()
        await self._signals.note([*batch.signals, *(one for shown in batch.shown for one in shown.findings)])
        told = [live_document(finding, now, self._fresh_at_most) for finding in batch.signals]
        told += [open_document(finding, now) for shown in batch.shown for finding in shown.findings]
        takings = [showing(shown.key, shown.t, [one.id for one in shown.findings]) for shown in batch.shown]
        new = await self._signals.write(told, takings)
        confirmed = [one for one in new if one["confirmed"]]
        self._metrics.hour.signals += len(confirmed)
        _log_signals(confirmed)
        self._tell_said([one for one in new if one["verdict"] == "fresh"])

    def _went_away(self, error: Exception) -> None:
        self._metrics.store_up.set(0)
        if self._is_up:
            log.error("the database does not take candles: %s. They are kept and written when it does", _brief(error))
        self._is_up = False

    def _came_back(self) -> None:
        self._metrics.store_up.set(1)
        if not self._is_up:
            log.info("the database takes candles again")
        self._is_up = True
        if self._core.closes_waiting():
            self._wake.set()
        if self._core.unsaved:
            self._refill()


def _log_signals(found: Sequence[Document]) -> None:
    for one in found[:SAID_AT_ONCE]:
        by = f"{one['strategy']} {one['interval']}"
        what = f"signal {one['symbol']} {one['side']} {one['kind']} @ {one['price']} by {by}"
        log.info(what if one["verdict"] == "fresh" else f"{what}: {one['verdict']}, {one['reason']}")
    if len(found) > SAID_AT_ONCE:
        log.info("and %d more signals at this close", len(found) - SAID_AT_ONCE)


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition(", Timeout:")[0][:300]
