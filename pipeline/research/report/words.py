"""The figures of a run as a person reads them, the most telling first: each has one name and form."""

from collections.abc import Callable
from typing import Final, NamedTuple

from pipeline.exchange_names import decimals_of_asset
from pipeline.research.backtest.summary import Summary


class Figure(NamedTuple):
    """`telling`: it stands in the terminal too."""

    name: str
    text: Callable[[Summary], str]
    telling: bool = True


def share(value: float | None) -> str:
    """A share of something."""
    return "-" if value is None else f"{value:,.2f} %"


def gain(value: float | None) -> str:
    """A percentage that may be lost as well."""
    return "-" if value is None else signed(value) + " %"


def number(value: float | None) -> str:
    """A ratio."""
    return "-" if value is None else f"{value:,.2f}"


def money(value: float | None, asset: str) -> str:
    """A sum of it that was gained, or lost."""
    return "-" if value is None else signed(value, decimals_of_asset(asset))


def worth(value: float | None, asset: str) -> str:
    """A sum of it."""
    return "-" if value is None else f"{value:,.{decimals_of_asset(asset)}f}"


def hours(value: float | None) -> str:
    """How long."""
    return "-" if value is None else f"{value:,.1f} h"


def signed(value: float, decimals: int = 2) -> str:
    """A number, with its sign."""
    return f"{value:+,.{decimals}f}" if round(value, decimals) else f"{0:.{decimals}f}"


FIGURES: Final = (
    Figure("return", lambda one: gain(one.return_pct)),
    Figure("the symbols themselves", lambda one: gain(one.market_return_pct)),
    Figure("return a year", lambda one: gain(one.yearly_return_pct)),
    Figure("deepest drawdown", lambda one: share(one.max_drawdown_pct)),
    Figure("longest under water", lambda one: f"{one.under_water_days} days"),
    Figure("Sharpe", lambda one: number(one.sharpe)),
    Figure("Sortino", lambda one: number(one.sortino)),
    Figure("Calmar", lambda one: number(one.calmar)),
    Figure("volatility a year", lambda one: share(one.volatility_pct)),
    Figure("alpha, beta", lambda one: f"{gain(one.alpha_pct)}, {number(one.beta)}"),
    Figure("trades", lambda one: f"{one.trades:,}" + (f" and {one.still_open} open" if one.still_open else "")),
    Figure("won", lambda one: share(one.won_pct)),
    Figure("profit factor", lambda one: number(one.profit_factor)),
    Figure("a trade brings", lambda one: money(one.expectancy, one.asset)),
    Figure("by chance alone", lambda one: "-" if one.chance is None else f"p = {one.chance:.3f}"),
    Figure("best, worst trade", lambda one: f"{money(one.best, one.asset)}, {money(one.worst, one.asset)}"),
    Figure("a trade lasts", lambda one: hours(one.mean_hours)),
    Figure("in the market", lambda one: share(one.exposure_pct)),
    Figure("fees", lambda one: money(-one.fees, one.asset)),
    Figure("funding", lambda one: money(one.funding, one.asset)),
    Figure("equity at the end", lambda one: f"{worth(one.equity_end, one.asset)} {one.asset}"),
    Figure("signals, taken", lambda one: f"{one.signals:,}, {one.taken:,}"),
    Figure("on an assumption", lambda one: f"{one.on_an_assumption} of {one.trades + one.still_open} trades"),
    Figure("deepest drawdown, in money", lambda one: money(-one.drawdown, one.asset), telling=False),
    Figure("it fell from", lambda one: f"{one.drawdown_from:%Y-%m-%d %H:%M}", telling=False),
    Figure("and was deepest at", lambda one: f"{one.drawdown_at:%Y-%m-%d %H:%M}", telling=False),
    Figure("mean drawdown", lambda one: share(one.mean_drawdown_pct), telling=False),
    Figure("mean days under water", lambda one: number(one.mean_under_water_days), telling=False),
    Figure(
        "equity at its highest, lowest",
        lambda one: f"{worth(one.equity_peak, one.asset)}, {worth(one.equity_lowest, one.asset)}",
        telling=False,
    ),
    Figure("Omega", lambda one: number(one.omega), telling=False),
    Figure("days won, lost, even", lambda one: f"{one.days_won}, {one.days_lost}, {one.days_even}", telling=False),
    Figure("best, worst day", lambda one: f"{gain(one.best_day_pct)}, {gain(one.worst_day_pct)}", telling=False),
    Figure("a day brings", lambda one: money(one.day_brings, one.asset), telling=False),
    Figure("trades a day", lambda one: number(one.trades_a_day), telling=False),
    Figure("what a trade brings by what a loser costs", lambda one: number(one.expectancy_ratio), telling=False),
    Figure(
        "a winner, a loser brings",
        lambda one: f"{money(one.mean_won, one.asset)}, {money(one.mean_lost, one.asset)}",
        telling=False,
    ),
    Figure(
        "best, worst, mean trade, of its entries",
        lambda one: f"{gain(one.best_pct)}, {gain(one.worst_pct)}, {gain(one.mean_pct)}",
        telling=False,
    ),
    Figure("the entries of a trade cost", lambda one: worth(one.mean_stake, one.asset), telling=False),
    Figure("bought and sold", lambda one: worth(one.turnover, one.asset), telling=False),
    Figure(
        "shortest, longest trade", lambda one: f"{hours(one.shortest_hours)}, {hours(one.longest_hours)}", telling=False
    ),
    Figure(
        "a winner, a loser lasts",
        lambda one: f"{hours(one.mean_hours_won)}, {hours(one.mean_hours_lost)}",
        telling=False,
    ),
    Figure("won, lost in a row", lambda one: f"{one.most_won_in_a_row}, {one.most_lost_in_a_row}", telling=False),
    Figure("SQN", lambda one: number(one.quality), telling=False),
    Figure("Kelly", lambda one: gain(one.kelly_pct), telling=False),
)
