"""What a series lacks when the exchange forgets its symbol: nobody will ever say how those candles closed.

The only place that empties a slot, and only one that is not closed. What is missing is said in `series.holes`.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo.collection import Collection

from pipeline.store.candles.coverage import Presence, SlotState, bounds, presence, runs
from pipeline.store.candles.layout import bucket_id
from pipeline.timeline import Interval, Window, interval
from schemas.series import SeriesKey

Candles = Collection[dict[str, Any]]


GIVEN_UP: Final = "the exchange gave its symbol up before we had these closed"
"""The evidence of such a hole. It holds as long as the symbol is not traded again."""


class Unfinished(NamedTuple):
    """What nobody will finish: stretches without a closed candle of which no hole tells, and candles that are open."""

    unsaid: list[Window]
    left_open: list[int]


def unfinished(candles: Candles, key: SeriesKey, holes: Iterable[Window], until: int | None) -> Unfinished:
    """What a series lacks that may have had candles up to `until`; None where the exchange can still be asked for what
    is missing: then only what is open."""
    stretch = bounds(candles, key)
    if stretch is None:
        return Unfinished([], [])
    step = interval(key.interval)
    first, last = stretch
    states = presence(candles, key, first, max(last, until or last))
    return lacking(step, step.index(first), states, holes, until)


def lacking(step: Interval, first: int, states: Presence, holes: Iterable[Window], until: int | None) -> Unfinished:
    """The same of these slots, the first of which has that number."""
    is_open = states == SlotState.OPEN
    unsaid = is_open.copy()
    filled = np.flatnonzero(states)
    if until is not None and len(filled):
        behind = max(step.index(until) - first, int(filled[-1]) + 1)
        unsaid[filled[0] : behind] |= states[filled[0] : behind] != SlotState.CLOSED
    for hole in holes:
        unsaid[max(0, step.index(hole.start) - first) : max(0, step.index(hole.end) + 1 - first)] = False
    opened = [step.open_time(first + number) for number in np.flatnonzero(is_open).tolist()]
    return Unfinished(runs(step, first, unsaid), opened)


def remove_open(candles: Candles, key: SeriesKey, times: Iterable[int]) -> None:
    """Empty these slots, those that are still open."""
    if removals := [_removal(key, opened) for opened in times]:
        candles.bulk_write(removals)


def _removal(key: SeriesKey, opened: int) -> UpdateOne:
    place = interval(key.interval).slot(opened)
    still_open = {"$elemMatch": {"t": DatetimeMS(opened), "closed": False}}
    empty = {"$set": {f"candles.{place.position}": None}, "$inc": {"rev": Int64(1)}}
    return UpdateOne({"_id": bucket_id(key, place.bucket), "candles": still_open}, empty)
