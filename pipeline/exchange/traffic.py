"""How the exchange's REST interface serves us: what became of each call, how long answers take, and how much request
weight they cost.

It measures what was sent, at the place where it is sent; it delays nothing and decides nothing. What was not measured
is not in its figures.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from pipeline.exchange.answers import Call
from pipeline.exchange.errors import (
    BannedError,
    BlockedError,
    ExchangeError,
    KeyProblemError,
    RateLimitedError,
    RefusedError,
    StoppedError,
    UnknownOutcomeError,
    UnreachableError,
)
from pipeline.quantiles import quantile

Became = Literal["answered", "refused", "limited", "unknown", "failed"]
Calls = dict[str, dict[str, int]]
"""By call, its method and path, how many became what."""

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
        self._calls: Calls = {}

    @contextmanager
    def following(self, call: Call) -> Iterator[None]:
        """Around one attempt, from its request to the meaning of its answer: counts what became of it. One that we
        kept here ourselves counts for nothing."""
        try:
            yield
        except StoppedError:
            raise
        except ExchangeError as error:
            self._became(call, became(error))
            raise
        self._became(call, "answered")

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
            "api_mean": sum(latencies) / len(latencies) if latencies else None,
            "api_p50": quantile(latencies, 0.5),
            "api_p99": quantile(latencies, 0.99),
            "weight_most": max(weights, default=None),
        }
        return {name: value for name, value in found.items() if value is not None}

    def calls(self) -> Calls:
        """Of every call since the start of this process, what became of it."""
        with self._lock:
            return {call: dict(counts) for call, counts in self._calls.items()}

    def _became(self, call: Call, what: Became) -> None:
        with self._lock:
            counts = self._calls.setdefault(str(call), {})
            counts[what] = counts.get(what, 0) + 1

    def _took(self, began: float) -> None:
        now = self._clock()
        with self._lock:
            self._latencies.add(now, now - began)


def became(error: ExchangeError) -> Became:
    """A word for the way a call ended: the exchange said no; it said not now; nobody knows; or nothing came of it."""
    match error:
        case RefusedError() | KeyProblemError() | BlockedError():
            return "refused"
        case RateLimitedError() | BannedError():
            return "limited"
        case UnknownOutcomeError():
            return "unknown"
        case _:
            return "failed"
