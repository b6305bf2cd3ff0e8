"""From columns to signals: what strategies say at chosen candles, ready to be stored. Live and history both ask here.

It does no I/O and knows no time: how fresh a signal is, and what becomes of it, is not its affair.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from pipeline.finding import Finding
from pipeline.periods import Periods
from pipeline.strategies.base import Codes, Prices, Side, Strategy, edition_of, meaning_of, parameters_of
from pipeline.timeline import Interval, interval
from schemas.series import SeriesKey
from schemas.signals import Kind

SIZED_BY: Final = "atr"
"""The executor sizes by it, so every signal brings it along."""

_NAMED: Final = re.compile(r"(?:^|; )(\w+)\(")

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
    edition = edition_of(strategy)
    rule = f"{strategy.name}({parameters})" + (f" edition {edition}" if edition > 1 else "")
    return f"{rule} on {calculation.settings}"


def named_in(settings: str) -> set[str]:
    """The strategies that `settings_of` some of them, put together, names."""
    return set(_NAMED.findall(settings))


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
    opened, closed, atr = (columns[name][rows].tolist() for name in STRENGTH_COLUMNS)
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
                closed[place],
                _strength(1 if side is Side.LONG else -1, opened[place], closed[place], atr[place]),
                seen[place],
                settings,
            )
        )
    return found


def _opened(step: Interval, numbers: npt.NDArray[np.int64]) -> list[int]:
    return [step.open_time(number) for number in numbers.tolist()]


def _strength(sign: int, opened: float, closed: float, atr: float) -> float:
    """How far a candle went its signal's way, in ATR, from 0 to 1; 0 while the ATR is not known."""
    reach = sign * (closed - opened)
    if reach <= 0 or isnan(atr):
        return 0.0
    return 1.0 if reach >= atr else reach / atr


def _snapshots(names: Iterable[str], columns: Prices, rows: npt.NDArray[np.intp]) -> Iterable[dict[str, float]]:
    """These columns at each row; without those that are not known there."""
    listed = tuple(names)
    for values in zip(*(columns[name][rows].tolist() for name in listed), strict=True):
        yield {name: value for name, value in zip(listed, values, strict=True) if value == value}  # noqa: PLR0124 - NaN is not itself
