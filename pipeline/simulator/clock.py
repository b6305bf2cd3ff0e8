"""The exchange's own time: real, shifted, or faster than real. It is never read from anywhere but here."""

import time
from collections.abc import Callable

from pipeline.errors import UsageError


class Clock:
    """Server time in ms. With `speed` 20 a candle of one minute lasts three seconds, everywhere."""

    def __init__(
        self,
        *,
        offset: int = 0,
        speed: float = 1.0,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        if speed <= 0:
            raise UsageError(
                f"the clock's speed must be above 0, not {speed}: 1 is real time, 20 is twenty times faster"
            )
        self.speed = speed
        self._steady = steady
        self._began = steady()
        self._origin = wall() * 1_000 + offset

    def now(self) -> int:
        """The server's time."""
        return int(self._origin + (self._steady() - self._began) * 1_000 * self.speed)

    def seconds(self, milliseconds: float) -> float:
        """How long that much server time lasts for the process that waits for it."""
        return milliseconds / 1_000 / self.speed
