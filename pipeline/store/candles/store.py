"""Stored candles: load a stretch as a table, put the exchange's truth in, ask which slots are filled.

A write of many candles reads the buckets it touches, merges in memory by the laws in `merge`, and replaces only what
changed, each replacement on condition that the bucket is still the one that was read (its `rev`). Whoever wrote in
between wins nothing and loses nothing: the bucket is read and merged again, this time slot by slot, so that even a
bucket under a stream of live updates is finished. No write depends on a clock, and none here ever empties a slot.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import polars as pl
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from pipeline.candle import Candle, CandleWrite
from pipeline.errors import TidemarkError, UsageError
from pipeline.store.candles import coverage, stale
from pipeline.store.candles.codec import BrokenBucketError, decode_buckets, encode_buckets, encode_rows
from pipeline.store.candles.coverage import Presence
from pipeline.store.candles.frame import (
    Collected,
    Grid,
    Values,
    blank_values,
    from_frame,
    to_frame,
    to_grid,
    with_every_indicator,
)
from pipeline.store.candles.layout import bucket_id
from pipeline.store.candles.live import (
    WriteReport,
    buckets_of,
    creation_operations,
    newest_operation,
    only_duplicates,
)
from pipeline.store.candles.merge import Law, Merged, merge_indicators, merge_truth
from pipeline.timeline import Window, interval, to_ms
from schemas.candles import CANDLE_FIELDS, CANDLES, INDICATOR_FIELDS
from schemas.series import SERIES, SeriesKey

BUCKETS_AT_ONCE: Final = 96
"""About 8 MB a bulk: far under the server's 48 MB message, enough that the round trip does not count."""

WRITERS: Final = 2
"""One bulk is merged and encoded while the server works on the other. They share no bucket."""

BUCKETS_A_BATCH: Final = 48

MOST_ROOM: Final = 1 << 20
"""Candles to make room for at first, however long the stretch; more room follows when they come."""

ATTEMPTS: Final = 64
"""A bucket is lost to another writer this often in a row only if something is wrong with that writer."""

_STORED_FIELDS: Final = tuple(name for name in CANDLE_FIELDS if name not in INDICATOR_FIELDS)

Write = InsertOne[Any] | ReplaceOne[Any] | UpdateOne


class BucketBusyError(TidemarkError):
    """Other writers changed the same buckets at every attempt. Nothing is lost; run the write again."""


