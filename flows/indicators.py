"""Indicators and signals as a Prefect flow, scheduled: one task for all series, a progress bar, a table."""

import threading
from collections.abc import Sequence
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from pydantic import Field

from flows.reporting import Tally, fail_with, retried_task, show_progress, show_table, threads
from flows.running import Chosen, at_each, key_of, leave_word, stop_when_cancelled
from pipeline.app.derive import Derived, Deriving, StoreFailedError, as_row, stored
from pipeline.app.opened import Opened
from pipeline.settings import Settings
from schemas.series import SeriesKey


class IndicatorsChoice(Chosen):
    """Which stored series to bring up to date; empty: all of them."""

    anew: bool = Field(default=False, description="compute everything again, not only what is new")


@flow(name="indicators", task_runner=threads(1), persist_result=False, on_completion=[leave_word])
def indicators(chosen: IndicatorsChoice = IndicatorsChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Compute indicators and signals: what is new, and what a corrected candle changes. Ends failed, with the list, if
    any series could not be computed."""
    with stop_when_cancelled() as stop:
        return at_each(chosen.exchange, lambda settings: _computed(settings, chosen, stop))


def _computed(settings: Settings, chosen: IndicatorsChoice, stop: threading.Event) -> list[dict[str, Any]]:
    """At one exchange."""
    with Opened(settings) as tm:
        keys = stored(tm, chosen.symbols, chosen.intervals)
        tally = Tally(len(keys))
        work = Deriving(tm, keys, anew=chosen.anew, by="flow indicators")
        for said in work.withdrawals():
            get_run_logger().warning(said)
        compute = _task(work, keys, tally, stop)
        future = compute.submit(f"{len(keys)} series")
        show_progress(
            [future],
            tally,
            key=key_of(settings, "indicators-progress"),
            begins=f"{len(keys)} series to look at",
            meanwhile=lambda: f"{tally.done} of {len(keys)} series",
            ends=lambda: f"{len(keys)} series",
        )
        derived = future.result()
    return _conclude(derived, len(keys), key_of(settings, "indicators-series"))


def _task(work: Deriving, keys: Sequence[SeriesKey], tally: Tally, stop: threading.Event) -> Task[[str], list[Derived]]:
    @retried_task("{what}", database_failed)
    def compute(what: str) -> list[Derived]:  # noqa: ARG001 - it names the run
        return work.bring_up(keys, told=lambda _: tally.count(1), stop=stop.is_set)

    return compute


def database_failed(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether it is tried again: only where the database was away; whatever else fails would fail again."""
    return isinstance(state.result(raise_on_failure=False), StoreFailedError)


def _conclude(derived: Sequence[Derived], asked: int, key: str) -> list[dict[str, Any]]:
    rows = [as_row(one) for one in derived]
    busy = [row for row in rows if row["candles"] or row["failure"]]
    show_table(busy, key=key, description="series that had something to compute")
    candles, added = sum(one.candles for one in derived), sum(one.signals.added for one in derived)
    get_run_logger().info("%d of %d series: %d candles computed, %d new signals", len(rows), asked, candles, added)
    failed = [f"{one.symbol} {one.interval}: {one.failure}" for one in derived if one.failure is not None]
    fail_with(failed, asked, "could not be computed")
    return rows
