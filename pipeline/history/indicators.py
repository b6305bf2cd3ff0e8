"""Indicators of stored candles: load a stretch with what it depends on, compute, write back only what changed.

Which stretches have to be computed is arithmetic on candle numbers (`stretches`), done before anything is loaded.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.indicators import compute
from pipeline.periods import Floats, Periods
from pipeline.signals import Calculation
from pipeline.store.candles.frame import indices, to_frame
from pipeline.store.candles.live import WriteReport
from pipeline.store.candles.store import CandleStore
from pipeline.strategies.base import CANDLE_COLUMNS
from pipeline.ticks import MOST, decimals_in
from pipeline.timeline import interval
from schemas.candles import INDICATOR_FIELDS
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 96_000
"""Candles held in memory at once; what each stretch loads before itself is small beside it."""

_LOADED: Final = ("t", "u", "closed", *CANDLE_COLUMNS, *INDICATOR_FIELDS)

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class FinerPricesError(Exception):
    """There are closes of so many decimals: note that, and compute everything with them."""

    def __init__(self, decimals: int) -> None:
        super().__init__(f"prices have {decimals} decimals")
        self.decimals = decimals


class Stretch(NamedTuple):
    """Candles by number, both ends inclusive."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Computed:
    """Closed candles of a stretch and of what lies before it, with every column computed. Values before `first` may be
    missing what they depend on: they are there for what looks back on them."""

    first: int
    newest: int
    """The number of the newest closed candle, whether it has indicators or not."""
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
    """Compute the indicators of a stretch and store those that differ. None where it has no closed candle.

    Closes with more decimals than the calculation has are a `FinerPricesError`, and nothing is stored. A candle whose
    close is no price at all has no indicators, and counts as a hole to all that follow.
    """
    step = interval(key.interval)
    root = calculation.periods.first_needed(stretch.first - lookback)
    table = store.load(key, step.open_time(root), step.open_time(stretch.last), _LOADED).filter(pl.col("closed"))
    numbers = indices(step, table["t"].cast(pl.Int64).to_numpy())
    begin = int(np.searchsorted(numbers, stretch.first))
    if begin == len(numbers):
        return None
    newest = int(numbers[-1])
    priced = _priced(key, table, calculation.decimals)
    sound, numbers = table.filter(priced), numbers[priced]
    candles = {name: sound[name].to_numpy() for name in CANDLE_COLUMNS}
    high, low, close = (candles[name] for name in ("high", "low", "close"))
    columns = compute(numbers, high, low, close, decimals=calculation.decimals, periods=calculation.periods)
    values = {name: _spread_out(columns[name], priced)[begin:] for name in INDICATOR_FIELDS}
    report = _store_changed(store, key, table[begin:], values)
    return Computed(stretch.first, newest, numbers, candles | columns, report)


def _priced(key: SeriesKey, table: pl.DataFrame, decimals: int) -> Flags:
    """Which candles have a close that is a price."""
    needed = decimals_in(table["close"].to_numpy(), decimals)
    priced: Flags = needed <= max(MOST, decimals)
    if not priced.all():
        first = table.filter(~priced)[0]
        log.warning(
            "%s: %d candles have no indicators, because their close is no price: the first is %r at %s. "
            "`tidemark audit --repair` asks the exchange again",
            key,
            int((~priced).sum()),
            first["close"][0],
            first["t"][0],
        )
    finest = int(needed[priced].max(initial=decimals))
    if finest > decimals:
        raise FinerPricesError(finest)
    return priced


def _spread_out(values: Floats, priced: Flags) -> Floats:
    """The values at their places among all candles, NaN at the others."""
    if priced.all():
        return values
    spread = np.full(len(priced), np.nan)
    spread[priced] = values
    return spread


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
