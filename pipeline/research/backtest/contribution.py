"""What each strategy of a run adds to it: the same run without its signals, and how its days go with those of the
others. Strategies share an account, so a part is not what it would have been alone. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.research.backtest.run import Backtest, run
from pipeline.research.backtest.summary import Summary
from pipeline.research.backtest.trades import Trade
from pipeline.timeline import DAY

Floats = npt.NDArray[np.float64]
FEWEST: Final = 20
"""Of two strategies whose trades ended on fewer days it is not told how those go together: of two days, any two do."""


class Ended(NamedTuple):
    """A trade, as far as its day goes. `closed_at` None: it is still open."""

    strategy: str
    closed_at: int | None
    profit: float


@dataclass(frozen=True, slots=True)
class Contribution:
    """Of one strategy. `without`: the figures of the run that did not hear it. `correlations`: of what its trades
    brought day by day with what those of each other one did; None where that is too little to tell: fewer than
    `FEWEST` days on which either brought anything, or one of the two never did."""

    strategy: str
    profit: float
    without: Summary
    correlations: Mapping[str, float | None]


def contributions(
    found: Backtest, asked_for: Iterable[str], progress: Callable[[str], None] = lambda _: None, *, exact: bool = False
) -> list[Contribution]:
    """Of each strategy that was asked for, by name; as many runs more as spoke: without one that did not, it is the
    same run. Of one alone there is nothing to say."""
    asked = found.asked
    spoke = {one.strategy for one in asked.signals}
    names = sorted({*asked_for, *spoke})
    if len(names) < 2:
        return []
    days = daily(ends_of(found.outcome.trades), names, asked.start, asked.end)
    parts = []
    for name in names:
        without = found.outcome.summary
        if name in spoke:
            progress(name)
            others = [one for one in asked.signals if one.strategy != name]
            without = run(replace(asked, signals=others), exact=exact).outcome.summary
        beside = {other: _correlation(days[name], days[other]) for other in names if other != name}
        parts.append(Contribution(name, float(days[name].sum()), without, beside))
    return parts


def daily(ended: Iterable[Ended], names: Sequence[str], start: int, end: int) -> dict[str, Floats]:
    """What the trades of each brought on the day on which they ended, UTC, days without any included; what is still
    open counts on the last."""
    first, last = start // DAY, (end - 1) // DAY
    found = {name: np.zeros(last - first + 1) for name in names}
    for strategy, closed_at, profit in ended:
        day = (end - 1 if closed_at is None else min(closed_at, end - 1)) // DAY
        found[strategy][day - first] += profit
    return found


def ends_of(trades: Iterable[Trade]) -> Iterator[Ended]:
    """The same of the trades of a run."""
    return (Ended(one.strategy, one.closed_at, float(one.profit)) for one in trades)


def _correlation(one: Floats, other: Floats) -> float | None:
    told = np.count_nonzero((one != 0) | (other != 0))
    if told < FEWEST or not one.std() or not other.std():
        return None
    return float(np.corrcoef(one, other)[0, 1])
