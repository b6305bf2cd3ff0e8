"""The executor's sweep as a Prefect flow: for those who want decisions on a schedule instead of a service that runs.

It is the executor itself, with lease, journal and checks, for one pass; while a service acts it stands back.
"""

import asyncio
import os
import socket
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field
from pymongo.database import Database

from flows.running import leave_word
from pipeline.app.exchange_access import running_exchange
from pipeline.app.trading_access import check_key, keys_of, may_execute, policy_of, tell
from pipeline.errors import TidemarkError
from pipeline.execution.runtime.executor import Executor, opened
from pipeline.settings import Settings, load
from pipeline.store.account import PositionStore
from pipeline.store.lease import LeaseStore
from pipeline.store.mongod.session import database
from pipeline.store.orders import OrderJournal
from pipeline.store.signals.feed import SignalFeed
from schemas.shared import Mode

Document = dict[str, Any]
PROTECTING = {"stop", "take_profit"}
_LOOK_EVERY = 0.25
_NAMED = ("symbol", "interval", "strategy", "kind", "side", "price", "verdict", "reason")


class SweepChoice(BaseModel):
    """How far a pass may go."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode = Field(
        default="signal-only",
        description="signal-only works out what would be done; auto-execute sends orders, where `tidemark mode` and "
        "the settings allow it too",
    )
    seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=30, description="a pass that has not settled its orders by then ends failed"
    )


@flow(name="sweep", persist_result=False, on_completion=[leave_word])
def sweep(chosen: SweepChoice = SweepChoice()) -> list[Document]:  # noqa: B008 - never changed
    """Decide once on every fresh signal, and see the orders settled."""
    settings = load()
    log = get_run_logger()
    with database(settings) as db:
        acting = LeaseStore(db, f"executor:{settings.environment}", "nobody").holder()
        if acting is not None:
            log.info("an executor acts already (%s): nothing is done", acting)
            return []
        began = datetime.now(UTC)
        is_settled = asyncio.run(_pass(settings, db, chosen))
        decided = [
            {name: one[name] for name in _NAMED}
            for one in db["signals"]
            .find({"exchange": settings.environment, "decided_at": {"$gte": began}})
            .sort("at", 1)
        ]
    create_table_artifact(table=decided, key="sweep", description="what was decided")
    log.info("%d signals decided on", len(decided))
    if not is_settled:
        raise TidemarkError(f"not everything was settled within {chosen.seconds} s; the journal knows, run it again")
    return decided


async def _pass(settings: Settings, db: Database[Document], chosen: SweepChoice) -> bool:
    with ExitStack() as ends:
        place = ends.enter_context(running_exchange(settings))
        await asyncio.to_thread(check_key, settings, place)
        opening = opened(
            db,
            place,
            keys_of(settings),
            policy_of(settings, place),
            mode=chosen.mode,
            may_execute=chosen.mode == "auto-execute" and may_execute(settings),
            symbols=lambda: set(settings.symbols),
            notify=tell,
            holder=f"sweep:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        )
        executor = ends.enter_context(opening)
        stop = asyncio.Event()
        running = asyncio.create_task(executor.run(stop))
        try:
            return await _until_settled(executor, running, db, settings.environment, chosen.seconds)
        finally:
            stop.set()
            await running


async def _until_settled(
    executor: Executor, running: asyncio.Task[None], db: Database[Document], environment: str, seconds: float
) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not running.done():
        if _is_ready(executor) and await asyncio.to_thread(_is_settled, db, environment):
            return True
        await asyncio.sleep(_LOOK_EVERY)
    return False


def _is_ready(executor: Executor) -> bool:
    """It holds the lease, has read the journal, and has compared it with the exchange."""
    core = getattr(executor.term, "core", None)
    return core is not None and core.ready


def _is_settled(db: Database[Document], environment: str) -> bool:
    """Nothing fresh is undecided, no order's end is open but of those that protect, and what is held is protected."""
    unsettled = OrderJournal(db, environment).unsettled()
    held = [one for one in PositionStore(db, environment).list() if one.ours and one.quantity]
    return (
        not SignalFeed(db, environment).undecided()
        and all(one.leg in PROTECTING and one.state == "accepted" for one in unsettled)
        and all(one.unprotected_since is None for one in held)
    )
