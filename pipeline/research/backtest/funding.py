"""When funding is exchanged in a run, and at which rate: as it was where that is stored, and named where it is not."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

from pipeline.timeline import HOUR, MINUTE, to_ms
from schemas.funding import Settlement

USUAL: Final = 8 * HOUR
ASSUMED: Final = Decimal("0.0001")


class Due(NamedTuple):
    """A settlement, at a full minute. `mark`: None where it is the last price. `known`: it is stored, not assumed."""

    time: int
    rate: Decimal
    mark: Decimal | None
    known: bool


def schedule_of(stored: Iterable[Settlement], start: int, end: int) -> list[Due]:
    """All with start < time <= end. Whatever the interval was, it is kept; 0.01 % is assumed at 00:00, 08:00 and 16:00
    before the first that is stored, after the last, and where for more than eight hours there is none; and where one
    interval lies before and after a longer one, at what it left out."""
    known = [Due(to_ms(one.t) // MINUTE * MINUTE, one.rate, one.mark, known=True) for one in stored]
    inside = [due for due in known if start < due.time <= end]
    edges = [start, *(due.time for due in inside), end + 1]
    gaps = [
        (before, after)
        for before, after in pairwise(edges)
        if after - before > USUAL or before == start or after == end + 1
    ]
    times = [time for before, after in gaps for time in _usual(before, after - 1)]
    times += _left_out([due.time for due in inside])
    assumed = [Due(time, ASSUMED, None, known=False) for time in times]
    return sorted([*inside, *assumed], key=lambda due: due.time)


def _usual(after: int, until: int) -> range:
    return range((after // USUAL + 1) * USUAL, until + 1, USUAL)


def _left_out(times: Sequence[int]) -> Iterator[int]:
    for (first, before), (after, last) in zip(pairwise(times), pairwise(times[2:]), strict=False):
        step = before - first
        if 0 < step == last - after and step < after - before <= USUAL:
            yield from range(before + step, after, step)


class Scheduled:
    """The fundings of a run, as the venue asks for them."""

    def __init__(self, schedules: Mapping[str, Sequence[Due]]) -> None:
        self._due = {(symbol, due.time): due for symbol, listed in schedules.items() for due in listed}
        self._times = sorted({time for _, time in self._due})

    def times(self, after: int, until: int) -> Iterator[int]:
        """The moments with after < time <= until at which any symbol is settled."""
        first, last = bisect_right(self._times, after), bisect_right(self._times, until)
        return iter(self._times[first:last])

    def next(self, after: int) -> int | None:
        """The first moment after that one."""
        place = bisect_right(self._times, after)
        return self._times[place] if place < len(self._times) else None

    def of(self, symbol: str, time: int) -> tuple[Decimal, Decimal | None] | None:
        """The rate of a symbol at that moment, and the price it is counted by (None: the mark price); None where it is
        not settled then."""
        due = self._due.get((symbol, time))
        return None if due is None else (due.rate, due.mark)
