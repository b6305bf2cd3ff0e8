"""The order of one pass of the executor: decide once on every fresh signal, and see the orders settled.

It is the executor itself, with lease, journal and checks; while another one acts it stands back.
"""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from pipeline.app.audit_trail import note
from pipeline.app.exchange_access import running_exchange
from pipeline.app.opened import Opened
from pipeline.app.trading_access import check_key, keys_of, may_execute, policy_of, require_traded, tell
from pipeline.execution.runtime.executor import Executor, opened
from pipeline.settings import Settings
from pipeline.store.account import PositionStore
from pipeline.store.lease import LeaseStore
from pipeline.store.orders import OrderJournal
from pipeline.store.signals.feed import SignalFeed
from schemas.shared import Mode

__all__ = ["Mode", "Swept", "sweep"]

Document = dict[str, Any]
PROTECTING = {"stop", "take_profit"}
_LOOK_EVERY = 0.25
_NAMED = ("symbol", "interval", "strategy", "kind", "side", "price", "verdict", "reason")


@dataclass(frozen=True, slots=True)
class Swept:
    """What was decided, oldest signal first, and whether all of it was settled in time. `acting`: the executor that
    acts already; nothing was done then."""

    acting: str | None
    decided: Sequence[Document] = ()
    is_settled: bool = True


def sweep(tm: Opened, mode: Mode, *, seconds: float, by: str, reason: str | None = None) -> Swept:
    """One pass, of so many seconds at most. Orders are sent only where mode, switch and settings allow it."""
    require_traded(tm.settings)
    acting = LeaseStore(tm.db, f"executor:{tm.environment}", "nobody").holder()
    if acting is not None:
        return Swept(acting)
    note(tm.settings.home, f"sweep, {mode}", by=by, reason=reason)
    began = datetime.now(UTC)
    is_settled = asyncio.run(_pass(tm.settings, tm.db, mode, seconds))
    found = tm.db["signals"].find({"exchange": tm.environment, "decided_at": {"$gte": began}}).sort("at", 1)
    return Swept(None, [{name: one[name] for name in _NAMED} for one in found], is_settled)


async def _pass(settings: Settings, db: Database[Document], mode: Mode, seconds: float) -> bool:
    with ExitStack() as ends:
        place = ends.enter_context(running_exchange(settings))
        await asyncio.to_thread(check_key, settings, place)
        opening = opened(
            db,
            place,
            keys_of(settings),
            policy_of(settings, place),
            mode=mode,
            may_execute=mode == "auto-execute" and may_execute(settings),
            symbols=lambda: set(settings.symbols),
            notify=tell,
            holder=f"sweep:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        )
        executor = ends.enter_context(opening)
        stop = asyncio.Event()
        running = asyncio.create_task(executor.run(stop))
        try:
            return await _until_settled(executor, running, db, settings.environment, seconds)
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
