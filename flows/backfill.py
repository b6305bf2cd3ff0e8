"""The backfill as a Prefect flow: a task a series, with its indicators and signals; a retry goes on from the store. The
pages are the pipeline's own affair: Prefect sees series, a progress bar and a table, and costs little.
"""

import threading
import time
from collections.abc import Sequence
from typing import Annotated, Any, cast
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
from pipeline.cli.exchange_access import archive_of, client_of
from pipeline.cli.wiring import derivation_of, due_keys
from pipeline.errors import TidemarkError
from pipeline.exchange.market import Market
from pipeline.history.backfill import SERIES_AT_ONCE, Backfill
from pipeline.history.derive import Derivation
from pipeline.history.listing import Wanted, kept_series, wanted_series
from pipeline.history.report import SeriesReport, SourceChoice
from pipeline.settings import load
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from schemas.series import SeriesKey

TABLE = ("symbol", "interval", "wanted", "stored", "fetched", "source", "holes", "seconds")
RETRY_DELAYS: list[float] = [2, 8, 30]
_ARTIFACT_EVERY = 1.0


class BackfillChoice(Chosen):
    """What to fetch, how far back, and from where."""

    days: Annotated[int, Field(ge=1, le=5_000)] | None = Field(
        default=None, description="how far back; none: the settings' history_days"
    )
    source: SourceChoice = Field(
        default="auto", description="auto: the archive for whole months and days, REST for the rest"
    )


class IncompleteError(TidemarkError):
    """A series is not whole. `report` says what is missing and why; run it again, or read the failures."""

    def __init__(self, report: SeriesReport) -> None:
        why = "; ".join(report.failures) or "some candles are still missing"
        super().__init__(f"{report.symbol} {report.interval}: {report.holes:,} candles are missing: {why}")
        self.report = report


_RUNNER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=SERIES_AT_ONCE))


@flow(name="backfill", task_runner=_RUNNER, persist_result=False, on_completion=[leave_word])
def backfill(chosen: BackfillChoice = BackfillChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Fetch the candles that are not stored yet. Ends failed, with the list, if any series is not whole."""
    settings = load()
    with (
        stop_when_cancelled() as stop,
        client_of(settings, stop) as client,
        candle_database(settings) as db,
        archive_of(client, chosen.source) as archive,
    ):
        market = Market(client)
        listed = market.symbols()
        series = (
            wanted_series(chosen.symbols, chosen.intervals or settings.intervals, listed, settings.environment)
            if chosen.symbols
            else kept_series(due_keys(settings, db, chosen.intervals), listed, SeriesStore(db), client.clock.now())
        )
        SymbolStore(db).save(listed)
        tally = Tally()
        with Backfill(db, market, archive, progress=tally) as work:
            derivation = derivation_of(settings, db)
            fill = _task(work, derivation, chosen.days or settings.history_days, chosen.source)
            futures = [fill.submit(one.key.symbol, one.key.interval, _Opaque(one)) for one in series]
            _watch(futures, tally)
        reports = [_report(future) for future in futures]
    return _conclude(reports)


class Tally:
    """How many candles are planned and stored so far, told by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.planned_candles = 0
        self.fetched_candles = 0

    def planned(self, key: SeriesKey, missing: int) -> None:  # noqa: ARG002
        """So many more are to be fetched."""
        with self._lock:
            self.planned_candles += missing

    def fetched(self, key: SeriesKey, candles: int) -> None:  # noqa: ARG002
        """So many more are stored."""
        with self._lock:
            self.fetched_candles += candles

    def finished(self, report: SeriesReport) -> None:
        """The table says it."""

    @property
    def percent(self) -> float:
        """How far it is."""
        return min(100.0, 100 * self.fetched_candles / self.planned_candles) if self.planned_candles else 0.0


class _Opaque:
    """Keeps Prefect from looking into what is handed to a task."""

    def __init__(self, series: Wanted) -> None:
        self.series = series


def _task(work: Backfill, derivation: Derivation, days: int, source: SourceChoice) -> Task[..., SeriesReport]:
    @task(
        name="series",
        task_run_name="{symbol} {interval}",
        retries=len(RETRY_DELAYS),
        retry_delay_seconds=RETRY_DELAYS,
        retry_jitter_factor=0.3,
        retry_condition_fn=worth_another_run,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def fill(symbol: str, interval: str, opaque: _Opaque) -> SeriesReport:  # noqa: ARG001 - they name the run
        report = work.fill(opaque.series, days, source)
        (derived,) = derivation.bring_up_all([opaque.series.key], work.market.client.clock.now())
        if derived.failure is not None:
            get_run_logger().error("%s: its indicators and signals are not new: %s", opaque.series.key, derived.failure)
        if not report.is_complete:
            raise IncompleteError(report)
        return report

    return fill


def worth_another_run(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed series is tried again: not if a person must act first (a ban, a firewall), not if it was told
    to stop, and not if only candles too young to judge are missing."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, IncompleteError):
        return isinstance(error, TidemarkError) and error.exit_code == 1
    stopped = any("told to stop" in failure for failure in error.report.failures)
    return error.report.exit_code == 1 and not stopped


def _watch(futures: Sequence[PrefectFuture[SeriesReport]], tally: Tally) -> None:
    """Keep a progress bar in the UI, at most once a second, until all are done."""
    bar = cast("UUID", create_progress_artifact(progress=0.0, key="backfill-progress", description="candles stored"))
    told, began = 0.0, time.monotonic()
    while wait(list(futures), timeout=_ARTIFACT_EVERY).not_done:
        if tally.percent != told:
            told = tally.percent
            rate = tally.fetched_candles / (time.monotonic() - began)
            text = f"{tally.fetched_candles:,} of {tally.planned_candles:,} candles, {rate:,.0f}/s"
            update_progress_artifact(bar, progress=told, description=text)
    update_progress_artifact(bar, progress=100.0, description=f"{tally.fetched_candles:,} candles fetched")


def _report(future: PrefectFuture[SeriesReport]) -> SeriesReport:
    found = future.result(raise_on_failure=False)
    if isinstance(found, IncompleteError):
        return found.report
    if isinstance(found, BaseException):
        raise found
    return found


def _conclude(reports: Sequence[SeriesReport]) -> list[dict[str, Any]]:
    rows = [{name: getattr(report, name) for name in TABLE} for report in reports]
    create_table_artifact(table=rows, key="backfill-series", description="what each series came to")
    short = [str(IncompleteError(report)) for report in reports if not report.is_complete]
    get_run_logger().info("%d of %d series are whole", len(reports) - len(short), len(reports))
    if short:
        raise TidemarkError(f"{len(short)} of {len(reports)} series are not whole:\n" + "\n".join(short))
    return rows
