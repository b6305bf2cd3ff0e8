"""Are the bucket documents what the store's arithmetic takes them for? Tells, and takes a broken one out when told."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pymongo.database import Database

from pipeline.store.bson_layout import bucket_id
from pipeline.timeline import SLOTS_PER_BUCKET, Interval, Window, interval, iso, to_ms
from schemas.candles import CANDLES
from schemas.series import SeriesKey


class BrokenBucket(NamedTuple):
    """A document that is not a bucket of its series, what is wrong with it, and the candles it should hold."""

    id: str
    what: str
    window: Window | None


class Integrity:
    """The buckets of one database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._candles = database[CANDLES.name]

    def broken(self, key: SeriesKey) -> Iterator[BrokenBucket]:
        """Every bucket of the series in which something is not where it belongs."""
        step = interval(key.interval)
        named = {"_id": {"$gte": f"{key}:", "$lt": f"{key}:~"}}
        fields = {"exchange": 1, "symbol": 1, "interval": 1, "start": 1, "candles.t": 1}
        for document in self._candles.find(named, fields).sort("_id", 1):
            what, window = _fault(document, key, step)
            if what is not None:
                yield BrokenBucket(document["_id"], what, window)

    def remove(self, bucket: BrokenBucket) -> None:
        """Take the document out, so that its candles are missing and can be fetched again."""
        self._candles.delete_one({"_id": bucket.id})


def _fault(document: dict[str, Any], key: SeriesKey, step: Interval) -> tuple[str | None, Window | None]:
    start = document.get("start")
    if not isinstance(start, datetime):
        return "it has no start", None
    opened = _ms(start)
    bucket = step.bucket(opened)
    if bucket.start != opened:
        return f"no bucket of {step} starts at {start.isoformat()}", None
    if document["_id"] != bucket_id(key, opened):
        return "its name does not tell its start", bucket
    if (document.get("exchange"), document.get("symbol"), document.get("interval")) != tuple(_parts(key)):
        return "it says that it belongs to another series", bucket
    candles = document.get("candles")
    if not isinstance(candles, list) or len(candles) > SLOTS_PER_BUCKET:
        return f"it has more than {SLOTS_PER_BUCKET} slots, or none", bucket
    first = step.index(opened)
    for place, candle in enumerate(candles):
        if candle is None:
            continue
        if not isinstance(candle, dict) or not isinstance(candle.get("t"), datetime):
            return f"slot {place} holds no candle", bucket
        if _ms(candle["t"]) != step.open_time(first + place):
            return f"slot {place} holds the candle of {iso(_ms(candle['t']))}", bucket
    return None, None


def _parts(key: SeriesKey) -> tuple[str, str, str]:
    return key.exchange, key.symbol, key.interval


def _ms(moment: datetime) -> int:
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
