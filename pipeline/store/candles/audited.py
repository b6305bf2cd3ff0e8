"""Which buckets were found sound and are the same since, told by the index alone. A bucket is noted as sound only while
it is the one that was read: whoever writes one raises its `rev`, whoever writes a closed candle takes the note back.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo.database import Database

from pipeline.store.candles.coverage import buckets_of_series
from pipeline.timeline import Interval, Window, in_utc, interval, to_datetime, to_ms
from schemas.candles import CANDLES
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

_INDEXED: Final = {"_id": 0, "start": 1, "stored": 1, "audited": 1}
"""What the index holds: asked for nothing else, the server reads no document."""


class SeenBucket(NamedTuple):
    """A bucket as it is before its candles are read."""

    id: str
    window: Window
    rev: int | None


class AuditedBuckets:
    """The notes of one database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._candles = database[CANDLES.name]

    def due(self, key: SeriesKey, span: Window, holes: Iterable[Window], also: Iterable[Window]) -> list[Window]:
        """The candles of `span` that are to be looked at: those of buckets not noted as sound, or with fewer closed
        candles than belong there by now, `holes` set aside; and those of the buckets in `also`."""
        step = interval(key.interval)
        first = step.index(span.start) // SLOTS_PER_BUCKET
        due = _expected(step, span, holes)
        waiting = np.zeros(len(due), np.bool_)
        for one in self._candles.find(_buckets(key, span), _INDEXED):
            place = step.index(to_ms(in_utc(one["start"]))) // SLOTS_PER_BUCKET - first
            due[place] -= one.get("stored") or 0
            waiting[place] |= one.get("audited") is not True
        for window in also:
            waiting[_places(step, first, window)] = True
        return [
            Window(max(span.start, stretch.start), min(span.end, stretch.end))
            for stretch in _stretches(step, first, np.flatnonzero(waiting | (due > 0)).tolist())
        ]

    def seen(self, key: SeriesKey, windows: Iterable[Window]) -> list[SeenBucket]:
        """The buckets of these candles, to be asked for before the candles are."""
        step = interval(key.interval)
        return [
            SeenBucket(one["_id"], step.bucket(to_ms(in_utc(one["start"]))), one.get("rev"))
            for window in windows
            for one in self._candles.find(_buckets(key, window), {"start": 1, "rev": 1})
        ]

    def note(self, sound: Iterable[SeenBucket]) -> None:
        """They are sound, those that nobody wrote since they were seen."""
        notes = [
            UpdateOne({"_id": one.id, "rev": one.rev, "audited": {"$ne": True}}, {"$set": {"audited": True}})
            for one in sound
        ]
        if notes:
            self._candles.bulk_write(notes, ordered=False)

    def doubt(self, key: SeriesKey, windows: Sequence[Window]) -> None:
        """What the buckets of these candles were compared with is another now; whoever compares them just now may
        have seen the old."""
        change = {"$set": {"audited": False}, "$inc": {"rev": Int64(1)}}
        for window in windows:
            self._candles.update_many(_buckets(key, window), change)


def _buckets(key: SeriesKey, window: Window) -> dict[str, Any]:
    start = interval(key.interval).bucket(window.start).start
    return buckets_of_series(key) | {"start": {"$gte": to_datetime(start), "$lte": to_datetime(window.end)}}


def _expected(step: Interval, span: Window, holes: Iterable[Window]) -> npt.NDArray[np.int64]:
    """How many candles of `span` each of its buckets should hold."""
    base = step.index(span.start) // SLOTS_PER_BUCKET * SLOTS_PER_BUCKET
    last = step.index(span.end)
    slots = np.zeros(((last - base) // SLOTS_PER_BUCKET + 1) * SLOTS_PER_BUCKET, np.int64)
    slots[step.index(span.start) - base : last - base + 1] = 1
    for hole in holes:
        slots[max(0, step.index(hole.start) - base) : max(0, step.index(hole.end) - base + 1)] = 0
    expected: npt.NDArray[np.int64] = slots.reshape(-1, SLOTS_PER_BUCKET).sum(axis=1)
    return expected


def _places(step: Interval, first: int, window: Window) -> slice:
    start, end = (step.index(time) // SLOTS_PER_BUCKET - first for time in window)
    return slice(max(0, start), max(0, end + 1))


def _stretches(step: Interval, first: int, places: Sequence[int]) -> Iterable[Window]:
    """Buckets that lie side by side, as one stretch of candles each."""
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] == place - 1:
            found[-1][1] = place
        else:
            found.append([place, place])
    for start, end in found:
        yield Window(
            step.open_time((first + start) * SLOTS_PER_BUCKET),
            step.open_time((first + end + 1) * SLOTS_PER_BUCKET - 1),
        )
