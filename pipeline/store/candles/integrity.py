"""Are the bucket documents what the store's arithmetic takes them for? Tells; when told, takes a broken one out, or has
one say what it holds."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from pymongo.database import Database

from pipeline.store.candles.coverage import COUNTED, buckets_of_series
from pipeline.store.candles.layout import bucket_id
from pipeline.timeline import Interval, Window, in_utc, interval, iso, to_datetime, to_ms
from schemas.candles import CANDLES
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

_SLOT: Final = {"$cond": [{"$eq": ["$$slot", None]}, None, {"$ifNull": ["$$slot.t", "nothing"]}]}
_TIMES: Final = {
    **dict.fromkeys(("exchange", "symbol", "interval", "start"), 1),
    "times": {
        "$cond": [{"$isArray": "$candles"}, {"$map": {"input": "$candles", "as": "slot", "in": _SLOT}}, "nothing"]
    },
}
"""When the candle in each slot opens; null for a hole, which a plain projection would leave out."""


class BrokenBucket(NamedTuple):
    """A document that is not a bucket of its series, what is wrong with it, and the candles it should hold."""

    id: str
    what: str
    window: Window | None


class Integrity:
    """The buckets of one database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._candles = database[CANDLES.name]

    def broken(self, key: SeriesKey, among: Window | None = None) -> Iterator[BrokenBucket]:
        """Every bucket of the series, or of these candles, in which something is not where it belongs."""
        step = interval(key.interval)
        named: dict[str, Any] = {"_id": {"$gte": f"{key}:", "$lt": f"{key}:~"}}
        placed = buckets_of_series(key)
        if among is not None:
            start = step.bucket(among.start).start
            named = {"_id": {"$gte": bucket_id(key, start), "$lte": bucket_id(key, among.end)}}
            placed |= {"start": {"$gte": to_datetime(start), "$lte": to_datetime(among.end)}}
        for matches in (named, *self._strays(named, placed)):
            for document in self._candles.aggregate([{"$match": matches}, {"$sort": {"_id": 1}}, {"$project": _TIMES}]):
                what, window = _fault(document, key, step)
                if what is not None:
                    yield BrokenBucket(document["_id"], what, window)

    def _strays(self, named: dict[str, Any], placed: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The filter of documents that say they belong here under a name that does not, where there may be any: as long
        as the indexes count as many by name as by place, no document is read to look for them."""
        if self._candles.count_documents(placed) != self._candles.count_documents(named):
            yield placed | {"$nor": [named]}

    def count_anew(self, key: SeriesKey, window: Window) -> None:
        """Have the buckets of these candles say how many closed ones they really hold."""
        step = interval(key.interval)
        span = {"$gte": to_datetime(step.bucket(window.start).start), "$lte": to_datetime(window.end)}
        self._candles.update_many(
            {**buckets_of_series(key), "start": span}, [{"$set": {"stored": COUNTED, "audited": False}}]
        )

    def remove(self, bucket: BrokenBucket) -> None:
        """Take the document out, so that its candles are missing and can be fetched again."""
        self._candles.delete_one({"_id": bucket.id})


def _fault(document: dict[str, Any], key: SeriesKey, step: Interval) -> tuple[str | None, Window | None]:
    start = document.get("start")
    if not isinstance(start, datetime):
        return "it has no start", None
    opened = to_ms(in_utc(start))
    bucket = step.bucket(opened)
    if bucket.start != opened:
        return f"no bucket of {step} starts at {start.isoformat()}", None
    if document["_id"] != bucket_id(key, opened):
        return "its name does not tell its start", bucket
    if (document.get("exchange"), document.get("symbol"), document.get("interval")) != tuple(_parts(key)):
        return "it says that it belongs to another series", bucket
    times = document["times"]
    if not isinstance(times, list) or len(times) > SLOTS_PER_BUCKET:
        return f"it has more than {SLOTS_PER_BUCKET} slots, or none", bucket
    first = step.index(opened)
    for place, time in enumerate(times):
        if time is None:
            continue
        if not isinstance(time, datetime):
            return f"slot {place} holds no candle", bucket
        if (opens := to_ms(in_utc(time))) != step.open_time(first + place):
            return f"slot {place} holds the candle of {iso(opens)}", bucket
    return None, None


def _parts(key: SeriesKey) -> tuple[str, str, str]:
    return key.exchange, key.symbol, key.interval
