"""Candles from a file of the user's, as a market a strategy can be held against. Reads, never writes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.errors import UsageError
from pipeline.indicators import segments
from pipeline.periods import Floats, Integers
from pipeline.strategies.base import CANDLE_COLUMNS
from pipeline.strategies.synthetic import Sample

_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
    ".feather": pl.read_ipc,
    ".arrow": pl.read_ipc,
}
_TIME_COLUMNS = ("t", "time", "date", "datetime", "timestamp", "open_time")
_MOST_DECIMALS = 12


def read_sample(path: Path) -> Sample:
    """The longest stretch without a hole. Without a time column the candles are taken as consecutive."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"candles are read from {', '.join(_READERS)}, not from {path.name!r}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        table = reader(path)
        candles = _candles(table, path)
        numbers = _numbers(table)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"{path} cannot be read as candles: {error}") from error
    steps = np.diff(numbers)
    if not len(numbers) or (steps < 1).any():
        raise UsageError(f"{path}: the candles must be there, each once, from the oldest to the newest")
    begin, end = max(segments(numbers), key=lambda run: run[1] - run[0])
    stretch = {name: values[begin:end] for name, values in candles.items()}
    return Sample(path.name, numbers[begin:end], stretch, _decimals(stretch["close"], path))


def _candles(table: pl.DataFrame, path: Path) -> dict[str, Floats]:
    named = table.rename({name: name.lower() for name in table.columns})
    lacks = [name for name in CANDLE_COLUMNS if name not in named.columns]
    if lacks:
        raise UsageError(f"{path} has no column {lacks[0]!r}; its columns are: {', '.join(table.columns)}")
    candles = {name: np.array(named[name].cast(pl.Float64), dtype=np.float64) for name in CANDLE_COLUMNS}
    for name, values in candles.items():
        if not np.isfinite(values).all():
            raise UsageError(f"{path}: {name} has a value that is not a number; leave that candle out")
    return candles


def _numbers(table: pl.DataFrame) -> Integers:
    name = next((column for column in table.columns if column.lower() in _TIME_COLUMNS), None)
    if name is None or table.height < 2:
        return np.arange(table.height, dtype=np.int64)
    times = table[name]
    if times.dtype == pl.String:
        times = times.str.to_datetime(time_unit="ms", time_zone="UTC")
    whole = np.array(times.cast(pl.Int64), dtype=np.int64)
    step = max(1, int(np.diff(whole).min()))
    return np.asarray((whole - whole[0]) // step, dtype=np.int64)


def _decimals(close: Floats, path: Path) -> int:
    """The fewest decimals that write every close exactly."""
    for decimals in range(_MOST_DECIMALS + 1):
        scale = 10.0**decimals
        if np.array_equal(np.rint(close * scale) / scale, close):
            return decimals
    raise UsageError(f"{path}: a close has more than {_MOST_DECIMALS} decimals; round the prices to their tick")
