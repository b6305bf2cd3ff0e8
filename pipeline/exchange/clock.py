"""The exchange's time, seen from here: measured, and counted on from there by a clock that nobody sets. Sets no clock.

The machine's own time may be set at any moment, by hand or by a program, and its steady clock may stand still while it
sleeps. Each is watched by the other: what happens to one of them sets them apart, and the exchange is to be asked anew.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

Now = Callable[[], int]

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock."""
_APART: Final = 1_000
_DRIFT: Final = 10_000
"""No two clocks run apart by more than one part in so many."""


def local_time() -> int:
    """This machine's time in milliseconds."""
    return time.time_ns() // 1_000_000


def steady_time() -> int:
    """Milliseconds since some moment, by a clock that nobody sets."""
    return time.clock_gettime_ns(_STEADY) // 1_000_000


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One question for the time: when it left and when the answer came, by the steady clock, what the answer said, and
    this machine's time then."""

    sent: int
    received: int
    server_time: int
    local: int

    @property
    def round_trip(self) -> int:
        """How long the answer took; half of it is how wrong the offset can be."""
        return self.received - self.sent

    @property
    def offset(self) -> int:
        """Add this to the steady clock: the answer was written halfway through the round trip."""
        return self.server_time - (self.sent + self.received) // 2


@dataclass(slots=True)
class ServerClock:
    """The exchange's clock. Until it is measured, it is taken to be ours."""

    local: Now = local_time
    steady: Now = steady_time
    best: ClockSample | None = field(default=None)

    @property
    def offset(self) -> int:
        """Milliseconds the exchange is ahead of this machine."""
        return self.now() - self.local()

    @property
    def uncertainty(self) -> int:
        """How far off `now` may be, in milliseconds. Clocks drift, so never less than a little, and more with time."""
        if self.best is None:
            return 1_000
        return max(50, self.best.round_trip // 2 + 1) + (self.steady() - self.best.received) // _DRIFT

    @property
    def in_doubt(self) -> bool:
        """Whether it is to be measured before anything is judged by it: it never was, or the clocks of this machine
        have come apart by more than a second since."""
        if self.best is None:
            return True
        apart = (self.local() - self.best.local) - (self.steady() - self.best.received)
        return abs(apart) > _APART

    def now(self) -> int:
        """The exchange's time in milliseconds."""
        return self.local() if self.best is None else self.steady() + self.best.offset

    @property
    def surely(self) -> int:
        """The latest moment that has come at the exchange for certain: what ends by then has ended there."""
        return self.now() - self.uncertainty

    def adopt(self, samples: Iterable[ClockSample]) -> None:
        """Forget the old measurement and keep the best of these: the quickest round trip tells most."""
        self.best = min(samples, key=lambda sample: sample.round_trip)
