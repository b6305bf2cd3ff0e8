"""What to fetch: the candles that are wanted, less those that are stored. Pure arithmetic over slots.

It never asks "what is the newest candle": a hole in the middle is as missing as the end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np

from pipeline.exchange.archive import ArchiveFile, files
from pipeline.store.candles.coverage import Flags, Presence, SlotState, runs
from pipeline.timeline import DAY, Interval, Window, to_ms, windows
from schemas.series import Series
from schemas.shared import SLOTS_PER_BUCKET

MOST_BUCKETS: Final = 27
"""As many are fetched, checked and written together."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The state of every slot of a window, by number."""

    step: Interval
    window: Window
    stored: Flags
    """Which closed candles are stored."""
    excused: Flags
    """Which the exchange itself does not have."""

    @classmethod
    def of(cls, step: Interval, window: Window, presence: Presence, holes: Iterable[Window]) -> "Slots":
        """From what the store says, and the exchange's own holes."""
        nothing = np.zeros(len(presence), np.bool_)
        return cls(step, window, presence == SlotState.CLOSED, nothing).without(holes)

    @property
    def wanted(self) -> int:
        """How many candles the window has."""
        return len(self.stored)

    @property
    def missing(self) -> int:
        """How many are not stored, whoever's fault it is."""
        return int((~self.stored).sum())

    def to_fetch(self) -> list[Window]:
        """The runs of candles that are neither stored nor known not to exist."""
        return runs(self.step, self.step.index(self.window.start), ~self.stored & ~self.excused)

    def part(self, window: Window) -> "Slots":
        """The slots that both windows cover."""
        start, end = max(window.start, self.window.start), min(window.end, self.window.end)
        base = self.step.index(self.window.start)
        cut = slice(self.step.index(start) - base, self.step.index(end) - base + 1)
        return Slots(self.step, Window(start, end), self.stored[cut], self.excused[cut])

    def without(self, stretches: Iterable[Window]) -> "Slots":
        """The same, with these stretches excused, as far as they lie within the window."""
        excused = self.excused.copy()
        base = self.step.index(self.window.start)
        for run in stretches:
            first, last = self.step.index(run.start) - base, self.step.index(run.end) - base
            excused[max(0, first) : max(0, last + 1)] = True
        return Slots(self.step, self.window, self.stored, excused)


def wanted(step: Interval, now: int, days: int, listed: int, delivered: int, limit: int | None = None) -> Window | None:
    """The closed candles of the last `days` days, or the newest `limit`, from listing to delivery; None where there are
    none yet."""
    forming = step.floor(now)
    over = min(forming, step.ceil(delivered))
    first = step.ceil(forming - days * DAY) if limit is None else step.after(over, -limit)
    start, end = max(first, step.floor(listed)), step.after(over, -1)
    return Window(start, end) if start <= end else None


def lacking(known: Series, step: Interval, window: Window) -> int:
    """How many candles are neither stored nor the exchange's own holes, from the beginning of the window, or of what is
    stored, to the last closed one, as the document of the series counts them. What is newer is not counted."""
    if known.first is None or known.last_closed is None:
        return step.count(*window)
    start, last = min(to_ms(known.first), window.start), to_ms(known.last_closed)
    holes = [(max(to_ms(hole.start), start), min(to_ms(hole.end), last)) for hole in known.holes]
    excused = sum(step.count(*hole) for hole in holes if hole[0] <= hole[1])
    return max(0, step.count(start, last) - known.stored - excused)


def chunks(step: Interval, run: Window, page: int) -> Iterator[Window]:
    """Cut a run where buckets end, so that no two chunks write the same bucket, and so that whole chunks leave least of
    their pages empty."""
    first = step.index(run.start) // SLOTS_PER_BUCKET * SLOTS_PER_BUCKET
    last = step.index(run.end)
    cuts = [*range(first, last + 1, _slots_of_a_chunk(page)), last + 1]
    for begin, end in pairwise(cuts):
        yield Window(max(run.start, step.open_time(begin)), step.open_time(end - 1))


@cache
def _slots_of_a_chunk(page: int) -> int:
    """For pages of 499 candles 6,480, which fill 13 of them to 99.9 %; for pages of 1,000 they are 6,000."""
    sizes = range(MOST_BUCKETS * SLOTS_PER_BUCKET, 0, -SLOTS_PER_BUCKET)
    return min(sizes, key=lambda size: -(-size // page) / size)


def pages(step: Interval, chunk: Window, most: int) -> Iterator[Window]:
    """Cut a chunk into what one request can hold: at most so many candles."""
    return windows(step, *chunk, limit=most)


def archived(symbol: str, slots: Slots, now: int, page: int) -> list[ArchiveFile]:
    """The archive's files worth downloading: those of which more than a page is missing and nothing is stored, so that
    nothing stored is fetched again. A month that does not qualify may have days that do."""
    chosen: list[ArchiveFile] = []
    for file in files(symbol, slots.step, slots.window, now):
        if _is_worth_it(slots.part(file.window), page):
            chosen.append(file)
        else:
            chosen += [day for day in days_within(file, slots.window) if _is_worth_it(slots.part(day.window), page)]
    return chosen


def days_within(month: ArchiveFile, window: Window) -> list[ArchiveFile]:
    """The daily files of a monthly one that touch the window."""
    return [day for day in month.days() if day.window.start <= window.end and day.window.end >= window.start]


def _is_worth_it(part: Slots, page: int) -> bool:
    return not part.stored.any() and int((~part.excused).sum()) > page
