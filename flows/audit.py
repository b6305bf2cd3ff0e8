"""The audit as a Prefect flow: a task a series, a table of what was found, failed if anything is left."""

from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task
from pydantic import Field

from flows.running import Chosen, leave_word, stop_when_cancelled
from pipeline.app.audit import Auditing, SeriesAudit, auditing
from pipeline.app.opened import Opened
from pipeline.errors import TidemarkError
from pipeline.settings import load
from pipeline.timeline import iso
from schemas.series import SeriesKey


class AuditChoice(Chosen):
    """Which stored series to audit; empty: all of them."""

    repair: bool = Field(default=False, description="fetch again whatever is wrong; record what the exchange lacks")
    everything: bool = Field(
        default=True, description="also what was found sound before and was not written since; off: as every night"
    )
    samples: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=3, description="stretches of each series to compare with the exchange"
    )


@flow(name="audit", persist_result=False, on_completion=[leave_word])
def audit(chosen: AuditChoice = AuditChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Check stored candles, and mend them if told to. Ends failed, with the list, if a series is not sound."""
    with (
        stop_when_cancelled() as stop,
        Opened(load()) as tm,
        auditing(
            tm,
            chosen.symbols,
            chosen.intervals,
            repair=chosen.repair,
            samples=chosen.samples,
            everything=chosen.everything,
            by="flow audit",
            stop=stop,
        ) as work,
    ):
        look = _task(work, tm.environment)
        audits = [look(key.symbol, key.interval) for key in work.keys]
    return _conclude([one for each in audits for one in each])


def _task(work: Auditing, exchange: str) -> Task[..., Sequence[SeriesAudit]]:
    @task(name="series", task_run_name="{symbol} {interval}", cache_policy=NO_CACHE, persist_result=False)
    def look(symbol: str, interval: str) -> Sequence[SeriesAudit]:
        key = SeriesKey(exchange, symbol, interval)
        done = work.audit([key])
        for derived in done.derived or ():
            if derived.failure is not None:
                get_run_logger().error("%s: its indicators and signals are not new: %s", key, derived.failure)
        return done.audits

    return look


def _conclude(audits: Sequence[SeriesAudit]) -> list[dict[str, Any]]:
    rows = [
        {
            "symbol": one.symbol,
            "interval": one.interval,
            "candles": one.candles,
            "compared": one.sampled,
            "findings": len(one.flaws),
            "sound": one.is_sound,
        }
        for one in audits
    ]
    found = [
        {
            "symbol": one.symbol,
            "interval": one.interval,
            "check": flaw.check.value,
            "from": iso(flaw.start),
            "to": iso(flaw.end),
            "candles": flaw.candles,
            "state": flaw.state.value,
            "what": flaw.what,
        }
        for one in audits
        for flaw in one.flaws
    ]
    create_table_artifact(table=rows, key="audit-series", description="what each series came to")
    if found:
        create_table_artifact(table=found, key="audit-findings", description="what is or was wrong")
    unsound = [f"{one.symbol} {one.interval}" for one in audits if not one.is_sound]
    get_run_logger().info("%d of %d series are sound", len(audits) - len(unsound), len(audits))
    if unsound:
        raise TidemarkError(f"not sound: {', '.join(unsound)}; see the table of findings, or run it with repair")
    return rows
