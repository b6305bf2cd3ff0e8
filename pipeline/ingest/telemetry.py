"""What the ingester says of itself: metrics for whoever scrapes, its heartbeat every few seconds, and a word when it
falls behind.

It reads and reports; it decides nothing. A scrape reads what is kept and never waits for the database.
"""

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pymongo
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.exchange.environments import Environment
from pipeline.exchange.stream_session import FeedCounters
from pipeline.exchange.traffic import Calls
from pipeline.ingest.core import Core
from pipeline.quantiles import quantile
from pipeline.store.goals import Target
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.processes import living
from pipeline.store.targets import targets
from pipeline.timeline import HOUR

log = logging.getLogger(__name__)

BEHIND_AFTER: Final = 2.0
"""Frames older than this when they are taken mean that the process does not keep up. Seconds."""
PATIENCE: Final = 5.0
"""Seconds that a look at the targets may take: the process must end within ten when it is told to."""


@dataclass(slots=True)
class Recent:
    """The last measurements of something, and their quantiles."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))

    def add(self, value: float) -> None:
        self.values.append(value)

    def quantile(self, share: float) -> float:
        """The value that `share` of the measurements do not exceed; 0 where there are none."""
        return quantile(self.values, share) or 0.0


@dataclass(slots=True)
class Hour:
    """What was stored since the hour began."""

    closes: int = 0
    signals: int = 0


class Metrics:
    """The ingester's gauges and counters. One registry a process, so that tests can have many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.hour = Hour()
        self.frames = Counter("tidemark_frames", "Frames taken from the streams", registry=self.registry)
        self.undecodable = Gauge("tidemark_frames_undecodable", "Frames that could not be read", registry=self.registry)
        self.implausible = Gauge("tidemark_frames_implausible", "Frames that cannot be true", registry=self.registry)
        self.candles = Counter("tidemark_candles_offered", "Candles offered to the store", registry=self.registry)
        self.refused = Counter(
            "tidemark_candles_refused", "Closed candles the store had already", registry=self.registry
        )
        self.fetches = Counter("tidemark_fetches", "Windows fetched by REST", ["outcome"], registry=self.registry)
        self.series = Gauge("tidemark_series", "Series watched", registry=self.registry)
        self.missing = Gauge(
            "tidemark_candles_missing", "Candles that should be closed and are not", registry=self.registry
        )
        self.connections = Gauge("tidemark_connections", "Stream connections that are up", registry=self.registry)
        self.breaks = Gauge("tidemark_connection_breaks", "Stream connections that broke", registry=self.registry)
        self.behind = Gauge("tidemark_behind", "1 while frames are taken late", registry=self.registry)
        self.lag = Gauge("tidemark_lag_seconds", "Age of the newest frame when it was taken", registry=self.registry)
        self.store_up = Gauge("tidemark_store_up", "1 while the database takes writes", registry=self.registry)
        self.flush = Histogram(
            "tidemark_flush_seconds",
            "Time to write what changed",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.stored_after = Histogram(
            "tidemark_stored_after_seconds",
            "From the oldest frame of a flush to its being stored",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.api = Gauge(
            "tidemark_api_latency_seconds",
            "Time to an answer of the exchange's REST interface, in the last hour",
            ["quantile"],
            registry=self.registry,
        )
        self.uptime = Gauge(
            "tidemark_stream_uptime_ratio",
            "Share of the time in which the streams carried data",
            ["since"],
            registry=self.registry,
        )
        self.weight = Gauge(
            "tidemark_request_weight_ratio",
            "Request weight of the fullest minute of the last hour, as a share of the limit",
            registry=self.registry,
        )
        self.weight.set(math.nan)
        self.calls = Gauge(
            "tidemark_api_calls",
            "Calls to the exchange of each living process since its start, by what became of them",
            ["role", "call", "became"],
            registry=self.registry,
        )
        self.slo = Gauge(
            "tidemark_slo", "What is measured for a target, in its unit", ["slo", "unit"], registry=self.registry
        )
        self.slo_target = Gauge("tidemark_slo_target", "The target", ["slo", "unit"], registry=self.registry)
        self.slo_met = Gauge("tidemark_slo_met", "1 while the target is met", ["slo"], registry=self.registry)
        self.is_behind = False
        self.recent_flushes = Recent()
        self.recent_stored_after = Recent()
        self.recent_lags = Recent()

    def flushed(self, seconds: float, stored_after: float) -> None:
        """One flush is done."""
        self.flush.observe(seconds)
        self.stored_after.observe(stored_after)
        self.recent_flushes.add(seconds)
        self.recent_stored_after.add(stored_after)

    def exchange(self, told: Mapping[str, float]) -> None:
        """How the exchange serves us. What was not measured yet has no sample, or is not a number."""
        for name, share in (("api_p50", "0.5"), ("api_p99", "0.99")):
            if name in told:
                self.api.labels(share).set(told[name])
        for name, since in (("uptime", "start"), ("uptime_day", "day")):
            if name in told:
                self.uptime.labels(since).set(told[name])
        self.weight.set(told.get("weight_most", math.nan))

    def called(self, processes: Iterable[Mapping[str, Any]]) -> None:
        """What became of the calls of these processes, by their heartbeats. One that has ended has no samples."""
        self.calls.clear()
        for beat in processes:
            for call, counts in beat.get("calls", {}).items():
                for became, count in counts.items():
                    self.calls.labels(beat["role"], call, became).inc(count)

    def judged(self, measured: Iterable[Target]) -> None:
        """What is measured against the targets, of the whole Tidemark. What nothing is known of has no sample."""
        for target in measured:
            goal = target.goal
            self.slo_target.labels(goal.key, goal.unit).set(goal.limit)
            if target.measured is None or target.met is None:
                for gauge, labels in ((self.slo, (goal.key, goal.unit)), (self.slo_met, (goal.key,))):
                    with contextlib.suppress(KeyError):
                        gauge.remove(*labels)
            else:
                self.slo.labels(goal.key, goal.unit).set(target.measured)
                self.slo_met.labels(goal.key).set(target.met)


class Telemetry:
    """The vital signs of one ingester."""

    def __init__(
        self,
        core: Core,
        counters: FeedCounters,
        metrics: Metrics,
        heartbeat: Heartbeat,
        *,
        exchange: Callable[[], Mapping[str, float]] = dict,
        calls: Callable[[], Calls] = dict,
        behind_after: float = BEHIND_AFTER,
    ) -> None:
        self._core = core
        self._counters = counters
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._exchange = exchange
        self._calls = calls
        self._behind_after = behind_after
        self._hour: int | None = None
        self._counted = 0
        self._counted_at = time.monotonic()

    async def beat(self, now: int) -> None:
        """Measure and tell. `now` is the exchange's time."""
        rate = self._frame_rate()
        lag = self._metrics.recent_lags.quantile(0.5) if rate else 0.0
        self._judge(lag, rate)
        views = list(self._core.view(now))
        series, missing = len(views), sum(view.missing for view in views)
        self._metrics.series.set(series)
        self._metrics.missing.set(missing)
        self._metrics.implausible.set(self._core.implausible)
        self._sum_up(now // HOUR, series, missing)
        told = {"series": series, "missing": missing, **self._feed(), "frames_per_second": rate}
        await self._heartbeat.beat({**told, **self._pace(lag), **self._served()}, self._calls())

    def _sum_up(self, hour: int, series: int, missing: int) -> None:
        """A line at each full hour."""
        begun, self._hour = self._hour, hour
        if begun is None or hour <= begun:
            return
        past, self._metrics.hour = self._metrics.hour, Hour()
        log.info(
            "the hour: %d candles closed, %d signals; %d series, %d candles missing",
            past.closes,
            past.signals,
            series,
            missing,
        )

    def _feed(self) -> dict[str, float]:
        metrics, counters = self._metrics, self._counters
        metrics.connections.set(counters.connections)
        metrics.breaks.set(counters.breaks)
        metrics.undecodable.set(counters.undecodable)
        return {"connections": counters.connections, "breaks": counters.breaks, "frames": counters.frames}

    def _pace(self, lag: float) -> dict[str, float]:
        """How fast frames are taken and stored."""
        metrics = self._metrics
        metrics.lag.set(lag)
        metrics.behind.set(metrics.is_behind)
        return {
            "behind": metrics.is_behind,
            "lag_p50": lag,
            "lag_p99": metrics.recent_lags.quantile(0.99),
            "flush_p50": metrics.recent_flushes.quantile(0.5),
            "flush_p99": metrics.recent_flushes.quantile(0.99),
            "stored_after_p50": metrics.recent_stored_after.quantile(0.5),
            "stored_after_p99": metrics.recent_stored_after.quantile(0.99),
        }

    def _served(self) -> Mapping[str, float]:
        served = self._exchange()
        self._metrics.exchange(served)
        return served

    def _frame_rate(self) -> float:
        frames, moment = self._counters.frames, time.monotonic()
        fresh, seconds = frames - self._counted, max(moment - self._counted_at, 1e-3)
        self._counted, self._counted_at = frames, moment
        self._metrics.frames.inc(fresh)
        return fresh / seconds

    def _judge(self, lag: float, rate: float) -> None:
        """Said when it begins and when it ends, not every time."""
        was_behind, self._metrics.is_behind = self._metrics.is_behind, lag > self._behind_after
        if self._metrics.is_behind and not was_behind:
            log.warning(
                "falling behind: frames are %.1f s old when they are taken, at %d frames/s. Open candles are written "
                "less often, closed ones are all kept. Watch fewer series, or share them: tidemark live --shard 1/2",
                lag,
                rate,
            )
        elif was_behind and not self._metrics.is_behind:
            log.info("keeping up again: frames are %.1f s old when they are taken", lag)


class TargetMetrics:
    """The targets of the operations page, and every process's calls to the exchange: looked up in the database now and
    then, and kept."""

    def __init__(
        self, database: Database[dict[str, Any]], place: Environment, metrics: Metrics, *, patience: float = PATIENCE
    ) -> None:
        self._database = database
        self._place = place
        self._metrics = metrics
        self._patience = patience

    def look(self) -> None:
        """Look now. While the database is away the last ones stay."""
        try:
            with pymongo.timeout(self._patience):
                now = datetime.now(UTC)
                found = targets(self._database, self._place.name, 100 * self._place.weight_buffer, now)
                processes = living(self._database, self._place.name, now)
        except PyMongoError as error:
            log.debug("the targets cannot be looked up: %s", str(error)[:200])
            return
        self._metrics.judged(found)
        self._metrics.called(processes)
