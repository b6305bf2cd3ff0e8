"""The executor made of its parts, and run until it is told to end."""

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.exchange.environments import Environment
    from pipeline.execution.runtime.executor import Executor
    from pipeline.settings import Settings

_HEARTBEAT_EVERY = 2.0


def execute(settings: "Settings", *, take_over: bool, by: str, say: Callable[[str], None]) -> None:
    """Act on fresh signals until SIGINT or SIGTERM. `take_over`: first make ours what other installations have open."""
    from pipeline.app.beside import remember  # noqa: PLC0415
    from pipeline.app.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.app.trading_access import check_key, keys_of, require_traded  # noqa: PLC0415
    from pipeline.execution.runtime.opening import identify  # noqa: PLC0415
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import running  # noqa: PLC0415
    from pipeline.store.prepare import prepare  # noqa: PLC0415

    require_traded(settings)
    keys_of(settings)  # said before anything is started
    with running(settings) as uri, connect.client(uri) as client, running_exchange(settings) as place:
        connect.require(client, uri)
        prepare(client[settings.database])
        check_key(settings, place)
        if take_over:
            _take_over(settings, client[settings.database], place, by, say)
        remember(settings, identify(ControlStore(client[settings.database], settings.environment), place.name).name)
        asyncio.run(_execute(settings, uri, client[settings.database], place))


def _take_over(settings: "Settings", db: Any, place: "Environment", by: str, say: Callable[[str], None]) -> None:
    """Say what was found, too: a person has answered for it."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.app.trading_access import account_at  # noqa: PLC0415
    from pipeline.execution.runtime.opening import take_over  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    control = ControlStore(db, settings.environment)
    with account_at(settings, place) as trading:
        taken = take_over(control, settings.environment, trading, by=by, now=datetime.now(UTC))
    say(f"taken over: {taken}" if taken else "nothing of another installation is open on this account")


async def _execute(settings: "Settings", uri: str, db: Any, place: "Environment") -> None:
    from pipeline.app.trading_access import keys_of, may_execute, policy_of, tell_by  # noqa: PLC0415
    from pipeline.app.wiring import notifier_of  # noqa: PLC0415
    from pipeline.execution.runtime.executor import opened  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415
    from pipeline.tasks import cancel  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watchlist = Watchlist(db, settings.environment)

    def symbols() -> set[str]:
        return {key.symbol for key in watchlist.wanted()} or set(settings.symbols)

    with (
        notifier_of(settings) as notifier,
        opened(
            db,
            place,
            keys_of(settings),
            policy_of(settings, place),
            mode=settings.mode,
            may_execute=may_execute(settings),
            symbols=symbols,
            notify=tell_by(notifier),
            holder=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        ) as executor,
    ):
        beating = asyncio.create_task(_beat(settings, uri, executor))
        try:
            await executor.run(stop)
        finally:
            await cancel([beating])


async def _beat(settings: "Settings", uri: str, executor: "Executor") -> None:
    """Say in the database that this process lives, and whether it is the one that acts."""
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.heartbeat import Heartbeat  # noqa: PLC0415

    client = connect.async_client(uri, settings.async_driver)
    heart = Heartbeat(client[settings.database], "executor", settings.environment)
    try:
        await heart.succeed()
        while True:
            await heart.beat(executor.figures(), executor.calls())
            await asyncio.sleep(_HEARTBEAT_EVERY)
    finally:
        await heart.end()
        await connect.close(client)
