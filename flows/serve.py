"""Serves every flow from one process: what runs when, and how many at once. `python -m flows.serve`, until it is told
to end.

Whoever pauses a deployment or one of its schedules on its page finds it paused after a restart. It decides nothing of
what the flows do.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, cast

from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner, _starter_engine
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.account import account
from flows.allocation import allocation
from flows.audit import AuditChoice, audit
from flows.backfill import backfill
from flows.backtest import run_backtest
from flows.explain import explain_days
from flows.forkserver import Forkserver
from flows.health import health
from flows.indicators import indicators
from flows.leftovers import end_leftovers
from flows.likeness import likeness
from flows.retention import retention
from flows.returns import returns
from flows.search import run_search
from flows.sweep import sweep
from pipeline.app.deployments import tell_ended, tell_served
from pipeline.app.opened import Opened
from pipeline.errors import TidemarkError
from pipeline.settings import load

RUNS_AT_ONCE: Final = 4
ENDS_WITHIN: Final = 4.0
"""Seconds in which the runs that are at work have to end when their server does."""


def every(minutes: int) -> Schedule:
    """At this distance. Prefect shows the slug, and by it knows the schedule again."""
    return Interval(timedelta(minutes=minutes), slug=f"every-{minutes}-minutes")


def nightly(hour: int, minute: int) -> Schedule:
    """At this time of day, UTC."""
    return Cron(f"{minute} {hour} * * *", timezone="UTC", slug=f"at-{hour:02}-{minute:02}-utc")


def deployments() -> list[RunnerDeployment]:
    """All of them. A run that is due while the last one still works is left out: the next one does its work too."""
    return [
        _served(backfill, "on-demand", "Fetch what you choose: symbols, intervals, days.", queue=True),
        _served(run_backtest, "on-demand", "Would it have earned? Over stored candles.", queue=True),
        _served(run_search, "on-demand", "Which parameters would have earned? Each trial is kept.", queue=True),
        _served(backfill, "top-up", "Whatever the settings ask for, or is watched, and is not stored.", every(60)),
        _served(indicators, "every-5-minutes", "Indicators and signals of new candles.", every(5)),
        _served(returns, "every-minute", "What became of every signal.", every(1)),
        _served(
            audit,
            "nightly",
            "Prove what was stored or changed since it was found sound, and mend it.",
            nightly(3, 17),
            chosen=AuditChoice(repair=True, everything=False),
        ),
        _served(account, "hourly", "What the account is worth.", every(60)),
        _served(explain_days, "nightly", "Why live did not earn what a backtest says, of yesterday.", nightly(0, 23)),
        _served(sweep, "every-minute", "One pass of the executor, without its service.", every(1), paused=True),
        _served(health, "every-minute", "Do the processes live, and is every series current?", every(1)),
        _served(likeness, "nightly", "Which symbols move alike, for the caps of the portfolio.", nightly(2, 47)),
        _served(allocation, "nightly", "Shares that follow newer runs, or searches.", nightly(1, 37)),
        _served(retention, "nightly", "Forget what is older than it is to be kept.", nightly(4, 41)),
    ]


def _served(
    flow: Flow[Any, Any],
    name: str,
    description: str,
    schedule: Schedule | None = None,
    *,
    queue: bool = False,
    paused: bool = False,
    **parameters: Any,
) -> RunnerDeployment:
    """One at a time; another one waits where it was asked for by hand (`queue`), and is left out where it was due."""
    then = ConcurrencyLimitStrategy.ENQUEUE if queue else ConcurrencyLimitStrategy.CANCEL_NEW
    made: Any = flow.to_deployment(
        name,
        schedules=[] if schedule is None else [schedule],
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=then),
        description=description,
        parameters={key: value.model_dump(mode="json") for key, value in parameters.items()},
        paused=paused,
        tags=["tidemark"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast("RunnerDeployment", made)


def distance(deployment: RunnerDeployment) -> timedelta | None:
    """How far apart its runs are due: a day where it is a time of day; None where it has no schedule."""
    for one in deployment.schedules or ():
        return getattr(one.schedule, "interval", None) or timedelta(days=1)
    return None


async def serve(listed: Sequence[RunnerDeployment], forks: Forkserver | None) -> None:
    """Make them known, say so, and run what is due until SIGTERM; then end what runs, while Prefect is there to hear
    of it. `forks`: from which runs begin, in place of a Python each."""
    runner = Runner("tidemark", limit=RUNS_AT_ONCE, pause_on_shutdown=False)
    async with get_client() as client:
        identities = []
        for one in listed:
            await leave_as_it_was(client, one)
            identities.append(await runner.aadd_deployment(one))
        await end_leftovers(client, identities)
    sys.stdout.write(f"{len(listed)} deployments are served\n")
    sys.stdout.flush()
    told = asyncio.Event()
    lasting: set[asyncio.Task[Any]] = {asyncio.create_task(told.wait())}
    if forks is not None:
        # Prefect names this as the place
        _starter_engine.run_process = forks.run_process  # type: ignore[assignment, attr-defined]
        lasting.add(asyncio.create_task(forks.hear()))
    running = asyncio.create_task(runner.start())
    await asyncio.sleep(0)  # its first act is to take SIGTERM for itself, and its answer to that is not awaited
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await asyncio.wait({running, *lasting}, return_when=asyncio.FIRST_COMPLETED)
    if told.is_set():
        with Opened(load()) as tm:
            tell_ended(tm)
        with suppress(TimeoutError):
            await asyncio.wait_for(runner.astop(), ENDS_WITHIN)
    elif not running.done():
        raise TidemarkError("what runs of flows begin from has ended")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def leave_as_it_was(client: PrefectClient, deployment: RunnerDeployment) -> None:
    """Paused stays paused, and resumed resumed."""
    with suppress(ObjectNotFound):
        known = await client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
        deployment.paused = known.paused
        active = {one.slug: one.active for one in known.schedules}
        for schedule in deployment.schedules or ():
            schedule.active = active.get(schedule.slug, schedule.active)


def main() -> None:
    """Serve all of them."""
    forks = Forkserver() if sys.platform == "linux" else None  # before there is a thread
    try:
        listed = deployments()
        with Opened(load()) as tm:
            tell_served(
                tm, {f"{one.flow_name}/{one.name}": far for one in listed if (far := distance(one)) is not None}
            )
        asyncio.run(serve(listed, forks))
    except TidemarkError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
