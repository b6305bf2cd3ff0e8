"""Which symbols move alike, as a Prefect flow: measured each night, for the cap on what moves together."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from flows.running import Where, at_each, key_of, leave_word
from pipeline.app.likeness import measure
from pipeline.app.opened import Opened
from pipeline.settings import Settings


@flow(name="likeness", persist_result=False, on_completion=[leave_word])
def likeness(chosen: Where = Where()) -> list[dict[str, Any]]:  # noqa: B008 - never changed
    """Measure how the symbols of an exchange moved together over the last thirty days."""
    return at_each(chosen.exchange, _measured)


def _measured(settings: Settings) -> list[dict[str, Any]]:
    """At one exchange."""
    with Opened(settings) as tm:
        found = measure(tm)
    least = settings.portfolio.alike
    rows = [
        {
            "symbol": one.symbol,
            "moves like": ", ".join(sorted(name for name, value in one.correlations.items() if value >= least)),
        }
        for one in found
    ]
    create_table_artifact(
        table=rows, key=key_of(settings, "likeness"), description=f"hourly returns that correlate by {least:g} or more"
    )
    get_run_logger().info("%s: measured %d symbols", settings.environment, len(rows))
    return rows
