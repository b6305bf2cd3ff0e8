"""What speaks for and against the best trial of a search. Pure; what is drawn is drawn by the seed of the search."""

import random
from collections.abc import Sequence
from statistics import median
from typing import Final

import numpy as np

from pipeline.research.figures import returns_of
from pipeline.research.search.forward import Forward
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
_MOST: Final = 2_000
"""Trials that are looked at for overfitting: more of them change it by little, and take memory."""


def evidence_of(
    judged: Trials,
    best: Point | None,
    equities: Sequence[Sequence[float]],
    chosen: int | None,
    forward: Forward | None,
    *,
    ever: int,
    seed: int,
    draws: int = DRAWS,
) -> Evidence:
    """`equities`: of all trials that came to an end, and `chosen` the place of the best among them; `ever`: how many
    were made on these data."""
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
        chance=None if forward is None else _chance(judged, forward, seed, draws),
        trade_low=None if between is None else between[0],
        trade_high=None if between is None else between[1],
        plateau=None if best is None else _plateau(judged, best),
    )


def _chance(judged: Trials, forward: Forward, seed: int, draws: int) -> float:
    """What was chosen, on the stretches behind, with its signals moved in time all together: sides and distances stay,
    and what they go by is lost."""
    dice = random.Random(seed)
    stages = [judged.stage.within(*one.test) for one in forward.steps]
    found = []
    for _ in range(draws):
        share, worth = dice.uniform(0.05, 0.95), 1.0
        for stage, step in zip(stages, forward.steps, strict=True):
            moved = stage.evaluate(step.point, stage.moved(step.point, share))
            worth *= 1 + moved.figures["return_pct"] / 100
        found.append((worth - 1) * 100)
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
