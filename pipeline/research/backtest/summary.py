"""The figures of a run, by name: the definition of each is in `figures`. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import numpy as np

from pipeline.research import figures
from pipeline.research.backtest.curve import Curve
from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.research.backtest.trades import Trade
from pipeline.timeline import DAY, HOUR, MINUTE, to_datetime

Market = Callable[[Integers], Floats]
"""What the symbols themselves were worth at moments, held in equal parts; at the start it is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a run. Percentages are of equity; None where so little data cannot tell. See `figures` for what
    each is."""

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


def summary_of(
    curve: Curve,
    trades: Sequence[Trade],
    market: Market,
    *,
    signals: int,
    taken: int,
    turnover: float,
    left_out: Mapping[str, int],
) -> Summary:
    """From trades and curve."""
    times, equity = curve.daily()
    daily, worth = figures.returns_of(equity), market(times)
    returned, by_market = figures.total_return(equity), figures.total_return(worth)
    beta = figures.beta(daily, figures.returns_of(worth))
    ended = [one for one in trades if one.closed_at is not None]
    profits = [float(one.profit) for one in ended]
    stakes = [float(one.quantity * one.entry_price) for one in ended]
    shares = [profit / stake * 100 for profit, stake in zip(profits, stakes, strict=True)]
    lasted = [(one.closed_at - one.opened_at) / HOUR for one in ended if one.closed_at is not None]
    close, worst = np.append(curve.begun, curve.close), np.append(curve.begun, curve.worst)
    deepest = float(figures.drawdowns(close, worst).max(initial=0.0))
    top, bottom = figures.deepest_fall(close, worst)
    days = len(curve.close) * MINUTE / DAY
    return Summary(
        days=days,
        equity_start=curve.begun,
        equity_end=float(curve.close[-1]),
        return_pct=returned,
        yearly_return_pct=figures.yearly_return(equity),
        max_drawdown_pct=deepest,
        under_water_days=figures.longest_under_water(equity),
        volatility_pct=figures.volatility(daily),
        sharpe=figures.sharpe(daily),
        sortino=figures.sortino(daily),
        calmar=figures.calmar(equity, deepest),
        trades=len(ended),
        still_open=len(trades) - len(ended),
        won_pct=figures.win_rate(profits),
        profit_factor=figures.profit_factor(profits),
        expectancy=figures.expectancy(profits),
        quality=figures.quality(profits),
        kelly_pct=figures.kelly(profits),
        best=max(profits, default=None),
        worst=min(profits, default=None),
        most_won_in_a_row=figures.longest_streak(profits, won=True),
        most_lost_in_a_row=figures.longest_streak(profits, won=False),
        mean_hours=figures.expectancy(lasted),
        exposure_pct=float(curve.invested.mean()) * 100,
        fees=float(sum((one.fees for one in trades), Decimal())),
        funding=float(sum((one.funding for one in trades), Decimal())),
        turnover=turnover,
        signals=signals,
        taken=taken,
        on_an_assumption=sum(one.decided_by == "assumption" for one in trades),
        reasons=_counted(one.reason for one in trades),
        skipped=left_out,
        market_return_pct=by_market,
        equity_peak=float(close.max()),
        equity_lowest=float(worst.min()),
        drawdown=float(close[top] - min(worst[bottom], close[bottom])),
        drawdown_from=to_datetime(curve.start + top * MINUTE),
        drawdown_at=to_datetime(curve.start + bottom * MINUTE),
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
        day_brings=(float(curve.close[-1]) - curve.begun) / days,
        trades_a_day=len(ended) / days,
        chance=figures.chance(profits),
        expectancy_ratio=figures.expectancy_ratio(profits),
        mean_won=figures.mean_won(profits),
        mean_lost=figures.mean_lost(profits),
        best_pct=max(shares, default=None),
        worst_pct=min(shares, default=None),
        mean_pct=figures.expectancy(shares),
        mean_stake=figures.expectancy(stakes),
        shortest_hours=min(lasted, default=None),
        longest_hours=max(lasted, default=None),
        mean_hours_won=_mean_where(lasted, profits, won=True),
        mean_hours_lost=_mean_where(lasted, profits, won=False),
    )


def _percent(share: np.float64) -> float:
    return float(share) * 100


def _mean_where(values: Sequence[float], profits: Sequence[float], *, won: bool) -> float | None:
    """The mean over the trades that won, or that did not."""
    return figures.expectancy([one for one, profit in zip(values, profits, strict=True) if (profit > 0) is won])


def _counted(words: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(words).most_common())
