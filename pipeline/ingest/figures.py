"""What the ingester measures about itself, for the heartbeat, the metrics and people."""

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipeline.quantiles import quantile
from pipeline.store.goals import Target


@dataclass(slots=True)
class Recent:
    """The last measurements of something, and their quantiles."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))

    def add(self, value: float) -> None:
        self.values.append(value)

    def quantile(self, share: float) -> float:
        """The value that `share` of the measurements do not exceed; 0 where there are none."""
        return quantile(self.values, share) or 0.0


class Figures:
    """The ingester's gauges and counters. One registry a process, so that tests can have many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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

    def judged(self, targets: Iterable[Target]) -> None:
        """What is measured against the targets, of the whole Tidemark. What nothing is known of has no sample."""
        for target in targets:
            goal = target.goal
            self.slo_target.labels(goal.key, goal.unit).set(goal.limit)
            if target.measured is None or target.met is None:
                for gauge, labels in ((self.slo, (goal.key, goal.unit)), (self.slo_met, (goal.key,))):
                    with contextlib.suppress(KeyError):
                        gauge.remove(*labels)
            else:
                self.slo.labels(goal.key, goal.unit).set(target.measured)
                self.slo_met.labels(goal.key).set(target.met)
