"""A trial: one set of parameters, its figures, and those of each fold; or why there are none. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, Literal

from pipeline.errors import UsageError
from pipeline.research.search.evaluate import Evaluated, Stage
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.space import INTERVAL, Point
from pipeline.research.walk_forward import Fold
from pipeline.strategies.base import AnswerError
from pipeline.timeline import DAY, interval

_SETTLES: Final = 35
"""Candles that the MACD looks back over at least."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How trials are looked at. `early`: whether the first training stretch is looked at alone, before all else: a
    sampler is led by it, or trials end there that are no good in it."""

    objectives: Objectives
    folds: Sequence[Fold]
    early: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a trial."""

    state: Literal["done", "failed", "pruned"]
    reason: str | None
    early: tuple[float, ...] | None
    figures: Mapping[str, Any]
    folds: Sequence[Mapping[str, Any]]
    equity: Sequence[float]

    @property
    def hash(self) -> str:
        """Of all of it."""
        told = (self.state, sorted(self.figures.items()), [sorted(one.items(), key=str) for one in self.folds])
        return sha256(f"{told!r}{list(self.equity)!r}".encode()).hexdigest()


class Trials:
    """The stage of a search, and its plan."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self.stage = stage
        self.plan = plan

    def settle(self) -> "Trials":
        """Work out at once what every trial needs."""
        self.stage.settle()
        if self._first is not None:
            self._first.settle()
        return self

    def answer(self, point: Point, floor: float | None = None) -> Answer:
        """Try a set. Where its first objective on the first training stretch is below the floor, that is all."""
        try:
            early = self._early(point)
            if early is not None and floor is not None and early[0] < floor:
                return Answer("pruned", "below the middle of those before it on the first stretch", early, {}, [], [])
            found = self.stage.evaluate(point)
        except (AnswerError, UsageError) as error:
            return Answer("failed", str(error), None, {}, [], [])
        return Answer("done", None, early, found.figures, self._folds(point, found), found.equity.tolist())

    def warm_up(self, point: Point) -> int:
        """How far back what a strategy says may look, in milliseconds."""
        strategy = self.stage.space.strategy(point)
        averages = [int(name[3:]) for name in strategy.needs if name.startswith("sma") and name[3:].isdecimal()]
        candle = interval(str(point.get(INTERVAL, self.stage.interval))).milliseconds or 31 * DAY
        return (strategy.lookback + max([_SETTLES, *averages])) * candle

    @cached_property
    def _first(self) -> Stage | None:
        """The first training stretch, alone."""
        if not self.plan.early or not self.plan.folds:
            return None
        return self.stage.within(self.stage.start, self.stage.times[self.plan.folds[0].train[1]])

    def _early(self, point: Point) -> tuple[float, ...] | None:
        if self._first is None:
            return None
        return self.plan.objectives.scores(self._first.evaluate(point).figures)

    def _folds(self, point: Point, found: Evaluated) -> list[Mapping[str, Any]]:
        gap = -(-(found.longest + self.warm_up(point)) // DAY)
        times = self.stage.times
        return [
            {"train": found.within(times, *one.purged(gap)), "test": found.within(times, *one.test)}
            for one in self.plan.folds
        ]
