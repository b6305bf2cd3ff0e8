"""How the exchange's REST interface serves us: how long its answers take, and how much request weight they cost.

It measures what was sent, at the place where it is sent; it delays nothing and decides nothing. What was not measured
is not in its figures.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pipeline.exchange.errors import ExchangeError, UnreachableError
from pipeline.quantiles import quantile

REMEMBERED: Final = 3600.0
"""Seconds that a measurement counts."""
_MOST: Final = 1_000


@dataclass(slots=True)
class _Lately:
    """The measurements of the last hour, the newest thousand of them at most."""

    told: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_MOST))

    def add(self, now: float, value: float) -> None:
        self.told.append((now, value))

    def values(self, now: float) -> list[float]:
        return [value for at, value in self.told if at > now - REMEMBERED]


class Traffic:
    """What one address is asked by this process. Thread-safe: clients that share an address share one."""

    def __init__(self, weight_limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._weight_limit = weight_limit
        self._clock = clock
        self._lock = threading.Lock()
        self._latencies = _Lately()
        self._weights = _Lately()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Around one request. Without an answer it counts for as long as it was waited for; one that never left, for
        want of a connection, says nothing about answers."""
        began = self._clock()
        try:
            yield
        except UnreachableError:
            raise
        except ExchangeError:
            self._took(began)
            raise
        self._took(began)

    def counted(self, weight: int) -> None:
        """The exchange's count of the minute, after a request: of all processes of our address."""
        with self._lock:
            self._weights.add(self._clock(), weight / self._weight_limit)

    def figures(self) -> dict[str, float]:
        """Of the last hour: seconds to an answer, and the fullest minute's weight as a share of the limit."""
        now = self._clock()
        with self._lock:
            latencies, weights = self._latencies.values(now), self._weights.values(now)
        found = {
            "api_p50": quantile(latencies, 0.5),
            "api_p99": quantile(latencies, 0.99),
            "weight_most": max(weights, default=None),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _took(self, began: float) -> None:
        now = self._clock()
        with self._lock:
            self._latencies.add(now, now - began)
