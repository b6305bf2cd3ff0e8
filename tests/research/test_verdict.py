"""One word: by a table, and by searches over markets with and without an edge. SEARCH_SEEDS=100 is the long form."""

import os
from dataclasses import replace
from typing import Any

import pytest

from pipeline.research.search.verdict import Evidence, verdict_of
from tests.research.searching import verdict

SEEDS = int(os.environ.get("SEARCH_SEEDS", "6"))
TRIALS = 1_000 if SEEDS > 20 else 30
GOOD = Evidence(
    days=300, trials=500, sharpe=0.3, by_luck=0.15, deflated=0.99, overfitting=0.1, out_of_sample_pct=20.0, folds=6,
    folds_won=5, chance=0.01, trade_low=2.0, trade_high=9.0, plateau=0.9,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "word", "says"),
    [
        ({}, "holds up", "brought +20.00 %"),
        ({"deflated": 0.94}, "likely luck", "with a probability of 94% only"),
        ({"deflated": 0.4, "sharpe": 0.1}, "likely luck", "best of 500 trials has by luck"),
        ({"overfitting": 0.51}, "likely luck", "below the middle on the other in 51%"),
        ({"out_of_sample_pct": 0.0}, "likely luck", "brought +0.00 %"),
        ({"sharpe": None, "deflated": None}, "likely luck", "too few days"),
        ({"out_of_sample_pct": None, "folds": 0, "chance": None}, "fragile", "nothing was judged"),
        ({"folds_won": 2}, "fragile", "only 2 of 6"),
        ({"chance": 0.2}, "fragile", "at other moments did as well in 20%"),
        ({"trade_low": -0.1}, "fragile", "may as well be none"),
        ({"plateau": 0.4}, "fragile", "40% of it are left"),
        ({"plateau": None, "overfitting": None, "trade_low": None}, "holds up", "5 of 6"),
    ],
)
def test_what_makes_which_word(changed: dict[str, Any], word: str, says: str) -> None:
    found = verdict_of(replace(GOOD, **changed))
    assert found.word == word
    assert any(says in one for one in found.because), found.because
    assert found.would_change
    assert found.told()["evidence"]["days"] == 300


def test_what_would_change_luck() -> None:
    said = verdict_of(replace(GOOD, sharpe=0.2, deflated=0.82)).would_change
    assert said == ["the same for 969 days in the place of 300"]
    assert "no number of days" in verdict_of(replace(GOOD, sharpe=0.1, deflated=0.3)).would_change[0]


def words(edge: float) -> list[str]:
    named = ("n=5..200", "stop=1..4:0.5")
    return [verdict(seed, edge, trials=TRIALS, days=360, draws=19, named=named).word for seed in range(SEEDS)]


def test_a_market_without_an_edge_is_called_luck() -> None:
    assert words(0.0).count("likely luck") >= 0.95 * SEEDS


def test_an_edge_that_was_planted_is_found() -> None:
    """A drift of 0.08 deviations of a minute that lasts a day or two: a breakout follows it."""
    assert words(0.08).count("holds up") >= 0.9 * SEEDS
