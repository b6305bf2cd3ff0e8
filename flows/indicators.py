"""Indicators and signals as a Prefect flow, scheduled: a task for a group of series, a progress bar, a table.

A group is large, because Prefect's server pays for every task and most series have nothing to do most of the time.
"""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from pydantic import Field

from flows.running import Chosen, stop_when_cancelled
from pipeline.cli.indicators import as_row
from pipeline.cli.wiring import derivation_of
from pipeline.errors import TidemarkError
from pipeline.history.derive import Derivation, Derived, StoreFailedError
from pipeline.history.listing import stored_series
from pipeline.settings import load
from pipeline.store.session import database
from pipeline.timeline import to_ms
from schemas.series import SeriesKey

GROUP: Final = 25
RETRY_DELAYS: list[float] = [2, 8, 30]
_ARTIFACT_EVERY: Final = 1.0


class IndicatorsChoice(Chosen):
    """Which stored series to bring up to date; empty: all of them."""

    anew: bool = Field(default=False, description="compute everything again, not only what is new")


@flow(name="indicators", persist_result=False)
def indicators(chosen: IndicatorsChoice = IndicatorsChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Compute indicators and signals: what is new, and what a corrected candle changes. Ends failed, with the list, if
    any series could not be computed."""
    settings = load()
    with stop_when_cancelled() as stop, database(settings) as db:
        keys = stored_series(db, settings.environment, chosen.symbols, chosen.intervals)
        compute = _task(derivation_of(settings, db), _Bar(len(keys)), stop, anew=chosen.anew)
        groups = [keys[first : first + GROUP] for first in range(0, len(keys), GROUP)]
        derived = [
            one for number, group in enumerate(groups, 1) for one in compute(f"{number} of {len(groups)}", group)
        ]
    return _conclude(derived, len(keys))


class _Bar:
    """A progress bar in the UI, moved from worker threads, at most once a second."""

    def __init__(self, series: int) -> None:
        self._lock = threading.Lock()
        self._series = series
        self._done = 0
        self._told = time.monotonic()
        text = f"{series} series to look at"
        created = create_progress_artifact(progress=0.0, key="indicators-progress", description=text)
        self._artifact = cast("UUID", created)

    def advance(self) -> None:
        """One more series is done."""
        with self._lock:
            self._done += 1
            is_last = self._done == self._series
            if is_last or time.monotonic() - self._told > _ARTIFACT_EVERY:
                self._told = time.monotonic()
                text = f"{self._done} of {self._series} series"
                share = min(100.0, 100 * self._done / self._series)  # a group that is tried again counts again
                update_progress_artifact(self._artifact, progress=share, description=text)


def _task(
    derivation: Derivation, bar: _Bar, stop: threading.Event, *, anew: bool
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
        return derivation.bring_up_all(keys, now, anew=anew, told=lambda _: bar.advance(), stop=stop.is_set)

    return compute


def database_failed(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a group is tried again: only where the database was away; whatever else fails would fail again."""
    return isinstance(state.result(raise_on_failure=False), StoreFailedError)


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
