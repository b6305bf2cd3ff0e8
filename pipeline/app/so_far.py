"""How far work on many candles is, in words: for a log, for a line that moves. It does none of the work."""

import threading
import time
from collections.abc import Callable
from typing import Final

from pipeline.history.report import SeriesReport
from schemas.series import SeriesKey

A_MINUTE: Final = 60.0

Say = Callable[[str], None]


def so_far(done: int, wanted: int, seconds: float) -> str:
    """`432,000 of 1,300,000 candles, 21,000/s, 0:41 left`: as long as the rest takes if it goes on as it went."""
    rate = done / max(0.001, seconds)
    left = f", {clock((wanted - done) / rate)} left" if 0 < done < wanted else ""
    return f"{min(done, wanted):,} of {wanted:,} candles, {rate:,.0f}/s{left}"


def clock(seconds: float) -> str:
    """`0:41`, `12:05`, `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Minutely:
    """Says no more than one thing a minute, whatever it is told; the first at once, or after a minute."""

    def __init__(self, say: Say, *, at_once: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._next = now() + (0.0 if at_once else A_MINUTE)
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Say it, if it is time."""
        with self._lock:
            now = self._now()
            if now < self._next:
                return
            self._next = now + A_MINUTE
        self._say(text)


class Fetched:
    """The progress of a backfill as one line for all series, said with every page that is stored."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._planned = self._fetched = 0
        self._began = time.monotonic()

    def planned(self, key: SeriesKey, missing: int) -> None:  # noqa: ARG002 - a line for all series together
        """So many more are to come."""
        with self._lock:
            self._planned += missing

    def fetched(self, key: SeriesKey, candles: int) -> None:  # noqa: ARG002
        """So many more are there."""
        with self._lock:
            self._fetched += candles
            text = so_far(self._fetched, self._planned, time.monotonic() - self._began)
        self._say(text)

    def finished(self, report: SeriesReport) -> None:
        """Whoever ordered it says it."""


class Computed:
    """The same of indicators and signals."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._began = time.monotonic()

    def __call__(self, done: int, wanted: int) -> None:
        """So many of so many candles are computed."""
        self._say(so_far(done, wanted, time.monotonic() - self._began))
