"""Which stored candles changed under what builds on them, kept in `series` until indicators and signals are new; and
on which candles that is being written right now, so that two who do it at once, or one who dies, leave nothing old.

A mark is written before the candles it names change, and confirmed after. So whatever crashes, the mark is there; and
who computes meanwhile may use it but takes it away only if it was confirmed, or if its writer must be long gone.
"""

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from bson import ObjectId
from pymongo import UpdateOne

from pipeline.timeline import HOUR, Window, to_datetime, to_ms
from schemas.series import SeriesKey, Stale, Underway

LONGEST_WRITE: Final = HOUR
"""Nothing that is written takes so long: a mark that is older, and unconfirmed, was left by a crash."""


class Mark(NamedTuple):
    """One change: the candles of `window`, by opening time, become others."""

    id: str
    key: SeriesKey
    window: Window


def new_mark(key: SeriesKey, window: Window) -> Mark:
    """A mark with a name of its own."""
    return Mark(str(ObjectId()), key, window)


def announcement(mark: Mark) -> UpdateOne:
    """To be written, and acknowledged, before the candles."""
    start, end = map(to_datetime, mark.window)
    stale = Stale(id=mark.id, start=start, end=end, confirmed=False)
    identity = {name: getattr(mark.key, name) for name in ("exchange", "symbol", "interval")}
    return UpdateOne(
        {"_id": str(mark.key)},
        {"$setOnInsert": identity | {"stored": 0}, "$push": {"stale": stale.model_dump()}, "$inc": {"changes": 1}},
        upsert=True,
    )


def confirmation(mark: Mark) -> UpdateOne:
    """To be written when the candles are."""
    return UpdateOne({"_id": str(mark.key), "stale.id": mark.id}, {"$set": {"stale.$.confirmed": True}})


def undertaking(mark: Mark) -> UpdateOne:
    """To be written before what is derived from these candles."""
    start, end = map(to_datetime, mark.window)
    underway = Underway(id=mark.id, start=start, end=end)
    return UpdateOne({"_id": str(mark.key)}, {"$push": {"deriving": underway.model_dump()}})


def is_settled(stale: Stale, now: int) -> bool:
    """Whether the candles it names have their new values, so that what is computed from them now is final."""
    return stale.confirmed or _is_old(stale.id, now)


def is_forsaken(underway: Underway, now: int) -> bool:
    """Whether its writer must be long gone."""
    return _is_old(underway.id, now)


def _is_old(name: str, now: int) -> bool:
    return to_ms(_written_at(name)) < now - LONGEST_WRITE


def _written_at(name: str) -> datetime:
    moment: Any = ObjectId(name).generation_time
    return datetime.fromtimestamp(moment.timestamp(), UTC)
