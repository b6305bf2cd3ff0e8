"""What is stored of each series, as one small document: coverage, known holes, watermarks, the last frame.

Readers ask here and never scan candles. Writers keep it true: a backfill or an audit counts the series anew when it is
done, the ingester advances it candle by candle. Every update can be repeated, and two writers at once do no harm.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database

from pipeline.store.candles.coverage import bounds, coverage
from pipeline.store.candles.stale import Mark, undertaking
from pipeline.store.candles.store import ATTEMPTS, BucketBusyError
from pipeline.store.candles.unfinished import GIVEN_UP
from pipeline.timeline import in_utc, interval, to_datetime, to_ms
from schemas.candles import CANDLES
from schemas.series import SERIES, Gone, Hole, Series, SeriesKey, Watermark

Source = Literal["archive", "rest", "stream", "mixed"]
_FIELDS: Final = ("exchange", "symbol", "interval")


class Progress(NamedTuple):
    """What the ingester saw of a series since it last said so: the newest frame, and closed candles in time order."""

    key: SeriesKey
    last_frame: int
    closed: tuple[int, ...] = ()


class SeriesStore:
    """The `series` collection, through PyMongo's synchronous driver. The time is told by the caller."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database
        self._collection = database[SERIES.name]

    def get(self, key: SeriesKey) -> Series | None:
        """The series, or None if nothing is known of it."""
        found = self._collection.find_one({"_id": str(key)})
        return None if found is None else to_series(found)

    def _found(self, matches: Mapping[str, Any]) -> list[Series]:
        return [to_series(found) for found in self._collection.find(matches).sort("_id", 1)]

    def list(self, exchange: str | None = None, symbol: str | None = None, code: str | None = None) -> list[Series]:
        """All series, or those of an exchange, a symbol, an interval, by name."""
        asked = zip(_FIELDS, (exchange, symbol, code), strict=True)
        return self._found({name: value for name, value in asked if value is not None})

    def of(self, exchange: str, symbols: Iterable[str]) -> Sequence[Series]:
        """The series of these symbols, by name."""
        return self._found({"exchange": exchange, "symbol": {"$in": sorted(symbols)}})

    def among(self, keys: Iterable[SeriesKey]) -> Sequence[Series]:
        """Those of these that something is known of."""
        return self._found({"_id": {"$in": [str(key) for key in keys]}})

    def recount(self, key: SeriesKey, source: Source | None, now: int) -> Series:
        """Count what is stored, by what its buckets say, and write it down where that is news. `source` is where the
        newest of it came from.

        If the ingester counted a candle meanwhile, this count may or may not hold it: it is discarded and taken again.
        """
        for _ in range(ATTEMPTS):
            before = self._collection.find_one({"_id": str(key)})
            if before is None:
                self._update(key, {"$setOnInsert": _identity(key) | {"stored": 0}})
                continue
            found = coverage(self._database[CANDLES.name], key)
            counted = {"first": _moment(found.first), "last_closed": _moment(found.last_closed), "stored": found.stored}
            known = to_series(before)
            if source is None and all(getattr(known, name) == value for name, value in counted.items()):
                return known
            counted["updated_at"] = to_datetime(now)
            noted = self._collection.find_one_and_update(
                {"_id": str(key), "last_closed": before.get("last_closed"), "stored": before.get("stored")},
                [{"$set": counted | ({} if source is None else {"source": _mixed(source)})}],
                return_document=ReturnDocument.AFTER,
            )
            if noted is not None:
                return to_series(noted)
        raise BucketBusyError(f"{key}: closed candles kept arriving during {ATTEMPTS} counts; count it again later")

    def record_hole(self, key: SeriesKey, hole: Hole) -> None:
        """The exchange itself has no such candles. Replaces what was recorded inside the same stretch."""
        outside = _holes_outside(hole.start, hole.end)
        document = hole.model_dump()
        self._update(
            key, [{"$set": _identity(key) | {"holes": {"$concatArrays": [outside, [{"$literal": document}]]}}}]
        )

    def forget_holes(self, key: SeriesKey, start: int, end: int) -> None:
        """The exchange has those candles after all: drop the holes that lie within [start, end]."""
        outside = _holes_outside(to_datetime(start), to_datetime(end))
        self._update(key, [{"$set": _identity(key) | {"holes": outside}}])

    def note_gone(self, key: SeriesKey, why: str, now: int, end: int | None = None) -> bool:
        """No new candles of it will come, for its trading ended, if the exchange says when. False where that was noted
        before, which stays."""
        gone = Gone(since=to_datetime(now), why=why, end=_moment(end)).model_dump()
        before = self._collection.find_one_and_update(
            {"_id": str(key)},
            [{"$set": _identity(key) | {"stored": {"$ifNull": ["$stored", 0]}, "gone": {"$ifNull": ["$gone", gone]}}}],
            upsert=True,
        )
        return before is None or before.get("gone") is None

    def note_back(self, keys: Iterable[SeriesKey]) -> None:
        """The exchange trades them again, those that it did not: what it could not be asked for it can be now."""
        gone = {"_id": {"$in": [str(key) for key in keys]}, "gone": {"$ne": None}}
        own = _holes_that({"$ne": ["$$hole.evidence", GIVEN_UP]})
        self._collection.update_many(gone, [{"$set": {"holes": own}}, {"$unset": "gone"}])

    def set_listed(self, key: SeriesKey, listed: int) -> None:
        """When the exchange began to trade it."""
        self._update(key, {"$set": _identity(key) | {"listed": to_datetime(listed)}})

    def undertake(self, mark: Mark) -> None:
        """What is derived from these candles is about to be written."""
        self._collection.bulk_write([undertaking(mark)])

    def relinquish(self, key: SeriesKey, done: Collection[str]) -> None:
        """There was nothing to write after all."""
        self._collection.update_one({"_id": str(key)}, {"$pull": {"deriving": {"id": {"$in": list(done)}}}})

    def sent_back(self, key: SeriesKey, done: Collection[str]) -> None:
        """The returns in which the candles of these marks had a say are going to be worked out again."""
        if done:
            noted = {"$set": {"stale.$[mark].sent_back": True}}
            self._collection.update_one({"_id": str(key)}, noted, array_filters=[{"mark.id": {"$in": list(done)}}])

    def derived(
        self, seen: Series, indicators: Watermark | None, signals: Watermark | None, done: Collection[str]
    ) -> bool:
        """Indicators and signals are new as far as these say, and on the candles of the marks `done`. False, and
        nothing is noted, where candles changed since the series was `seen`: what was computed may be old again."""
        without = {"id": {"$in": list(done)}}
        reached = {
            "indicators": None if indicators is None else indicators.model_dump(),
            "signals": None if signals is None else signals.model_dump(),
        }
        noted = self._collection.update_one(
            {"_id": seen.id, "changes": seen.changes or {"$in": [0, None]}},
            {"$set": reached, "$pull": {"stale": without, "deriving": without}},
        )
        return bool(noted.matched_count)

    def _update(self, key: SeriesKey, change: Any) -> None:
        self._collection.update_one({"_id": str(key)}, change, upsert=True)

    def bounds(self, key: SeriesKey) -> tuple[int, int] | None:
        """Opening times of the first and the last slot of the series' buckets."""
        return bounds(self._database[CANDLES.name], key)


