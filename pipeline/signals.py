"""From columns to signals: what strategies say at chosen candles, ready to be stored. Live and history both ask here.

It does no I/O and knows no time: how fresh a signal is, and what becomes of it, is not its affair.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from pipeline.indicators import Floats, Periods
from pipeline.store.signals import Finding
from pipeline.strategies.base import Codes, Prices, Strategy, meaning_of, parameters_of
from pipeline.timeline import Interval, interval
from schemas.series import SeriesKey
from schemas.signals import Kind

SIZED_BY: Final = "atr"
"""The executor sizes by it, so every signal brings it along."""

STRENGTH_COLUMNS: Final = ("open", "close", "atr")


@dataclass(frozen=True, slots=True)
class Calculation:
    """What indicators are computed with, besides the candles."""

    periods: Periods
    decimals: int

    @property
    def settings(self) -> str:
        """Recorded with what was computed: other settings, other values."""
        return f"{self.periods.code} d{self.decimals}"


def settings_of(strategy: Strategy, calculation: Calculation) -> str:
    """Names everything a signal of this strategy depends on, besides the candles."""
    parameters = ", ".join(f"{name}={value}" for name, value in parameters_of(strategy).items())
    return f"{strategy.name}({parameters}) on {calculation.settings}"


def findings(
    key: SeriesKey,
    strategy: Strategy,
    calculation: Calculation,
    columns: Prices,
    codes: Codes,
    numbers: npt.NDArray[np.int64],
    chosen: Sequence[int],
) -> list[Finding]:
    """What the strategy says at the chosen positions. `columns`, `codes` and `numbers` belong to the same candles."""
    if not len(chosen):
        return []
    step = interval(key.interval)
    settings = settings_of(strategy, calculation)
    rows = np.asarray(chosen, dtype=np.intp)
    strengths = _strengths(columns, codes, rows).tolist()
    prices = columns["close"][rows].tolist()
    seen = list(_snapshots(dict.fromkeys((*strategy.needs, SIZED_BY)), columns, rows))
    times = _opened(step, numbers[rows])
    found: list[Finding] = []
    for place, code in enumerate(codes[rows].tolist()):
        side, kind = meaning_of(code)
        found.append(
            Finding(
                key,
                strategy.name,
                cast("Kind", kind.name.lower()),
                side.value,
                times[place],
                prices[place],
                strengths[place],
                seen[place],
                settings,
            )
        )
    return found


def _opened(step: Interval, numbers: npt.NDArray[np.int64]) -> list[int]:
    return [step.open_time(number) for number in numbers.tolist()]


def _strengths(columns: Prices, codes: Codes, rows: npt.NDArray[np.intp]) -> Floats:
    """How far each candle went its signal's way, in ATR, from 0 to 1; 0 while the ATR is not known."""
    opened, closed, atr = (columns[name][rows] for name in STRENGTH_COLUMNS)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.sign(codes[rows]) * (closed - opened) / atr
    return np.clip(np.nan_to_num(reach, nan=0.0), 0.0, 1.0)


def _snapshots(names: Iterable[str], columns: Prices, rows: npt.NDArray[np.intp]) -> Iterable[dict[str, float]]:
    """These columns at each row; without those that are not known there."""
    listed = tuple(names)
    for values in zip(*(columns[name][rows].tolist() for name in listed), strict=True):
        yield {name: value for name, value in zip(listed, values, strict=True) if value == value}  # noqa: PLR0124 - NaN is not itself
