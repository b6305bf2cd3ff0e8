"""Candles of the present: one guarded update a candle, the same through both asynchronous drivers.

The guard is in the update, so the server decides: an open candle gives way to a newer event or to its close, a closed
one only to `authority` (the exchange's REST answer), and indicators alone go to a closed one. A late frame, a
duplicate, a second ingester: nothing happens. For open candles, nearly all there are, the guard is `$max` over the
whole candle, whose order of fields makes the right one the greater (see `schemas.candles`): the bucket is found by its
`_id` alone, which takes the server half the time of a filter that looks into it. The operations are built by pure
functions; the writer only sends them.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError
from pymongo.write_concern import WriteConcern

from pipeline.candle import Candle, CandleWrite, IndicatorWrite
from pipeline.store.candles.layout import bucket_id, header_document
from pipeline.timeline import interval
from schemas.candles import CANDLES, INDICATOR_FIELDS
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

DUPLICATE_KEY: Final = 11000
_WORTH_TWO_LANES: Final = 200  # one connection is one thread of the server: two halve the time of a large bulk
_WRITTEN: Final = {"$inc": {"rev": Int64(1)}}
_NOT_KNOWN: Final = (float("nan"),) * len(INDICATOR_FIELDS)


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of the candles offered: stored, stored already, or refused because the stored one is final or newer.
    The server does not say which live open candles it had newer: they count as written."""

    offered: int = 0
    written: int = 0
    unchanged: int = 0
    refused: int = 0

    def __add__(self, other: "WriteReport") -> "WriteReport":
        return WriteReport(
            self.offered + other.offered,
            self.written + other.written,
            self.unchanged + other.unchanged,
            self.refused + other.refused,
        )


class BucketName(NamedTuple):
    """A bucket by series and opening time."""

    key: SeriesKey
    start: int

    @property
    def id(self) -> str:
        return bucket_id(self.key, self.start)


class _Placed(Protocol):
    @property
    def key(self) -> SeriesKey: ...
    @property
    def t(self) -> int: ...


def buckets_of(candles: Iterable[_Placed]) -> set[BucketName]:
    """The buckets these candles live in."""
    return {BucketName(candle.key, _spot(candle.key.interval, candle.t).bucket) for candle in candles}


def creation_operations(buckets: Iterable[BucketName]) -> list[InsertOne[dict[str, Any]]]:
    """Empty buckets, all slots `null`: only in an array of full length is a slot a position."""
    return [
        InsertOne({**header_document(name.key, name.start, 0, 0), "candles": [None] * SLOTS_PER_BUCKET})
        for name in buckets
    ]


def upsert_operations(candles: Iterable[CandleWrite]) -> list[UpdateOne]:
    """One guarded update a candle. The buckets must exist (`creation_operations`)."""
    return [_upsert(candle) for candle in candles]


def newest_operation(key: SeriesKey, candle: Candle) -> UpdateOne:
    """The update of an open candle that changes nothing, not even the revision, where a closed or a newer one is."""
    spot = _spot(key.interval, candle.t)
    newer = {"$or": [{"closed": True}, {"u": {"$gte": DatetimeMS(candle.u)}}]}
    matches = {
        "_id": _id_of(key, spot.bucket),
        "$nor": [{"candles": {"$elemMatch": {"t": spot.opens, **newer}}}],
    }
    return UpdateOne(matches, {"$max": {spot.path: _as_document(candle, None, spot)}, **_WRITTEN})


def indicator_operations(updates: Iterable[IndicatorWrite]) -> list[UpdateOne]:
    """One update a closed candle, of its indicators alone; where the slot is open or without a candle it stays as it
    is: whoever closes it computes them."""
    return [_set_indicators(update) for update in updates]


class _Spot(NamedTuple):
    """Where a candle lies, the same for every series of an interval: bucket, slot and path to it, its times in BSON."""

    bucket: int
    position: int
    path: str
    opens: DatetimeMS
    closes: DatetimeMS


@lru_cache(maxsize=10_000)
def _spot(code: str, t: int) -> _Spot:
    step = interval(code)
    place = step.slot(t)
    return _Spot(
        place.bucket, place.position, f"candles.{place.position}", DatetimeMS(t), DatetimeMS(step.close_time(t))
    )


_id_of: Final = lru_cache(maxsize=50_000)(bucket_id)


def _as_document(candle: Candle, indicators: tuple[float, ...] | None, spot: _Spot) -> dict[str, Any]:
    return {
        "t": spot.opens,
        "te": spot.closes,
        "closed": candle.closed,
        "u": DatetimeMS(candle.u),
        "open": float(candle.open),
        "high": float(candle.high),
        "low": float(candle.low),
        "close": float(candle.close),
        "volume": float(candle.volume),
        "quote_volume": float(candle.quote_volume),
        "trades": Int64(candle.trades),
        "taker_buy_base": float(candle.taker_buy_base),
        "taker_buy_quote": float(candle.taker_buy_quote),
        **dict(zip(INDICATOR_FIELDS, indicators or _NOT_KNOWN, strict=True)),
    }


def _upsert(write: CandleWrite) -> UpdateOne:
    candle = write.candle
    spot = _spot(write.key.interval, candle.t)
    matches: dict[str, Any] = {"_id": _id_of(write.key, spot.bucket)}
    document = _as_document(candle, write.indicators, spot)
    if not candle.closed:
        return UpdateOne(matches, {"$max": {spot.path: document}, **_WRITTEN})
    if write.authority:
        return UpdateOne(matches, _placed(spot, document))
    matches["$nor"] = [_is_closed(spot)]
    return UpdateOne(
        matches, {"$set": {spot.path: document, "audited": False}, "$inc": {"rev": Int64(1), "stored": Int64(1)}}
    )


