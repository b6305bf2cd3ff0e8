"""Figures of luck: the examples of the papers that define them, small ones by hand, and noise."""

from math import sqrt

import numpy as np
import pytest

from pipeline.research.significance import (
    Moments,
    chance_of,
    deflated_sharpe,
    highest_by_luck,
    mean_between,
    moments_of,
    overfitting,
    surely_above,
)

A_DAY = 1 / sqrt(250)
PAPER = Moments(days=1_250, sharpe=2.5 * A_DAY, skew=-3, kurtosis=10)
APART = sqrt(0.5) * A_DAY


def test_the_example_of_the_paper_on_the_deflated_sharpe_ratio() -> None:
    """Five years of days, a Sharpe of 2.5 a year, trials whose Sharpes have a variance of 1/2 a year."""
    assert highest_by_luck(100, APART) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, APART) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PAPER, 46, APART) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(PAPER._replace(skew=0, kurtosis=3), 88, APART) == pytest.approx(0.9505, abs=5e-5)


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe(PAPER, 1, APART) == surely_above(PAPER, 0.0)
    assert surely_above(PAPER, PAPER.sharpe) == 0.5


def test_moments_are_those_of_an_independent_library() -> None:
    stats = pytest.importorskip("scipy.stats")
    daily = np.random.default_rng(1).exponential(size=400) - 0.8
    found = moments_of(daily)
    assert found is not None
    assert found.skew == pytest.approx(stats.skew(daily))
    assert found.kurtosis == pytest.approx(stats.kurtosis(daily, fisher=False))
    assert found.sharpe == pytest.approx(daily.mean() / daily.std(ddof=1))
    assert moments_of(np.zeros(40)) is None


def days(*trials: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """A trial is its blocks, one after the other."""
    return np.array([[value for block in one for value in block] for one in trials], float).T


GOOD, FAIR, NONE = (3, 1), (2, 0), (1, -1)
"""Two days with a Sharpe of 2, of 1, and of 0."""


@pytest.mark.parametrize(
    ("trials", "found"),
    [
        # what was best in either half is the last of three in the other: rank 1/4, logit ln(1/3)
        (((GOOD, NONE), (FAIR, FAIR), (NONE, GOOD)), 1.0),
        # the same is best in both: rank 3/4, logit ln(3)
        (((GOOD, GOOD), (FAIR, FAIR), (NONE, NONE)), 0.0),
        # the best is the middle in the other half: rank 2/4, logit 0, which counts as overfitted
        (((GOOD, FAIR), (FAIR, GOOD), (NONE, NONE)), 1.0),
        # best of the first half is the middle of the second (0); best of the second is the last of the first
        (((GOOD, FAIR), (FAIR, NONE), (NONE, GOOD)), 1.0),
        # best of the first is best of the second beside an equal: rank 2.5 of 3
        (((GOOD, GOOD), (FAIR, GOOD), (NONE, NONE)), 0.0),
    ],
)
def test_overfitting_by_hand(trials: tuple[tuple[tuple[float, ...], ...], ...], found: float) -> None:
    assert overfitting(days(*trials), blocks=2) == found


def test_overfitting_of_four_blocks_by_hand() -> None:
    """Six ways to take two of four. On both good blocks the one that swings is best (2 to 1), worse on the others (0
    to 1); of both bad ones the steady one is, and worse on the others (1 to 2). Of one each the steady one is best on
    either side (1 to the root of 1/2): two of six."""
    swings, steady = (GOOD, GOOD, NONE, NONE), (FAIR, FAIR, FAIR, FAIR)
    assert overfitting(days(swings, steady), blocks=4) == 2 / 6


def test_what_cannot_be_told() -> None:
    assert overfitting(np.zeros((100, 1))) is None
    assert overfitting(np.zeros((15, 5))) is None
    assert mean_between([1.0, 2.0], 1) is None


def test_the_mean_of_a_trade_lies_where_theory_says() -> None:
    profits = np.random.default_rng(2).normal(5, 20, 400)
    found = mean_between(profits.tolist(), 1)
    assert found is not None
    assert found == mean_between(profits.tolist(), 1)
    half = 1.645 * profits.std() / 20
    assert found == pytest.approx((profits.mean() - half, profits.mean() + half), abs=0.3)


def test_the_chance_counts_what_was_found() -> None:
    assert chance_of(5, [1, 2, 3]) == 0.25
    assert chance_of(0, [1, 2, 3]) == 1.0
    assert chance_of(2, [1, 2, 3]) == 0.75


def test_the_best_of_a_thousand_without_an_edge_is_luck_in_ninety_five_of_a_hundred() -> None:
    """Its Sharpe looks like three a year, each time."""
    lucky = winners = 0
    for seed in range(100):
        daily = np.random.default_rng(seed).normal(0, 0.01, (300, 1_000))
        sharpes = daily.mean(axis=0) / daily.std(axis=0, ddof=1)
        best = moments_of(daily[:, int(sharpes.argmax())])
        assert best is not None
        winners += best.sharpe * sqrt(365) > 2.5
        lucky += deflated_sharpe(best, 1_000, float(sharpes.std(ddof=1))) < 0.95
    assert winners > 95
    assert lucky >= 95


def test_an_edge_among_a_thousand_is_found_in_ninety_of_a_hundred() -> None:
    """One of them has a Sharpe of 7.6 a year in truth, which is what it takes with so many trials on 300 days."""
    found = 0
    for seed in range(100):
        daily = np.random.default_rng(seed).normal(0, 0.01, (300, 1_000))
        daily[:, 500] += 0.004
        sharpes = daily.mean(axis=0) / daily.std(axis=0, ddof=1)
        best = int(sharpes.argmax())
        told = moments_of(daily[:, best])
        assert told is not None
        found += best == 500 and deflated_sharpe(told, 1_000, float(sharpes.std(ddof=1))) >= 0.95
    assert found >= 90
