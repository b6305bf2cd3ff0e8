"""Where every byte of a candle and of a bucket stands, as numpy dtypes laid directly over the BSON.

All candles have the same fields of the same types in the same order (`schemas.candles.Candle`), so each takes the same
number of bytes; only the array's own keys ("0" .. "239") grow, and they do so in three runs. Beside each dtype stand a
template (the bytes that never change) and a mask (which bytes those are): a document either matches them in full or is
not of this layout. This module computes offsets; it reads and writes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import bson
import numpy as np
import numpy.typing as npt
from bson.int64 import Int64

from pipeline.timeline import iso, to_datetime
from schemas.candles import Candle
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

Bytes = npt.NDArray[np.uint8]

EMBEDDED: Final = 0x03
ARRAY: Final = 0x04
NULL: Final = 0x0A

_VALUES: Final[dict[Any, tuple[int, str]]] = {
    float: (0x01, "<f8"),
    bool: (0x08, "?"),
    datetime: (0x09, "<i8"),
    int: (0x12, "<i8"),
}
_ANY: Final = 0x00
_EXACT: Final = 0xFF
_ZERO_OR_ONE: Final = 0xFE


@dataclass(frozen=True, slots=True)
class Layout:
    """A dtype over some bytes, the bytes that never change, and the mask that selects them."""

    dtype: np.dtype[Any]
    template: Bytes
    mask: Bytes

    @property
    def size(self) -> int:
        return len(self.template)


def _candle_layout() -> Layout:
    template, mask = bytearray(4), bytearray([_EXACT] * 4)
    offsets: list[int] = []
    formats: list[str] = []
    for name, field in Candle.model_fields.items():
        tag, code = _VALUES[field.annotation]
        constant = bytes([tag]) + name.encode() + b"\0"
        width = np.dtype(code).itemsize
        template += constant
        mask += bytes([_EXACT] * len(constant))
        offsets.append(len(template))
        formats.append(code)
        template += bytes(width)
        mask += bytes([_ZERO_OR_ONE if code == "?" else _ANY] * width)
    template += b"\0"
    mask += bytes([_EXACT])
    template[:4] = len(template).to_bytes(4, "little")
    names = list(Candle.model_fields)
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": len(template)})
    return Layout(dtype, _frozen(template), _frozen(mask))


def _frozen(data: bytes | bytearray) -> Bytes:
    return np.frombuffer(bytes(data), np.uint8)


CANDLE_ROW: Final = _candle_layout()
"""One candle as an embedded document."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive slots whose array keys have the same number of digits, hence one stride."""

    name: str
    first: int
    stop: int

    @property
    def prefix(self) -> int:
        """Bytes of an element before its document: the type and the key."""
        return 1 + len(str(self.first)) + 1


def _runs() -> tuple[Run, ...]:
    edges = [0, *(10**digits for digits in range(1, 9) if 10**digits < SLOTS_PER_BUCKET), SLOTS_PER_BUCKET]
    return tuple(Run(f"from_{first}", first, stop) for first, stop in pairwise(edges))


RUNS: Final = _runs()
ELEMENT_KEYS: Final = tuple(str(slot).encode() + b"\0" for slot in range(SLOTS_PER_BUCKET))


def _array_layout() -> Layout:
    """The array of a bucket that has no hole."""
    template, mask = bytearray(4), bytearray([_EXACT] * 4)
    offsets: list[int] = []
    formats: list[Any] = []
    for run in RUNS:
        row = CANDLE_ROW.dtype
        stride = run.prefix + row.itemsize
        fields: Any = row.fields
        element = np.dtype(
            {
                "names": list(row.names or ()),
                "formats": [fields[name][0] for name in row.names or ()],
                "offsets": [run.prefix + fields[name][1] for name in row.names or ()],
                "itemsize": stride,
            }
        )
        offsets.append(len(template))
        formats.append((element, (run.stop - run.first,)))
        for slot in range(run.first, run.stop):
            template += bytes([EMBEDDED]) + ELEMENT_KEYS[slot] + CANDLE_ROW.template.tobytes()
            mask += bytes([_EXACT] * run.prefix) + CANDLE_ROW.mask.tobytes()
    template += b"\0"
    mask += bytes([_EXACT])
    template[:4] = len(template).to_bytes(4, "little")
    dtype = np.dtype(
        {"names": [run.name for run in RUNS], "formats": formats, "offsets": offsets, "itemsize": len(template)}
    )
    return Layout(dtype, _frozen(template), _frozen(mask))


FULL_ARRAY: Final = _array_layout()


@dataclass(frozen=True, slots=True)
class BucketLayout:
    """The bucket of one series: the bytes before the array, and the dtype of a whole bucket without a hole."""

    key: SeriesKey
    header: Layout
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of a bucket without a hole."""
        return self.dtype.itemsize


def bucket_id(key: SeriesKey, start: int) -> str:
    """The `_id` of the bucket that begins at `start`. Ids of a series sort as their times do."""
    return f"{key}:{iso(start)}"


def header_document(key: SeriesKey, start: int, revision: int, stored: int) -> dict[str, Any]:
    """The fields of a bucket before its candles, in the order in which they are stored; not audited yet."""
    return {
        "_id": bucket_id(key, start),
        "exchange": key.exchange,
        "symbol": key.symbol,
        "interval": key.interval,
        "start": to_datetime(start),
        "rev": Int64(revision),
        "stored": Int64(stored),
        "audited": False,
    }


@lru_cache(maxsize=4096)
def bucket_layout(key: SeriesKey) -> BucketLayout:
    """The layout of that series' buckets."""
    empty = bson.encode({**header_document(key, 0, 0, 0), "candles": []})
    header = bytearray(empty[: len(empty) - len(b"\x05\0\0\0\0") - 1])
    mask = np.full(len(header), _EXACT, np.uint8)
    moment = iso(0).encode()
    spots = {
        "moment": (header.index(moment), f"({len(moment)},)u1"),
        "start": (header.index(b"\x09start\0") + len(b"\x09start\0"), "<i8"),
        "rev": (header.index(b"\x12rev\0") + len(b"\x12rev\0"), "<i8"),
        "stored": (header.index(b"\x12stored\0") + len(b"\x12stored\0"), "<i8"),
    }
    mask[header.index(b"\x08audited\0") + len(b"\x08audited\0")] = _ZERO_OR_ONE
    for offset, code in spots.values():
        width = np.dtype(code).itemsize
        header[offset : offset + width] = bytes(width)
        mask[offset : offset + width] = _ANY
    size = len(header) + FULL_ARRAY.size + 1
    header[:4] = size.to_bytes(4, "little")
    dtype = np.dtype(
        {
            "names": [*spots, "array"],
            "formats": [*(code for _, code in spots.values()), FULL_ARRAY.dtype],
            "offsets": [*(offset for offset, _ in spots.values()), len(header)],
            "itemsize": size,
        }
    )
    return BucketLayout(key, Layout(dtype, _frozen(header), mask), dtype)
