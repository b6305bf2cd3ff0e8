"""Figures that other tools print too, by hand; and the trades apart, which together are all of them."""

from dataclasses import fields
from decimal import Decimal
from math import gamma, pi, sqrt

import numpy as np
import pytest

from pipeline.research import figures
from pipeline.research.backtest.groups import KEYS, By, groups_of
from pipeline.research.backtest.summary import Summary
from tests.research.stage import TARGET, chatter, minutes, ran, wild

PROFITS = [10.0, -5.0, 20.0, -5.0, 0.0]


@pytest.mark.parametrize("profits", [[1.0, 2.0, 3.0], [1.0, -1.0], [2.0, 2.1, 1.9, -0.4, 0.3], [0.1, -0.2] * 40])
def test_chance_is_that_of_a_t_test(profits: list[float]) -> None:
    assert figures.chance(profits) == pytest.approx(_by_area(profits), abs=1e-6)


def _by_area(profits: list[float]) -> float:
    """Both tails of the density of Student's t, summed up."""
    count = len(profits)
    t = abs(float(np.mean(profits)) / float(np.std(profits, ddof=1)) * count**0.5)
    at = np.linspace(-t, t, 2_000_001)
    density = (1 + at**2 / (count - 1)) ** (-count / 2)
    scale = gamma(count / 2) / (sqrt((count - 1) * pi) * gamma((count - 1) / 2))
    return 1 - float(np.trapezoid(density, at)) * scale if t else 1.0


def test_what_a_trade_brings_by_what_a_loser_costs() -> None:
    assert figures.mean_won(PROFITS) == 15
    assert figures.mean_lost(PROFITS) == -5
    assert figures.expectancy_ratio(PROFITS) == pytest.approx(4 / 5)
    assert figures.expectancy_ratio([1.0]) is None
    assert figures.chance([1.0, 1.0]) is None


def test_falls_go_from_a_peak_to_where_it_was_reached_again() -> None:
    equity = np.array([100.0, 90, 100, 110, 99, 104.5])
    assert figures.falls(equity) == [(0, 2), (3, 5)]
    assert figures.mean_drawdown(equity) == pytest.approx(10)
    assert figures.mean_under_water(equity) == 2
    assert figures.deepest_fall(equity, equity - np.array([0, 0, 0, 0, 5, 0])) == (3, 4)
    assert figures.falls(np.array([100.0, 100, 101])) == []


def test_beta_of_twice_the_market_is_two_and_its_alpha_nothing() -> None:
    market = np.random.default_rng(1).normal(0, 0.01, 60)
    assert figures.beta(2 * market, market) == pytest.approx(2)
    assert figures.beta(market[:5], market[:5]) is None
    assert figures.alpha(20.0, 10.0, 2.0) == 0
    assert figures.omega(np.array([0.02, -0.01] * 20)) == pytest.approx(2)


def test_the_trades_apart_are_all_of_them() -> None:
    found = ran(minutes(wild(3_000, 7)), chatter(3_000, 7), trading=TARGET).outcome
    assert {one.side for one in found.trades} == {"long", "short"}
    for by in KEYS:
        parts = groups_of(found.trades, by, 10_000.0)
        assert sum(one.trades for one in parts) == found.summary.trades
        assert sum((one.profit for one in parts), Decimal()) == sum(one.profit for one in found.trades)
        assert [one.profit for one in parts] == sorted((one.profit for one in parts), reverse=True)
    sides: By = "side"
    (short,) = [one for one in groups_of(found.trades, sides, 10_000.0) if one.name == "short"]
    shorts = [float(one.profit) for one in found.trades if one.side == "short" and one.closed_at is not None]
    assert short.best == max(shorts)


def test_a_summary_holds_together() -> None:
    found = ran(minutes(wild(6_000, 7)), chatter(6_000, 7), trading=TARGET).outcome
    one, curve = found.summary, found.curve
    times, equity = curve.daily()
    assert one.days_won + one.days_lost + one.days_even == len(equity) - 1
    assert one.drawdown / one.equity_peak * 100 <= one.max_drawdown_pct + 1e-9
    assert one.drawdown_from < one.drawdown_at
    assert one.worst is not None
    assert one.mean_lost is not None
    assert one.worst <= one.mean_lost
    assert one.market_return_pct == pytest.approx(found.market(times[-1:])[0] * 100 - 100)
    assert one.day_brings * one.days == pytest.approx(one.equity_end - one.equity_start)
    assert len({each.name for each in fields(Summary)}) == len(fields(Summary))
