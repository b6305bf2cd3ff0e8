"""The figures of a trial: their names, and those that follow from its equity and its trades alone. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.research import figures
from pipeline.research.backtest.minutes import Floats
from pipeline.timeline import DAY

Figures = Mapping[str, Any]

FIGURES: Final = (
    "return_pct", "yearly_return_pct", "max_drawdown_pct", "under_water_days", "volatility_pct", "sharpe", "sortino",
    "calmar", "omega", "exposure_pct", "equity_end", "trades", "still_open", "won_pct", "profit_factor", "expectancy",
    "quality", "kelly_pct", "chance", "fees", "funding", "turnover", "signals", "taken", "on_an_assumption",
    "mean_hours",
)  # fmt: skip
"""By the names that they have in a backtest."""


def times_of(start: int, end: int) -> list[int]:
    """The start, each midnight (UTC) between, and the end."""
    return [start, *range((start // DAY + 1) * DAY, end, DAY), end]


def equity_figures(equity: Floats, deepest: float | None = None) -> dict[str, Any]:
    """Those of an equity by days. `deepest`: its drawdown, where more is known of it than its days."""
    daily = figures.returns_of(equity)
    deepest = float(figures.drawdowns(equity).max()) if deepest is None else deepest
    return {
        "return_pct": figures.total_return(equity),
        "yearly_return_pct": figures.yearly_return(equity),
        "max_drawdown_pct": deepest,
        "under_water_days": figures.longest_under_water(equity),
        "volatility_pct": figures.volatility(daily),
        "sharpe": figures.sharpe(daily),
        "sortino": figures.sortino(daily),
        "calmar": figures.calmar(equity, deepest),
        "omega": figures.omega(daily),
        "equity_end": float(equity[-1]),
    }


def profit_figures(profits: figures.Values) -> dict[str, Any]:
    """Those of what the trades that ended have brought."""
    return {
        "won_pct": figures.win_rate(profits),
        "profit_factor": figures.profit_factor(profits),
        "expectancy": figures.expectancy(profits),
        "quality": figures.quality(profits),
        "kelly_pct": figures.kelly(profits),
        "chance": figures.chance(profits),
    }
