"""All time arithmetic: intervals, candle indices, slots, buckets and windows. Pure functions of integers.

A time is an `int`: milliseconds since the epoch, UTC. A candle is named by the time it opens; it closes at
`next_open - 1`, as Binance writes it. The candles of an interval are numbered without a gap (`Interval.index`), so
"where is this candle" and "how many are missing" are subtractions, never searches.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from pipeline.nearest import folded, nearest
from schemas.shared import SLOTS_PER_BUCKET

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

_FIRST_MONDAY: Final = -3 * DAY  # 1969-12-29: the epoch itself is a Thursday
_EPOCH_YEAR: Final = 1970
_EPOCH: Final = datetime(_EPOCH_YEAR, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Slot(NamedTuple):
    """Where a candle is stored: the opening time of its bucket, and its position in the bucket's array."""

    bucket: int
    position: int


class Window(NamedTuple):
    """A run of candles by opening time, both ends inclusive, as the exchange's `startTime` and `endTime` are."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A candle length. `milliseconds` is None for the one that follows the calendar (`1M`)."""

    code: str
    milliseconds: int | None
    origin: int = 0

    def index(self, time: int) -> int:
        """The number of the candle that contains `time`."""
        if self.milliseconds is None:
            moment = datetime.fromtimestamp(time / SECOND, UTC)
            return (moment.year - _EPOCH_YEAR) * 12 + moment.month - 1
        return (time - self.origin) // self.milliseconds

    def open_time(self, index: int) -> int:
        """When the candle of that number opens."""
        if self.milliseconds is None:
            return to_ms(datetime(_EPOCH_YEAR + index // 12, index % 12 + 1, 1, tzinfo=UTC))
        return self.origin + index * self.milliseconds

    def floor(self, time: int) -> int:
        """The opening time of the candle that contains `time`."""
        return self.open_time(self.index(time))

    def ceil(self, time: int) -> int:
        """The first opening time that is not before `time`."""
        opened = self.floor(time)
        return opened if opened == time else self.after(opened)

    def after(self, time: int, candles: int = 1) -> int:
        """The opening time `candles` candles after the one that contains `time` (negative: before it)."""
        return self.open_time(self.index(time) + candles)

    def close_time(self, opened: int) -> int:
        """The last millisecond of the candle that opens at `opened`."""
        return self.after(opened) - 1

    def count(self, start: int, end: int) -> int:
        """How many candles open in [start, end], both inclusive."""
        return max(0, self.index(end) - self.index(self.ceil(start)) + 1)

    def slot(self, time: int) -> Slot:
        """Where the candle that contains `time` is stored."""
        bucket, position = divmod(self.index(time), SLOTS_PER_BUCKET)
        return Slot(self.open_time(bucket * SLOTS_PER_BUCKET), position)

    def bucket(self, time: int) -> Window:
        """The bucket that contains `time`: the opening times of its first and of its last candle."""
        first = self.index(time) // SLOTS_PER_BUCKET * SLOTS_PER_BUCKET
        return Window(self.open_time(first), self.open_time(first + SLOTS_PER_BUCKET - 1))

    def buckets(self, start: int, end: int) -> Iterator[Window]:
        """Every bucket that holds a candle opening in [start, end]."""
        first, last = self.index(self.ceil(start)), self.index(end)
        for number in range(first // SLOTS_PER_BUCKET, last // SLOTS_PER_BUCKET + 1) if first <= last else ():
            yield self.bucket(self.open_time(number * SLOTS_PER_BUCKET))

    def __str__(self) -> str:
        return self.code


INTERVALS: Final[dict[str, Interval]] = {
    interval.code: interval
    for interval in (
        *(Interval(f"{n}m", n * MINUTE) for n in (1, 3, 5, 15, 30)),
        *(Interval(f"{n}h", n * HOUR) for n in (1, 2, 4, 6, 8, 12)),
        Interval("1d", DAY),
        Interval("3d", 3 * DAY),
        Interval("1w", WEEK, origin=_FIRST_MONDAY),
        Interval("1M", None),
    )
}
"""Those that every market has."""

EVERY_INTERVAL: Final[dict[str, Interval]] = {"1s": Interval("1s", SECOND), **INTERVALS}
"""Also those that only some markets have."""


class UnknownIntervalError(ValueError):
    """The text names no interval that any exchange has; the message lists those there are. Fix the input."""


def interval(code: str) -> Interval:
    """The interval of that Binance code (`1m` is a minute, `1M` a month), or of that length: `60m` is `1h`."""
    found = EVERY_INTERVAL.get(code) or _of_that_length(folded(code))
    if found is None:
        near = nearest(code, EVERY_INTERVAL)
        hint = f" Did you mean {near!r}?" if near else ""
        raise UnknownIntervalError(f"unknown interval {code!r}.{hint} Allowed: {', '.join(EVERY_INTERVAL)}")
    return found


def _of_that_length(text: str) -> Interval | None:
    length = re.fullmatch(r"([0-9]{1,5})([smhdw])", text)
    if length is None:
        return INTERVALS.get(text)
    milliseconds = int(length[1]) * {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}[length[2]]
    return next((one for one in EVERY_INTERVAL.values() if one.milliseconds == milliseconds), None)


def windows(step: Interval, start: int, end: int, limit: int) -> Iterator[Window]:
    """Cut the candles that open in [start, end] into consecutive windows of at most `limit` candles."""
    if limit < 1:
        raise ValueError(f"a window holds at least one candle, not {limit}")
    first, last = step.index(step.ceil(start)), step.index(end)
    for begin in range(first, last + 1, limit):
        yield Window(step.open_time(begin), step.open_time(min(begin + limit - 1, last)))


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch. A datetime without a zone is refused: nobody knows which moment it means."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write it with one, for example +00:00")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds // 1_000


def in_utc(moment: datetime) -> datetime:
    """A moment that may have come without its zone, from the database or from a person: then it is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def to_datetime(time: int) -> datetime:
    """The same moment as a datetime in UTC. `ValueError` where no calendar has it."""
    try:
        return _EPOCH + time * _MILLISECOND
    except OverflowError:
        raise ValueError(f"{time} ms since the epoch is beyond every calendar") from None


def iso(time: int) -> str:
    """The moment as people and document ids write it: `2026-01-31T00:00:00Z`, milliseconds only where there are any."""
    moment = to_datetime(time).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if time % SECOND else "seconds") + "Z"
