"""The audit as a Prefect flow: one task for all series, a table of what was found, failed if anything is left."""

import threading
from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task
from pydantic import Field

from flows.reporting import Tally, first_of, show_progress, show_table, threads
from flows.running import Chosen, at_each, is_scheduled, key_of, leave_word, stop_when_cancelled
from pipeline.app.audit import Auditing, SeriesAudit, auditing
from pipeline.app.opened import Opened
from pipeline.errors import TidemarkError
from pipeline.settings import Settings
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


@flow(name="audit", task_runner=threads(1), persist_result=False, on_completion=[leave_word])
def audit(chosen: AuditChoice = AuditChoice()) -> list[dict[str, Any]]:  # noqa: B008 - frozen default
    """Check stored candles, and mend them if told to. Ends failed, with the list, if a series is not sound."""
    with stop_when_cancelled() as stop:
        return at_each(chosen.exchange, lambda settings: _audited(settings, chosen, stop))


def _audited(settings: Settings, chosen: AuditChoice, stop: threading.Event) -> list[dict[str, Any]]:
    """At one exchange."""
    with (
        Opened(settings) as tm,
        auditing(
            tm,
            chosen.symbols,
            chosen.intervals,
            repair=chosen.repair,
            samples=chosen.samples,
            everything=chosen.everything,
            by="flow audit",
            stop=stop,
            scheduled=is_scheduled(),
        ) as work,
    ):
        wanted = len(work.keys)
        tally = Tally(wanted)
        future = _task(work, tally).submit(f"{wanted} series")
        show_progress(
            [future],
            tally,
            key=key_of(settings, "audit-progress"),
            begins=f"{wanted} series to look at",
            meanwhile=lambda: f"{tally.done} of {wanted} series",
            ends=lambda: f"{wanted} series",
        )
        audits = future.result()
    return _conclude(audits, settings)


def _task(work: Auditing, tally: Tally) -> Task[[str], list[SeriesAudit]]:
    @task(name="series", task_run_name="{what}", cache_policy=NO_CACHE, persist_result=False)
    def look(what: str) -> list[SeriesAudit]:  # noqa: ARG001 - it names the run
        return [one for key in work.keys for one in _looked(work, key, tally)]

    return look


def _looked(work: Auditing, key: SeriesKey, tally: Tally) -> Sequence[SeriesAudit]:
    done = work.audit([key])
    for derived in done.derived or ():
        if derived.failure is not None:
            get_run_logger().error("%s: its indicators and signals are not new: %s", key, derived.failure)
    tally.count(1)
    return done.audits


def _conclude(audits: Sequence[SeriesAudit], settings: Settings) -> list[dict[str, Any]]:
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
    looked_into = [row for row in rows if row["candles"] or row["findings"]]
    show_table(looked_into, key=key_of(settings, "audit-series"), description="series that were looked into")
    if found:
        show_table(found, key=key_of(settings, "audit-findings"), description="what is or was wrong")
    unsound = [f"{one.symbol} {one.interval}" for one in audits if not one.is_sound]
    get_run_logger().info("%d of %d series are sound", len(audits) - len(unsound), len(audits))
    if unsound:
        raise TidemarkError(
            f"not sound: {', '.join(first_of(unsound))}; see the table of findings, or run it with repair"
        )
    return rows