def progress_operations(progress: Iterable[Progress]) -> list[UpdateOne]:
    """The updates for one ordered bulk, whichever driver sends it.

    A closed candle counts as stored only if it is the very next one after the last closed: told twice, or by two
    ingesters, it counts once. After a gap the count is left to the backfill that fills it.
    """
    operations: list[UpdateOne] = []
    for told in progress:
        step, name, last_frame = interval(told.key.interval), str(told.key), to_datetime(told.last_frame)
        for opened in told.closed:
            moment, before = to_datetime(opened), to_datetime(step.after(opened, -1))
            stored = {"$ifNull": ["$stored", 0]}
            counted = {
                "stored": {"$cond": [{"$eq": ["$last_closed", before]}, {"$add": [stored, 1]}, stored]},
                "last_closed": {"$max": ["$last_closed", moment]},
                "last_frame": {"$max": ["$last_frame", last_frame]},
            }
            operations.append(UpdateOne({"_id": name}, [{"$set": _identity(told.key) | counted}], upsert=True))
        if not told.closed:
            born = {"$setOnInsert": _identity(told.key) | {"stored": 0}}
            operations.append(UpdateOne({"_id": name}, born | {"$max": {"last_frame": last_frame}}, upsert=True))
    return operations


def to_series(document: Mapping[str, Any]) -> Series:
    """A stored document as the model; times carry their zone whatever the client's settings are."""
    return Series.model_validate(_aware(document))


def _moment(time: int | None) -> datetime | None:
    return None if time is None else to_datetime(time)


def _identity(key: SeriesKey) -> dict[str, Any]:
    return {"exchange": key.exchange, "symbol": key.symbol, "interval": key.interval}


def _mixed(source: Source) -> dict[str, Any]:
    """`source` if nothing else is recorded yet, "mixed" if something else is."""
    before = {"$ifNull": ["$source", source]}
    return {"$cond": [{"$eq": [before, source]}, source, "mixed"]}


def _holes_outside(start: datetime, end: datetime) -> dict[str, Any]:
    within = {"$and": [{"$gte": ["$$hole.start", start]}, {"$lte": ["$$hole.end", end]}]}
    return _holes_that({"$not": [within]})


def _holes_that(condition: dict[str, Any]) -> dict[str, Any]:
    return {"$filter": {"input": {"$ifNull": ["$holes", []]}, "as": "hole", "cond": condition}}


def _aware(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_datetime(to_ms(in_utc(value)))
    if isinstance(value, Mapping):
        return {name: _aware(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_aware(one) for one in value]
    return value
