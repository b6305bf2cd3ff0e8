"""Reads a file of candles as whole ticks and steps. Refuses a file it would have to guess about.

Column names are taken as exchanges, exports and data frames write them, in any case; times without a zone are UTC.
What is not there is derived:

- the tick and the step are the smallest powers of ten that hold every price and every volume of the file;
- the turnover, without its column, is the volume at the middle of the candle's open, high, low and close;
- the takers' part, without its columns, is half the volume, more of it the more the candle rose;
- the number of trades is never the file's: it is the number of ticks that the replay makes.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.errors import UsageError
from pipeline.simulator.types import KLINE, Klines
from pipeline.timeline import INTERVALS, Interval, iso

_NAMES: Final = {
    "t": ("open_time", "opentime", "open time", "date", "datetime", "timestamp", "time", "t", "ts", "te"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v", "vol", "base_volume"),
    "quote": ("quote_volume", "quote_asset_volume", "quote asset volume", "quotevolume", "turnover", "q"),
    "taker_base": ("taker_buy_base", "taker_buy_volume", "taker_buy_base_asset_volume", "taker_base"),
    "taker_quote": ("taker_buy_quote", "taker_buy_quote_volume", "taker_buy_quote_asset_volume", "taker_quote"),
}
_NEEDED: Final = ("t", "open", "high", "low", "close", "volume")
_BASES: Final = ("1m", "5m", "15m", "30m", "1h")
_MOST_DIGITS: Final = 8
_LARGEST_TURNOVER: Final = 2.0**62
_UNITS: Final = ((10**17, 10**6), (10**14, 10**3), (10**11, 1))  # a number of ns, of us, of ms

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class ReplayFileError(UsageError):
    """The file cannot be replayed. Mend the file, or name another."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file's candles without a gap, and the grid they are on. `trades` is not set yet."""

    candles: Klines
    interval: Interval
    tick: Decimal
    step: Decimal


def read_recording(path: Path) -> Recording:
    """The candles of a CSV, Parquet or feather file."""
    table = _columns(path, _table(path))
    times = _times(path, table["t"])
    numbers = {name: _numbers(path, table[name]) for name in table.columns if name != "t"}
    _must_be_candles(path, times, numbers)
    prices = np.stack([numbers[name] for name in ("open", "high", "low", "close")])
    tick_digits, step_digits = _digits(prices), _digits(numbers["volume"])
    if prices.max() * numbers["volume"].sum() * 10.0 ** (tick_digits + step_digits) > _LARGEST_TURNOVER:
        raise ReplayFileError(
            f"{path} has prices of {tick_digits} digits and volumes of {step_digits}; its turnover in such units "
            "does not fit 64 bits: round them, or cut the file"
        )
    candles = np.zeros(len(times), KLINE)
    candles["t"] = times
    for name in ("open", "high", "low", "close"):
        candles[name] = _whole(numbers[name], tick_digits)
    candles["volume"] = _whole(numbers["volume"], step_digits)
    _turn_over(candles, numbers, step_digits, tick_digits + step_digits)
    tick, step = (Decimal(1).scaleb(-digits) for digits in (tick_digits, step_digits))
    return Recording(candles, _interval(path, times), tick, step)


def _table(path: Path) -> pl.DataFrame:
    readers = {
        ".csv": lambda: pl.read_csv(path, infer_schema_length=None),
        ".parquet": lambda: pl.read_parquet(path),
        ".feather": lambda: pl.read_ipc(path),
        ".arrow": lambda: pl.read_ipc(path),
    }
    read = readers.get(path.suffix.lower())
    if read is None:
        raise ReplayFileError(f"cannot replay {path}: its name ends in none of {', '.join(readers)}")
    try:
        return read()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ReplayFileError(f"cannot read {path}: {error}") from error


