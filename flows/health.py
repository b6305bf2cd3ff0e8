"""Health as a Prefect flow: do the processes live, are the series current, does every deployment run? An event either
way, a failure if not.

Automations can wait for the events `tidemark.health.good` and `tidemark.health.bad`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from flows.reporting import SHOWN, first_of
from flows.running import OF_EXCHANGE, at_each, key_of, leave_word
from pipeline.app.health import Status, is_behind, late_by
from pipeline.app.health import health as look
from pipeline.app.opened import Opened
from pipeline.errors import TidemarkError
from pipeline.settings import Settings


class HealthChoice(BaseModel):
    """What counts as healthy."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    processes: list[str] = Field(
        default_factory=list,
        description="roles that must live, for example ingester; none: the ingester, and the executor where orders are "
        "sent",
    )
    behind: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=3, description="so many candles late, and a series counts as behind"
    )


@flow(name="health", persist_result=False, on_completion=[leave_word])
def health(chosen: HealthChoice = HealthChoice()) -> Status:  # noqa: B008 - never changed
    """Look at heartbeats, series and deployments. Ends failed, with the names, if something is dead or behind."""
    paused = _paused()
    return at_each(chosen.exchange, lambda settings: [_looked_at(settings, chosen, paused)])[0]


def _looked_at(settings: Settings, chosen: HealthChoice, paused: Sequence[str]) -> Status:
    """At one exchange."""
    with Opened(settings) as tm:
        told = look(tm, paused=paused, processes=chosen.processes, behind=chosen.behind)
    found, problems = told.found, first_of(told.problems)
    create_markdown_artifact(
        key=key_of(settings, "health"),
        markdown=_page(found, told.acting, problems, chosen.behind),
        description="; ".join(problems) or "good",
    )
    emit_event(
        event="tidemark.health.bad" if problems else "tidemark.health.good",
        resource={"prefect.resource.id": f"tidemark.{settings.environment}"},
        payload={"problems": problems},
    )
    if problems:
        raise TidemarkError("; ".join(problems))
    get_run_logger().info("good: %d processes, %d series", len(found.processes), len(found.series))
    return found


def _paused() -> list[str]:
    """The deployments that a person paused, or whose schedules are all switched off."""
    with get_client(sync_client=True) as client:
        ours = client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["tidemark"])))
        idle = [one for one in ours if one.paused or not any(schedule.active for schedule in one.schedules)]
        return [f"{client.read_flow(one.flow_id).name}/{one.name}" for one in idle]


def _page(found: Status, acting: str | None, problems: Sequence[str], most: int) -> str:
    lines = ["# Something is wrong" if problems else "# All is well", ""]
    lines += [f"- **{problem}**" for problem in problems]
    lines += ["", "| process | host | lives | last sign |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {one.role} {one.what} | {one.host} ({one.pid}) | {'yes' if one.alive else 'no'} "
        f"| {one.heartbeat_age:.0f} s ago |"
        for one in found.processes
    ]
    lines += ["", f"Orders are decided on by {acting or 'nobody'}."]
    lines += ["", f"{len(found.series):,} series; here are those that are behind, or gone."]
    told = [one for one in found.series if one.gone is not None or is_behind(one, most)]
    if told:
        lines += ["", "| series | last closed | behind | stored |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {one.symbol} {one.interval} | {_moment(one.last_closed)} "
        f"| {one.gone or late_by(one.behind)} | {one.stored:,} |"
        for one in told[:SHOWN]
    ]
    if len(told) > SHOWN:
        lines += ["", f"and {len(told) - SHOWN:,} more"]
    return "\n".join(lines)


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"