class CandleStore:
    """The candles of one database, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._collection: Collection[dict[str, Any]] = database[CANDLES.name]
        self._series: Collection[dict[str, Any]] = database[SERIES.name]

    def load(self, key: SeriesKey, start: int, end: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The stored candles that open in [start, end], in time order; holes are simply not there."""
        return to_frame(self.columns(key, start, end, columns))

    def columns(
        self, key: SeriesKey, start: int, end: int, columns: Sequence[str] | None = None
    ) -> Mapping[str, Values]:
        """The same, an array for each column; times are milliseconds."""
        wanted = _known_columns(columns)
        collected = Collected(wanted, min(interval(key.interval).count(start, end), MOST_ROOM))
        for grid in self._grids(key, start, end, wanted):
            collected.add(grid)
        return collected.columns()

    def closes(self, key: SeriesKey, start: int, end: int) -> dict[int, float]:
        """What each stored candle that opens in [start, end] closed at, and nothing else of it: by when it opens."""
        step = interval(key.interval)
        first, last = step.slot(step.ceil(start)), step.slot(end)
        span = {"$gte": bucket_id(key, first.bucket), "$lte": bucket_id(key, last.bucket)}
        closes = {"$map": {"input": "$candles", "in": "$$this.close"}}
        found: dict[int, float] = {}
        for bucket in self._collection.aggregate([{"$match": {"_id": span}}, {"$project": {"start": 1, "c": closes}}]):
            begin = step.index(to_ms(bucket["start"]))
            opened = ((step.open_time(begin + place), close) for place, close in enumerate(bucket["c"]))
            found |= {t: close for t, close in opened if close is not None and start <= t <= end}
        return found

    def newest_two(self, keys: Sequence[SeriesKey], now: int) -> dict[SeriesKey, list[dict[str, Any]]]:
        """The candle that is open at that moment and the one before it, of each series that has stored them: all series
        of an interval have them in the same slots."""
        found: dict[SeriesKey, list[dict[str, Any]]] = {}
        for code in {key.interval for key in keys}:
            step, of_length = interval(code), {key for key in keys if key.interval == code}
            for t in (step.after(now, -1), step.floor(now)):
                place = step.slot(t)
                ids = {bucket_id(key, place.bucket): key for key in of_length}
                slot = {"candles": {"$slice": [place.position, 1]}}
                for bucket in self._collection.find({"_id": {"$in": list(ids)}}, slot):
                    candles = [one for one in bucket["candles"] if one is not None]
                    found.setdefault(ids[bucket["_id"]], []).extend(candles)
        return found

    def presence(self, key: SeriesKey, start: int, end: int) -> Presence:
        """A `SlotState` for every candle that could open in [start, end], the first of them first."""
        return coverage.presence(self._collection, key, start, end)

    def replace_closed(self, key: SeriesKey, frame: pl.DataFrame) -> WriteReport:
        """Store what REST or the archive says. Corrects closed candles; an open one only where it is newer.

        Closed candles that this changes are marked in `series`, see `stale`: what builds on them is to be computed.
        """
        columns = from_frame(frame, interval(key.interval), _STORED_FIELDS)
        return self._write(key, with_every_indicator(columns), merge_truth, marks=True)

    def store_open(self, key: SeriesKey, candle: Candle) -> None:
        """Store the candle that is open now, unless a newer one is stored; its bucket is not read."""
        stored = self._collection.bulk_write([newest_operation(key, candle)]).matched_count
        (bucket,) = buckets_of([CandleWrite(key, candle)])
        if not stored and self._collection.find_one({"_id": bucket.id}, {"_id": 1}) is None:
            self._send(creation_operations([bucket]))
            self._collection.bulk_write([newest_operation(key, candle)])

    def set_indicators(self, key: SeriesKey, frame: pl.DataFrame) -> WriteReport:
        """Set indicators of stored candles from a column `t` and one for each indicator; all else stays.

        With a column `u` (as `load` gives it) a candle that was written since it was loaded is left alone: its
        indicators belong to the new values.
        """
        return self._write(key, from_frame(frame, interval(key.interval), ("t",)), merge_indicators)

    def _grids(self, key: SeriesKey, start: int, end: int, columns: Sequence[str]) -> Iterator[Grid]:
        """The buckets that touch [start, end], a batch at a time, without the candles outside it."""
        step = interval(key.interval)
        start = step.ceil(start)
        if end < start:
            return
        first, last = step.slot(start), step.slot(end)
        span = {"$gte": bucket_id(key, first.bucket), "$lte": bucket_id(key, last.bucket)}
        for grid in self._read(key, {"_id": span}, columns):
            grid.present[grid.starts == first.bucket, : first.position] = False
            grid.present[grid.starts == last.bucket, last.position + 1 :] = False
            yield grid

    def _read(self, key: SeriesKey, matches: dict[str, Any], columns: Sequence[str]) -> Iterator[Grid]:
        batches: Any = self._collection.find_raw_batches(matches, sort=[("_id", 1)], batch_size=BUCKETS_A_BATCH)
        for raw in batches:
            if raw:
                yield decode_buckets(key, raw, columns)

    def _write(self, key: SeriesKey, columns: dict[str, Values], law: Law, *, marks: bool = False) -> WriteReport:
        offered = to_grid(columns, interval(key.interval))
        parts = [
            _part(offered, first, first + BUCKETS_AT_ONCE) for first in range(0, len(offered.starts), BUCKETS_AT_ONCE)
        ]
        if len(parts) < 2:
            return sum((self._write_buckets(key, part, law, marks) for part in parts), WriteReport())
        with ThreadPoolExecutor(WRITERS) as writers:
            return sum(writers.map(lambda part: self._write_buckets(key, part, law, marks), parts), WriteReport())

    def _write_buckets(self, key: SeriesKey, offered: Grid, law: Law, marks: bool) -> WriteReport:
        report: WriteReport | None = None
        announced: list[stale.Mark] = []
        for attempt in range(ATTEMPTS):
            stored = self._stored(key, offered)
            merged = law(stored, offered)
            report = report or _report(offered, merged)
            if marks:
                announced += self._announce(key, merged)
            operations = _by_slot(key, stored, merged) if attempt % 2 else _by_bucket(key, merged)
            if self._send(operations) == len(operations):
                self._confirm(announced)
                return report
        raise BucketBusyError(
            f"{key}: other writers changed the same buckets {ATTEMPTS} times in a row while candles were being stored; "
            "everything stored so far is kept, run the same write again"
        )

    def _announce(self, key: SeriesKey, merged: Merged) -> list[stale.Mark]:
        """Mark the closed candles that are about to change."""
        step = interval(key.interval)
        rows, slots = np.nonzero(merged.changed & merged.grid.values["closed"])
        if not len(rows):
            return []
        first, last = (step.index(int(merged.grid.starts[rows[end]])) + int(slots[end]) for end in (0, -1))
        mark = stale.new_mark(key, Window(step.open_time(first), step.open_time(last)))
        self._series.bulk_write([stale.announcement(mark)])
        return [mark]

    def _confirm(self, announced: list[stale.Mark]) -> None:
        if announced:
            self._series.bulk_write([stale.confirmation(mark) for mark in announced])

    def _stored(self, key: SeriesKey, offered: Grid) -> Grid:
        """What the database holds of the offered buckets, aligned with them."""
        names = [bucket_id(key, int(start)) for start in offered.starts]
        rows = {int(start): row for row, start in enumerate(offered.starts)}
        values = blank_values(len(names))
        present = np.zeros_like(offered.present)
        revisions: list[int | None] = [None] * len(names)
        for found in self._read(key, {"_id": {"$in": names}}, CANDLE_FIELDS):
            if not rows.keys() >= set(found.starts.tolist()):
                raise BrokenBucketError(f"{key}: a candles document says another `start` than its `_id`; delete it")
            where = [rows[int(start)] for start in found.starts]
            present[where] = found.present
            for row, revision in zip(where, found.revisions, strict=True):
                revisions[row] = revision
            for name, column in found.values.items():
                values[name][where] = column
        return Grid(offered.starts, revisions, present, values)

    def _send(self, operations: Sequence[Write]) -> int:
        """How many operations took effect; the others met a document that exists, or is not as it was read."""
        if not operations:
            return 0
        try:
            result = self._collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            return int(error.details["nInserted"]) + int(error.details["nMatched"])
        return result.inserted_count + result.matched_count


