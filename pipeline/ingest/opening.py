"""How a series begins: its newest stored candles without a hole, as the core wants them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pipeline.ingest.events import Candle
from pipeline.store.candles import CandleStore
from pipeline.timeline import interval
from schemas.series import SeriesKey

CANDLE_COLUMNS: Final = Candle._fields


@dataclass(frozen=True, slots=True)
class Opening:
    """What is stored of a series right before now: `history` ends with the candle that opens at `settled`."""

    settled: int
    history: tuple[Candle, ...]


def open_series(store: CandleStore, key: SeriesKey, *, window: int, now: int) -> Opening | None:
    """The newest closed candles of the series among the last `window`, from the last hole on; None where there are
    none."""
    step = interval(key.interval)
    stored = store.load(key, step.after(now, -window), now, CANDLE_COLUMNS)
    closed = to_candles(stored.filter(pl.col("closed")))
    if not closed:
        return None
    numbers = np.array([step.index(candle.t) for candle in closed])
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    begin = int(breaks[-1]) + 1 if len(breaks) else 0
    return Opening(closed[-1].t, closed[begin:])


def to_candles(frame: pl.DataFrame) -> tuple[Candle, ...]:
    """The rows of a table of candles, times as milliseconds."""
    milliseconds = frame.select(pl.col(CANDLE_COLUMNS)).with_columns(pl.col("t", "u").cast(pl.Int64))
    return tuple(map(Candle._make, milliseconds.iter_rows()))
