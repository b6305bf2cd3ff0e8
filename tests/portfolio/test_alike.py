"""Correlations of hourly returns, beside numpy's own and by hand."""

import numpy as np
import pytest

from pipeline.portfolio.alike import FEWEST, correlations, groups


def walks(count, hours, seed=1, shared=0.7):
    dice = np.random.default_rng(seed)
    market = dice.normal(0, 0.01, hours)
    return {
        f"S{number}USDT": 100 * np.exp(np.cumsum(shared * market + (1 - shared) * dice.normal(0, 0.01, hours)))
        for number in range(count)
    }


def test_they_are_what_numpy_says():
    closes = walks(5, 500)
    found = correlations(closes)
    wanted = np.corrcoef([np.diff(np.log(closes[name])) for name in sorted(closes)])
    for row, one in enumerate(sorted(closes)):
        for column, other in enumerate(sorted(closes)):
            if one != other:
                assert found[one][other] == pytest.approx(wanted[row, column], abs=1e-3)
                assert found[one][other] == found[other][one]


def test_hours_that_one_of_two_lacks_are_left_out_of_that_pair_alone():
    closes = walks(3, 600)
    holey = closes | {"S1USDT": np.where(np.arange(600) % 7 == 3, np.nan, closes["S1USDT"])}
    found = correlations(holey)
    both = np.isfinite(np.diff(np.log(holey["S1USDT"])))
    moves = {name: np.diff(np.log(one)) for name, one in holey.items()}
    wanted = np.corrcoef(moves["S0USDT"][both], moves["S1USDT"][both])[0, 1]
    assert found["S0USDT"]["S1USDT"] == pytest.approx(wanted, abs=1e-3)
    assert found["S0USDT"]["S2USDT"] == correlations(closes)["S0USDT"]["S2USDT"]


def test_of_too_little_nothing_is_said():
    closes = walks(3, 600)
    closes["NEWUSDT"] = np.where(np.arange(600) < 600 - FEWEST, np.nan, closes["S0USDT"])
    closes["DEADUSDT"] = np.full(600, 5.0)
    closes["NONEUSDT"] = np.full(600, np.nan)
    found = correlations(closes)
    assert set(found) == {"S0USDT", "S1USDT", "S2USDT"}
    assert all(set(of_it) == set(found) - {name} for name, of_it in found.items())
    assert correlations({}) == {}


def test_a_group_is_what_moves_as_much_alike_or_more():
    found = {"A": {"B": 0.8, "C": 0.79}, "B": {"A": 0.8, "C": -0.95}, "C": {"A": 0.79, "B": -0.95}}
    assert groups(found, 0.8) == {"A": {"B"}, "B": {"A"}, "C": set()}
