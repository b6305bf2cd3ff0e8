"""Why did these months earn, and those not? The matrix, what was different about the market, and a sentence for the
strongest. Pure. It explains what was; it never says what will be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.research.backtest.minutes import Floats
from pipeline.research.why.market import CONDITIONS, Condition, Found, History
from pipeline.research.why.matrix import Cell, Deal, Part, cells_of, dice_of, ended_in, month_interval

FEWEST_MONTHS: Final = 6
"""Of fewer it is not said what goes with their returns."""
UNUSUAL: Final = 0.8
"""From so far off the middle on, a condition is among the lowest or highest tenth."""
_SHUFFLES: Final = 10_000
_CLEAR: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthTold:
    """A month: what it brought, and what was different about the market in it."""

    month: str
    return_pct: float
    low_pct: float | None
    high_pct: float | None
    trades: int
    conditions: Sequence[Found]
    because: str


@dataclass(frozen=True, slots=True)
class GoesWith:
    """How much the returns of the months go with a condition, by ranks, from -1 to 1. `chance`: how often months put in
    another order would go with any of the conditions as much."""

    condition: Condition
    correlation: float
    chance: float


@dataclass(frozen=True, slots=True)
class Why:
    """The answer. `goes_with`: the strongest first; empty where the months are too few."""

    months: Sequence[MonthTold]
    cells: Sequence[Cell]
    goes_with: Sequence[GoesWith]
    verdict: str

    @property
    def clear(self) -> Sequence[Cell]:
        """Cells whose interval lies on one side of nothing, those that moved the account most first."""
        found = [one for one in self.cells if one.is_clear]
        return sorted(found, key=lambda one: (-abs(one.return_pct), one.month, one.by, one.name))

    @property
    def judged(self) -> int:
        """Cells that have an interval at all."""
        return sum(one.low_pct is not None for one in self.cells)


def why(parts: Sequence[Part], deals: Sequence[Deal], history: History) -> Why:
    """Month by month."""
    months, cells = [], []
    for part in parts:
        of_it = ended_in(part, deals)
        cells += cells_of(part, of_it, history.regime)
        months.append(_told(part, len(of_it), history.told(part.start, part.end)))
    found = _goes_with(months)
    return Why(months, cells, found, _verdict(months, found))


def _told(part: Part, trades: int, conditions: Sequence[Found]) -> MonthTold:
    low, high = month_interval(part) or (None, None)
    return MonthTold(
        month=part.month,
        return_pct=float(np.prod(1 + part.daily) - 1) * 100,
        low_pct=low,
        high_pct=high,
        trades=trades,
        conditions=conditions,
        because=_because(conditions),
    )


def _because(conditions: Sequence[Found]) -> str:
    strongest = max(conditions, key=lambda one: one.odd)
    share = strongest.higher_than
    if share is None:
        return "too little is stored to say what was unusual"
    is_high = share >= 1 / 2
    of_all = f"{(share if is_high else 1 - share) * 100:.0f} % of all stretches as long"
    place = f"{'higher' if is_high else 'lower'} than in {of_all}"
    kind = strongest.condition.high if is_high else strongest.condition.low
    head = kind if strongest.odd >= UNUSUAL else "an ordinary market; at most"
    return f"{head}: {strongest.condition.name} was {strongest.text}, {place}"


def _goes_with(months: Sequence[MonthTold]) -> list[GoesWith]:
    """By ranks, over the months in which the condition is known."""
    found = []
    for number, condition in enumerate(CONDITIONS):
        told = [(one.return_pct, one.conditions[number].higher_than) for one in months]
        pairs = [(returned, share) for returned, share in told if share is not None]
        if len(pairs) >= FEWEST_MONTHS:
            returns, shares = np.array(pairs).T
            correlation, chance = _ranked(returns, shares, condition.name)
            found.append((condition, correlation, chance))
    counted = [GoesWith(one, correlation, min(1.0, chance * len(found))) for one, correlation, chance in found]
    return sorted(counted, key=lambda one: (one.chance, -abs(one.correlation)))


def _ranked(returns: Floats, values: Floats, seed: str) -> tuple[float, float]:
    """The correlation of the ranks, and how often another order of the months has as much of it."""
    first, second = _ranks(returns), _ranks(values)
    if not first.std() or not second.std():
        return 0.0, 1.0
    first, second = ((one - one.mean()) / one.std() for one in (first, second))
    correlation = float((first * second).mean())
    dice = dice_of(seed)
    shuffled = dice.permuted(np.tile(second, (_SHUFFLES, 1)), axis=1)
    as_much = np.abs(shuffled @ first / len(first)) >= abs(correlation) - 1e-12
    return correlation, float((as_much.sum() + 1) / (_SHUFFLES + 1))


def _ranks(values: Floats) -> Floats:
    """What is alike shares a rank."""
    below = (values[:, None] > values[None, :]).sum(axis=1)
    alike = (values[:, None] == values[None, :]).sum(axis=1)
    found: Floats = below + (alike - 1) / 2
    return found


def _verdict(months: Sequence[MonthTold], goes_with: Sequence[GoesWith]) -> str:
    won = sum(one.return_pct > 0 for one in months)
    head = f"{won} of {len(months)} months won"
    if not goes_with:
        return f"{head}; it takes {FEWEST_MONTHS} months with a known market to say what their returns go with"
    one = goes_with[0]
    told = f"rank correlation {one.correlation:+.2f}, by chance {_chance(one.chance)}"
    if one.chance > _CLEAR:
        return (
            f"{head}; nothing about the market explains which, beyond chance: nearest is {one.condition.name} ({told})"
        )
    better: Callable[[Condition], str] = lambda kind: kind.high if one.correlation > 0 else kind.low  # noqa: E731
    return f"{head}; the months that earned more were {better(one.condition)}: {one.condition.name} ({told})"


def _chance(value: float) -> str:
    return "in less than 0.1 % of cases" if value < 1e-3 else f"in {value * 100:.1f} % of cases"
