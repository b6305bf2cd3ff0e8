"""Shares by what each strategy's walk-forward search brought out of sample: shrunk towards equal ones, none below a
floor and none above a cap. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.portfolio.allocation import STEP, WHOLE

Floats = npt.NDArray[np.float64]

LEAST: Final = Decimal(5)
MOST: Final = Decimal(60)
"""Percent that a strategy has at least and at most where nobody says otherwise."""
_NINE_OF_TEN: Final = 2 * 1.6449
"""So many standard errors lie between the bounds of nine of ten draws."""
_NEXT_TO_NONE: Final = 1e-9
"""A smaller part of the largest weight is as good as that."""
_EXACT: Final = 6
"""Decimals of a percent that are more than rounding."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was chosen on each training stretch brought behind it. `figure`: its Sharpe ratio of a day; `error`: its
    standard error. None: too little to tell it by."""

    figure: float | None
    error: float | None
    is_luck: bool = False

    @property
    def speaks_for_it(self) -> bool:
        """Whether it has more than the floor."""
        return self.figure is not None and self.figure > 0 and self.error is not None and not self.is_luck


def record_of(stretches: Sequence[Floats], mean_trade_between: tuple[float, float] | None, *, is_luck: bool) -> Record:
    """From the daily returns of each stretch, and from the two between which the mean profit of a trade lies in nine of
    ten draws. The error is the larger one of two: as the stretches vary, and as the trades do. Each is the smaller, the
    more of them there are."""
    days = np.concatenate(stretches) if stretches else np.zeros(0)
    unrest = float(days.std(ddof=1)) if len(days) > 1 else 0.0
    if unrest == 0:
        return Record(None, None, is_luck)
    figure = float(days.mean()) / unrest
    if len(stretches) < 2 or mean_trade_between is None:
        return Record(figure, None, is_luck)
    by_stretch = np.array([one.mean() for one in stretches]) / unrest
    low, high = mean_trade_between
    if low + high <= 0:
        return Record(figure, None, is_luck)
    of_stretches = float(by_stretch.std(ddof=1)) / len(by_stretch) ** 0.5
    of_trades = abs(figure) * (high - low) / _NINE_OF_TEN / ((low + high) / 2)
    return Record(figure, max(of_stretches, of_trades), is_luck)


def shrunk(records: Sequence[Record]) -> list[float]:
    """Their figures, drawn towards their mean by as much of their differences as is accident.

    Of what figures differ by, their variance, the mean square of their errors is expected of strategies that are all
    equally good: that share of each difference is taken off (the estimator of James and Stein as Efron and Morris read
    it, 1975). It is one share for all, so that none overtakes another.
    """
    if not records:
        return []
    figures = np.array([one.figure or 0.0 for one in records])
    spread = float(figures.var(ddof=1)) if len(figures) > 1 else 0.0
    accident = float(np.mean([(one.error or 0.0) ** 2 for one in records]))
    kept = max(0.0, 1 - accident / spread) if spread > 0 else 0.0
    mean = float(figures.mean())
    return [mean + kept * float(one - mean) for one in figures]


def bounds_complaint(count: int, least: Decimal, most: Decimal) -> str | None:
    """Why so many strategies cannot have a floor and a cap like these, if they cannot."""
    if not (least.is_finite() and most.is_finite() and 0 <= least <= most <= WHOLE and most > 0):
        return (
            f"--least {least:f} and --most {most:f}: percent of the equity, from 0 to 100, and the least is not above "
            "the most"
        )
    if least * count > WHOLE:
        return (
            f"{count} strategies with {least:f} percent each come to {least * count:f}, and there are 100: give at "
            f"most --least {(WHOLE / count).quantize(STEP, ROUND_FLOOR):f}"
        )
    return None


def by_records(records: Mapping[str, Record], least: Decimal = LEAST, most: Decimal = MOST) -> dict[str, Decimal]:
    """In tenths of a percent, together no more than 100. What nothing speaks for has the floor; the rest goes by the
    shrunk figures, and what the cap takes off one goes to the others. Where all are at the cap, some is left over; what
    would have nothing is left out."""
    heard = [name for name, one in records.items() if one.speaks_for_it]
    rest = float(WHOLE - least * (len(records) - len(heard)))
    filled = _filled(shrunk([records[name] for name in heard]), rest, float(least), float(most))
    exact = dict.fromkeys(records, least) | {
        name: max(least, Decimal(repr(round(one, _EXACT))).quantize(STEP, ROUND_FLOOR))
        for name, one in zip(heard, filled, strict=True)
    }
    return {name: one.normalize() + Decimal(0) for name, one in exact.items() if one > 0}


def _filled(weights: Sequence[float], rest: float, least: float, most: float) -> list[float]:
    """Shares by the weights, none below `least` or above `most`, that come to `rest` or to as near as can be: all
    weights times one scale, which is found between those at which one of them reaches a bound."""
    if not weights:
        return []
    known = np.maximum(np.array(weights) / max(weights), _NEXT_TO_NONE)
    scales = np.unique(np.concatenate([least / known, most / known]))
    comes_to = [float(np.clip(scale * known, least, most).sum()) for scale in scales]
    scale = float(np.interp(rest, comes_to, scales))
    return [float(one) for one in np.clip(scale * known, least, most)]
