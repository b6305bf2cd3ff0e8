"""Which slots of a series are filled, by what its buckets say of themselves: only those that are not full are looked
into. The index answers for the others, and no candle leaves the server. It changes nothing.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pymongo.collection import Collection

from pipeline.store.candles.codec import BrokenBucketError
from pipeline.timeline import Interval, Window, in_utc, interval, to_datetime, to_ms
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

Documents = Collection[dict[str, Any]]
Presence = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_INDEXED: Final = {"_id": 0, "start": 1, "stored": 1}
"""What the index holds: asked for nothing else, the server reads no document."""
_AT_ONCE: Final = 1_000
_IS_CLOSED: Final = {
    "start": 1,
    "closed": {
        "$cond": [
            {"$isArray": "$candles"},
            {"$map": {"input": "$candles", "as": "slot", "in": "$$slot.closed"}},
            "nothing",
        ]
    },
}


_CLOSED: Final = {"$filter": {"input": "$candles", "cond": {"$eq": ["$$this.closed", True]}}}
COUNTED: Final[dict[str, Any]] = {"$toLong": {"$cond": [{"$isArray": "$candles"}, {"$size": _CLOSED}, 0]}}
"""How many closed candles a bucket really holds, as the server works it out."""


class SlotState(IntEnum):
    """What `presence` says of a slot."""

    MISSING = 0
    OPEN = 1
    CLOSED = 2


class Coverage(NamedTuple):
    """Opening times of the first and the last closed candle of a series, and how many closed candles there are."""

    first: int | None = None
    last_closed: int | None = None
    stored: int = 0


def buckets_of_series(key: SeriesKey) -> dict[str, Any]:
    """The filter that finds the buckets of a series by the index."""
    return {"exchange": key.exchange, "symbol": key.symbol, "interval": key.interval}


def presence(candles: Documents, key: SeriesKey, start: int, end: int) -> Presence:
    """A `SlotState` for every candle that could open in [start, end], the first of them first."""
    step = interval(key.interval)
    start = step.ceil(start)
    states = np.full(step.count(start, end), SlotState.MISSING, np.uint8)
    if not len(states):
        return states
    first = step.index(start)
    span = {"start": {"$gte": to_datetime(step.slot(start).bucket), "$lte": to_datetime(end)}}
    partial: list[int] = []
    for opened, stored in _counts(candles, buckets_of_series(key) | span):
        base = step.index(opened) - first
        if stored < SLOTS_PER_BUCKET:
            partial.append(opened)
        else:
            states[max(0, base) : base + SLOTS_PER_BUCKET] = SlotState.CLOSED
    for opened, slots in _slots(candles, key, partial):
        base = step.index(opened) - first
        seen = states[max(0, base) : base + SLOTS_PER_BUCKET]
        seen[:] = slots[max(0, -base) :][: len(seen)]
    return states


def coverage(candles: Documents, key: SeriesKey) -> Coverage:
    """What is stored of a series, counted by its buckets."""
    group = {"_id": None, "first": {"$min": "$start"}, "last": {"$max": "$start"}, "stored": {"$sum": "$stored"}}
    stages = [{"$match": buckets_of_series(key) | {"stored": {"$gt": 0}}}, {"$group": group}]
    for counted in candles.aggregate(stages):
        first, last = (to_ms(in_utc(counted[name])) for name in ("first", "last"))
        ends = dict(_slots(candles, key, {first, last}))
        closed = [np.flatnonzero(ends[opened] == SlotState.CLOSED) for opened in (first, last)]
        step = interval(key.interval)
        return Coverage(
            step.after(first, int(closed[0][0])), step.after(last, int(closed[1][-1])), int(counted["stored"])
        )
    return Coverage()


def bounds(candles: Documents, key: SeriesKey) -> tuple[int, int] | None:
    """Opening times of the first and the last slot of the series' buckets."""
    first, last = (
        candles.find_one(buckets_of_series(key), _INDEXED, sort=[("start", direction)]) for direction in (1, -1)
    )
    if first is None or last is None:
        return None
    return to_ms(in_utc(first["start"])), interval(key.interval).bucket(to_ms(in_utc(last["start"]))).end


def runs(step: Interval, first: int, flags: Flags) -> list[Window]:
    """The stretches of flagged slots, of which the first has that number."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).view(np.int8)))
    return [
        Window(step.open_time(first + begin), step.open_time(first + end - 1))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def _counts(candles: Documents, matches: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """When each bucket begins, in order, and how many closed candles it says it holds."""
    for one in candles.find(matches, _INDEXED, batch_size=10 * _AT_ONCE).sort("start", 1):
        yield to_ms(in_utc(one["start"])), one.get("stored") or 0


def _slots(candles: Documents, key: SeriesKey, starts: Iterable[int]) -> Iterator[tuple[int, Presence]]:
    """The states of all slots of these buckets."""
    asked = sorted(starts)
    for place in range(0, len(asked), _AT_ONCE):
        chosen = {"start": {"$in": [to_datetime(opened) for opened in asked[place : place + _AT_ONCE]]}}
        stages: list[dict[str, Any]] = [{"$match": buckets_of_series(key) | chosen}, {"$project": _IS_CLOSED}]
        for one in candles.aggregate(stages):
            yield to_ms(in_utc(one["start"])), _states(one)


def _states(bucket: dict[str, Any]) -> Presence:
    closed = bucket["closed"]
    if not isinstance(closed, list) or len(closed) > SLOTS_PER_BUCKET:
        raise BrokenBucketError(
            f"candles document {bucket['_id']!r} is no bucket: it needs an array `candles` of {SLOTS_PER_BUCKET} slots"
        )
    states = np.full(SLOTS_PER_BUCKET, SlotState.MISSING, np.uint8)
    known = {True: SlotState.CLOSED, False: SlotState.OPEN}
    states[: len(closed)] = [known.get(one, SlotState.MISSING) for one in closed]
    return states
