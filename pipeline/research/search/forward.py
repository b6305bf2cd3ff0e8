"""The walk through the folds: what was best on each training stretch, traded on the stretch behind it. Pure.

Each test stretch is run anew, from nothing held, with what the account was worth at the end of the one before: so its
equity is one that could have been traded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.research.search.figures import Figures, equity_figures
from pipeline.research.search.space import Point
from pipeline.research.search.trial import Trials
from pipeline.research.walk_forward import best_of
from pipeline.timeline import to_datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A fold: which trial was chosen, what it had scored there, and what it brought behind it."""

    chosen: int
    point: Point
    train: tuple[int, int]
    test: tuple[int, int]
    trained: Figures
    brought: Figures


@dataclass(frozen=True, slots=True)
class Forward:
    """`figures` and `equity` are those of the test stretches, one behind the other."""

    steps: Sequence[Step]
    figures: Figures
    times: Sequence[int]
    equity: Sequence[float]
    profits: Sequence[float]

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        steps = [
            asdict(one)
            | {"point": dict(one.point)}
            | {name: [to_datetime(at) for at in getattr(one, name)] for name in ("train", "test")}
            for one in self.steps
        ]
        return {
            "steps": steps,
            "figures": dict(self.figures),
            "times": [to_datetime(one) for one in self.times],
            "equity": list(self.equity),
        }


def forward_of(
    judged: Trials, points: Sequence[Point], folds: Sequence[Sequence[Mapping[str, Any]]], numbers: Sequence[int]
) -> Forward | None:
    """From the figures of the trials in each fold. None where there is no fold, or one in which nothing is known."""
    stage, times = judged.stage, judged.stage.times
    worth = float(stage.asked.assumptions.equity)
    begun = worth
    steps: list[Step] = []
    equity: list[float] = [worth]
    at: list[int] = []
    profits: list[float] = []
    for place, fold in enumerate(judged.plan.folds):
        scores = [judged.plan.objectives.scores(one[place]["train"]) for one in folds]
        chosen = best_of([None if one is None else one[0] for one in scores])
        if chosen is None:
            return None
        first, last = times[fold.test[0]], times[fold.test[1]]
        found = stage.within(first, last, worth).evaluate(points[chosen])
        trained = (times[fold.train[0]], times[fold.train[1]])
        steps.append(
            Step(numbers[chosen], points[chosen], trained, (first, last), folds[chosen][place]["train"], found.figures)
        )
        at = at or [first]
        at += times[fold.test[0] + 1 : fold.test[1] + 1]
        equity += found.equity[1:].tolist()
        profits += found.profits
        worth = equity[-1]
        if worth <= 0:
            break
    if not steps:
        return None
    figures = equity_figures(np.array(equity)) | {"trades": len(profits), "begun": begun}
    return Forward(steps, figures, at, equity, profits)
