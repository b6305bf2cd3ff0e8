"""The candle that a series had open when the exchange forgot its symbol: nobody will ever say how it closed.

The only place that empties a slot, and only one that is not closed. What is missing then is said in `series.holes`.
"""

from typing import Any

import numpy as np
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo.collection import Collection

from pipeline.store.candles.coverage import SlotState, buckets_of_series, presence
from pipeline.store.candles.layout import bucket_id
from pipeline.timeline import Window, interval, to_ms
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

Candles = Collection[dict[str, Any]]


def unfinished(candles: Candles, key: SeriesKey) -> Window | None:
    """From behind the last closed candle to the last open one; None where none is open at the end of the series."""
    newest = candles.find_one(buckets_of_series(key), {"start": 1}, sort=[("start", -1)])
    if newest is None:
        return None
    step = interval(key.interval)
    first = step.index(to_ms(newest["start"])) - SLOTS_PER_BUCKET
    states = presence(candles, key, step.open_time(first), step.open_time(first + 2 * SLOTS_PER_BUCKET - 1))
    is_open = np.flatnonzero(states == SlotState.OPEN)
    if not len(is_open):
        return None
    closed = np.flatnonzero(states[: is_open[-1]] == SlotState.CLOSED)
    begin = int(closed[-1]) + 1 if len(closed) else int(is_open[0])
    return Window(step.open_time(first + begin), step.open_time(first + int(is_open[-1])))


def remove_open(candles: Candles, key: SeriesKey, window: Window) -> int:
    """Empty the slots of this stretch that are open, and no other; how many those were."""
    step = interval(key.interval)
    times = (step.open_time(number) for number in range(step.index(window.start), step.index(window.end) + 1))
    return candles.bulk_write([_removal(key, opened) for opened in times]).modified_count


def _removal(key: SeriesKey, opened: int) -> UpdateOne:
    place = interval(key.interval).slot(opened)
    still_open = {"$elemMatch": {"t": DatetimeMS(opened), "closed": False}}
    empty = {"$set": {f"candles.{place.position}": None}, "$inc": {"rev": Int64(1)}}
    return UpdateOne({"_id": bucket_id(key, place.bucket), "candles": still_open}, empty)