def _placed(spot: _Spot, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The closed candle in its slot, whatever that holds: only the server knows whether it is one more."""
    before = {"$let": {"vars": {"slot": {"$arrayElemAt": ["$candles", spot.position]}}, "in": "$$slot.closed"}}
    more = {"$cond": [{"$eq": [before, True]}, Int64(0), Int64(1)]}
    candles = [
        {"$slice": ["$candles", spot.position]},
        [{"$literal": document}],
        {"$slice": ["$candles", spot.position + 1, SLOTS_PER_BUCKET]},
    ]
    return [
        {
            "$set": {
                "rev": {"$add": [{"$ifNull": ["$rev", Int64(0)]}, Int64(1)]},
                "stored": {"$add": [{"$ifNull": ["$stored", Int64(0)]}, more]},
                "audited": False,
                "candles": {"$concatArrays": candles},
            }
        }
    ]


def _set_indicators(update: IndicatorWrite) -> UpdateOne:
    spot = _spot(update.key.interval, update.t)
    values = zip(INDICATOR_FIELDS, update.indicators, strict=True)
    return UpdateOne(
        {"_id": _id_of(update.key, spot.bucket), **_is_closed(spot)},
        {"$set": {f"{spot.path}.{name}": value for name, value in values}, **_WRITTEN},
    )


def _is_closed(spot: _Spot) -> dict[str, Any]:
    """The filter that finds a bucket where that candle is closed. It is found by `t`, which the server compares without
    reading further into the other slots; by a path (`candles.7.closed`) it would search every field of each."""
    return {"candles": {"$elemMatch": {"t": spot.opens, "closed": True}}}


def _lanes(candles: Sequence[CandleWrite]) -> list[list[CandleWrite]]:
    """A large batch in two shares, all candles of a series in the same one so that their order stays."""
    if len(candles) < _WORTH_TWO_LANES:
        return [list(candles)] if candles else []
    lanes: tuple[list[CandleWrite], list[CandleWrite]] = ([], [])
    for candle in candles:
        lanes[hash(candle.key) & 1].append(candle)
    return [lane for lane in lanes if lane]


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether every failure of that bulk is "exists already"."""
    details = error.details
    failures = details.get("writeErrors", [])
    return not details.get("writeConcernErrors") and all(one.get("code") == DUPLICATE_KEY for one in failures)


class KnownBuckets:
    """Which buckets this process has seen to exist, so that they are not created again at every write."""

    _MOST: Final = 50_000

    def __init__(self) -> None:
        self._names: set[BucketName] = set()

    def unknown(self, buckets: set[BucketName]) -> set[BucketName]:
        return buckets - self._names

    def remember(self, buckets: set[BucketName]) -> None:
        if len(self._names) > self._MOST:
            self._names.clear()
        self._names |= buckets


def existing(buckets: set[BucketName]) -> dict[str, Any]:
    """The filter that finds those of the buckets that exist."""
    return {"_id": {"$in": [name.id for name in buckets]}}


def missing(buckets: set[BucketName], found: Iterable[Mapping[str, Any]]) -> set[BucketName]:
    """Those that were not found: dropped since this process created them."""
    ids = {document["_id"] for document in found}
    return {name for name in buckets if name.id not in ids}


def guarded_report(offered: int, matched: int) -> WriteReport:
    """The outcome of guarded updates: what did not match was refused by the guard."""
    written = min(matched, offered)
    return WriteReport(offered, written, 0, offered - written)


class AsyncCandleWriter:
    """Writes candles through PyMongo's `AsyncDatabase` or Motor's `AsyncIOMotorDatabase`. One for each process."""

    def __init__(self, database: Any) -> None:
        self._collection = database[CANDLES.name]
        self._unhurried = self._collection.with_options(write_concern=WriteConcern(w=1))
        """Of an open candle the next state comes soon: nobody waits until the disk has this one."""
        self._known = KnownBuckets()

    async def write(self, candles: Sequence[CandleWrite]) -> WriteReport:
        """Store what is newer than what is stored. Later candles of one call may supersede earlier ones."""
        buckets = buckets_of(candles)
        await self._create(self._known.unknown(buckets))
        lanes = _lanes(candles)
        matched = await self._send_abreast(lanes)
        if matched < len(candles):
            found = await self._collection.find(existing(buckets), {"_id": 1}).to_list(None)
            if lost := missing(buckets, found):
                await self._create(lost)
                matched += await self._send_abreast(lanes)
        return guarded_report(len(candles), matched)

    async def write_indicators(self, updates: Sequence[IndicatorWrite]) -> int:
        """Set the indicators of closed candles; how many candles were there to take them."""
        return await self._send(indicator_operations(updates))

    async def _send_abreast(self, lanes: list[list[CandleWrite]]) -> int:
        """Over as many connections as there are lanes. Every lane has ended, well or not, when this returns."""
        ended = await asyncio.gather(*map(self._send_lane, lanes), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one
        return sum(one for one in ended if not isinstance(one, BaseException))

    async def _send_lane(self, lane: list[CandleWrite]) -> int:
        durable = any(one.candle.closed for one in lane)
        result = await (self._collection if durable else self._unhurried).bulk_write(
            upsert_operations(lane), ordered=False
        )
        return int(result.matched_count)

    async def _send(self, operations: list[UpdateOne]) -> int:
        if not operations:
            return 0
        result = await self._collection.bulk_write(operations, ordered=False)
        return int(result.matched_count)

    async def _create(self, buckets: set[BucketName]) -> None:
        if not buckets:
            return
        try:
            await self._collection.bulk_write(creation_operations(buckets), ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
        self._known.remember(buckets)
