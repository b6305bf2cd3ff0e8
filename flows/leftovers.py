"""Ends what a former server of the flows left behind, before another begins.

Each deployment runs once at a time, and a run that was killed cannot give its place back. Whoever begins to serve is
the only one who does, so that no run is alive then. It ends no process, and touches no deployment that is not given.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed

_ALIVE = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


async def end_leftovers(client: PrefectClient, deployments: Iterable[UUID]) -> int:
    """Call their runs crashed, which gives their places back, and free the places that no run is known of: how many
    runs there were."""
    listed = list(deployments)
    alive = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ALIVE)))
    ours = DeploymentFilter(id=DeploymentFilterId(any_=listed))
    ended = 0
    while runs := await client.read_flow_runs(flow_run_filter=alive, deployment_filter=ours):
        for run in runs:
            gone: State[Any] = Crashed(message="It was killed together with what served it.")
            await client.set_flow_run_state(run.id, gone, force=run.state_type is StateType.CANCELLING)
            ended += 1
    for one in listed:
        limit = (await client.read_deployment(one)).global_concurrency_limit
        if limit is not None and limit.active_slots:
            await client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=0))
    return ended
