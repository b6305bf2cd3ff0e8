"""Health as a Prefect flow: do the processes live, are the series current, does every deployment run? An event either
way, a failure if not.

Automations can wait for the events `tidemark.health.good` and `tidemark.health.bad`.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from flows.running import leave_word
from pipeline.app.status import look, overdue
from pipeline.errors import TidemarkError
from pipeline.settings import Settings, load
from pipeline.store.deployments import DeploymentStore
from pipeline.store.lease import LeaseStore
from pipeline.store.mongod.session import database


class HealthChoice(BaseModel):
    """What counts as healthy."""

    model_config = ConfigDict(extra="forbid")

    processes: list[str] = Field(
        default_factory=list,
        description="roles that must live, for example ingester; none: the ingester, and the executor where orders are "
        "sent",
    )
    behind: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=3, description="so many candles late, and a series counts as behind"
    )


@flow(name="health", persist_result=False, on_completion=[leave_word])
def health(chosen: HealthChoice = HealthChoice()) -> dict[str, Any]:  # noqa: B008 - never changed
    """Look at heartbeats, series and deployments. Ends failed, with the names, if something is dead or behind."""
    settings = load()
    with database(settings) as db:
        DeploymentStore(db, settings.environment).pause(_paused())
        found = look(db, settings.environment, datetime.now(UTC))
        acting = LeaseStore(db, f"executor:{settings.environment}", "nobody").holder()
    living = {one["role"] for one in found["processes"] if one["alive"]} | ({"executor"} if acting else set())
    missing = [f"no {role} lives" for role in chosen.processes or _expected(settings) if role not in living]
    late = [one for one in overdue(found) if not one.startswith("health/")]  # or one failure would bring the next
    problems = [*missing, *_behind(found, chosen.behind), *late]
    create_markdown_artifact(
        key="health", markdown=_page(found, acting, problems, chosen.behind), description="; ".join(problems) or "good"
    )
    emit_event(
        event="tidemark.health.bad" if problems else "tidemark.health.good",
        resource={"prefect.resource.id": f"tidemark.{settings.environment}"},
        payload={"problems": problems},
    )
    if problems:
        raise TidemarkError("; ".join(problems))
    get_run_logger().info("good: %d processes, %d series", len(found["processes"]), len(found["series"]))
    return found


def _paused() -> list[str]:
    """The deployments that a person paused, or whose schedules are all switched off."""
    with get_client(sync_client=True) as client:
        ours = client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["tidemark"])))
        idle = [one for one in ours if one.paused or not any(schedule.active for schedule in one.schedules)]
        return [f"{client.read_flow(one.flow_id).name}/{one.name}" for one in idle]


def _expected(settings: Settings) -> list[str]:
    return ["ingester", "executor"] if settings.mode == "auto-execute" else ["ingester"]


def _behind(found: dict[str, Any], most: int) -> list[str]:
    late = [one for one in found["series"] if one["gone"] is None and _is_behind(one, most)]
    return [f"{one['symbol']} {one['interval']} is {_late(one['behind'])}" for one in late]


def _is_behind(series: dict[str, Any], most: int) -> bool:
    return series["behind"] is None or bool(series["behind"] > most)


def _late(behind: int | None) -> str:
    return "not stored at all" if behind is None else f"{behind:,} candles behind"


def _page(found: dict[str, Any], acting: str | None, problems: list[str], most: int) -> str:
    lines = ["# Something is wrong" if problems else "# All is well", ""]
    lines += [f"- **{problem}**" for problem in problems]
    lines += ["", "| process | host | lives | last sign |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {one['role']} {one['detail'] or ''} | {one['host']} ({one['pid']}) | {'yes' if one['alive'] else 'no'} "
        f"| {one['heartbeat_age']:.0f} s ago |"
        for one in found["processes"]
    ]
    lines += ["", f"Orders are decided on by {acting or 'nobody'}."]
    lines += ["", f"{len(found['series']):,} series; here are those that are behind, or gone."]
    told = [one for one in found["series"] if one["gone"] is not None or _is_behind(one, most)]
    if told:
        lines += ["", "| series | last closed | behind | stored |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {one['symbol']} {one['interval']} | {_moment(one['last_closed'])} | {one['gone'] or _late(one['behind'])} "
        f"| {one['stored']:,} |"
        for one in told
    ]
    return "\n".join(lines)


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"
