"""The shapes candles have in memory: a numpy record, a polars table, and a grid of whole buckets.

A table has the columns of `schemas.candles.CANDLE_FIELDS` in that order: `t`, `te`, `u` as Datetime("ms", "UTC"),
`trades` Int64, `closed` Boolean, the rest Float64, and NaN for an indicator that is not known (yet). Nothing here
touches a database, and no bad table passes: the error names the column or the candle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.errors import TidemarkError
from pipeline.timeline import Interval, iso
from schemas.candles import CANDLE_FIELDS, INDICATOR_FIELDS, Candle
from schemas.shared import SLOTS_PER_BUCKET

Values = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]

_NUMPY: Final[dict[Any, Any]] = {float: np.float64, bool: np.bool_, datetime: np.int64, int: np.int64}
_TIMESTAMP: Final = pl.Datetime("ms", "UTC")
_POLARS: Final[dict[Any, pl.DataType]] = {
    float: pl.Float64(),
    bool: pl.Boolean(),
    datetime: _TIMESTAMP,
    int: pl.Int64(),
}

CANDLE: Final = np.dtype([(name, _NUMPY[field.annotation]) for name, field in Candle.model_fields.items()])
"""One candle in memory; times are milliseconds since the epoch."""

FRAME_SCHEMA: Final[dict[str, pl.DataType]] = {
    name: _POLARS[field.annotation] for name, field in Candle.model_fields.items()
}
"""The polars contract: every column and its type, in stored order."""

MARKET_FIELDS: Final = tuple(name for name in CANDLE_FIELDS if name not in {"t", "closed", "u", *INDICATOR_FIELDS})
"""What the exchange says about a candle: when these are equal, two candles are the same."""

FOR_PEOPLE: Final = ("t", *MARKET_FIELDS, "closed", "u", *INDICATOR_FIELDS)
"""Every column in the order in which candles are read: time, prices, and only then what is known of them."""


class FrameError(TidemarkError):
    """A table of candles is not one: a column is missing, a value is null, a time is off the interval's grid."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Whole buckets side by side: `present[b, s]` says whether bucket b has a candle in slot s, `values` which.

    `revisions[b]` is None where the database has no such bucket.
    """

    starts: Times
    revisions: Sequence[int | None]
    present: Flags
    values: Mapping[str, Values]

    def columns(self) -> dict[str, Values]:
        """The candles that exist, in time order, a column each."""
        if self.present.all():
            return {name: column.reshape(-1) for name, column in self.values.items()}
        return {name: column[self.present] for name, column in self.values.items()}


def blank_values(buckets: int, columns: Sequence[str] = CANDLE_FIELDS) -> dict[str, Values]:
    """Room for that many buckets; what it holds before it is written to has no meaning."""
    return {name: np.empty((buckets, SLOTS_PER_BUCKET), CANDLE[name]) for name in columns}


class Collected:
    """Columns that buckets are copied into as they arrive, so that no more than one batch is held twice."""

    def __init__(self, names: Sequence[str], room: int) -> None:
        self._columns: dict[str, Values] = {name: np.empty(room, CANDLE[name]) for name in names}
        self._room = room
        self._filled = 0

    def add(self, grid: Grid) -> None:
        """Append the candles that exist."""
        stop = self._filled + int(grid.present.sum())
        if stop > self._room:
            self._grow(max(stop, 2 * self._room))
        for name, column in grid.columns().items():
            self._columns[name][self._filled : stop] = column
        self._filled = stop

    def columns(self) -> dict[str, Values]:
        """All that was added, in that order."""
        return {name: column[: self._filled] for name, column in self._columns.items()}

    def _grow(self, room: int) -> None:
        for name, column in self._columns.items():
            self._columns[name] = np.empty(room, column.dtype)
            self._columns[name][: self._filled] = column[: self._filled]
        self._room = room


def to_frame(columns: Mapping[str, Values]) -> pl.DataFrame:
    """Columns in memory as the table that users see."""
    return pl.DataFrame(
        [
            pl.Series(name, column).cast(FRAME_SCHEMA[name])
            if FRAME_SCHEMA[name] == _TIMESTAMP
            else pl.Series(name, column)
            for name, column in columns.items()
        ]
    )


def from_frame(frame: pl.DataFrame, step: Interval, required: Sequence[str]) -> dict[str, Values]:
    """The table's candle columns in memory, by time. Raises `FrameError` for a bad table."""
    lacking = [name for name in required if name not in frame.columns]
    if lacking:
        raise FrameError(
            f"the table of candles lacks the columns {', '.join(lacking)}; it has {', '.join(frame.columns)}"
        )
    columns = {name: _column(frame, name) for name in CANDLE_FIELDS if name in frame.columns}
    order = np.argsort(columns["t"], kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        columns = {name: column[order] for name, column in columns.items()}
    _require_slots(columns["t"], step)
    return columns


def with_every_indicator(columns: Mapping[str, Values]) -> dict[str, Values]:
    """The same columns, and NaN for the indicators that are not among them."""
    unknown = {name: np.full(len(columns["t"]), np.nan) for name in INDICATOR_FIELDS if name not in columns}
    return {**columns, **unknown}


def _column(frame: pl.DataFrame, name: str) -> Values:
    column = frame[name]
    is_indicator = name in INDICATOR_FIELDS
    if column.null_count() and not is_indicator:
        row = column.is_null().arg_true()[0]
        raise FrameError(f"column {name} has no value in row {row}; every candle needs one")
    try:
        typed = column.cast(FRAME_SCHEMA[name])
    except pl.exceptions.PolarsError as error:
        raise FrameError(f"column {name} is {column.dtype}, not {FRAME_SCHEMA[name]}") from error
    if typed.dtype == pl.Float64 and not is_indicator and not typed.is_finite().all():
        row = (~typed.is_finite()).arg_true()[0]
        raise FrameError(f"column {name} is {typed[row]} in row {row}; what the exchange says is a finite number")
    if is_indicator:
        typed = typed.fill_null(float("nan"))
    if FRAME_SCHEMA[name] == _TIMESTAMP:
        typed = typed.cast(pl.Int64())
    return typed.to_numpy()


def _require_slots(times: Times, step: Interval) -> None:
    opens = open_times(step, indices(step, times))
    if (opens != times).any():
        stray = int(times[opens != times][0])
        raise FrameError(
            f"no {step} candle opens at {iso(stray)}; the one that contains it opens at {iso(step.floor(stray))}"
        )
    twice = np.flatnonzero(np.diff(times) == 0)
    if len(twice):
        raise FrameError(f"the candle that opens at {iso(int(times[twice[0]]))} is in the table twice")


def indices(step: Interval, times: Times) -> Times:
    """The number of the candle that contains each time."""
    if step.milliseconds is None:
        return np.fromiter((step.index(int(time)) for time in times), np.int64, len(times))
    numbers: Times = (times - step.origin) // step.milliseconds
    return numbers


def open_times(step: Interval, numbers: Times) -> Times:
    """When the candles of those numbers open."""
    if step.milliseconds is None:
        return np.fromiter((step.open_time(int(number)) for number in numbers), np.int64, len(numbers))
    times: Times = step.origin + numbers * step.milliseconds
    return times


def to_grid(columns: Mapping[str, Values], step: Interval) -> Grid:
    """Candles in the buckets they belong to."""
    numbers = indices(step, columns["t"])
    buckets, rows = np.unique(numbers // SLOTS_PER_BUCKET, return_inverse=True)
    slots = numbers % SLOTS_PER_BUCKET
    present = np.zeros((len(buckets), SLOTS_PER_BUCKET), np.bool_)
    present[rows, slots] = True
    if present.all():
        shape = present.shape
        values = {name: column.reshape(shape) for name, column in columns.items()}
    else:
        values = blank_values(len(buckets), tuple(columns))
        for name, column in columns.items():
            values[name][rows, slots] = column
    return Grid(open_times(step, buckets * SLOTS_PER_BUCKET), [None] * len(buckets), present, values)
