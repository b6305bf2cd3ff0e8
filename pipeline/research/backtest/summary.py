"""The figures of a run, by name: the definition of each is in `figures`. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import numpy as np

from pipeline.research import figures
from pipeline.research.backtest.counting import notional
from pipeline.research.backtest.curve import Worth
from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.research.backtest.trades import Trade
from pipeline.timeline import DAY, HOUR, MINUTE, to_datetime

Market = Callable[[Integers], Floats]
"""What the symbols themselves were worth at moments, held in equal parts; at the start it is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a run. Percentages are of equity; None where so little data cannot tell. See `figures` for what
    each is."""

    asset: str
    """What its money is in."""
    days: float
    equity_start: float
    equity_end: float
    return_pct: float
    yearly_return_pct: float | None
    max_drawdown_pct: float
    """Within minutes as well: at the worst price of each."""
    under_water_days: int
    volatility_pct: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    trades: int
    """That have ended."""
    still_open: int
    won_pct: float | None
    profit_factor: float | None
    expectancy: float | None
    quality: float | None
    kelly_pct: float | None
    best: float | None
    worst: float | None
    most_won_in_a_row: int
    most_lost_in_a_row: int
    mean_hours: float | None
    exposure_pct: float
    """The share of the time in which anything was held."""
    fees: float
    funding: float
    turnover: float
    """The worth of everything that was bought and sold."""
    signals: int
    taken: int
    on_an_assumption: int
    """Trades whose end hangs on what a minute does not tell."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """How many trades ended how."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many signals were left out, and why."""
    market_return_pct: float
    """What the symbols themselves did, held in equal parts."""
    equity_peak: float
    equity_lowest: float
    drawdown: float
    """The deepest, in money."""
    drawdown_from: datetime
    drawdown_at: datetime
    mean_drawdown_pct: float | None
    mean_under_water_days: float | None
    omega: float | None
    alpha_pct: float | None
    beta: float | None
    days_won: int
    days_lost: int
    days_even: int
    best_day_pct: float | None
    worst_day_pct: float | None
    day_brings: float
    """What the account gained a day, on average."""
    trades_a_day: float
    chance: float | None
    expectancy_ratio: float | None
    mean_won: float | None
    mean_lost: float | None
    best_pct: float | None
    """Of what its entries cost, as the two after it."""
    worst_pct: float | None
    mean_pct: float | None
    mean_stake: float | None
    """What the entries of a trade cost, at most at once."""
    shortest_hours: float | None
    longest_hours: float | None
    mean_hours_won: float | None
    mean_hours_lost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What the figures want to know of the trades. Columns are of those that ended, as they were opened."""

    profits: Floats
    stakes: Floats
    lasted: Integers
    """In milliseconds."""
    still_open: int
    fees: float
    funding: float
    on_an_assumption: int
    reasons: Mapping[str, int]


def results_of(trades: Sequence[Trade], sizes: Mapping[str, float]) -> Results:
    """From the trades themselves. `sizes`: see `counting`."""
    ended = [one for one in trades if one.closed_at is not None]
    return Results(
        profits=np.array([float(one.profit) for one in ended]),
        stakes=np.array([notional(float(one.quantity), float(one.entry_price), sizes[one.symbol]) for one in ended]),
        lasted=np.array([one.closed_at - one.opened_at for one in ended if one.closed_at is not None], np.int64),
        still_open=len(trades) - len(ended),
        fees=float(sum((one.fees for one in trades), Decimal())),
        funding=float(sum((one.funding for one in trades), Decimal())),
        on_an_assumption=sum(one.decided_by == "assumption" for one in trades),
        reasons=Counter(one.reason for one in trades),
    )


def summary_of(
    worth: Worth,
    results: Results,
    market: Market,
    *,
    asset: str,
    signals: int,
    taken: int,
    turnover: float,
    left_out: Mapping[str, int],
) -> Summary:
    """From what the account was worth, and what the trades brought."""
    equity, of_market = worth.daily, market(worth.times)
    daily = figures.returns_of(equity)
    returned, by_market = figures.total_return(equity), figures.total_return(of_market)
    beta = figures.beta(daily, figures.returns_of(of_market))
    profits, lasted = results.profits, results.lasted / HOUR
    shares = profits / results.stakes * 100
    begun, end = float(equity[0]), float(equity[-1])
    days = worth.minutes * MINUTE / DAY
    return Summary(
        asset=asset,
        days=days,
        equity_start=begun,
        equity_end=end,
        return_pct=returned,
        yearly_return_pct=figures.yearly_return(equity),
        max_drawdown_pct=worth.deepest_pct,
        under_water_days=figures.longest_under_water(equity),
        volatility_pct=figures.volatility(daily),
        sharpe=figures.sharpe(daily),
        sortino=figures.sortino(daily),
        calmar=figures.calmar(equity, worth.deepest_pct),
        trades=len(profits),
        still_open=results.still_open,
        won_pct=figures.win_rate(profits),
        profit_factor=figures.profit_factor(profits),
        expectancy=figures.expectancy(profits),
        quality=figures.quality(profits),
        kelly_pct=figures.kelly(profits),
        best=_highest(profits),
        worst=_lowest(profits),
        most_won_in_a_row=figures.longest_streak(profits, won=True),
        most_lost_in_a_row=figures.longest_streak(profits, won=False),
        mean_hours=figures.expectancy(lasted),
        exposure_pct=worth.inside / worth.minutes * 100,
        fees=results.fees,
        funding=results.funding,
        turnover=turnover,
        signals=signals,
        taken=taken,
        on_an_assumption=results.on_an_assumption,
        reasons=dict(Counter(results.reasons).most_common()),
        skipped=left_out,
        market_return_pct=by_market,
        equity_peak=worth.peak,
        equity_lowest=worth.lowest,
        drawdown=worth.fall,
        drawdown_from=to_datetime(worth.fell_from),
        drawdown_at=to_datetime(worth.deepest_at),
        mean_drawdown_pct=figures.mean_drawdown(equity),
        mean_under_water_days=figures.mean_under_water(equity),
        omega=figures.omega(daily),
        alpha_pct=figures.alpha(returned, by_market, beta),
        beta=beta,
        days_won=int((daily > 0).sum()),
        days_lost=int((daily < 0).sum()),
        days_even=int((daily == 0).sum()),
        best_day_pct=_percent(daily.max()) if len(daily) else None,
        worst_day_pct=_percent(daily.min()) if len(daily) else None,
        day_brings=(end - begun) / days,
        trades_a_day=len(profits) / days,
        chance=figures.chance(profits),
        expectancy_ratio=figures.expectancy_ratio(profits),
        mean_won=figures.mean_won(profits),
        mean_lost=figures.mean_lost(profits),
        best_pct=_highest(shares),
        worst_pct=_lowest(shares),
        mean_pct=figures.expectancy(shares),
        mean_stake=figures.expectancy(results.stakes),
        shortest_hours=_lowest(lasted),
        longest_hours=_highest(lasted),
        mean_hours_won=figures.expectancy(lasted[profits > 0]),
        mean_hours_lost=figures.expectancy(lasted[profits <= 0]),
    )


def _percent(share: np.float64) -> float:
    return float(share) * 100


def _highest(values: Floats) -> float | None:
    return float(values.max()) if len(values) else None


def _lowest(values: Floats) -> float | None:
    return float(values.min()) if len(values) else None
