"""The past of a series: what is stored of it when it begins, filled up where it is far behind, and later completed and
computed again where it has to be, until that succeeded.

A break that is not one of the exchange's own holes is a beginning before the break: the core fetches what is missing,
and the candles behind it wait for that, as they would have done had the process never ended.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from pymongo.errors import PyMongoError

from pipeline.candle import Candle
from pipeline.errors import TidemarkError, UsageError, sentence
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.errors import ExchangeError, RefusedError
from pipeline.exchange.listed import NotTradedError
from pipeline.ingest.background import Background
from pipeline.ingest.core import Core
from pipeline.ingest.events import NO_CANDLES, ClosedCandles
from pipeline.store.candles.frame import indices
from pipeline.store.candles.store import CandleStore
from pipeline.store.candles.unfinished import GIVEN_UP
from pipeline.store.series import SeriesStore
from pipeline.timeline import Interval, Window, interval, iso, to_ms
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

FAR_BEHIND: Final = 1_500
"""More candles than this to catch up are a backfill, not a gap."""
AGAIN_AFTER: Final = 15.0
"""Seconds until what failed is tried again."""


class Past(Protocol):
    """The history of the series, which somebody else keeps. Its answers may take long."""

    def fetch(self, key: SeriesKey) -> None:
        """Fetch what is missing; `TidemarkError` where something is still missing."""

    def fill(self, key: SeriesKey) -> None:
        """Fetch what is missing and compute what follows from it; `TidemarkError` where something is still missing."""

    def is_whole(self, key: SeriesKey) -> bool:
        """Whether nothing is missing behind its last closed candle."""

    def decimals(self, symbol: str) -> int:
        """Of its prices."""

    def must_trade(self, symbol: str) -> None:
        """`NotTradedError` where the exchange does not trade it any more."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is stored of a series right before now. Nothing is missing up to the candle that opens at `settled`, with
    which `history` ends where it is stored; the candles in `ahead` lie behind a break."""

    settled: int
    history: ClosedCandles = NO_CANDLES
    ahead: tuple[Candle, ...] = ()


def open_series(
    store: CandleStore, key: SeriesKey, *, holes: Iterable[Window], window: int, now: int
) -> Opening | None:
    """The closed candles of the series among the last `window`; None where there are none. `holes` are those that the
    exchange itself has."""
    step = interval(key.interval)
    stored = store.columns(key, step.after(now, -window), now, Candle._fields)
    closed = ClosedCandles({name: column[stored["closed"]] for name, column in stored.items()})
    return opening(step, closed, holes)


def opening(step: Interval, closed: ClosedCandles, holes: Iterable[Window]) -> Opening | None:
    """How to begin with these closed candles."""
    if not len(closed):
        return None
    excused = sorted((step.index(hole.start), step.index(hole.end)) for hole in holes)
    numbers = indices(step, closed.times)
    begin = 0
    for behind in [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(closed)]:
        newest = int(numbers[behind - 1])
        settled = _through(excused, newest)
        if behind == len(closed) or settled + 1 < numbers[behind]:
            history = closed[begin:behind] if settled == newest else closed[:0]
            return Opening(step.open_time(settled), history, tuple(closed[behind:]))
        begin = behind
    raise AssertionError("the last candle ends the search")


def _through(excused: Sequence[tuple[int, int]], number: int) -> int:
    """The last candle that nothing is missing up to, from that one on, when none is stored."""
    for first, last in excused:
        if first <= number + 1 <= last:
            number = last
    return number


@dataclass(frozen=True, slots=True)
class Beginning:
    """A series that can be begun. Not complete: part of its history is still to be fetched, or to be computed."""

    opening: Opening
    decimals: int
    complete: bool


class Beginnings:
    """Finds how a series can be begun. Blocks: the frames that arrive meanwhile wait for nobody."""

    def __init__(
        self,
        candles: CandleStore,
        series: SeriesStore,
        clock: ServerClock,
        past: Past,
        *,
        window: int,
    ) -> None:
        self._candles = candles
        self._series = series
        self._clock = clock
        self._past = past
        self._window = window

    def find(self, key: SeriesKey) -> Beginning:
        """What the core needs to begin. A series that ended is filled to its end all the same. What follows from
        candles that had to be fetched is not computed yet: the new ones do not wait for it."""
        opening, failed = self._stored(key), None
        was_far_behind = self._is_far_behind(key, opening)
        if was_far_behind:
            failed = self._failed_to_fetch(key)
            opening = self._stored(key)
        self._refuse_ended(key)
        if failed is not None and self._is_far_behind(key, opening):
            raise failed
        nothing = Opening(interval(key.interval).after(self._clock.now(), -1))
        complete = not was_far_behind and self._past.is_whole(key)
        return Beginning(opening or nothing, self._past.decimals(key.symbol), complete)

    def _stored(self, key: SeriesKey) -> Opening | None:
        known = self._series.get(key)
        own = [hole for hole in known.holes if hole.evidence != GIVEN_UP] if known else []
        holes = [Window(to_ms(hole.start), to_ms(hole.end)) for hole in own]
        return open_series(self._candles, key, holes=holes, window=self._window, now=self._clock.now())

    def _is_far_behind(self, key: SeriesKey, opening: Opening | None) -> bool:
        return opening is None or interval(key.interval).count(opening.settled, self._clock.now()) > FAR_BEHIND

    def _failed_to_fetch(self, key: SeriesKey) -> TidemarkError | None:
        try:
            self._past.fetch(key)
        except (RefusedError, UsageError):
            raise
        except TidemarkError as error:
            return error
        return None

    def _refuse_ended(self, key: SeriesKey) -> None:
        """One that ended is filled first. Where the exchange does not say, the series is begun: its frames may come all
        the same."""
        try:
            self._past.must_trade(key.symbol)
        except NotTradedError:
            self._past.fill(key)
            raise
        except ExchangeError as error:
            log.warning("%s: whether it is still traded is not known: %s", key, error)


class Repairs:
    """Completes a history and computes it again: where a closed candle that others build on was corrected, or the
    database was away for so long that not every candle could be kept for it."""

    def __init__(self, core: Core, background: Background, past: Past, *, again_after: float = AGAIN_AFTER) -> None:
        self._core = core
        self._background = background
        self._past = past
        self._again_after = again_after
        self._owed: set[SeriesKey] = set()
        self._begun: set[SeriesKey] = set()

    def make_up(self, keys: Iterable[SeriesKey]) -> None:
        """Repair these. Asked twice it is done once; asked while it is done, it is done once more."""
        for key in keys:
            self._owed.add(key)
            if key not in self._begun:
                self._begun.add(key)
                self._background.start(self._repair(key))

    def refill(self) -> None:
        """The database is back: fetch and compute what could not be kept for it."""
        for key, window in self._core.unsaved.items():
            log.info("%s: candles since %s are fetched again", key, iso(window.start))
        self.make_up(self._core.unsaved)
        self._core.unsaved.clear()

    async def _repair(self, key: SeriesKey) -> None:
        try:
            while key in self._owed:
                self._owed.discard(key)
                if not await self._is_repaired(key):
                    await asyncio.sleep(self._again_after)
                    self._owed.add(key)
        finally:
            self._begun.discard(key)

    async def _is_repaired(self, key: SeriesKey) -> bool:
        try:
            await self._background.long(self._past.fill, key)
        except (RefusedError, UsageError) as error:
            log.error("%s: its history cannot be mended: %s `tidemark backfill` says more", key, sentence(error))
        except (TidemarkError, PyMongoError) as error:
            log.warning("%s: its history is not mended yet: %s; trying again", key, str(error)[:300])
            return False
        return True
