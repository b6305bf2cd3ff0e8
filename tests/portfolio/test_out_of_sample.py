"""Shares by walk-forward: a table of cases, and what holds of all of them."""

from decimal import Decimal as D
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.portfolio.allocation import complaint
from pipeline.portfolio.out_of_sample import Record, bounds_complaint, by_records, record_of

SURE = 0.0


def luck(figure: float) -> Record:
    return Record(figure, SURE, is_luck=True)


@pytest.mark.parametrize(
    ("records", "least", "most", "shares"),
    [
        ({"a": Record(0.1, SURE), "b": Record(0.1, SURE)}, 5, 50, {"a": 50, "b": 50}),
        ({"a": Record(0.3, SURE), "b": Record(0.1, SURE)}, 5, 80, {"a": 75, "b": 25}),
        # variance 0.02, of which 0.01 is accident: half of the way to equal
        ({"a": Record(0.3, 0.1), "b": Record(0.1, 0.1)}, 5, 80, {"a": D("62.5"), "b": D("37.5")}),
        # what they differ by is less than accident alone brings
        ({"a": Record(0.3, 0.2), "b": Record(0.1, 0.2)}, 5, 80, {"a": 50, "b": 50}),
        ({"a": Record(0.3, SURE), "b": Record(0.1, SURE)}, 5, 60, {"a": 60, "b": 40}),
        (
            {"a": Record(0.9, SURE), "b": Record(0.05, SURE), "c": Record(0.05, SURE)},
            0,
            50,
            {"a": 50, "b": 25, "c": 25},
        ),
        ({"a": Record(0.98, SURE), "b": Record(0.02, SURE)}, 5, 100, {"a": 95, "b": 5}),
        ({"a": Record(0.3, SURE), "b": Record(5e-324, SURE)}, 5, 100, {"a": 95, "b": 5}),
        ({"a": Record(0.2, SURE), "b": luck(0.9)}, 5, 100, {"a": 95, "b": 5}),
        ({"a": Record(0.2, SURE), "b": luck(0.9)}, 0, 100, {"a": 100}),
        ({"a": Record(0.2, SURE), "b": Record(0.0, SURE), "c": Record(-0.1, SURE)}, 5, 50, {"a": 50, "b": 5, "c": 5}),
        ({"a": Record(0.2, SURE), "b": Record(0.4, None), "c": Record(None, None)}, 5, 50, {"a": 50, "b": 5, "c": 5}),
        ({"a": luck(1), "b": luck(2)}, 5, 50, {"a": 5, "b": 5}),
        ({"a": luck(1)}, 0, 50, {}),
        (
            {"a": Record(0.1, SURE), "b": Record(0.1, SURE), "c": Record(0.1, SURE)},
            5,
            50,
            dict.fromkeys("abc", D("33.3")),
        ),
        ({"a": Record(0.1, SURE), "b": Record(0.1, SURE)}, 5, 20, {"a": 20, "b": 20}),
        ({"a": Record(0.9, SURE), "b": Record(0.01, SURE)}, D("2.55"), 100, {"a": D("97.4"), "b": D("2.55")}),
    ],
)
def test_what_was_brought_out_of_sample_decides_within_the_bounds(records, least, most, shares):
    assert by_records(records, D(least), D(most)) == {name: D(share) for name, share in shares.items()}


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Record], D, D]:
    count = draw(st.integers(1, 8))
    figure = st.floats(-0.2, 0.5) | st.sampled_from([0.0, 0.1, 0.2])
    error = st.none() | st.floats(0, 0.3)
    records = {f"s{place}": Record(draw(figure), draw(error), draw(st.booleans())) for place in range(count)}
    least = D(draw(st.integers(0, 1_000 // count))) / 10
    most = max(least, D(draw(st.integers(1, 1_000))) / 10)
    return records, least, most


@given(cases())
def test_shares_stay_within_their_bounds_in_the_order_of_what_was_brought(case):
    records, least, most = case
    shares = by_records(records, least, most)
    assert bounds_complaint(len(records), least, most) is None
    assert not shares or complaint(shares) is None
    assert all(least <= shares.get(name, D(0)) <= most for name in records)
    heard = sorted((one.figure, shares.get(name, D(0))) for name, one in records.items() if one.speaks_for_it)
    for (figure, share), (higher, larger) in pairwise(heard):
        assert share <= larger
        assert higher > figure or share == larger
    for name, one in records.items():
        assert one.speaks_for_it or shares.get(name, D(0)) == least
    if heard and len(heard) == len(records) and most * len(records) >= 100:
        assert sum(shares.values()) > 100 - D("0.1") * len(shares)


@given(st.lists(st.floats(0.01, 0.5), min_size=2, max_size=6), st.floats(0.001, 0.3), st.floats(0.1, 0.9))
def test_the_more_evidence_the_further_from_equal(figures, error, less):
    def widest(uncertain: float) -> D:
        records = {f"s{place}": Record(one, uncertain) for place, one in enumerate(figures)}
        shares = by_records(records, D(0), D(100)).values()
        return max(shares) - min(shares)

    assert widest(error * less) >= widest(error) - D("0.1")
    assert widest(10.0) <= D("0.1")


def days(*means: float) -> list[np.ndarray]:
    dice = np.random.default_rng(5)
    return [mean + dice.normal(0, 0.01, 20) for mean in means]


def test_the_error_is_less_with_more_stretches_and_with_stretches_and_trades_that_agree():
    steady, uneven = days(*[0.01] * 6), days(*[0.03, -0.01] * 3)
    narrow, wide = (0.9, 1.1), (0.1, 1.9)
    found = record_of(steady, narrow, is_luck=False)
    assert found.figure == pytest.approx(np.concatenate(steady).mean() / np.concatenate(steady).std(ddof=1))
    by_stretch = [one.mean() / np.concatenate(steady).std(ddof=1) for one in steady]
    assert found.error == pytest.approx(np.std(by_stretch, ddof=1) / 6**0.5)
    assert record_of(uneven, narrow, is_luck=False).error > 2 * found.error
    assert record_of(steady, wide, is_luck=False).error == pytest.approx(found.figure * 1.8 / 3.2898)
    assert (
        record_of(days(*[0.03, -0.01] * 12), narrow, is_luck=False).error
        < record_of(uneven, narrow, is_luck=False).error
    )


@pytest.mark.parametrize(
    ("stretches", "between"),
    [
        ([], (1, 2)),
        (days(0.002), (1, 2)),
        (days(0.002, 0.002), None),
        ([np.zeros(5)] * 2, (1, 2)),
        (days(0.1, 0.1), (-2, 1)),
    ],
)
def test_of_too_little_nothing_is_told_and_it_has_the_floor(stretches, between):
    assert not record_of(stretches, between, is_luck=False).speaks_for_it


@pytest.mark.parametrize(
    ("count", "least", "most", "said"),
    [
        (3, "40", "50", "3 strategies with 40 percent each come to 120, and there are 100: give at most --least 33.3"),
        (2, "60", "50", "the least is not above the most"),
        (2, "-1", "50", "from 0 to 100"),
        (2, "0", "0", "from 0 to 100"),
        (2, "5", "101", "from 0 to 100"),
        (2, "NaN", "50", "--least NaN"),
    ],
)
def test_bounds_that_cannot_be_are_said(count, least, most, said):
    assert said in bounds_complaint(count, D(least), D(most))
