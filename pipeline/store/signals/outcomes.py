"""What became of signals, worked out from candles: pure functions of arrays, no database.

A return is in percent and signed by side: positive when the signal was right. Only closed candles count, and of those
only what lies between a signal and its horizon: so each value is final when it falls due, whoever works it out, and
however late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.timeline import DAY, HOUR, Interval

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Number = TypeVar("Number", float, Floats)

HORIZONS: Final[dict[str, int]] = {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY, "7d": 7 * DAY}
FIRST: Final = min(HORIZONS.values())
LAST: Final = max(HORIZONS.values())

LATENESS: Final = 10
"""The price at a horizon may be late by a tenth of the horizon; one from later than that is another horizon's."""

COLUMNS: Final = ("t", "te", "high", "low", "close", "closed")

SIGN: Final[Mapping[str, float]] = {"long": 1.0, "short": -1.0}


@dataclass(frozen=True, slots=True)
class Path:
    """The closed candles of one series, in time order."""

    step: Interval
    opens: Times
    ends: Times
    high: Floats
    low: Floats
    close: Floats


@dataclass(frozen=True, slots=True)
class Signals:
    """Signals of one symbol, a column each. `sign` is +1 for long, -1 for short."""

    at: Times
    price: Floats
    sign: Floats


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One value a signal. NaN where there is no answer; `due` is 0 where nothing falls due any more."""

    best: Floats
    worst: Floats
    horizons: Mapping[str, Floats]
    due: Times


def path_of(step: Interval, frame: pl.DataFrame) -> Path:
    """A table with `COLUMNS`, as `CandleStore.load` gives it."""
    closed = frame.filter(pl.col("closed"))
    opens, lasts = (closed[name].cast(pl.Int64).to_numpy() for name in ("t", "te"))
    high, low, close = (closed[name].to_numpy() for name in ("high", "low", "close"))
    return Path(step, opens, lasts + 1, high, low, close)


def signals_of(told: Sequence[tuple[int, float, str]]) -> Signals:
    """From the moment, the price and the side of each."""
    at, price, side = zip(*told, strict=True)
    return Signals(np.array(at, np.int64), np.array(price, np.float64), np.array([SIGN[one] for one in side]))


def percent(price: Number, entry: Number, sign: Number) -> Number:
    """The return of a price. The server computes it with the same operations, so to the same last bit."""
    return (price / entry - 1.0) * 100.0 * sign


def reach(length: int) -> int:
    """How long after a signal a candle can end that has a say in this horizon."""
    return length + length // LATENESS


def work_out(signals: Signals, paths: Sequence[Path], through: int) -> Outcomes:
    """What became of these signals, as far as it has fallen due: all candles that end until `through` are there."""
    ordered = sorted(paths, key=lambda path: length_of(path.step))
    fallen = {name: signals.at + length <= through for name, length in HORIZONS.items()}
    horizons = {name: _at_horizon(signals, ordered, HORIZONS[name], due) for name, due in fallen.items()}
    span, due = np.zeros(len(signals.at), np.int64), np.zeros(len(signals.at), np.int64)
    for name, length in HORIZONS.items():
        span[fallen[name]] = length
    for name, length in reversed(HORIZONS.items()):
        due = np.where(fallen[name], due, signals.at + length)
    gains = [percent(price, signals.price, signals.sign) for price in _extremes(signals.at, span, ordered)]
    return Outcomes(np.fmax(*gains), np.fmin(*gains), horizons, due)


def length_of(step: Interval) -> int:
    """Of a candle; that of a month is a long one's."""
    return step.milliseconds or 31 * DAY


def _extremes(at: Times, span: Times, paths: Sequence[Path]) -> tuple[Floats, Floats]:
    """The highest and the lowest price of the candles that opened since each moment and ended within its span."""
    highest, lowest = np.full(len(at), np.nan), np.full(len(at), np.nan)
    for path in paths:
        bounds = np.column_stack((np.searchsorted(path.opens, at), np.searchsorted(path.ends, at + span, "right")))
        some = bounds[:, 0] < bounds[:, 1]
        if not some.any():
            continue
        edges = bounds[some].ravel()
        high, low = np.append(path.high, np.nan), np.append(path.low, np.nan)
        highest[some] = np.fmax(highest[some], np.maximum.reduceat(high, edges)[::2])
        lowest[some] = np.fmin(lowest[some], np.minimum.reduceat(low, edges)[::2])
    return highest, lowest


def _at_horizon(signals: Signals, paths: Sequence[Path], length: int, fallen: Flags) -> Floats:
    """The return at the close of the candle that ends there or first after, from the finest series that has it."""
    found = np.full(len(signals.at), np.nan)
    target = signals.at + length
    for path in paths:
        place = np.searchsorted(path.ends, target)
        usable = np.flatnonzero(fallen & np.isnan(found) & (place < len(path.ends)))
        usable = usable[path.ends[place[usable]] <= target[usable] + length // LATENESS]
        found[usable] = percent(path.close[place[usable]], signals.price[usable], signals.sign[usable])
    return found
