"""A search: sets of parameters are asked for, tried, and kept, each once; what was chosen is judged on what follows.

Where it was interrupted it goes on: the same seed asks for the same sets, and those that are kept are told and not
tried again. It asks the database only, and sends nothing anywhere.
"""

import inspect
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipeline.app.backtest import write_report
from pipeline.app.opened import Opened
from pipeline.app.runs import changed, series_as_read, settings_hash
from pipeline.app.searched import SearchFor, in_order
from pipeline.app.sources import hash_of, trial_code
from pipeline.app.stage import Set, set_up
from pipeline.app.strategies import space_for
from pipeline.app.trying import Progress, try_all
from pipeline.errors import UsageError
from pipeline.research.report.searched import Told, Tried, page_of_search
from pipeline.research.search.asking import SAMPLERS
from pipeline.research.search.evaluate import Stage
from pipeline.research.search.figures import FIGURES, times_of
from pipeline.research.search.forward import Forward, forward_of
from pipeline.research.search.jobs import Doer, Doers, in_this_process
from pipeline.research.search.judge import evidence_of
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.space import Space
from pipeline.research.search.trial import Plan, Trials
from pipeline.research.search.verdict import Verdict, verdict_of
from pipeline.research.walk_forward import best_of, folds_of
from pipeline.store.searches import SearchStore
from pipeline.timeline import DAY, to_datetime, to_ms
from schemas.searches import Sealed, Search, Trial

__all__ = ["FIGURES", "SAMPLERS", "Found", "Progress", "SearchFor", "ranked", "report", "search"]

_FEWEST_DAYS: Final = 30
_SCALED: Final = frozenset(("sharpe", "sortino", "calmar", "omega", "yearly_return_pct", "volatility_pct"))
"""Figures that are not said of fewer days than that."""


@dataclass(frozen=True, slots=True)
class Found:
    """A search that has ended: its trials in their order, those that are best by its objectives first in `best`, and
    what the walk through the folds brought; None where there are no folds, or nothing to choose. `verdict`: of the
    best by the first objective."""

    search: Search
    trials: Sequence[Trial]
    best: Sequence[Trial]
    forward: Forward | None
    verdict: Verdict


