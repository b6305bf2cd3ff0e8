"""Buckets to BSON and back at the speed of memory.

A bucket whose bytes match the layout is copied column by column. One with holes is walked element by element, and its
candles are copied likewise. Whatever matches neither (edited by hand, another field order, an integer for a double)
goes through the ordinary decoder. So the fast way is only ever taken over bytes it has verified; a document that is no
bucket is refused by name, never guessed at.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument

from pipeline.errors import AttentionError
from pipeline.store.candles.frame import CANDLE, Flags, Grid, Values, blank_values
from pipeline.store.candles.layout import (
    ARRAY,
    CANDLE_ROW,
    ELEMENT_KEYS,
    EMBEDDED,
    FULL_ARRAY,
    NULL,
    RUNS,
    BucketLayout,
    Bytes,
    bucket_layout,
    header_document,
)
from pipeline.timeline import iso, to_ms
from schemas.candles import CANDLE_FIELDS, INDICATOR_FIELDS
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)
BLOCK: Final = 6
"""Buckets handled at once: few enough that they stay in the processor's cache from field to field."""

_NOTHING: Final = b"".join(bytes([NULL]) + key for key in ELEMENT_KEYS)
_ELEMENT_ENDS: Final = np.cumsum([1 + len(key) + CANDLE_ROW.size for key in ELEMENT_KEYS])
_ARRAY_NAME: Final = bytes([ARRAY]) + b"candles\0"


class BrokenBucketError(AttentionError):
    """A document in `candles` is not a bucket: correct it or delete it; what it held can be fetched again."""


class _Sparse(NamedTuple):
    """What a bucket with holes, or an irregular one, holds."""

    start: int
    revision: int
    slots: Sequence[int]
    rows: Values


def encode_buckets(key: SeriesKey, grid: Grid) -> list[RawBSONDocument]:
    """Each bucket of the grid as the document to store; `grid.revisions` are written as they are (None as 0)."""
    full = [bool(slots.all()) for slots in grid.present]
    documents: list[RawBSONDocument] = []
    for is_full, chosen in _stretches(full, BLOCK):
        if is_full:
            documents += map(RawBSONDocument, _encode_full(bucket_layout(key), grid, chosen))
        else:
            documents += (RawBSONDocument(_encode_sparse(key, grid, row)) for row in range(chosen.start, chosen.stop))
    return documents


def _stretches(kinds: Sequence[bool], longest: int) -> Iterator[tuple[bool, slice]]:
    """Runs of neighbours of one kind, cut where they grow longer than a block."""
    first = 0
    for kind, neighbours in groupby(kinds):
        stop = first + len(list(neighbours))
        for start in range(first, stop, longest):
            yield kind, slice(start, min(start + longest, stop))
        first = stop


def encode_rows(columns: Mapping[str, Values]) -> Bytes:
    """Candles as embedded documents, one a row."""
    count = len(columns["t"])
    raw = np.empty((count, CANDLE_ROW.size), np.uint8)
    raw[:] = CANDLE_ROW.template
    rows: Values = raw.view(CANDLE_ROW.dtype)[:, 0]
    for name in CANDLE_FIELDS:
        rows[name] = columns[name]
    return raw


def _encode_full(layout: BucketLayout, grid: Grid, chosen: slice) -> Iterator[bytes]:
    starts = grid.starts[chosen]
    raw = np.empty((len(starts), layout.size), np.uint8)
    head = layout.header.size
    raw[:, :head] = layout.header.template
    raw[:, head:-1] = FULL_ARRAY.template
    raw[:, -1] = 0
    buckets: Values = raw.view(layout.dtype)[:, 0]
    buckets["start"] = starts
    buckets["rev"] = [revision or 0 for revision in grid.revisions[chosen]]
    buckets["stored"] = grid.values["closed"][chosen].sum(axis=1)
    buckets["moment"] = [list(iso(int(start)).encode()) for start in starts]
    for run in RUNS:
        elements = buckets["array"][run.name]
        for name in CANDLE_FIELDS:
            elements[name] = grid.values[name][chosen, run.first : run.stop]
    return (row.tobytes() for row in raw)


