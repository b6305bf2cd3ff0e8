"""A search that is kept, as it is looked at: what was asked for, its trials, the best first, and the days that their
equity is of. Reads only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.research.search.figures import times_of
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.space import INTERVAL
from pipeline.store.searches import SearchStore
from pipeline.timeline import to_ms
from schemas.searches import Search, Trial

_VERDICT: Final = "verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFor:
    """What is asked for; empty: what the settings have. `sealed`: the share of the days, the last of them, that no
    trial sees. `folds`: none is no walk-forward."""

    strategy: str
    symbols: Sequence[str] = ()
    interval: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    space: Sequence[str] = ()
    days: float | None = None
    start: int | None = None
    end: int | None = None
    equity: Decimal | None = None
    trials: int = 200
    sampler: str = "random"
    seed: int = 1
    objectives: Sequence[str] = ("sharpe",)
    folds: int = 6
    anchored: bool = False
    prune: bool = False
    through_holes: bool = False
    sealed: float = 0.15
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A search, and how many of its trials there are."""

    search: Search
    tried: int


@dataclass(frozen=True, slots=True)
class Searched:
    """`trials`: at most so many as were asked for, of `tried`; `days`: when the equity of each is told."""

    search: Search
    tried: int
    trials: Sequence[Trial]
    days: Sequence[int]

    @property
    def best(self) -> Trial | None:
        """By the first objective; None where nothing has figures."""
        return next((one for one in self.trials if one.state == "done"), None)

    @property
    def verdict(self) -> dict[str, Any] | None:
        """None: it has not ended."""
        return (self.search.result or {}).get(_VERDICT)

    @property
    def forward(self) -> dict[str, Any] | None:
        """None: it has not ended, or had no folds."""
        return (self.search.result or {}).get("forward")


def searched(tm: Opened, name: str, most: int) -> Searched:
    """One of them, with that many trials."""
    found, ranked = trials(tm, name)
    return Searched(found, len(ranked), ranked[:most], times_of(to_ms(found.start), to_ms(found.end)))


def resumed(tm: Opened, name: str, trials: int | None = None) -> SearchFor:
    """What that search was asked for; with more trials, if so many are wanted."""
    one = named(SearchStore(tm.db, tm.environment), name)
    codes = one.intervals if INTERVAL not in one.space else [None]
    return SearchFor(
        strategy=one.strategy,
        symbols=one.symbols,
        interval=codes[0],
        parameters=one.fixed,
        space=[f"{axis}={','.join(map(str, values))}" for axis, values in one.space.items()],
        equity=one.equity,
        trials=one.trials if trials is None else trials,
        sampler=one.sampler,
        seed=one.seed,
        objectives=one.objectives,
        folds=one.folds,
        anchored=one.anchored,
        prune=one.prune,
        through_holes=one.through_holes,
        name=name,
    )


def searches(tm: Opened, most: int) -> list[Kept]:
    """The newest first."""
    store = SearchStore(tm.db, tm.environment)
    return [Kept(one, store.count(one.id)) for one in store.newest(most)]


def trials(tm: Opened, name: str) -> tuple[Search, list[Trial]]:
    """Those of a search, the best first; those without figures last."""
    store = SearchStore(tm.db, tm.environment)
    found = named(store, name)
    return found, in_order(Objectives.of(found.objectives), store.trials(name))


def trial(tm: Opened, name: str) -> Trial:
    """One of them."""
    found = SearchStore(tm.db, tm.environment).trial(name)
    if found is None:
        raise UsageError(f"there is no trial {name!r}; `tidemark trials --search NAME` lists those of a search")
    return found


def named(store: SearchStore, name: str) -> Search:
    """One of them, without its trials."""
    found = store.get(name)
    if found is not None:
        return found
    elsewhere = store.place_of(name)
    if elsewhere is not None:
        raise UsageError(
            f"search {name!r} is of {elsewhere}: name one that was made here, or say --exchange {elsewhere}"
        )
    raise UsageError(f"there is no search {name!r}; `tidemark trials` lists them")


def in_order(objectives: Objectives, found: Sequence[Trial]) -> list[Trial]:
    """The best by the first objective first; those without figures last."""
    scores = [objectives.scores(one.figures) for one in found]
    order = sorted(
        range(len(found)), key=lambda place: (-(scores[place] or (float("-inf"),))[0], found[place].number)
    )  # fmt: skip
    return [found[place] for place in order]
