"""Shares of the equity: what they may be."""

from decimal import Decimal as D

import pytest

from pipeline.portfolio.allocation import complaint, share_of


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
        ({"a": D(60), "b": D("40.01")}, "60 + 40.01 = 100.01 percent of the equity, and there are 100"),
    ],
)
def test_what_cannot_be_is_said(shares, said):
    assert said in complaint(shares)
