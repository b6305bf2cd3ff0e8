"""How a series begins: what is stored of it right before now, as the core wants it.

A break that is not one of the exchange's own holes is a beginning before the break: the core fetches what is missing,
and the candles behind it wait for that, as they would have done had the process never ended.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pipeline.ingest.events import Candle
from pipeline.store.candles.frame import indices
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import Interval, Window, interval
from schemas.series import SeriesKey

CANDLE_COLUMNS: Final = Candle._fields


@dataclass(frozen=True, slots=True)
class Opening:
    """What is stored of a series right before now. Nothing is missing up to the candle that opens at `settled`, with
    which `history` ends where it is stored; the candles in `ahead` lie behind a break."""

    settled: int
    history: tuple[Candle, ...] = ()
    ahead: tuple[Candle, ...] = ()


def open_series(
    store: CandleStore, key: SeriesKey, *, holes: Iterable[Window], window: int, now: int
) -> Opening | None:
    """The closed candles of the series among the last `window`; None where there are none. `holes` are those that the
    exchange itself has."""
    step = interval(key.interval)
    stored = store.load(key, step.after(now, -window), now, CANDLE_COLUMNS)
    return opening(step, to_candles(stored.filter(pl.col("closed"))), holes)


def opening(step: Interval, closed: tuple[Candle, ...], holes: Iterable[Window]) -> Opening | None:
    """How to begin with these closed candles, the oldest first."""
    if not closed:
        return None
    excused = sorted((step.index(hole.start), step.index(hole.end)) for hole in holes)
    numbers = indices(step, np.array([candle.t for candle in closed], np.int64))
    begin = 0
    for behind in [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(closed)]:
        newest = int(numbers[behind - 1])
        settled = _through(excused, newest)
        if behind == len(closed) or settled + 1 < numbers[behind]:
            return Opening(step.open_time(settled), closed[begin:behind] if settled == newest else (), closed[behind:])
        begin = behind
    raise AssertionError("the last candle ends the search")


def _through(excused: Sequence[tuple[int, int]], number: int) -> int:
    """The last candle that nothing is missing up to, from that one on, when none is stored."""
    for first, last in excused:
        if first <= number + 1 <= last:
            number = last
    return number


def to_candles(frame: pl.DataFrame) -> tuple[Candle, ...]:
    """The rows of a table of candles, times as milliseconds."""
    milliseconds = frame.select(pl.col(CANDLE_COLUMNS)).with_columns(pl.col("t", "u").cast(pl.Int64))
    return tuple(map(Candle._make, milliseconds.iter_rows()))
