"""The exchange's time, seen from here: the local clock plus a measured offset. Sets no clock."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Now = Callable[[], int]


def local_time() -> int:
    """This machine's time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One question for the time: when it left, when the answer came, what the answer said."""

    sent: int
    received: int
    server_time: int

    @property
    def round_trip(self) -> int:
        """How long the answer took; half of it is how wrong the offset can be."""
        return self.received - self.sent

    @property
    def offset(self) -> int:
        """Add this to the local time: the answer was written halfway through the round trip."""
        return self.server_time - (self.sent + self.received) // 2


@dataclass(slots=True)
class ServerClock:
    """The exchange's clock. Until it is measured, it is taken to be ours."""

    local: Now = local_time
    best: ClockSample | None = field(default=None)

    @property
    def offset(self) -> int:
        """Milliseconds the exchange is ahead of this machine."""
        return self.best.offset if self.best else 0

    @property
    def uncertainty(self) -> int:
        """How far off `now` may be, in milliseconds. Clocks drift, so never less than a little."""
        return max(50, self.best.round_trip // 2 + 1) if self.best else 1_000

    def now(self) -> int:
        """The exchange's time in milliseconds."""
        return self.local() + self.offset

    def adopt(self, samples: Iterable[ClockSample]) -> None:
        """Forget the old measurement and keep the best of these: the quickest round trip tells most."""
        self.best = min(samples, key=lambda sample: sample.round_trip)
