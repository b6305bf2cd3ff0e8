"""Retention as a Prefect flow: a form for what is kept, a table of what went."""

from dataclasses import asdict
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.running import OF_EXCHANGE, at_each, leave_word
from pipeline.app.opened import Opened
from pipeline.app.retention import Keep, forget
from pipeline.settings import Settings

Days = Annotated[int, Field(ge=1, le=5_000)]


class RetentionChoice(BaseModel):
    """How many days of each are kept. Orders, and signals that were acted on, are always kept."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    candles_days: Days | None = Field(default=None, description="none: every candle is kept")
    signals_days: Days | None = Field(default=None, description="none: every signal is kept")
    snapshots_days: Days | None = Field(
        default=30, description="older account snapshots are thinned to the last of each day; none: all are kept"
    )
    runs: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=1_000, description="so many backtests, the newest, and those that are marked; none: all are kept"
    )


@flow(name="retention", persist_result=False, on_completion=[leave_word])
def retention(chosen: RetentionChoice = RetentionChoice()) -> list[dict[str, Any]]:  # noqa: B008 - never changed
    """Forget what is older than it is to be kept."""
    keep = Keep(chosen.candles_days, chosen.signals_days, chosen.snapshots_days, chosen.runs)
    rows = at_each(chosen.exchange, lambda settings: _forgotten(settings, keep))
    create_table_artifact(table=rows, key="retention", description="what was forgotten")
    get_run_logger().info("%d documents are gone", sum(row["count"] for row in rows))
    return rows


def _forgotten(settings: Settings, keep: Keep) -> list[dict[str, Any]]:
    """At one exchange."""
    with Opened(settings) as tm:
        return [{"exchange": tm.environment, **asdict(one)} for one in forget(tm, keep, by="flow retention")]
