"""Klines as the exchange writes them, into a table of candles. Believes nothing: one bad cell, and nothing is used.

The table has the columns of a stored candle up to `u`, times as whole milliseconds.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.candle import Candle
from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.products.arithmetic import Arithmetic
from pipeline.timeline import Interval, Window, iso

log = logging.getLogger(__name__)

Row = Sequence[Any]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FIELDS: Final = (
    "open time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close time",
    "quote volume",
    "trades",
    "taker buy base",
    "taker buy quote",
    "ignore",
)
SCHEMA: Final = pl.Schema(
    {
        "t": pl.Int64,
        "te": pl.Int64,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
        "quote_volume": pl.Float64,
        "trades": pl.Int64,
        "taker_buy_base": pl.Float64,
        "taker_buy_quote": pl.Float64,
        "closed": pl.Boolean,
        "u": pl.Int64,
    }
)
INTEGER_FIELDS: Final = (0, 6, 8)
DECIMAL_FIELDS: Final = (1, 2, 3, 4, 5, 7, 9, 10)
_DECIMAL: Final = frozenset("0123456789.-")


class BadRowError(Exception):
    """Which row and field is wrong, and how; whoever knows the series adds it to the message."""

    def __init__(self, row: int, field: str, what: str) -> None:
        super().__init__(f"row {row}, {field}: {what}")


def empty() -> pl.DataFrame:
    """No candles."""
    return pl.DataFrame(schema=SCHEMA)


def candles(
    rows: object, symbol: str, interval: Interval, window: Window, server_time: int, *, crooked: bool = False
) -> pl.DataFrame:
    """The rows as candles of `window`, or an error that names symbol, interval, row and field.

    Nothing in a row says whether its candle is still open: it is closed if its close time has passed at `server_time`,
    the exchange's time when the answer was asked for. Rows may be missing; judging that is not for here. `crooked`:
    the market is known to have some that are not on the grid, see `straight`.
    """
    try:
        return _table(_checked(rows), symbol, interval, window, server_time, crooked)
    except BadRowError as error:
        raise BadAnswerError(f"{symbol} {interval}: klines answer refused: {error}; nothing of it is used") from None


def _checked(rows: object) -> Sequence[Row]:
    if not isinstance(rows, list):
        raise BadRowError(0, "answer", f"a list of rows was expected, not {type(rows).__name__}")
    for number, row in enumerate(rows):
        if type(row) is not list:
            raise BadRowError(number, "row", f"a list was expected, not {row!r:.40}")
        if len(row) != len(FIELDS):
            raise BadRowError(number, "row", f"{len(FIELDS)} fields were expected, not {len(row)}")
    return rows


def _table(
    rows: Sequence[Row], symbol: str, interval: Interval, window: Window, server_time: int, crooked: bool
) -> pl.DataFrame:
    if not rows:
        return empty()
    columns = list(zip(*rows, strict=True))
    integers = {field: _integers(columns, field) for field in INTEGER_FIELDS}
    decimals = {field: _decimals(columns, field) for field in DECIMAL_FIELDS}
    if crooked:
        integers, decimals = straight(integers, decimals, f"{symbol} {interval}", interval)
    return table(integers, decimals, interval, window, server_time)


def table(
    integers: Mapping[int, Integers],
    decimals: Mapping[int, Floats],
    interval: Interval,
    window: Window,
    server_time: int,
) -> pl.DataFrame:
    """Candles from columns that are numbers already, by field number, checked as a whole."""
    opened, closes, trades = (integers[field] for field in INTEGER_FIELDS)
    _check_times(opened, closes, interval, window)
    _check_prices(*(decimals[field] for field in (1, 2, 3, 4)))
    for field in (5, 7, 9, 10):
        _require(decimals[field] >= 0, field, decimals[field], "is negative")
    _require(trades >= 0, 8, trades, "is negative")

    return pl.DataFrame(
        {
            "t": opened,
            "te": closes,
            "open": decimals[1],
            "high": decimals[2],
            "low": decimals[3],
            "close": decimals[4],
            "volume": decimals[5],
            "quote_volume": decimals[7],
            "trades": trades,
            "taker_buy_base": decimals[9],
            "taker_buy_quote": decimals[10],
            "closed": closes < server_time,
            "u": np.full(len(opened), server_time, np.int64),
        },
        schema=SCHEMA,
    )


def straight(
    integers: Mapping[int, Integers], decimals: Mapping[int, Floats], series: str, interval: Interval
) -> tuple[dict[int, Integers], dict[int, Floats]]:
    """The same, where trading was halted while candles were open. One that closed early counts for its whole time: no
    more was traded in it. One that opens beside the grid is left out, for it is the candle of no time that is asked
    for: what is missing then is the exchange's own hole, and the log says what was there instead."""
    opened, closes, trades = (integers[field] for field in INTEGER_FIELDS)
    starts, ends = _candles_around(opened, interval)
    fits = opened == starts
    early = fits & (closes >= opened) & (closes < ends)
    for rows, what in ((early, "closed early, and count as whole"), (~fits, "open beside the grid, and are left out")):
        if rows.any():
            first = int(np.argmax(rows))
            shown = f"{_moment(int(opened[first]))} to {_moment(int(closes[first]))}"
            log.info("%s: %d candles of the exchange %s; the first is %s", series, int(rows.sum()), what, shown)
    whole = {0: opened, 6: np.where(early, ends, closes), 8: trades}
    return (
        {field: column[fits] for field, column in whole.items()},
        {field: column[fits] for field, column in decimals.items()},
    )