def _known_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return CANDLE_FIELDS
    unknown = [name for name in columns if name not in CANDLE_FIELDS]
    if unknown:
        raise UsageError(f"a candle has no column {', '.join(unknown)}; it has {', '.join(CANDLE_FIELDS)}")
    return tuple(columns)


def _report(offered: Grid, merged: Merged) -> WriteReport:
    total, written, refused = int(offered.present.sum()), int(merged.changed.sum()), int(merged.refused.sum())
    return WriteReport(total, written, total - written - refused, refused)


def _part(grid: Grid, first: int, stop: int) -> Grid:
    return Grid(
        grid.starts[first:stop],
        grid.revisions[first:stop],
        grid.present[first:stop],
        {name: column[first:stop] for name, column in grid.values.items()},
    )


def _by_bucket(key: SeriesKey, merged: Merged) -> list[Write]:
    """Whole buckets, each on condition that it is still the one that was read."""
    rows = np.flatnonzero(merged.changed.any(axis=1))
    grid = merged.grid
    before = [grid.revisions[row] for row in rows.tolist()]
    after = Grid(
        grid.starts[rows],
        [(revision or 0) + 1 for revision in before],
        grid.present[rows],
        {name: column[rows] for name, column in grid.values.items()},
    )
    return [
        InsertOne(document)
        if revision is None
        else ReplaceOne({"_id": bucket_id(key, int(start)), "rev": revision}, document)
        for start, revision, document in zip(after.starts, before, encode_buckets(key, after), strict=True)
    ]


def _by_slot(key: SeriesKey, stored: Grid, merged: Merged) -> list[Write]:
    """Slot by slot, each on condition that the slot still holds what was read; others may be written meanwhile."""
    operations: list[Write] = []
    for row, slot in np.argwhere(merged.changed).tolist():
        path = f"candles.{slot}"
        was_there = bool(stored.present[row, slot])
        was_closed = was_there and bool(stored.values["closed"][row, slot])
        more = int(merged.grid.values["closed"][row, slot]) - int(was_closed)
        operations.append(
            UpdateOne(
                {
                    "_id": bucket_id(key, int(stored.starts[row])),
                    path: _document(stored, row, slot) if was_there else {"$not": {"$type": "object"}},
                },
                {
                    "$set": {path: _document(merged.grid, row, slot), "audited": False},
                    "$inc": {"rev": Int64(1), "stored": Int64(more)},
                },
            )
        )
    return operations


def _document(grid: Grid, row: int, slot: int) -> RawBSONDocument:
    only = {name: column[row : row + 1, slot] for name, column in grid.values.items()}
    return RawBSONDocument(encode_rows(only)[0].tobytes())
