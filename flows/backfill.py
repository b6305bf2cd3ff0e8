"""The backfill as a Prefect flow: a task for a group of series, with their indicators and signals; a retry goes on from
the store. The pages are the pipeline's own affair: Prefect sees groups, a progress bar and a table, and costs little.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.tasks import Task
from pydantic import Field

from flows.reporting import Tally, fail_with, groups, retried_task, show_progress, show_table, threads
from flows.running import Chosen, at_each, is_scheduled, key_of, leave_word, stop_when_cancelled
from pipeline.app.backfill import (
    SERIES_AT_ONCE,
    Backfill,
    Filling,
    SeriesReport,
    SourceChoice,
    Wanted,
    filling,
    withdrawals,
)
from pipeline.app.opened import Opened
from pipeline.app.so_far import Minutely, so_far
from pipeline.errors import TidemarkError
from pipeline.settings import Settings
from schemas.series import SeriesKey

TABLE = ("symbol", "interval", "wanted", "stored", "fetched", "source", "holes", "seconds")


class BackfillChoice(Chosen):
    """What to fetch, how far back, and from where."""

    days: Annotated[int, Field(ge=1, le=5_000)] | None = Field(
        default=None, description="how far back; none: the settings' history_days"
    )
    source: SourceChoice = Field(
        default="auto", description="auto: the archive for whole months and days, REST for the rest"
    )


class IncompleteError(TidemarkError):
    """Series of a group are not whole. `reports` of the whole group say what is missing and why; run it again, or read
    the failures."""

    def __init__(self, reports: Sequence[SeriesReport]) -> None:
        super().__init__("\n".join(_lacks(one) for one in reports if not one.is_complete))
        self.reports = reports


@flow(name="backfill", task_runner=threads(SERIES_AT_ONCE), persist_result=False, on_completion=[leave_word])
def backfill(chosen: BackfillChoice = BackfillChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Fetch the candles that are not stored yet. Ends failed, with the list, if any series is not whole."""
    with stop_when_cancelled() as stop:
        return at_each(chosen.exchange, lambda settings: _backfilled(settings, chosen, stop))


def _backfilled(settings: Settings, chosen: BackfillChoice, stop: threading.Event) -> list[dict[str, Any]]:
    """At one exchange."""
    with (
        Opened(settings) as tm,
        filling(
            tm,
            chosen.symbols,
            chosen.intervals,
            source=chosen.source,
            by="flow backfill",
            stop=stop,
            scheduled=is_scheduled(),
            waits=Minutely(get_run_logger().info, at_once=True),
        ) as order,
    ):
        for said in withdrawals(order.not_chosen()):
            get_run_logger().warning(said)
        tally, began = CandleTally(), time.monotonic()
        with order.fetching(lambda _: nullcontext(tally)) as work:
            fill = _task(order, work, chosen.days or tm.settings.history_days, chosen.source)
            cut = groups(order.series)
            futures = [fill.submit(f"{number} of {len(cut)}", _Opaque(group)) for number, group in enumerate(cut, 1)]
            show_progress(
                futures,
                tally,
                key=key_of(settings, "backfill-progress"),
                begins="candles stored",
                meanwhile=lambda: so_far(tally.done, tally.wanted, time.monotonic() - began),
                ends=lambda: f"{tally.done:,} candles fetched",
            )
        reports = [report for future in futures for report in _reports(future)]
        order.besides(chosen.days or tm.settings.history_days, None)
    return _conclude(reports, key_of(settings, "backfill-series"))


class CandleTally(Tally):
    """The candles of a backfill."""

    def planned(self, key: SeriesKey, missing: int) -> None:  # noqa: ARG002
        """So many more are to be fetched."""
        self.plan(missing)

    def fetched(self, key: SeriesKey, candles: int) -> None:  # noqa: ARG002
        """So many more are stored."""
        self.count(candles)

    def finished(self, report: SeriesReport) -> None:
        """The table says it."""


class _Opaque:
    """Keeps Prefect from looking into what is handed to a task."""

    def __init__(self, series: Sequence[Wanted]) -> None:
        self.series = series


def _task(order: Filling, work: Backfill, days: int, source: SourceChoice) -> Task[..., list[SeriesReport]]:
    @retried_task("group {group}", worth_another_run)
    def fill(group: str, opaque: _Opaque) -> list[SeriesReport]:  # noqa: ARG001 - it names the run
        reports = [_filled(one) for one in opaque.series]
        if not all(report.is_complete for report in reports):
            raise IncompleteError(reports)
        return reports

    def _filled(one: Wanted) -> SeriesReport:
        report = work.fill(one, days, source)
        (derived,) = order.derive([one.key])
        if derived.failure is not None:
            get_run_logger().error("%s: its indicators and signals are not new: %s", one.key, derived.failure)
        return report

    return fill


def worth_another_run(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed series is tried again: not if a person must act first (a ban, a firewall), not if it was told
    to stop, and not if only candles too young to judge are missing."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, IncompleteError):
        return isinstance(error, TidemarkError) and error.exit_code == 1
    short = [one for one in error.reports if not one.is_complete]
    stopped = any("told to stop" in failure for one in short for failure in one.failures)
    return any(one.exit_code == 1 for one in short) and not stopped


def _lacks(report: SeriesReport) -> str:
    why = "; ".join(report.failures) or "some candles are still missing"
    return f"{report.symbol} {report.interval}: {report.holes:,} candles are missing: {why}"


def _reports(future: PrefectFuture[list[SeriesReport]]) -> Sequence[SeriesReport]:
    found = future.result(raise_on_failure=False)
    if isinstance(found, IncompleteError):
        return found.reports
    if isinstance(found, BaseException):
        raise found
    return found


def _conclude(reports: Sequence[SeriesReport], key: str) -> list[dict[str, Any]]:
    rows = [{name: getattr(report, name) for name in TABLE} for report in reports]
    busy = [row for row in rows if row["fetched"] or row["holes"]]
    show_table(busy, key=key, description="series of which something was fetched, or is missing")
    short = [_lacks(report) for report in reports if not report.is_complete]
    get_run_logger().info("%d of %d series are whole", len(reports) - len(short), len(reports))
    fail_with(short, len(reports), "are not whole")
    return rows