def in_coins(table: pl.DataFrame, arithmetic: Arithmetic, size: Decimal) -> pl.DataFrame:
    """The same candles, their volumes as coins and as what these cost. A market that counts contracts writes these
    where others write coins, and coins where others write their worth; a contract is worth its `size`, so the number of
    contracts is the quote volume by that size, exactly."""
    if arithmetic.counts == "base":
        return table
    return table.with_columns(
        volume="quote_volume",
        quote_volume=pl.col("volume") * float(size),
        taker_buy_base="taker_buy_quote",
        taker_buy_quote=pl.col("taker_buy_base") * float(size),
    )


def _check_times(opened: Integers, closes: Integers, interval: Interval, window: Window) -> None:
    steps = np.diff(opened)
    _require(np.insert(steps != 0, 0, True), 0, opened, "is there twice")
    _require(np.insert(steps > 0, 0, True), 0, opened, "goes back in time")
    _require((opened >= window.start) & (opened <= window.end), 0, opened, "was not asked for")
    starts, ends = _candles_around(opened, interval)
    _require(opened == starts, 0, opened, f"is not when a candle of {interval} opens")
    _require(closes == ends, 6, closes, "is not when the candle of this row closes")


def _candles_around(opened: Integers, interval: Interval) -> tuple[Integers, Integers]:
    """When the candles that contain these moments open and close."""
    if interval.milliseconds is None:
        starts = [interval.floor(time) for time in opened.tolist()]
        return np.array(starts, np.int64), np.array([interval.close_time(time) for time in starts], np.int64)
    floors = opened - (opened - interval.origin) % interval.milliseconds
    return floors, floors + interval.milliseconds - 1


def _check_prices(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> None:
    _require(lows > 0, 3, lows, "is not a price")
    _require(highs >= lows, 2, highs, "is below the low")
    _require(highs >= np.maximum(opens, closes), 2, highs, "is below the open or the close")
    _require(lows <= np.minimum(opens, closes), 3, lows, "is above the open or the close")


def _moment(time: int) -> str:
    """The time for a person; as it stands where no calendar has it."""
    try:
        return iso(time)
    except (ValueError, OverflowError):
        return str(time)


def _require(good: npt.NDArray[np.bool_], field: int, values: Floats | Integers, what: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        shown = _moment(int(values[row])) if field in {0, 6} else values[row]
        raise BadRowError(row, FIELDS[field], f"{shown} {what}")


def _integers(columns: Sequence[Sequence[Any]], field: int) -> Integers:
    column = columns[field]
    if set(map(type, column)) != {int} or not -(2**63) <= min(column) <= max(column) < 2**63:
        for row, value in enumerate(column):
            if type(value) is not int or not -(2**63) <= value < 2**63:
                raise BadRowError(row, FIELDS[field], f"{value!r:.40} is not a whole number")
    return np.array(column, np.int64)


def _decimals(columns: Sequence[Sequence[Any]], field: int) -> Floats:
    column = columns[field]
    if set(map(type, column)) == {str} and _DECIMAL.issuperset("".join(column)):
        with suppress(ValueError):
            numbers = np.array(list(map(float, column)))
            if np.isfinite(numbers).all():
                return numbers
    row = next(row for row, value in enumerate(column) if not _is_decimal(value))
    raise BadRowError(row, FIELDS[field], f"{column[row]!r:.40} is not a number written as text")


def _is_decimal(value: object) -> bool:
    if not isinstance(value, str) or not _DECIMAL.issuperset(value):
        return False
    try:
        return isfinite(float(value))
    except ValueError:
        return False


def candles_of(table: pl.DataFrame) -> tuple[Candle, ...]:
    """The rows as candles, times as milliseconds."""
    milliseconds = table.select(pl.col(Candle._fields)).with_columns(pl.col("t", "u").cast(pl.Int64))
    return tuple(map(Candle._make, milliseconds.iter_rows()))
