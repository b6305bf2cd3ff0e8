"""Who says what is tried next: Optuna's samplers, a grid, and a memory of what was asked. It evaluates nothing.

Sets are asked for in rounds of a size that hangs on nothing but the sampler, whoever evaluates them and how many do so
at once; and what is told is told in the order in which it was asked. So the same seed asks for the same sets, with one
worker and with many, and a search that was interrupted asks for the same again.
"""

import random
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, get_args

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from pipeline.errors import UsageError
from pipeline.research.search.space import Axis, Point, Space

Sampler = Literal["random", "tpe", "qmc", "grid"]
SAMPLERS: Final[tuple[str, ...]] = get_args(Sampler)
ROUND: Final = 20
"""Sets that are asked for before any of them is told, where the next hang on that; and the first, in any case."""
LONG_ROUND: Final = 500
"""The same where nothing hangs on it: many workers are seldom idle at its end."""
_MISSES: Final = 10
"""So often a sampler may name what was asked before, or what is refused, until another set is drawn for it."""
_DRAWS: Final = 20_000


class Wanted(NamedTuple):
    """A set to try, and its number, from 0 on."""

    number: int
    point: Point


class Asking:
    """One search. `objectives`: how many there are; `led`: whether what is told decides what becomes of the next."""

    def __init__(self, space: Space, sampler: str, seed: int, objectives: int = 1, *, led: bool = True) -> None:
        self._space = space
        self._round = ROUND if led or sampler == "tpe" else LONG_ROUND
        self._dice = random.Random(seed)
        self._grid: Iterator[Point] | None = space.points() if sampler == "grid" else None
        self._distributions = {axis.name: _distribution(axis) for axis in space.axes}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            sampler=_sampler(sampler, seed), directions=["maximize"] * objectives, study_name="search"
        )
        self._asked: set[tuple[Any, ...]] = set()
        self._open: dict[int, optuna.Trial | None] = {}
        self._points: dict[int, Point] = {}

    def ask(self, most: int) -> list[Wanted]:
        """The next round, or fewer; none once everything was asked for."""
        return list(islice(self._new(), min(most, self._round if self._asked else ROUND)))

    def tell(self, number: int, scores: Sequence[float] | None) -> None:
        """What came of it: more is better; None where nothing did."""
        trial = self._open.pop(number)
        if trial is None:
            places = self._places(self._points[number])
            state = TrialState.FAIL if scores is None else TrialState.COMPLETE
            self._study.add_trial(
                create_trial(state=state, params=places, distributions=self._distributions, values=scores)
            )
        elif scores is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, list(scores))

    def _new(self) -> Iterator[Wanted]:
        while (found := self._next()) is not None:
            trial, point = found
            number = len(self._asked)
            self._asked.add(_key(point))
            self._open[number], self._points[number] = trial, point
            yield Wanted(number, point)

    def _next(self) -> tuple[optuna.Trial | None, Point] | None:
        if self._grid is not None:
            point = next(self._grid, None)
            return None if point is None else (None, point)
        for _ in range(_MISSES):
            trial = self._ask_once()
            point = {axis.name: axis.values[trial.params[axis.name]] for axis in self._space.axes}
            if _key(point) not in self._asked and self._space.takes(point):
                return trial, point
            self._study.tell(trial, state=TrialState.FAIL)
        drawn = self._drawn()
        return None if drawn is None else (None, drawn)

    def _ask_once(self) -> optuna.Trial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._study.ask(self._distributions)

    def _drawn(self) -> Point | None:
        """Any that was not asked for."""
        if self._space.size <= _DRAWS:
            left = [one for one in self._space.points() if _key(one) not in self._asked]
            return self._dice.choice(left) if left else None
        for _ in range(_DRAWS):
            point = {axis.name: self._dice.choice(axis.values) for axis in self._space.axes}
            if _key(point) not in self._asked and self._space.takes(point):
                return point
        return None

    def _places(self, point: Point) -> dict[str, Any]:
        return {axis.name: axis.values.index(point[axis.name]) for axis in self._space.axes}


def _key(point: Point) -> tuple[Any, ...]:
    return tuple(point.values())


def _distribution(axis: Axis) -> BaseDistribution:
    """Over the places of its values: numbers are in order, words are not."""
    last = len(axis.values) - 1
    return IntDistribution(0, last) if axis.is_ordered else CategoricalDistribution(range(last + 1))


def _sampler(name: str, seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match name:
            case "random" | "grid":
                return RandomSampler(seed=seed)
            case "tpe":
                return TPESampler(seed=seed, constant_liar=True)
            case "qmc":
                return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
    raise UsageError(f"--sampler {name}: there is no such one. There are: {', '.join(SAMPLERS)}")
