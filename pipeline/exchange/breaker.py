"""A circuit breaker: after too many failures in a row those who ask it send nothing for a while, then one call tries.

Knows no network and no clock; the time is passed in.
"""

import threading
from dataclasses import dataclass, field

from pipeline.exchange.errors import CircuitOpenError, until_text


@dataclass(slots=True)
class CircuitBreaker:
    """Shared by all threads of a client. Failures are calls that got no sensible answer; a refusal is an answer."""

    failures_to_open: int = 8
    pause_ms: int = 5_000
    _failures: int = 0
    _open_until: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self, now: int) -> None:
        """Let a call pass, or raise. After the pause exactly one call passes; its outcome decides for the rest."""
        with self._lock:
            if self._open_until is None:
                return
            if now < self._open_until:
                raise CircuitOpenError(
                    f"{self._failures} calls in a row failed; nothing is sent {until_text(self._open_until)}",
                    self._open_until,
                )
            self._open_until = now + self.pause_ms

    def succeeded(self) -> None:
        """The exchange answered: close."""
        with self._lock:
            self._failures = 0
            self._open_until = None

    def failed(self, now: int) -> None:
        """No sensible answer: count, and open at the limit."""
        with self._lock:
            self._failures += 1
            if self._failures >= self.failures_to_open:
                self._open_until = now + self.pause_ms
