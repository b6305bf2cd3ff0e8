"""The executor's sweep as a Prefect flow: for those who want decisions on a schedule instead of a service that runs.

It is the executor itself, with lease, journal and checks, for one pass; while a service acts it stands back.
"""

from typing import Annotated, Any

from prefect import flow, get_run_logger
from pydantic import BaseModel, ConfigDict, Field

from flows.reporting import show_table
from flows.running import OF_EXCHANGE, at_each, key_of, leave_word
from pipeline.app.opened import Opened
from pipeline.app.sweep import Mode
from pipeline.app.sweep import sweep as sweep_once
from pipeline.app.trading_access import is_traded
from pipeline.errors import TidemarkError
from pipeline.settings import Settings


class SweepChoice(BaseModel):
    """How far a pass may go."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    mode: Mode = Field(
        default="signal-only",
        description="signal-only works out what would be done; auto-execute sends orders, where `tidemark mode` and "
        "the settings allow it too",
    )
    seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=30, description="a pass that has not settled its orders by then ends failed"
    )


@flow(name="sweep", persist_result=False, on_completion=[leave_word])
def sweep(chosen: SweepChoice = SweepChoice()) -> list[dict[str, Any]]:  # noqa: B008 - never changed
    """Decide once on every fresh signal of each exchange that is traded, and see the orders settled."""
    return at_each(chosen.exchange, lambda settings: _swept(settings, chosen))


def _swept(settings: Settings, chosen: SweepChoice) -> list[dict[str, Any]]:
    """At one exchange."""
    log = get_run_logger()
    if chosen.exchange is None and not is_traded(settings):
        log.info("%s is not traded", settings.environment)
        return []
    with Opened(settings) as tm:
        done = sweep_once(tm, chosen.mode, seconds=chosen.seconds, by="flow sweep")
    if done.acting is not None:
        log.info("%s: an executor acts already (%s): nothing is done", settings.environment, done.acting)
        return []
    show_table(done.decided, key=key_of(settings, "sweep"), description="what was decided")
    log.info("%s: %d signals decided on", settings.environment, len(done.decided))
    if not done.is_settled:
        raise TidemarkError(f"not everything was settled within {chosen.seconds} s; the journal knows, run it again")
    return list(done.decided)
