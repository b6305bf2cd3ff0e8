"""Folds, and what is best: by hand."""

import pytest

from pipeline.errors import UsageError
from pipeline.research.search.objectives import Objectives
from pipeline.research.walk_forward import Fold, best_of, folds_of


def test_rolling_folds_move_along_and_anchored_ones_grow() -> None:
    assert folds_of(50, 3) == [Fold((0, 20), (20, 30)), Fold((10, 30), (30, 40)), Fold((20, 40), (40, 50))]
    assert folds_of(50, 3, anchored=True)[2] == Fold((0, 40), (40, 50))
    assert folds_of(53, 3)[0] == Fold((0, 23), (23, 33))


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize(("days", "count"), [(3, 1), (10, 6), (301, 12)])
def test_no_day_is_judged_twice_and_none_behind_the_first_is_left_out(days: int, count: int, anchored: bool) -> None:
    folds = folds_of(days, count, anchored=anchored)
    assert len(folds) == count
    judged = [day for one in folds for day in range(*one.test)]
    assert judged == list(range(folds[0].test[0], days))
    assert all(one.train[1] == one.test[0] and one.train[0] >= 0 for one in folds)


def test_the_gap_is_taken_from_the_training_stretch_at_most_half_of_it() -> None:
    fold = Fold((10, 30), (30, 40))
    assert [fold.purged(gap) for gap in (0, 4, 10, 25)] == [(10, 30), (10, 26), (10, 20), (10, 20)]
    assert Fold((0, 1), (1, 2)).purged(5) == (0, 1)


def test_more_folds_than_days() -> None:
    with pytest.raises(UsageError, match="9 folds need at least 11 days, and 10 are searched"):
        folds_of(10, 9)
    with pytest.raises(UsageError, match="at least 1 fold"):
        folds_of(10, 0)


def test_the_best_is_the_highest_and_of_equals_the_first() -> None:
    assert best_of([None, 1.0, 3.0, 3.0]) == 2
    assert best_of([None, None]) is None


def test_a_front_is_what_nothing_beats() -> None:
    objectives = Objectives.of(["return_pct", "max_drawdown_pct"])
    figures = [(5, 3), (9, 9), (5, 2), (1, 1), (4, 4), (None, 1), (9, 9)]
    scores = [objectives.scores({"return_pct": one, "max_drawdown_pct": other}) for one, other in figures]
    assert scores[0] == (5, -3)
    assert scores[5] is None
    assert objectives.front(scores) == [1, 6, 2, 3]


@pytest.mark.parametrize("names", [["sharp"], [], ["sharpe", "sharpe"]])
def test_what_is_no_objective(names: list[str]) -> None:
    with pytest.raises(UsageError, match="--objective"):
        Objectives.of(names)