def search(
    tm: Opened,
    asked: SearchFor,
    *,
    workers: Doers = in_this_process,
    begun: Callable[[str], None] = lambda _: None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Found:
    """Search, and keep every trial. A search of that name that was interrupted, or is to have more trials, goes on; it
    must ask for the same. `begun` hears what it is called before the first trial."""
    objectives = Objectives.of(asked.objectives)
    _require_sense(asked)
    store = SearchStore(tm.db, tm.environment)
    before = store.get(asked.name) if asked.name else None
    space = space_for(tm.settings, asked.strategy, asked.parameters, asked.space)
    ready = _set(tm, asked, space, before)
    whole = ready.stage
    searched = whole if before is not None else whole.within(whole.start, _end_of(whole, asked.sealed))
    folds = folds_of(len(searched.times) - 1, asked.folds, anchored=asked.anchored) if asked.folds else []
    _require_days(objectives, asked, searched, min((one.train[1] - one.train[0] for one in folds), default=None))
    kept = _keep(tm, store, asked, ready, searched, whole.end, before)
    begun(kept.id)
    plan = Plan(objectives, folds, early=bool(folds) and (asked.prune or asked.sampler == "tpe"))
    judged = Trials(searched, plan)
    do = workers(judged)
    try_all(store, kept, judged, asked.trials, do, progress)
    ever = store.tried_on(kept.symbols, kept.start, kept.end)
    found = _found(kept, store.trials(kept.id), judged, do, ever)
    store.end(kept.id, datetime.now(UTC), max(kept.trials, asked.trials), _result(found))
    ended = store.get(kept.id)
    return Found(ended or kept, found.trials, found.best, found.forward, found.verdict)


def ranked(found: Found) -> list[Trial]:
    """Its trials, the best by the first objective first; those without figures last."""
    return in_order(Objectives.of(found.search.objectives), found.trials)


def report(found: Found, file: Path) -> None:
    """Write it as one file of HTML."""
    one = found.search
    told = Told(
        title=f"{one.strategy} on {' '.join(one.symbols)} {' '.join(one.intervals)}, search {one.id}",
        objectives=one.objectives,
        space=one.space,
        trials=[Tried(each.id, each.parameters, each.figures, each.equity) for each in ranked(found)],
        times=times_of(to_ms(one.start), to_ms(one.end)),
        forward=found.forward,
        verdict=found.verdict,
        notes=one.notes,
    )
    write_report(page_of_search(told), file)


def _require_sense(asked: SearchFor) -> None:
    if asked.trials < 1:
        raise UsageError(f"--trials must be at least 1, not {asked.trials}")
    if asked.sampler not in SAMPLERS:
        raise UsageError(f"--sampler {asked.sampler}: there is no such one. There are: {', '.join(SAMPLERS)}")
    if not 0 <= asked.sealed <= 0.5:
        raise UsageError(f"--sealed is a share of the days, from 0 to 0.5, not {asked.sealed:g}")
    if asked.prune and not asked.folds:
        raise UsageError("--prune ends trials after the first fold, and there are none: leave out --walk-forward 0")


def _require_days(objectives: Objectives, asked: SearchFor, stage: Stage, trained: int | None) -> None:
    """Refuse an objective that no stretch is long enough for; of one that is trained on, half may fall into the gap."""
    days = len(stage.times) - 1 if trained is None else (trained + 1) // 2
    scaled = [one for one in objectives.names if one in _SCALED]
    if scaled and days < _FEWEST_DAYS:
        what = f"{days} are searched" if trained is None else f"{asked.folds} folds may train on {days} only"
        raise UsageError(
            f"{scaled[0]} is not said of fewer than {_FEWEST_DAYS} days, and {what}: take more days (--days), fewer "
            "folds (--walk-forward), or --objective return_pct"
        )


def _end_of(stage: Stage, sealed: float) -> int:
    """The midnight from which on nothing is searched."""
    days = (stage.end - stage.start) // DAY
    hidden = round(days * sealed)
    return stage.end if not hidden else stage.times[-1 - hidden]


def _set(tm: Opened, asked: SearchFor, space: Space, before: Search | None) -> Set:
    """What is loaded: of a search that goes on, what it was over."""
    start = asked.start if before is None else to_ms(before.start)
    end = asked.end if before is None else to_ms(before.end)
    return set_up(
        tm,
        space,
        symbols=asked.symbols,
        interval_code=asked.interval,
        days=asked.days,
        start=start,
        end=end,
        equity=asked.equity,
        through_holes=asked.through_holes,
    )


def _keep(
    tm: Opened,
    store: SearchStore,
    asked: SearchFor,
    ready: Set,
    searched: Stage,
    last: int,
    before: Search | None,
) -> Search:
    """The document of the search: a new one, or the one before if it is of the same."""
    now = datetime.now(UTC)
    space = searched.space
    by = inspect.getsource(inspect.getmodule(space.kind) or space.kind)
    new = Search(
        id=asked.name or f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}",
        environment=tm.environment,
        at=now,
        strategy=asked.strategy,
        fixed=dict(space.fixed),
        space={one.name: list(one.values) for one in space.axes},
        symbols=list(searched.asked.minutes),
        intervals=sorted({one.interval for one in ready.read if one.interval != "1m"} or {"1m"}),
        start=to_datetime(searched.start),
        end=to_datetime(searched.end),
        equity=searched.asked.assumptions.equity,
        trials=asked.trials,
        sampler=asked.sampler,
        seed=asked.seed,
        objectives=list(asked.objectives),
        folds=asked.folds,
        anchored=asked.anchored,
        prune=asked.prune,
        through_holes=asked.through_holes,
        sealed=None if last <= searched.end else Sealed(start=to_datetime(searched.end), end=to_datetime(last)),
        code=hash_of(f"{by}{settings_hash(searched.asked)}{trial_code()}"),
        candles=[series_as_read(tm, key, read) for key, read in ready.read.items()],
        notes=list(ready.notes),
    )
    if before is not None:
        _require_same(tm, before, new)
        return before
    if not store.add(new):
        raise UsageError(f"a search {new.id!r} was begun meanwhile: choose another name")
    return new


def _require_same(tm: Opened, before: Search, now: Search) -> None:
    """Refuse to go on with something else than what was begun."""
    names = (
        *("strategy", "fixed", "space", "symbols", "start", "end", "equity", "sampler", "seed", "objectives"),
        *("folds", "anchored", "prune"),
    )
    differs = [f"its {one}" for one in names if getattr(before, one) != getattr(now, one)]
    if before.code != now.code:
        differs.append("the code of the strategy or of the engines, or the settings")
    differs += [f"the candles of {one}" for one in changed(tm, before.candles)]
    if differs:
        raise UsageError(
            f"search {before.id!r} was begun otherwise: {', '.join(differs)}. Ask for the same, or give this one "
            "another name"
        )


def _found(kept: Search, found: Sequence[Trial], judged: Trials, do: Doer, ever: int) -> Found:
    objectives = judged.plan.objectives
    front = objectives.front([objectives.scores(one.figures) for one in found])
    done = [one for one in found if one.state == "done"]
    points = [one.parameters for one in done]
    forward = forward_of(judged, points, [one.folds for one in done], [one.number for one in done])
    top = best_of([None if one is None else one[0] for one in (objectives.scores(each.figures) for each in done)])
    point = None if top is None else points[top]
    equities = [one.equity for one in done]
    evidence = evidence_of(judged, do, point, equities, top, forward, ever=ever, seed=kept.seed)
    return Found(kept, found, [found[place] for place in front], forward, verdict_of(evidence))


def _result(found: Found) -> dict[str, Any]:
    states = [one.state for one in found.trials]
    return {
        "best": [one.id for one in found.best],
        "done": states.count("done"),
        "failed": states.count("failed"),
        "pruned": states.count("pruned"),
        "forward": None if found.forward is None else found.forward.told(),
        "verdict": found.verdict.told(),
    }
