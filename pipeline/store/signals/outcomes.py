"""What became of signals, worked out from candles: pure functions of arrays, no database.

A return is in percent and signed by side: positive when the signal was right. Only candles that open at or after the
signal count, so that nothing from before it makes it look better or worse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.store.candles.frame import indices
from pipeline.timeline import DAY, HOUR, MINUTE, Interval

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HORIZONS: Final[dict[str, int]] = {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY, "7d": 7 * DAY}

LATENESS: Final = 10
"""The price at a horizon may be late by a tenth of the horizon; one from later than that is another horizon's."""

PATIENCE: Final = DAY
"""A candle that is still missing this long after it should have come is waited for no more."""

CURRENT: Final = 5 * MINUTE
"""A series whose newest candle is this much older than that of another series is not followed now."""

COLUMNS: Final = ("t", "te", "high", "low", "close", "closed", "u")


@dataclass(frozen=True, slots=True)
class Path:
    """The candles of one series in time order. `known` is the moment of the newest price."""

    step: Interval
    opens: Times
    ends: Times
    high: Floats
    low: Floats
    close: Floats
    closed: Flags
    known: int


@dataclass(frozen=True, slots=True)
class Signals:
    """Signals of one symbol, a column each. `side` is +1 for long, -1 for short."""

    at: Times
    price: Floats
    side: Floats


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One value a signal. NaN where there is no answer; `due` is 0 where nothing falls due any more."""

    current: Floats
    best: Floats
    worst: Floats
    horizons: Mapping[str, Floats]
    due: Times


def path_of(step: Interval, frame: pl.DataFrame) -> Path | None:
    """A table with `COLUMNS`, as `CandleStore.load` gives it. None if it holds no candle."""
    if frame.is_empty():
        return None
    times = {name: frame[name].cast(pl.Int64).to_numpy() for name in ("t", "te", "u")}
    values = {name: frame[name].to_numpy() for name in ("high", "low", "close", "closed")}
    ends = times["te"] + 1
    newest = int(ends[-1]) if values["closed"][-1] else max(int(times["t"][-1]), min(int(times["u"][-1]), ends[-1]))
    return Path(step, times["t"], ends, **values, known=int(newest))


def percent(price: Floats, entry: Floats, side: Floats) -> Floats:
    """The return of a price. The server computes it with the same operations, so to the same last bit."""
    return (price / entry - 1.0) * 100.0 * side


def newest(paths: Sequence[Path]) -> Path:
    """The path that knows the latest price; of several the finest."""
    return max(paths, key=lambda path: (path.known, -_length(path)))


def followed(paths: Sequence[Path]) -> Path:
    """The path to follow from now on: the finest that is current."""
    latest = newest(paths).known
    return min((path for path in paths if path.known >= latest - CURRENT - _length(path)), key=_length)


def settled(path: Path, since: int) -> int:
    """From `since` on, the opening time of the first candle that may still change or still come.

    A missing candle is waited for, because a gap is filled from its beginning after newer candles are there.
    """
    numbers = indices(path.step, path.opens[path.closed])
    first, last = path.step.index(since), path.step.index(int(path.opens[-1]))
    final = np.zeros(max(0, last - first + 1), np.bool_)
    final[numbers[numbers >= first] - first] = True
    given_up = path.step.index(path.known - PATIENCE) - first
    final[: max(0, given_up)] = True
    waiting = np.flatnonzero(~final)
    return path.step.open_time(first + int(waiting[0]) if len(waiting) else max(first, last + 1))


def work_out(signals: Signals, paths: Sequence[Path]) -> Outcomes:
    """Everything there is to know of these signals. Each must have a candle that opens at or after it."""
    ordered = sorted(paths, key=_length)
    latest = newest(paths)
    current = percent(np.full(len(signals.at), latest.close[-1]), signals.price, signals.side)
    highest, lowest = _extremes(signals.at, ordered)
    by_high, by_low = (percent(price, signals.price, signals.side) for price in (highest, lowest))
    told = {name: _at_horizon(signals, ordered, length) for name, length in HORIZONS.items()}
    horizons = {name: found for name, (found, _) in told.items()}
    final = {name: is_prompt for name, (_, is_prompt) in told.items()}
    return Outcomes(
        current=current,
        best=np.maximum(np.maximum(by_high, by_low), current),
        worst=np.minimum(np.minimum(by_high, by_low), current),
        horizons=horizons,
        due=_due(signals.at, final, latest.known),
    )


def _length(path: Path) -> int:
    return path.step.milliseconds or 31 * DAY


def _extremes(at: Times, paths: Sequence[Path]) -> tuple[Floats, Floats]:
    """The highest and the lowest price since each moment. Each candle that opens since then may contribute."""
    highest, lowest = np.full(len(at), -np.inf), np.full(len(at), np.inf)
    for path in paths:
        first = np.searchsorted(path.opens, at)
        known = first < len(path.opens)
        high = np.maximum.accumulate(path.high[::-1])[::-1]
        low = np.minimum.accumulate(path.low[::-1])[::-1]
        highest[known] = np.maximum(highest[known], high[first[known]])
        lowest[known] = np.minimum(lowest[known], low[first[known]])
    return highest, lowest


def _at_horizon(signals: Signals, paths: Sequence[Path], length: int) -> tuple[Floats, Flags]:
    """The return at the close of the candle that ends there or first after, from the finest series that has it; and
    whether it is that of the very candle, or a candle between may still come."""
    found, is_prompt = np.full(len(signals.at), np.nan), np.zeros(len(signals.at), np.bool_)
    target = signals.at + length
    for path in paths:
        ends, closes = path.ends[path.closed], path.close[path.closed]
        place = np.searchsorted(ends, target)
        usable = np.flatnonzero(np.isnan(found) & (place < len(ends)))
        late = ends[place[usable]] - target[usable]
        usable, late = usable[late <= length // LATENESS], late[late <= length // LATENESS]
        found[usable] = percent(closes[place[usable]], signals.price[usable], signals.side[usable])
        is_prompt[usable] = late < _length(paths[0])
    return found, is_prompt


def _due(at: Times, final: Mapping[str, Flags], known: int) -> Times:
    """When the next of the returns falls due. One that is not final is asked for until its candle is given up."""
    due = np.zeros(len(at), np.int64)
    for name, length in reversed(HORIZONS.items()):
        awaited = ~final[name] & (at + length + length // LATENESS + PATIENCE > known)
        due = np.where(awaited, at + length, due)
    return due
