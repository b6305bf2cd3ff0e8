"""What the market was like, day by day, and how unusual that was in all that is stored. Pure.

A stretch is told by six conditions, each a number of all its days. How high one is, is said by the share of all
stretches of that length, in the whole history, in which it was lower: so months of two years can stand side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.timeline import DAY, HOUR

HOURS_A_DAY: Final = DAY // HOUR
LOOK_BACK: Final = 48
"""Hours by which it is said whether the price trends, and how calm it is."""
TRENDS: Final = 0.3
"""The share of its way that a price keeps, from which on it trends."""
ENOUGH: Final = 3
"""The history is as many times longer than a stretch, or nothing is said of how unusual that was."""
UNKNOWN: Final = "unknown"


class Condition(NamedTuple):
    """`low`, `high`: as one says of a month in which it was."""

    name: str
    low: str
    high: str
    form: str


CONDITIONS: Final = (
    Condition("volatility", "calm", "volatile", "{:.0f} % a year"),
    Condition("trend strength", "without direction", "of one direction", "{:.1f} % of its way kept"),
    Condition("daily range", "of small days", "of large days", "{:.2f} % of the price"),
    Condition("volume", "of little volume", "of much volume", "{:.2f} times the usual"),
    Condition("funding", "of low funding", "of high funding", "{:+.4f} % a day"),
    Condition("time in trend", "seldom in trend", "often in trend", "{:.0f} % of the hours"),
)


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of a symbol, one after the other, from a midnight on. One that is not stored is NaN. `funding`: what
    was settled in it, as a share; NaN where nothing was."""

    start: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    funding: Floats

    @classmethod
    def of(cls, times: Integers, candles: Mapping[str, Floats], funding: Mapping[int, float]) -> Self:
        """From candles of at most an hour, in order of time. `funding`: rates by the moment of their settlement."""
        if not len(times):
            raise ValueError("there are no candles")
        start = int(times[0]) // DAY * DAY
        length = (int(times[-1]) // DAY * DAY + DAY - start) // HOUR
        numbers = (times - start) // HOUR
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        places, lasts = numbers[firsts], np.append(firsts[1:], len(numbers)) - 1
        settled = np.full(length, np.nan)
        for time, rate in funding.items():
            if 0 <= (place := (time - start) // HOUR) < length:
                settled[place] = rate + (0.0 if np.isnan(settled[place]) else settled[place])
        return cls(
            start=start,
            open=_spread(candles["open"][firsts], places, length),
            high=_spread(np.maximum.reduceat(candles["high"], firsts), places, length),
            low=_spread(np.minimum.reduceat(candles["low"], firsts), places, length),
            close=_spread(candles["close"][lasts], places, length),
            volume=_spread(np.add.reduceat(candles["volume"], firsts), places, length),
            funding=settled,
        )

    def steps(self) -> Floats:
        """The logarithm of what each hour brought; NaN before the first."""
        worth = np.log(self.close)
        found: Floats = np.append(np.nan, np.diff(worth))
        return found


def _spread(values: Floats, places: Integers, length: int) -> Floats:
    column = np.full(length, np.nan)
    column[places] = values
    return column


class Lately:
    """Of each hour of a symbol: how it went in the two days until its end."""

    def __init__(self, hours: Hours) -> None:
        self._start = hours.start
        steps = hours.steps()
        moved, way, squares = (_trailing(one) for one in (steps, np.abs(steps), steps**2))
        with np.errstate(invalid="ignore", divide="ignore"):
            self.kept: Floats = moved / way
        self.volatility: Floats = np.sqrt(squares)
        known = self.volatility[~np.isnan(self.volatility)]
        self._usual = float(np.median(known)) if len(known) else np.nan

    def regime(self, time: int) -> str:
        """What the market was like, as one could know at that moment; but for how calm it usually is."""
        place = (time - self._start) // HOUR - 1
        if not 0 <= place < len(self.kept) or np.isnan(self.kept[place]):
            return UNKNOWN
        kept = self.kept[place]
        where = "sideways" if abs(kept) < TRENDS else "rising" if kept > 0 else "falling"
        return f"{where}, {'volatile' if self.volatility[place] > self._usual else 'calm'}"


def _trailing(values: Floats) -> Floats:
    """The sum of the last two days, NaN where an hour of them lacks."""
    found = np.full(len(values), np.nan)
    if len(values) >= LOOK_BACK:
        sums = np.cumsum(np.append(0.0, np.nan_to_num(values)))
        lacks = np.cumsum(np.append(0, np.isnan(values)))
        whole = lacks[LOOK_BACK:] == lacks[:-LOOK_BACK]
        found[LOOK_BACK - 1 :][whole] = (sums[LOOK_BACK:] - sums[:-LOOK_BACK])[whole]
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """A condition of a stretch. None: not known. `higher_than`: the share of all stretches of that length in which it
    was lower, those in which it was alike counted half."""

    condition: Condition
    value: float | None
    higher_than: float | None

    @property
    def odd(self) -> float:
        """How far from the middle, from 0 to 1."""
        return 0.0 if self.higher_than is None else abs(2 * self.higher_than - 1)

    @property
    def text(self) -> str:
        """As one reads it."""
        return "-" if self.value is None else self.condition.form.format(self.value)


class History:
    """All that is stored of these symbols, which count in equal parts."""

    def __init__(self, symbols: Mapping[str, Hours]) -> None:
        of_all = [symbols[name] for name in sorted(symbols)]
        self.start = min((one.start for one in of_all), default=0)
        self.days = max(((one.start - self.start) // DAY + len(one.close) // HOURS_A_DAY for one in of_all), default=0)
        self._sums = [_sums(one, self.start, self.days) for one in of_all]
        self._lately = {name: Lately(one) for name, one in symbols.items()}

    def regime(self, symbol: str, time: int) -> str:
        """What the market of that symbol was like at that moment."""
        lately = self._lately.get(symbol)
        return UNKNOWN if lately is None else lately.regime(time)

    def told(self, start: int, end: int) -> list[Found]:
        """The conditions of the days that these moments lie in."""
        first = max((start - self.start) // DAY, 0)
        last = min(-(-(end - self.start) // DAY), self.days)
        length = last - first
        if length <= 0:
            return [Found(one, None, None) for one in CONDITIONS]
        found = []
        for one, windows in zip(CONDITIONS, self._windows(length), strict=True):
            value = windows[first]
            known = windows[~np.isnan(windows)]
            place = None
            if not np.isnan(value) and self.days >= ENOUGH * length:
                place = float(((known < value).sum() + (known == value).sum() / 2) / len(known))
            found.append(Found(one, None if np.isnan(value) else float(value), place))
        return found

    def _windows(self, length: int) -> Sequence[Floats]:
        """Each condition in every stretch of so many days, a day apart: the mean of the symbols."""
        with np.errstate(invalid="ignore", divide="ignore"):
            of_each = [_conditions(sums, length) for sums in self._sums]
        return [_mean([one[number] for one in of_each]) for number in range(len(CONDITIONS))]


def _mean(rows: Sequence[Floats]) -> Floats:
    """Of what is known."""
    table = np.stack(rows)
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(known, table, 0.0).sum(axis=0) / known.sum(axis=0)
    return found


def _sums(hours: Hours, start: int, days: int) -> Mapping[str, Floats]:
    """What adds up, from the beginning to each midnight."""
    steps = hours.steps()
    lately = Lately(hours)
    by_day = (-1, HOURS_A_DAY)
    lows, highs, opens = (one.reshape(by_day) for one in (hours.low, hours.high, hours.open))
    known = ~np.isnan(opens)
    whole = known.any(axis=1)
    begun = opens[np.arange(len(opens)), known.argmax(axis=1)]
    spread = np.full(len(opens), np.nan)
    spread[whole] = (np.nanmax(highs[whole], axis=1) - np.nanmin(lows[whole], axis=1)) / begun[whole]
    columns: dict[str, npt.NDArray[np.float64]] = {
        "moved": steps,
        "way": np.abs(steps),
        "squares": steps**2,
        "hours": (~np.isnan(steps)).astype(float),
        "volume": hours.volume / (float(np.nanmean(hours.volume)) or np.nan),
        "volumes": known.reshape(-1).astype(float),
        "funding": hours.funding,
        "funded": (~np.isnan(hours.funding)).astype(float),
        "trends": (np.abs(lately.kept) >= TRENDS).astype(float),
        "told": (~np.isnan(lately.kept)).astype(float),
    }
    daily = {name: np.nan_to_num(one).reshape(by_day).sum(axis=1) for name, one in columns.items()}
    daily |= {"range": np.nan_to_num(spread), "ranges": whole.astype(float)}
    before = (hours.start - start) // DAY
    return {name: _running(one, before, days) for name, one in daily.items()}


def _running(daily: Floats, before: int, days: int) -> Floats:
    padded = np.zeros(days + 1)
    padded[before + 1 : before + 1 + len(daily)] = daily
    sums: Floats = np.cumsum(padded)
    return sums


def _conditions(sums: Mapping[str, Floats], length: int) -> Sequence[Floats]:
    """Those of `CONDITIONS`, in each stretch of so many days; NaN where nothing is stored."""

    def over(name: str) -> Floats:
        found: Floats = sums[name][length:] - sums[name][:-length]
        return found

    a_year: Callable[[Floats], Floats] = lambda variance: np.sqrt(variance) * sqrt(365 * HOURS_A_DAY) * 100  # noqa: E731
    return (
        a_year(over("squares") / over("hours")),
        np.abs(over("moved")) / over("way") * 100,
        over("range") / over("ranges") * 100,
        over("volume") / over("volumes"),
        np.where(over("funded") > 0, over("funding") / (over("volumes") / HOURS_A_DAY) * 100, np.nan),
        over("trends") / over("told") * 100,
    )
