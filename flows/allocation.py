"""Shares of the equity that follow what they come from, as a Prefect flow: only where a person has switched that on."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from flows.running import Where, at_each, key_of, leave_word
from pipeline.app.opened import Opened
from pipeline.settings import Settings


@flow(name="allocation", persist_result=False, on_completion=[leave_word])
def allocation(chosen: Where = Where()) -> list[dict[str, Any]]:  # noqa: B008 - never changed
    """Change the shares of strategies where a newer run, or search, says so by more than the band."""
    return at_each(chosen.exchange, _rebalanced)


def _rebalanced(settings: Settings) -> list[dict[str, Any]]:
    """At one exchange."""
    from pipeline.app.rebalancing import rebalance  # noqa: PLC0415

    log = get_run_logger()
    with Opened(settings) as tm:
        found = rebalance(tm, by="flow allocation")
    if found is None:
        log.info("%s: there is nothing to rebalance by", settings.environment)
        return []
    rows = [
        {"strategy": name, "% of the equity": f"{found.wanted.shares.get(name, 0):f}", "was off by": f"{points:+f}"}
        for name, points in found.off_by.items()
    ]
    did = "changed" if found.is_due else "left as it is, within the band"
    create_table_artifact(table=rows, key=key_of(settings, "allocation"), description=f"{did}: {found.wanted.why}")
    log.info("%s: %s: %s", settings.environment, did, found.why)
    return rows
