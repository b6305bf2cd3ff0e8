"""What trades brought, by month and by what they have in common, and how much of it a resampling leaves. Pure.

An interval is that of a bootstrap: the trades of a cell, or the days of a month, drawn anew a thousand times with
replacement; between its ends lie nine of ten of the sums. The dice are thrown by the name of the cell, so that the same
trades have the same interval, whatever stands beside them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np

from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.research.backtest.months import bounds
from pipeline.timeline import to_datetime

By = Literal["strategy", "symbol", "side", "hour", "regime"]
BY: Final[tuple[By, ...]] = ("strategy", "symbol", "side", "hour", "regime")
FEWEST: Final = 5
"""Of fewer trades, or days, there is no interval."""
_DRAWS: Final = 1_000
_AT_ONCE: Final = 1_000_000
_ENDS: Final = (5, 95)


class Deal(Protocol):
    """A position that has ended, or not: as far as the matrix looks at it."""

    @property
    def symbol(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def strategy(self) -> str: ...
    @property
    def opened_at(self) -> int: ...
    @property
    def closed_at(self) -> int | None: ...
    @property
    def profit(self) -> Decimal: ...


class Part(NamedTuple):
    """A month, or as much of it as there is: what the account began it with, and what each of its days brought, as
    shares."""

    month: str
    start: int
    end: int
    begun: float
    daily: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Trades that ended in a month and have this in common. `return_pct`: their profit by what the account began the
    month with; `low_pct` and `high_pct`: None of too few."""

    month: str
    by: By
    name: str
    trades: int
    profit: Decimal
    return_pct: float
    low_pct: float | None
    high_pct: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies on one side of nothing."""
        return self.low_pct is not None and self.high_pct is not None and (self.low_pct > 0 or self.high_pct < 0)


def parts_of(times: Integers, equity: Floats) -> list[Part]:
    """The months of a run, from what it was worth at its start, at each midnight, and at its end."""
    found = []
    for start, end in pairwise(bounds(int(times[0]), int(times[-1]))):
        worth = equity[(times >= start) & (times <= end)]
        found.append(Part(f"{to_datetime(start):%Y-%m}", start, end, float(worth[0]), worth[1:] / worth[:-1] - 1))
    return found


def ended_in(part: Part, deals: Iterable[Deal]) -> list[Deal]:
    """A trade counts where it ended, all of its profit there."""
    return [one for one in deals if one.closed_at is not None and part.start < one.closed_at <= part.end]


def cells_of(part: Part, deals: Sequence[Deal], regime: Callable[[str, int], str]) -> list[Cell]:
    """Of a month: by each of `BY`, by name. `deals`: those that ended in it."""
    keys: Mapping[By, Callable[[Deal], str]] = {
        "strategy": lambda one: one.strategy,
        "symbol": lambda one: one.symbol,
        "side": lambda one: one.side,
        "hour": lambda one: f"{to_datetime(one.opened_at):%H}",
        "regime": lambda one: regime(one.symbol, one.opened_at),
    }
    found = []
    for by in BY:
        apart: dict[str, list[Deal]] = {}
        for one in deals:
            apart.setdefault(keys[by](one), []).append(one)
        found += [_cell(part, by, name, apart[name]) for name in sorted(apart)]
    return found


def _cell(part: Part, by: By, name: str, deals: Sequence[Deal]) -> Cell:
    profit = sum((one.profit for one in deals), Decimal())
    shares = np.array([float(one.profit) / part.begun * 100 for one in deals])
    low, high = interval_of(shares, f"{part.month} {by} {name}") or (None, None)
    return Cell(
        month=part.month,
        by=by,
        name=name,
        trades=len(deals),
        profit=profit,
        return_pct=float(profit) / part.begun * 100,
        low_pct=low,
        high_pct=high,
    )


def interval_of(values: Floats, seed: str) -> tuple[float, float] | None:
    """Between which two the sum lies in nine of ten draws; None of too few."""
    count = len(values)
    if count < FEWEST:
        return None
    dice = dice_of(seed)
    at_once = max(_AT_ONCE // count, 1)
    sums = [
        values[dice.integers(count, size=(min(at_once, _DRAWS - done), count))].sum(axis=1)
        for done in range(0, _DRAWS, at_once)
    ]
    low, high = np.percentile(np.concatenate(sums), _ENDS)
    return float(low), float(high)


def month_interval(part: Part) -> tuple[float, float] | None:
    """The same of the return of a month, from its days one after the other, in percent."""
    if (part.daily <= -1).any():
        return None
    found = interval_of(np.log1p(part.daily), part.month)
    return None if found is None else (float(np.expm1(found[0])) * 100, float(np.expm1(found[1])) * 100)


def dice_of(seed: str) -> np.random.Generator:
    """Always the same by that name."""
    return np.random.default_rng(int.from_bytes(sha256(seed.encode()).digest()[:8], "big"))
