"""Sets are asked for, tried by whoever there is, and kept, each once. What is kept is told and not tried again.

A round is told in the order in which it was asked for, whichever order it was ready in.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, process_time
from typing import Any, Final, NamedTuple

from pipeline.app.extra import having_dask
from pipeline.errors import UsageError
from pipeline.research.search.asking import ROUND, Asking
from pipeline.research.search.jobs import Attempt, Doer, Doers, Job, in_this_process
from pipeline.research.search.space import Point
from pipeline.research.search.trial import Answer, Plan, Trials
from pipeline.store.searches import SearchStore
from schemas.searches import Search, Trial

log = logging.getLogger(__name__)

ALONE = 20.0
"""Seconds of a core that this process works before others are begun, which takes some itself."""
_WAITS: Final = 0.25
"""Seconds after which trials that are ready are written."""


class Progress(NamedTuple):
    """How far it is: `best` is the highest first objective so far, `kept` were there before."""

    done: int
    wanted: int
    kept: int
    best: float | None


@contextmanager
def workers_of(folder: Path, count: int | None, cluster: str | None) -> Iterator[Doers]:
    """Who tries sets, as long as the block lasts: this process alone, so many of this machine, or those of the Dask
    cluster at that address; None: this process, and where it takes long, one for each core. `folder`: where a file may
    lie that they map."""
    if count is not None and count < 1:
        raise UsageError(f"--workers must be at least 1, not {count}")
    if cluster is not None and count is not None and count > 1:
        raise UsageError("--workers and --cluster exclude each other: a cluster has the workers that it has")
    if cluster is None and count == 1:
        yield in_this_process
    elif cluster is None and count is None:
        with ExitStack() as ends:
            yield lambda trials: _helped(trials, folder, ends)
    else:
        with _begun(folder, count or 1, cluster) as workers:
            yield workers


def _helped(trials: Trials, folder: Path, ends: ExitStack) -> Doer:
    """This process, until it has worked for a while; then as many as there are cores. Where they cannot be had, it goes
    on alone."""
    doer, spent = in_this_process(trials), 0.0
    cores = os.cpu_count() or 1
    settled = cores == 1

    def do(jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        nonlocal doer, spent, settled
        if not settled and spent >= ALONE:
            settled = True
            try:
                doer = ends.enter_context(_begun(folder, cores, None))(trials)
            except UsageError as error:
                log.info("%s; this process goes on alone", error)
        before = process_time()
        yield from doer(jobs)
        spent += process_time() - before

    return do


def _begun(folder: Path, count: int, cluster: str | None) -> AbstractContextManager[Doers]:
    with having_dask("--workers and --cluster need"):
        from pipeline.app.trying_far import dask_workers  # noqa: PLC0415 - slow, and an extra
    return dask_workers(folder, count, cluster)


def try_all(
    store: SearchStore,
    kept: Search,
    judged: Trials,
    most: int,
    do: Doer,
    progress: Callable[[Progress], None],
) -> None:
    """Round by round: ask, try what is not kept, keep it, tell."""
    known = {one.number: one for one in store.trials(kept.id)}
    asking = Asking(judged.stage.space, kept.sampler, kept.seed, len(kept.objectives), led=kept.prune)
    early: list[float] = []
    seen = _Seen(judged.plan, most, progress)
    while seen.done < most and (wanted := asking.ask(most - seen.done)):
        floor = median(early) if kept.prune and len(early) >= ROUND else None
        missing = [one for one in wanted if one.number not in known]
        for one in wanted:
            if one.number in known:
                seen.add(known[one.number], was_kept=True)
        known |= _tried(store, kept, [Attempt(one.number, dict(one.point), floor) for one in missing], do, seen)
        for one in wanted:
            told = known[one.number]
            if told.parameters != dict(one.point):
                raise UsageError(f"trial {told.id} was another one: search {kept.id!r} was begun by another version")
            asking.tell(one.number, _told(judged.plan, told))
            early += [told.early[0]] if told.early and told.state == "done" else []


@dataclass(slots=True)
class _Seen:
    """How far it is, told with each trial."""

    plan: Plan
    wanted: int
    progress: Callable[[Progress], None]
    done: int = 0
    kept: int = 0
    best: float | None = None

    def add(self, one: Trial, *, was_kept: bool = False) -> None:
        scores = _told(self.plan, one)
        self.done += 1
        self.kept += was_kept
        if scores is not None:
            self.best = scores[0] if self.best is None else max(self.best, scores[0])
        self.progress(Progress(self.done, self.wanted, self.kept, self.best))


def _tried(store: SearchStore, kept: Search, wanted: Sequence[Attempt], do: Doer, seen: _Seen) -> dict[int, Trial]:
    """Those that were missing, kept as they come: who is interrupted loses none that is ready, who is killed those of a
    moment."""
    found: dict[int, Trial] = {}
    waiting: list[Trial] = []
    written = monotonic()
    try:
        for place, answer in do(wanted):
            number = wanted[place].number
            one = found[number] = _document(kept, number, wanted[place].point, answer)
            waiting.append(one)
            if monotonic() - written >= _WAITS:
                store.add_trials(waiting)
                _tell(waiting, seen)
                written = monotonic()
    finally:
        store.add_trials(waiting)
    _tell(waiting, seen)
    return found


def _tell(stored: list[Trial], seen: _Seen) -> None:
    """That they are done, of each once, also where somebody is interrupted as he hears it."""
    while stored:
        seen.add(stored.pop(0))


def _document(kept: Search, number: int, point: Point, answer: Answer) -> Trial:
    return Trial(
        id=f"{kept.id}:{number}",
        search=kept.id,
        environment=kept.environment,
        number=number,
        state=answer.state,
        parameters=dict(point),
        reason=answer.reason,
        early=None if answer.early is None else list(answer.early),
        figures=dict(answer.figures),
        folds=[dict(one) for one in answer.folds],
        equity=list(answer.equity),
        hash=answer.hash,
    )


def _told(plan: Plan, told: Trial) -> tuple[float, ...] | None:
    """What leads a sampler: of what is judged later, it hears nothing."""
    if plan.early:
        return None if told.early is None else tuple(told.early)
    return plan.objectives.scores(told.figures)