def _columns(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """The columns we know, under our names."""
    by_name = {name.strip().lower(): name for name in table.columns}
    found = {ours: next((by_name[name] for name in names if name in by_name), None) for ours, names in _NAMES.items()}
    absent = [ours for ours in _NEEDED if found[ours] is None]
    if absent:
        wanted = "; ".join(f"{ours} (any of {', '.join(_NAMES[ours])})" for ours in absent)
        raise ReplayFileError(f"{path} has the columns {', '.join(table.columns)}, but none for {wanted}")
    return table.select(pl.col(theirs).alias(ours) for ours, theirs in found.items() if theirs is not None)


def _times(path: Path, column: pl.Series) -> Integers:
    """Milliseconds, from datetimes, from text that names them, or from whole numbers of s, ms, us or ns."""
    if column.dtype == pl.String:
        column = _parsed(path, column)
    if column.null_count() or not len(column):
        raise ReplayFileError(f"{path} has candles without a time, or no candle at all")
    if column.dtype.is_temporal():
        times: Integers = column.cast(pl.Datetime("ms")).to_physical().to_numpy().astype(np.int64)
        return times
    if not column.dtype.is_integer():
        raise ReplayFileError(f"{path}: times are {column.dtype}; use datetimes, or whole milliseconds")
    counts: Integers = column.to_numpy().astype(np.int64)
    for least, unit in _UNITS:
        if counts[0] >= least:
            return counts // unit
    return counts * 1_000


def _parsed(path: Path, column: pl.Series) -> pl.Series:
    try:
        return column.str.to_datetime(time_unit="ms", time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        raise ReplayFileError(f"{path}: cannot read the time {column[0]!r}: {error}") from error


def _numbers(path: Path, column: pl.Series) -> Floats:
    if not column.dtype.is_numeric():
        raise ReplayFileError(f"{path}: the column for {column.name} holds {column.dtype}, not numbers")
    numbers: Floats = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
    if len(wrong):
        raise ReplayFileError(f"{path}: row {wrong[0] + 1} has {numbers[wrong[0]]} as its {column.name}")
    return numbers


def _interval(path: Path, times: Integers) -> Interval:
    """The interval that every two neighbours are apart."""
    steps = np.diff(times)
    if not len(steps):
        raise ReplayFileError(f"{path} has one candle only; an interval shows from two on")
    for code in _BASES:
        interval = INTERVALS[code]
        if interval.milliseconds == np.min(steps):
            break
    else:
        raise ReplayFileError(f"{path}: its candles are {np.min(steps)} ms apart; {', '.join(_BASES)} can be replayed")
    holes = np.flatnonzero(steps != interval.milliseconds)
    if len(holes):
        after, before = times[holes[0]], times[holes[0] + 1]
        raise ReplayFileError(f"{path} has no {interval} candles between {iso(int(after))} and {iso(int(before))}")
    if times[0] % interval.milliseconds:
        raise ReplayFileError(f"{path}: {iso(int(times[0]))} is not the opening of a {interval} candle")
    return interval


def _must_be_candles(path: Path, times: Integers, numbers: dict[str, Floats]) -> None:
    top, bottom = (choose.reduce([numbers["open"], numbers["close"]]) for choose in (np.maximum, np.minimum))
    wrong = np.flatnonzero((numbers["high"] < top) | (numbers["low"] > bottom) | (numbers["low"] <= 0))
    if len(wrong):
        at = iso(int(times[wrong[0]]))
        raise ReplayFileError(f"{path}: the candle of {at} has a price outside its low and high, or none above 0")


def _digits(numbers: Floats) -> int:
    """How many digits after the point hold every number."""
    for digits in range(_MOST_DIGITS):
        scaled = numbers * 10.0**digits
        if np.all(np.abs(scaled - np.rint(scaled)) < 1e-4):
            return digits
    return _MOST_DIGITS


def _whole(numbers: Floats, digits: int) -> Integers:
    whole: Integers = np.rint(numbers * 10.0**digits).astype(np.int64)
    return whole


def _turn_over(candles: Klines, numbers: dict[str, Floats], step_digits: int, quote_digits: int) -> None:
    """The turnover and the takers' part: the file's, else derived; always what those prices allow."""
    volume = candles["volume"]
    middle = (candles["open"] + candles["high"] + candles["low"] + candles["close"]) / 4
    quote = _whole(numbers["quote"], quote_digits) if "quote" in numbers else (volume * middle).astype(np.int64)
    rise = (candles["close"] - candles["open"]) / np.maximum(candles["high"] - candles["low"], 1)
    half = volume * (0.5 + 0.2 * rise)
    taken = _whole(numbers["taker_base"], step_digits) if "taker_base" in numbers else half.astype(np.int64)
    candles["quote"], candles["taker_base"] = quote, np.clip(taken, 0, volume)
    if "taker_quote" in numbers:
        candles["taker_quote"] = _whole(numbers["taker_quote"], quote_digits)
    else:
        share = candles["taker_base"] / np.maximum(volume, 1)
        candles["taker_quote"] = np.rint(quote * share).astype(np.int64)
