"""What the core asks of the world: candles from REST, holes written down, silent streams renewed.

What fails is done again until it succeeds: the core has moved on and will not ask a second time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from pymongo.errors import PyMongoError

from pipeline.exchange.errors import ExchangeError, RefusedError
from pipeline.exchange.klines import candles_of
from pipeline.exchange.market import MarketData
from pipeline.ingest.background import Background
from pipeline.ingest.core import Core
from pipeline.ingest.events import Answer, AskWhetherTraded, Effect, FetchCandles, FinerPrices, RecordHole, SilentStream
from pipeline.ingest.telemetry import Metrics
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import SECOND, Window, interval, to_datetime
from schemas.series import Hole, SeriesKey

log = logging.getLogger(__name__)


class Fetching:
    """Does what the core asks for and hands the answers back."""

    def __init__(
        self,
        core: Core,
        background: Background,
        market: MarketData,
        series: SeriesStore,
        symbols: SymbolStore,
        metrics: Metrics,
        *,
        renew: Callable[[SeriesKey], None],
        give_up: Callable[[SeriesKey, Exception], None],
        is_traded: Callable[[SeriesKey], Awaitable[bool]],
        changed: Callable[[], None],
        make_up: Callable[[Iterable[SeriesKey]], None],
        again_after: float,
    ) -> None:
        self._core = core
        self._background = background
        self._market = market
        self._clock = market.client.clock
        self._series = series
        self._symbols = symbols
        self._metrics = metrics
        self._renew = renew
        self._give_up = give_up
        self._is_traded = is_traded
        self._changed = changed
        self._make_up = make_up
        self._again_after = again_after

    async def tend(self) -> None:
        """Time has passed: ask the core what is to be done, and begin it."""
        self._core.time(self._clock.now())
        for effect in self._core.effects():
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case FetchCandles(key, window):
                self._background.start(self._fetch(key, window))
            case RecordHole(key, window, evidence):
                self._background.start(self._record_hole(key, window, evidence))
            case AskWhetherTraded(key):
                self._background.start(self._ask_whether_traded(key))
            case FinerPrices(key, decimals):
                self._background.start(self._note_finer(key, decimals))
            case SilentStream(key, silent_for):
                log.warning(
                    "%s: its stream is connected and acknowledged, but silent for %d s while REST tells of trades; "
                    "subscribing again",
                    key,
                    silent_for // SECOND,
                )
                self._renew(key)

    async def _fetch(self, key: SeriesKey, window: Window) -> None:
        try:
            frame = await self._background.short(self._market.klines, key.symbol, interval(key.interval), window)
        except RefusedError as error:
            self._give_up(key, error)
            return
        except ExchangeError as error:
            self._metrics.fetches.labels("failed").inc()
            log.warning("%s: candles could not be fetched: %s; asking again", key, error)
            self._core.fetch_failed(key, self._clock.now())
            return
        self._metrics.fetches.labels("answered").inc()
        candles = candles_of(frame)
        asof = candles[-1].u if candles else self._clock.now()
        self._core.answer(Answer(key, window, candles, asof), self._clock.now())
        self._changed()

    async def _note_finer(self, key: SeriesKey, decimals: int) -> None:
        log.info("%s: prices have %d decimals now; what depends on that is computed anew", key, decimals)
        while True:
            try:
                await self._background.short(self._symbols.note_finest, key.exchange, key.symbol, decimals)
            except PyMongoError as error:
                log.warning("%s: its decimals could not be noted: %s; trying again", key, str(error)[:200])
            else:
                break
            await asyncio.sleep(self._again_after)
        self._make_up([one for one in self._core.watched() if one.symbol == key.symbol])

    async def _ask_whether_traded(self, key: SeriesKey) -> None:
        try:
            await self._is_traded(key)
        except ExchangeError as error:
            log.warning("%s: whether it is still traded is not known: %s", key, error)

    async def _is_its_own(self, key: SeriesKey) -> bool:
        """Candles after the end of a contract are no hole."""
        while True:
            try:
                return await self._is_traded(key)
            except ExchangeError as error:
                log.warning("%s: whether it is still traded is not known: %s; asking again", key, error)
            await asyncio.sleep(self._again_after)

    async def _record_hole(self, key: SeriesKey, window: Window, evidence: str) -> None:
        if not await self._is_its_own(key):
            return
        lost = interval(key.interval).count(*window)
        log.warning("%s: the exchange does not have %d candles: %s", key, lost, evidence)
        found_at = to_datetime(self._clock.now())
        hole = Hole(start=to_datetime(window.start), end=to_datetime(window.end), evidence=evidence, found_at=found_at)
        while True:
            try:
                await self._background.short(self._series.record_hole, key, hole)
            except PyMongoError as error:
                log.warning("%s: its hole could not be written down: %s; trying again", key, str(error)[:200])
            else:
                return
            await asyncio.sleep(self._again_after)
