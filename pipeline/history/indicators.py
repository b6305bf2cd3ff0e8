"""Indicators of stored candles: load a stretch with what it depends on, compute, write back only what changed.

Which stretches have to be computed is arithmetic on candle numbers (`stretches`), done before anything is loaded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.indicators import Floats, Periods, compute
from pipeline.signals import Calculation
from pipeline.store.candles import CandleStore
from pipeline.store.frame import indices, to_frame
from pipeline.store.live import WriteReport
from pipeline.strategies.base import CANDLE_COLUMNS
from pipeline.timeline import interval
from schemas.candles import INDICATOR_FIELDS
from schemas.series import SeriesKey

MOST_AT_ONCE: Final = 96_000
"""Candles held in memory at once; what each stretch loads before itself is small beside it."""

_LOADED: Final = ("t", "u", "closed", *CANDLE_COLUMNS, *INDICATOR_FIELDS)

Numbers = npt.NDArray[np.int64]


class Stretch(NamedTuple):
    """Candles by number, both ends inclusive."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Computed:
    """Closed candles of a stretch and of what lies before it, with every column computed. Values before `first` may be
    missing what they depend on: they are there for what looks back on them."""

    first: int
    numbers: Numbers
    columns: dict[str, Floats]
    report: WriteReport

    @property
    def begin(self) -> int:
        """The position where the stretch itself begins."""
        return int(np.searchsorted(self.numbers, self.first))


def stretches(changed: Iterable[Stretch], periods: Periods, lookback: int, last: int) -> Iterator[Stretch]:
    """Everything that depends on the changed candles, up to candle `last`, in order, no candle twice, in pieces.

    `lookback` is how many candles back a strategy looks on columns.
    """
    begin = end = 0
    reached = sorted((one.first, min(periods.last_affected(one.last) + lookback, last)) for one in changed)
    for first, until in reached:
        if first > end:
            yield from _pieces(begin, end)
            begin, end = first, until + 1
        end = max(end, until + 1)
    yield from _pieces(begin, end)


def bring_up(
    store: CandleStore, key: SeriesKey, stretch: Stretch, calculation: Calculation, lookback: int
) -> Computed | None:
    """Compute the indicators of a stretch and store those that differ. None where it has no closed candle."""
    step = interval(key.interval)
    root = calculation.periods.first_needed(stretch.first - lookback)
    table = store.load(key, step.open_time(root), step.open_time(stretch.last), _LOADED).filter(pl.col("closed"))
    numbers = indices(step, table["t"].cast(pl.Int64).to_numpy())
    begin = int(np.searchsorted(numbers, stretch.first))
    if begin == len(numbers):
        return None
    candles = {name: table[name].to_numpy() for name in CANDLE_COLUMNS}
    high, low, close = (candles[name] for name in ("high", "low", "close"))
    columns = compute(numbers, high, low, close, decimals=calculation.decimals, periods=calculation.periods)
    report = _store_changed(store, key, table[begin:], {name: columns[name][begin:] for name in INDICATOR_FIELDS})
    return Computed(stretch.first, numbers, candles | columns, report)


def _store_changed(store: CandleStore, key: SeriesKey, table: pl.DataFrame, values: dict[str, Floats]) -> WriteReport:
    changed = np.zeros(table.height, dtype=np.bool_)
    for name, new in values.items():
        old = table[name].to_numpy()
        changed |= (old != new) & ~(np.isnan(old) & np.isnan(new))
    if not changed.any():
        return WriteReport(offered=table.height, unchanged=table.height)
    rows = np.flatnonzero(changed)
    times = {name: table[name].cast(pl.Int64).to_numpy()[rows] for name in ("t", "u")}
    written = store.set_indicators(key, to_frame(times | {name: new[rows] for name, new in values.items()}))
    return written + WriteReport(offered=table.height - len(rows), unchanged=table.height - len(rows))


def _pieces(begin: int, end: int) -> Iterator[Stretch]:
    for first in range(begin, end, MOST_AT_ONCE):
        yield Stretch(first, min(first + MOST_AT_ONCE, end) - 1)
