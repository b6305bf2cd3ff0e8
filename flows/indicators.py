"""Indicators and signals as a Prefect flow, scheduled: a task for a group of series, a progress bar, a table.

A group is large, because Prefect's server pays for every task and most series have nothing to do most of the time.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task
from pydantic import Field

from flows.running import Chosen, leave_word, stop_when_cancelled
from pipeline.cli.candle_database import candle_database
from pipeline.cli.indicators import as_row
from pipeline.cli.wiring import derivation_of
from pipeline.errors import TidemarkError
from pipeline.history.derive import Derivation, Derived, StoreFailedError
from pipeline.history.listing import stored_series
from pipeline.settings import load
from pipeline.timeline import to_ms
from schemas.series import SeriesKey

GROUP: Final = 25
RETRY_DELAYS: list[float] = [2, 8, 30]
_ARTIFACT_EVERY: Final = 1.0


class IndicatorsChoice(Chosen):
    """Which stored series to bring up to date; empty: all of them."""

    anew: bool = Field(default=False, description="compute everything again, not only what is new")


_RUNNER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))


@flow(name="indicators", task_runner=_RUNNER, persist_result=False, on_completion=[leave_word])
def indicators(chosen: IndicatorsChoice = IndicatorsChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Compute indicators and signals: what is new, and what a corrected candle changes. Ends failed, with the list, if
    any series could not be computed."""
    settings = load()
    with stop_when_cancelled() as stop, candle_database(settings) as db:
        keys = stored_series(db, settings.environment, chosen.symbols, chosen.intervals)
        tally = Tally()
        compute = _task(derivation_of(settings, db), tally, stop, anew=chosen.anew)
        groups = [keys[first : first + GROUP] for first in range(0, len(keys), GROUP)]
        futures = [compute.submit(f"{number} of {len(groups)}", group) for number, group in enumerate(groups, 1)]
        _watch(futures, tally, len(keys))
        derived = [one for future in futures for one in future.result()]
    return _conclude(derived, len(keys))


class Tally:
    """How many series are done, told by worker threads; Prefect itself is told by the flow's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done = 0

    def count(self, _: Derived) -> None:
        """One more."""
        with self._lock:
            self.done += 1


def _task(
    derivation: Derivation, tally: Tally, stop: threading.Event, *, anew: bool
) -> Task[[str, Sequence[SeriesKey]], list[Derived]]:
    @task(
        name="series",
        task_run_name="group {group}",
        retries=len(RETRY_DELAYS),
        retry_delay_seconds=RETRY_DELAYS,
        retry_jitter_factor=0.3,
        retry_condition_fn=database_failed,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def compute(group: str, keys: Sequence[SeriesKey]) -> list[Derived]:  # noqa: ARG001 - it names the run
        now = to_ms(datetime.now(UTC))
        return derivation.bring_up_all(keys, now, anew=anew, told=tally.count, stop=stop.is_set)

    return compute


def database_failed(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a group is tried again: only where the database was away; whatever else fails would fail again."""
    return isinstance(state.result(raise_on_failure=False), StoreFailedError)


def _watch(futures: Sequence[PrefectFuture[list[Derived]]], tally: Tally, series: int) -> None:
    """Keep a progress bar in the UI, at most once a second, until all are done."""
    text = f"{series} series to look at"
    bar = cast("UUID", create_progress_artifact(progress=0.0, key="indicators-progress", description=text))
    while wait(list(futures), timeout=_ARTIFACT_EVERY).not_done:
        share = min(100.0, 100 * tally.done / series)  # a group that is tried again counts again
        update_progress_artifact(bar, progress=share, description=f"{tally.done} of {series} series")
    update_progress_artifact(bar, progress=100.0, description=f"{series} series")


def _conclude(derived: Sequence[Derived], asked: int) -> list[dict[str, Any]]:
    rows = [as_row(one) for one in derived]
    busy = [row for row in rows if row["candles"] or row["failure"]]
    create_table_artifact(table=busy, key="indicators-series", description="series that had something to compute")
    candles, added = sum(one.candles for one in derived), sum(one.signals.added for one in derived)
    get_run_logger().info("%d of %d series: %d candles computed, %d new signals", len(rows), asked, candles, added)
    failed = [f"{one.symbol} {one.interval}: {one.failure}" for one in derived if one.failure is not None]
    if failed:
        raise TidemarkError(f"{len(failed)} of {asked} series could not be computed:\n" + "\n".join(failed))
    return rows
