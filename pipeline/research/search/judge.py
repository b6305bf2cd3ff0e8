"""What speaks for and against the best trial of a search. Pure; what is drawn is drawn by the seed of the search."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from pipeline.research.figures import returns_of
from pipeline.research.search.forward import Forward
from pipeline.research.search.jobs import Doer
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.space import Point
from pipeline.research.search.trial import Trials
from pipeline.research.search.verdict import Evidence
from pipeline.research.significance import (
    chance_of,
    deflated_sharpe,
    highest_by_luck,
    mean_between,
    moments_of,
    overfitting,
)

DRAWS: Final = 99
"""Times that signals are moved to other moments."""
_TOGETHER: Final = 9
"""Draws that are one job: few enough that no worker is idle for long, and what they share is worked out once."""
_MOST: Final = 2_000
"""Trials that are looked at for overfitting: more of them change it by little, and take memory."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What was chosen, on the stretches behind, with its signals moved in time all together by each of these shares:
    sides and distances stay, and what they go by is lost."""

    walk: Sequence[tuple[Point, tuple[int, int]]]
    shares: Sequence[float]

    @property
    def name(self) -> str:
        """As a person calls it."""
        return "the same signals at other moments"

    def __call__(self, trials: Trials) -> list[float]:
        """What each draw brought, in percent."""
        stages = [(point, trials.stage.within(*stretch)) for point, stretch in self.walk]
        found = []
        for share in self.shares:
            worth = 1.0
            for point, stage in stages:
                worth *= 1 + stage.evaluate(point, stage.moved(point, share)).figures["return_pct"] / 100
            found.append((worth - 1) * 100)
        return found


def evidence_of(
    judged: Trials,
    do: Doer,
    best: Point | None,
    equities: Sequence[Sequence[float]],
    chosen: int | None,
    forward: Forward | None,
    *,
    ever: int,
    seed: int,
    draws: int = DRAWS,
) -> Evidence:
    """`do`: who does what takes long. `equities`: of all trials that came to an end, and `chosen` the place of the best
    among them; `ever`: how many were made on these data."""
    daily = [returns_of(np.asarray(one, float)) for one in equities]
    moments = [moments_of(one) for one in daily]
    sharpes = [one.sharpe for one in moments if one is not None]
    found = None if chosen is None else moments[chosen]
    trials = max(ever, len(equities))
    apart = float(np.std(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0
    profits = [] if forward is None else list(forward.profits)
    between = mean_between(profits, seed)
    return Evidence(
        days=len(judged.stage.times) - 1,
        trials=trials,
        sharpe=None if found is None else found.sharpe,
        by_luck=highest_by_luck(trials, apart),
        deflated=None if found is None else deflated_sharpe(found, trials, apart),
        overfitting=overfitting(np.column_stack(daily[:_MOST])) if daily else None,
        out_of_sample_pct=None if forward is None else float(forward.figures["return_pct"]),
        folds=0 if forward is None else len(forward.steps),
        folds_won=0 if forward is None else sum(one.brought["return_pct"] > 0 for one in forward.steps),
        chance=None if forward is None else _chance(do, forward, seed, draws),
        trade_low=None if between is None else between[0],
        trade_high=None if between is None else between[1],
        plateau=None if best is None else _plateau(judged, best),
    )


def _chance(do: Doer, forward: Forward, seed: int, draws: int) -> float:
    """How often the same signals at other moments did as well as what was chosen."""
    dice = random.Random(seed)
    shares = [dice.uniform(0.05, 0.95) for _ in range(draws)]
    walk = [(dict(one.point), one.test) for one in forward.steps]
    jobs = [Draws(walk, shares[first : first + _TOGETHER]) for first in range(0, draws, _TOGETHER)]
    found = [one for _, of_job in sorted(do(jobs)) for one in of_job]
    return chance_of(float(forward.figures["return_pct"]), found)


def _plateau(judged: Trials, best: Point) -> float | None:
    """What the middle one of the neighbours has of the first objective, by what the best has; None where that is not
    above 0, or where there are none."""
    objectives = Objectives(judged.plan.objectives.names[:1])
    top = objectives.scores(judged.stage.evaluate(best).figures)
    near = [objectives.scores(judged.stage.evaluate(one).figures) for one in judged.stage.space.neighbours(best)]
    known = [one[0] for one in near if one is not None]
    if top is None or top[0] <= 0 or not known:
        return None
    return median(known) / top[0]
