"""The trades of a run apart: by side, by how they ended, by strategy, by symbol, by weekday. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from pipeline.research import figures
from pipeline.research.backtest.trades import Trade
from pipeline.timeline import HOUR, to_datetime

By = Literal["side", "reason", "strategy", "symbol", "weekday"]

KEYS: Final[Mapping[By, Callable[[Trade], str]]] = {
    "side": lambda one: one.side,
    "reason": lambda one: one.reason,
    "strategy": lambda one: one.strategy,
    "symbol": lambda one: one.symbol,
    "weekday": lambda one: f"{to_datetime(one.opened_at):%A}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Trades that have this in common. `profit` counts what is still open; shares and means are of those that ended.
    `return_pct` is the profit by the equity at the start."""

    name: str
    trades: int
    still_open: int
    profit: Decimal
    return_pct: float
    won_pct: float | None
    profit_factor: float | None
    expectancy: float | None
    best: float | None
    worst: float | None
    mean_hours: float | None
    fees: Decimal
    funding: Decimal


def groups_of(trades: Sequence[Trade], by: By, equity: float) -> list[Group]:
    """The most profitable first."""
    apart: dict[str, list[Trade]] = {}
    for one in trades:
        apart.setdefault(KEYS[by](one), []).append(one)
    found = [_group(name, of_it, equity) for name, of_it in apart.items()]
    return sorted(found, key=lambda one: (-one.profit, one.name))


def _group(name: str, trades: Sequence[Trade], equity: float) -> Group:
    ended = [one for one in trades if one.closed_at is not None]
    profits = [float(one.profit) for one in ended]
    profit = sum((one.profit for one in trades), Decimal())
    return Group(
        name=name,
        trades=len(ended),
        still_open=len(trades) - len(ended),
        profit=profit,
        return_pct=float(profit) / equity * 100,
        won_pct=figures.win_rate(profits),
        profit_factor=figures.profit_factor(profits),
        expectancy=figures.expectancy(profits),
        best=max(profits, default=None),
        worst=min(profits, default=None),
        mean_hours=figures.expectancy([(one.closed_at - one.opened_at) / HOUR for one in ended if one.closed_at]),
        fees=sum((one.fees for one in trades), Decimal()),
        funding=sum((one.funding for one in trades), Decimal()),
    )
