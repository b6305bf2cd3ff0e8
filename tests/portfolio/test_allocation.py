"""Shares of the equity: what they may be."""

from decimal import Decimal as D

import numpy as np
import pytest

from pipeline.portfolio.allocation import band_complaint, complaint, equal_risk, off_by, share_of


def test_where_nobody_has_allocated_anything_each_goes_by_all_of_it():
    assert share_of("macd", None) == 100
    assert share_of("macd", {"macd": D(40)}) == 40
    assert share_of("rsi", {"macd": D(40)}) == 0


@pytest.mark.parametrize("shares", [{"a": D(100)}, {"a": D(60), "b": D(40)}, {"a": D("0.5")}])
def test_what_comes_to_no_more_than_all_of_it_can_be(shares):
    assert complaint(shares) is None


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({}, "name a strategy"),
        ({"a": D(0)}, "a=0: a share is more than 0 and at most 100 percent"),
        ({"a": D(-5), "b": D(20)}, "a=-5"),
        ({"a": D("NaN")}, "a=NaN"),
        ({"a": D("Infinity")}, "a=Infinity"),
        (
            {"a": D(60), "b": D("40.01")},
            "60 + 40.01 = 100.01 percent of the equity, and there are 100: take 0.01 off them",
        ),
    ],
)
def test_what_cannot_be_is_said(shares, said):
    assert said in complaint(shares)


def test_by_equal_risk_the_restless_one_has_less_and_each_brings_the_same_unrest():
    dice = np.random.default_rng(1)
    days = {name: dice.normal(5, unrest, 400) for name, unrest in (("calm", 10), ("wild", 40), ("wilder", 80))}
    shares = equal_risk(days | {"silent": np.zeros(400)})
    assert set(shares) == set(days)
    assert D("99.7") <= sum(shares.values()) <= 100
    assert all(share == round(share, 1) for share in shares.values())
    brought = [float(shares[name]) * days[name].std() for name in days]
    assert max(brought) == pytest.approx(min(brought), rel=0.02)
    assert complaint(shares) is None
    assert equal_risk({"silent": np.zeros(5)}) == {}


def test_by_how_much_a_share_is_off_is_told_of_what_comes_and_of_what_goes():
    assert off_by({"a": D(60), "b": D(40)}, {"a": D(50), "c": D(10)}) == {"a": D(-10), "b": D(-40), "c": D(10)}


@pytest.mark.parametrize(("band", "can_be"), [("5", True), ("100", True), ("0", False), ("101", False), ("NaN", False)])
def test_a_band_is_points_of_a_percent(band, can_be):
    assert (band_complaint(D(band)) is None) == can_be
