"""Our figures against independent libraries', on a thousand random equity curves.

Where the definitions differ:

| figure | here | there |
|---|---|---|
| of few days | nothing under 30 days | from two days on |
| Calmar | by the drawdown it is given, which a run measures within minutes | by that of the daily closes |
| Sharpe of days that are all alike but for rounding | None | 135,092,303,982,846 |
| Sortino without a losing day | None | infinite |
| a curve that only rose | drawdown 0, Calmar None | drawdown 0, Calmar not a number |
| alpha | of the whole return, in percent | of the mean day, compounded to a year |
| a curve that lost everything | no return a year, and no Calmar | -100 % a year |

Where it comes to no number, ours is None. Time under water, and what is of trades (won, profit factor, quality, Kelly,
streaks), it does not have: those have hand-made cases below.
"""

from math import isfinite, isinf, isnan, sqrt

import empyrical
import numpy as np
import pytest
from scipy.stats import ttest_1samp

from pipeline.research import figures

CURVES = 1_000
YEAR = {"annualization": figures.DAYS_A_YEAR}


def curve(seed: int) -> figures.Floats:
    """From a month to some years, from calm to wild, with empty days, and now and then a crash."""
    dice = np.random.default_rng(seed)
    days = int(dice.integers(figures.FEWEST_DAYS, 900))
    daily = dice.normal(dice.normal(0, 0.002), 10 ** dice.uniform(-4, -1.2), days)
    daily = np.where(dice.random(days) < dice.choice([0.0, 0.3, 0.9]), 0.0, daily)
    daily[dice.integers(days)] += dice.choice([0.0, 0.0, -0.5, 0.5])
    found: figures.Floats = 10 ** dice.uniform(1, 7) * np.append(1.0, np.cumprod(np.maximum(1 + daily, 0.01)))
    return found


@pytest.mark.parametrize("part", range(4))
def test_figures_are_those_of_another_library(part: int) -> None:
    for seed in range(part * CURVES // 4, (part + 1) * CURVES // 4):
        equity = curve(seed)
        daily = figures.returns_of(equity)
        deepest = float(figures.drawdowns(equity).max())
        market = np.random.default_rng(seed).normal(0, 0.02, len(daily)) + daily / 2
        ours = {
            "return": figures.total_return(equity),
            "return a year": figures.yearly_return(equity),
            "volatility a year": figures.volatility(daily),
            "Sharpe": figures.sharpe(daily),
            "Sortino": figures.sortino(daily),
            "deepest drawdown": deepest,
            "Calmar": figures.calmar(equity, deepest),
            "Omega": figures.omega(daily),
            "beta": figures.beta(daily, market),
            "chance": figures.chance(daily.tolist()),
        }
        theirs = {
            "return": empyrical.cum_returns_final(daily) * 100,
            "return a year": empyrical.cagr(daily, **YEAR) * 100,
            "volatility a year": empyrical.annual_volatility(daily, **YEAR) * 100,
            "Sharpe": empyrical.sharpe_ratio(daily, **YEAR),
            "Sortino": empyrical.sortino_ratio(daily, **YEAR),
            "deepest drawdown": -empyrical.max_drawdown(daily) * 100,
            "Calmar": empyrical.calmar_ratio(daily, **YEAR),
            "Omega": empyrical.omega_ratio(daily, **YEAR),
            "beta": empyrical.beta_aligned(daily, market),
            "chance": ttest_1samp(daily, 0).pvalue,
        }
        for name, value in theirs.items():
            expected = pytest.approx(value, rel=1e-9, abs=1e-9) if isfinite(value) else None
            assert ours[name] == expected, f"{name} of curve {seed}"


def test_each_day_is_what_it_is_there() -> None:
    equity = curve(7)
    assert figures.returns_of(equity) == pytest.approx(empyrical.simple_returns(equity))


def test_a_curve_that_only_rose() -> None:
    equity = 100 * 1.001 ** np.arange(61) * np.where(np.arange(61) % 2, 1.0001, 1.0)
    daily = figures.returns_of(equity)
    assert (figures.sortino(daily), figures.calmar(equity, 0.0)) == (None, None)
    assert isinf(empyrical.sortino_ratio(daily, **YEAR))
    assert isnan(empyrical.calmar_ratio(daily, **YEAR))


def test_days_that_are_all_alike_but_for_rounding_have_no_sharpe() -> None:
    daily = figures.returns_of(1_000 * 1.001 ** np.arange(61))
    assert daily.std() > 0
    assert figures.sharpe(daily) is None
    assert empyrical.sharpe_ratio(daily, **YEAR) > 1e10


def test_of_few_days_nothing_is_said() -> None:
    equity = curve(3)[: figures.FEWEST_DAYS]
    daily = figures.returns_of(equity)
    of_a_year = (figures.volatility(daily), figures.sharpe(daily), figures.sortino(daily))
    assert (*of_a_year, figures.yearly_return(equity), figures.calmar(equity, 5.0)) == (None,) * 5
    assert isinstance(empyrical.sharpe_ratio(daily, **YEAR), float)


def test_a_curve_that_lost_everything() -> None:
    equity = np.append(np.linspace(100, 50, 60), 0.0)
    assert figures.yearly_return(equity) is None
    assert empyrical.annual_return(figures.returns_of(equity), **YEAR) == -1


def test_a_drawdown_counts_how_low_it_went_in_between() -> None:
    equity, lows = np.array([100.0, 110.0, 105.0]), np.array([100.0, 88.0, 104.5])
    assert figures.drawdowns(equity, lows) == pytest.approx([0, 20, 5])


@pytest.mark.parametrize(
    ("equity", "days"),
    [([1, 2, 3], 1), ([3, 2, 1, 2, 3, 4], 4), ([3, 2, 2, 2], 3), ([1, 1, 1], 1), ([1], 0)],
)
def test_time_under_water(equity: list[float], days: int) -> None:
    assert figures.longest_under_water(np.array(equity, float)) == days


def test_the_figures_of_trades() -> None:
    profits = [10.0, -5.0, 20.0, 30.0, 0.0, -15.0]
    assert figures.win_rate(profits) == pytest.approx(50)
    assert figures.profit_factor(profits) == pytest.approx(3)
    assert figures.expectancy(profits) == pytest.approx(40 / 6)
    assert figures.quality(profits) == pytest.approx(np.mean(profits) / np.std(profits, ddof=1) * sqrt(6))
    assert figures.kelly(profits) == pytest.approx((0.5 - 0.5 / 2) * 100)
    assert figures.longest_streak(profits, won=True) == 2
    assert figures.longest_streak(profits, won=False) == 2
    nothing: list[float] = []
    assert (figures.win_rate(nothing), figures.expectancy(nothing), figures.quality(nothing)) == (None, None, None)
    assert (figures.profit_factor([1.0]), figures.kelly([1.0])) == (None, None)
