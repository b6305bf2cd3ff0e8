"""What the ingester says of itself, every few seconds: gauges, the heartbeat document, and a word when it falls behind.

It reads and reports; it decides nothing.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from pipeline.exchange.stream_session import FeedCounters
from pipeline.exchange.traffic import Calls
from pipeline.ingest.core import Core
from pipeline.ingest.figures import Figures
from pipeline.ingest.heartbeat import Heartbeat

log = logging.getLogger(__name__)

BEHIND_AFTER: Final = 2.0
"""Frames older than this when they are taken mean that the process does not keep up. Seconds."""


class Pulse:
    """The vital signs of one ingester."""

    def __init__(
        self,
        core: Core,
        counters: FeedCounters,
        figures: Figures,
        heartbeat: Heartbeat,
        *,
        exchange: Callable[[], Mapping[str, float]] = dict,
        calls: Callable[[], Calls] = dict,
        behind_after: float = BEHIND_AFTER,
    ) -> None:
        self._core = core
        self._counters = counters
        self._figures = figures
        self._heartbeat = heartbeat
        self._exchange = exchange
        self._calls = calls
        self._behind_after = behind_after
        self._counted = 0
        self._counted_at = time.monotonic()

    async def beat(self, now: int) -> None:
        """Measure and tell. `now` is the exchange's time."""
        rate = self._frame_rate()
        lag = self._figures.recent_lags.quantile(0.5) if rate else 0.0
        self._judge(lag, rate)
        views = list(self._core.view(now))
        missing = sum(view.missing for view in views)
        figures, counters = self._figures, self._counters
        figures.series.set(len(views))
        figures.missing.set(missing)
        figures.connections.set(counters.connections)
        figures.breaks.set(counters.breaks)
        figures.undecodable.set(counters.undecodable)
        figures.implausible.set(self._core.implausible)
        figures.lag.set(lag)
        figures.behind.set(figures.is_behind)
        served = self._exchange()
        figures.exchange(served)
        await self._heartbeat.beat(
            {
                "series": len(views),
                "missing": missing,
                "connections": counters.connections,
                "breaks": counters.breaks,
                "frames": counters.frames,
                "frames_per_second": rate,
                "behind": figures.is_behind,
                "lag_p50": lag,
                "lag_p99": figures.recent_lags.quantile(0.99),
                "flush_p50": figures.recent_flushes.quantile(0.5),
                "flush_p99": figures.recent_flushes.quantile(0.99),
                "stored_after_p50": figures.recent_stored_after.quantile(0.5),
                "stored_after_p99": figures.recent_stored_after.quantile(0.99),
                **served,
            },
            self._calls(),
        )

    async def end(self) -> None:
        """The process leaves in order."""
        await self._heartbeat.end()

    def _frame_rate(self) -> float:
        frames, moment = self._counters.frames, time.monotonic()
        fresh, seconds = frames - self._counted, max(moment - self._counted_at, 1e-3)
        self._counted, self._counted_at = frames, moment
        self._figures.frames.inc(fresh)
        return fresh / seconds

    def _judge(self, lag: float, rate: float) -> None:
        """Said when it begins and when it ends, not every time."""
        was_behind, self._figures.is_behind = self._figures.is_behind, lag > self._behind_after
        if self._figures.is_behind and not was_behind:
            log.warning(
                "falling behind: frames are %.1f s old when they are taken, at %d frames/s. Open candles are written "
                "less often, closed ones are all kept. Watch fewer series, or share them: tidemark live --shard 1/2",
                lag,
                rate,
            )
        elif was_behind and not self._figures.is_behind:
            log.info("keeping up again: frames are %.1f s old when they are taken", lag)