def _encode_sparse(key: SeriesKey, grid: Grid, row: int) -> bytes:
    slots = np.flatnonzero(grid.present[row])
    documents = encode_rows({name: grid.values[name][row, slots] for name in CANDLE_FIELDS})
    found = {int(slot): document.tobytes() for slot, document in zip(slots, documents, strict=True)}
    elements = b"".join(
        bytes([EMBEDDED]) + ELEMENT_KEYS[slot] + found[slot] if slot in found else bytes([NULL]) + ELEMENT_KEYS[slot]
        for slot in range(SLOTS_PER_BUCKET)
    )
    array = (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"
    stored = int(grid.values["closed"][row, slots].sum())
    head = bson.encode(header_document(key, int(grid.starts[row]), grid.revisions[row] or 0, stored))
    body = head[4:-1] + _ARRAY_NAME + array + b"\0"
    return (len(body) + 4).to_bytes(4, "little") + body


def decode_buckets(key: SeriesKey, raw: bytes, columns: Sequence[str] = CANDLE_FIELDS) -> Grid:
    """The buckets in a run of BSON documents, in the order in which they stand; only the asked columns are read."""
    layout = bucket_layout(key)
    spans = list(_documents(raw))
    values = blank_values(len(spans), columns)
    present = np.zeros((len(spans), SLOTS_PER_BUCKET), np.bool_)
    starts = np.zeros(len(spans), np.int64)
    revisions: list[int | None] = [None] * len(spans)
    irregular: list[int] = []
    for is_sized, chosen in _stretches([size == layout.size for _, size in spans], BLOCK):
        if not is_sized:
            continue
        count, offset = chosen.stop - chosen.start, spans[chosen.start][0]
        buckets: Values = np.ndarray(count, layout.dtype, raw, offset)
        matching = _verify(layout, np.ndarray((count, layout.size), np.uint8, raw, offset))
        starts[chosen], present[chosen] = buckets["start"], matching[:, np.newaxis]
        revisions[chosen] = buckets["rev"].tolist()
        for run in RUNS:
            elements = buckets["array"][run.name]
            for name in columns:
                values[name][chosen, run.first : run.stop] = elements[name]
        irregular += (chosen.start + np.flatnonzero(~matching)).tolist()
    irregular += [row for row, (_, size) in enumerate(spans) if size != layout.size]
    for row in irregular:
        offset, size = spans[row]
        found = _decode_sparse(raw[offset : offset + size])
        starts[row], revisions[row] = found.start, found.revision
        present[row, found.slots] = True
        for name in columns:
            values[name][row, found.slots] = found.rows[name]
    return Grid(starts, revisions, present, values)


def _documents(raw: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(raw):
        size = int.from_bytes(raw[offset : offset + 4], "little")
        yield offset, size
        offset += size


def _verify(layout: BucketLayout, rows: Bytes) -> Flags:
    head = layout.header
    matching: Flags = ((rows[:, : head.size] & head.mask) == head.template).all(axis=1) & (rows[:, -1] == 0)
    constant = FULL_ARRAY.template.tobytes()
    selected = np.empty(FULL_ARRAY.size, np.uint8)
    for row in np.flatnonzero(matching):
        np.bitwise_and(rows[row, head.size : -1], FULL_ARRAY.mask, out=selected)
        matching[row] = selected.tobytes() == constant
    return matching


def _decode_sparse(raw: bytes) -> _Sparse:
    head_end = raw.find(_ARRAY_NAME)
    if head_end >= 0 and _is_last(raw, head_end):
        head = bson.decode((head_end + 1).to_bytes(4, "little") + raw[4:head_end] + b"\0", _OPTIONS)
        walked = _walk(raw, head_end + len(_ARRAY_NAME) + 4)
        if walked is not None and isinstance(head.get("start"), datetime):
            return _Sparse(to_ms(head["start"]), _revision(head), *walked)
    return _decode_ordinary(raw)


def _is_last(raw: bytes, head_end: int) -> bool:
    """Whether the array that begins there is the document's last field."""
    size_at = head_end + len(_ARRAY_NAME)
    size = int.from_bytes(raw[size_at : size_at + 4], "little")
    return size_at + size + 1 == len(raw)


def _walk(raw: bytes, offset: int) -> tuple[Sequence[int], Values] | None:
    """The slots that hold a candle and those candles; None if any element is not exactly of the layout."""
    return _begun(raw, offset) or _element_by_element(raw, offset)


def _begun(raw: bytes, offset: int) -> tuple[Sequence[int], Values] | None:
    """The same of the newest bucket of a series: candles, and behind them nothing."""
    filled, rest = divmod(len(raw) - 2 - offset - len(_NOTHING), CANDLE_ROW.size)
    if rest or not 0 < filled < SLOTS_PER_BUCKET:
        return None
    empty = sum(1 + len(key) for key in ELEMENT_KEYS[filled:])
    size = len(raw) - 2 - offset - empty
    elements = np.frombuffer(raw, np.uint8, size, offset)
    if not raw.endswith(_NOTHING[-empty:], offset + size, len(raw) - 2) or not np.array_equal(
        elements & FULL_ARRAY.mask[4 : 4 + size], FULL_ARRAY.template[4 : 4 + size]
    ):
        return None
    ends = _ELEMENT_ENDS[:filled]
    rows = elements[ends[:, np.newaxis] + np.arange(-CANDLE_ROW.size, 0)]
    return range(filled), rows.reshape(-1).view(CANDLE_ROW.dtype)


def _element_by_element(raw: bytes, offset: int) -> tuple[Sequence[int], Values] | None:
    size = CANDLE_ROW.size
    slots: list[int] = []
    offsets: list[int] = []
    slot, end = 0, len(raw) - 2
    while offset < end:
        if slot == SLOTS_PER_BUCKET:
            return None
        kind, key = raw[offset], ELEMENT_KEYS[slot]
        offset += 1 + len(key)
        if raw[offset - len(key) : offset] != key:
            return None
        if kind == EMBEDDED:
            slots.append(slot)
            offsets.append(offset)
            offset += size
        elif kind != NULL:
            return None
        slot += 1
    if offset != end:
        return None
    data = np.frombuffer(raw, np.uint8)
    rows = data[np.asarray(offsets, np.int64)[:, np.newaxis] + np.arange(size)]
    if not ((rows & CANDLE_ROW.mask) == CANDLE_ROW.template).all():
        return None
    return slots, rows.reshape(-1).view(CANDLE_ROW.dtype)


def _decode_ordinary(raw: bytes) -> _Sparse:
    document = bson.decode(raw, _OPTIONS)
    name, start, candles = document.get("_id"), document.get("start"), document.get("candles")
    if not isinstance(start, datetime) or not isinstance(candles, list):
        raise BrokenBucketError(
            f"candles document {name!r} is no bucket: it needs a date `start` and an array `candles`"
        )
    if len(candles) > SLOTS_PER_BUCKET:
        raise BrokenBucketError(f"candles document {name!r} has {len(candles)} slots; a bucket has {SLOTS_PER_BUCKET}")
    slots = [slot for slot, candle in enumerate(candles) if candle is not None]
    rows = np.empty(len(slots), CANDLE)
    for row, slot in enumerate(slots):
        try:
            rows[row] = tuple(_number(candles[slot], field) for field in CANDLE_FIELDS)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BrokenBucketError(
                f"candles document {name!r}, slot {slot}: no candle ({type(error).__name__}: {error}); mend or unset it"
            ) from error
    return _Sparse(to_ms(start), _revision(document), slots, rows)


def _revision(document: Mapping[str, Any]) -> int:
    """A bucket that never had one was made by hand: no replacement will match it, slot-wise writes will."""
    return int(document.get("rev") or 0)


def _number(candle: Mapping[str, Any], field: str) -> Any:
    value = candle.get(field) if field in INDICATOR_FIELDS else candle[field]
    if value is None and field in INDICATOR_FIELDS:
        return float("nan")
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, datetime):
        value = to_ms(value)
    elif isinstance(value, DatetimeMS):
        value = int(value)
    elif field in {"t", "te", "u"}:
        raise TypeError(f"{field} is {value!r}, not a date")
    return CANDLE[field].type(value)
