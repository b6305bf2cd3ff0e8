"""`tidemark execute`, `tidemark mode`: the executor in the foreground, and whether it sends orders."""

import asyncio
import os
import signal
import socket
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import moment
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.exchange.environments import Environment
    from pipeline.execution.service import Executor
    from pipeline.settings import Settings

_HEARTBEAT_EVERY = 2.0

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark execute                      decide on fresh signals until Ctrl-C; what it sends depends on the mode

  tidemark execute --take-over          the same, after another installation on the account is gone for good

  tidemark mode auto-execute            send orders from now on (a running executor takes it up within a second)

  tidemark halt --flatten               open nothing any more and close what is held
"""


@app.command(epilog=EXAMPLES)
def execute(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="First make ours what other Tidemark installations have open on the account. Only if they are gone.",
        ),
    ] = False,
) -> None:
    """Act on fresh signals, each at most once. A second executor stands by and takes over within seconds."""
    from pipeline.cli.beside import remember  # noqa: PLC0415
    from pipeline.cli.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.cli.trading_access import check_key, keys_of  # noqa: PLC0415
    from pipeline.cli.wiring import begin  # noqa: PLC0415
    from pipeline.execution.opening import identify  # noqa: PLC0415
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import running  # noqa: PLC0415
    from pipeline.store.prepare import prepare  # noqa: PLC0415

    settings = begin()
    keys_of(settings)  # said before anything is started
    with running(settings) as uri, connect.client(uri) as client, running_exchange(settings) as place:
        connect.require(client, uri)
        prepare(client[settings.database])
        check_key(settings, place)
        if take_over:
            _take_over(settings, client[settings.database], place)
        remember(settings, identify(ControlStore(client[settings.database], settings.environment), place.name).name)
        asyncio.run(_execute(settings, uri, client[settings.database], place))


def _take_over(settings: "Settings", db: Any, place: "Environment") -> None:
    """Say what was found, too: a person has answered for it."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.cli.trading_access import account_at, operator  # noqa: PLC0415
    from pipeline.execution.opening import take_over  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    control = ControlStore(db, settings.environment)
    with account_at(settings, place) as trading:
        taken = take_over(control, settings.environment, trading, by=operator(), now=datetime.now(UTC))
    typer.echo(f"taken over: {taken}" if taken else "nothing of another installation is open on this account", err=True)


async def _execute(settings: "Settings", uri: str, db: Any, place: "Environment") -> None:
    from pipeline.cli.trading_access import keys_of, may_execute, policy_of, tell_by  # noqa: PLC0415
    from pipeline.cli.wiring import notifier_of  # noqa: PLC0415
    from pipeline.execution.service import opened  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

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
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


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


@app.command(epilog="Examples: [bold]tidemark mode[/bold], [bold]tidemark mode auto-execute --reason tested[/bold]")
def mode(
    wanted: Annotated[str | None, typer.Argument(metavar="[signal-only|auto-execute]")] = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the change.")] = None,
    environment: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Show or change whether orders are sent. A running executor takes it up within a second."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.cli.beside import begin_beside, say_place  # noqa: PLC0415
    from pipeline.cli.trading_access import operator, require_confirmation  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415

    if wanted not in {None, "signal-only", "auto-execute"}:
        raise UsageError(f"there is no mode {wanted!r}. Allowed: signal-only, auto-execute")
    settings = begin_beside(environment)
    if wanted == "auto-execute":
        require_confirmation(settings)
    with database(settings) as db:
        say_place(settings, db)
        control = ControlStore(db, settings.environment)
        if wanted is not None:
            sends = wanted == "auto-execute"
            control.set_mode(
                "auto-execute" if sends else "signal-only", by=operator(), now=datetime.now(UTC), reason=reason
            )
        found = control.read().mode
    changes = [] if found is None else found.changes
    current = settings.mode if found is None else found.mode
    if as_json:
        print_json({"environment": settings.environment, "mode": current, "changes": changes})
        return
    typer.echo(f"{settings.environment}: {current}")
    if changes:
        print_table(
            (Column("at (UTC)"), Column("by", 3), Column("from", 4), Column("to", 1), Column("reason", 2, long="wrap")),
            [(moment(one.at, seconds=True), one.by, one.old, one.new, one.reason) for one in changes[-10:]],
            wide=wide,
        )
