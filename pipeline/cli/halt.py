"""`tidemark halt`, `tidemark resume`: the kill switch. Works without an executor, and without the database too.

The switch is in the database, where every executor sees it within a second. What is to be closed is closed by the
executor if one acts, else by this command itself. Without the database nobody knows what is ours: then everything on
the account is closed, and an executor, which opens nothing without its journal, does not open it again.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import Json, complain, print_json
from pipeline.errors import AttentionError, TidemarkError

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.execution.flatten import Report, Scope, Sent
    from pipeline.execution.names import Identity
    from pipeline.settings import Settings

app = typer.Typer()

EXECUTOR_HAS = 10.0
"""Seconds an executor that acts is given to close everything, before this command does it itself."""
_LOOK_EVERY = 0.3
_DATABASE_WITHIN = 3.0

Reason = Annotated[str | None, typer.Option(help="Kept with the change.")]


@app.command(
    epilog="Examples: [bold]tidemark halt[/bold], [bold]tidemark halt --flatten --reason 'the market is mad'[/bold]"
)
def halt(
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also cancel every order and close every position, reduce-only.")
    ] = False,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Open nothing any more. Stops of what is held stand, unless --flatten closes it.

    Exits with 3 if something is left to do: the database could not be told, or something could not be closed.
    """
    from pipeline.cli.wiring import begin  # noqa: PLC0415

    settings = begin()
    done: dict[str, Any] = {"halted": False, "flattened": None}
    with _database(settings) as db:
        if db is not None:
            _switch(settings, db, halted=True, flatten=flatten, reason=reason)
            done["halted"] = True
        if flatten:
            done["flattened"] = _flatten(settings, db)
    _tell(done, as_json)


@app.command(epilog="Example: [bold]tidemark resume --reason 'looked at it'[/bold]")
def resume(reason: Reason = None, as_json: Json = False) -> None:
    """Let signals open positions again. Breakers that were tripped stay tripped: see `tidemark breakers`."""
    from pipeline.cli.wiring import begin  # noqa: PLC0415
    from pipeline.store.session import database  # noqa: PLC0415

    settings = begin()
    with database(settings) as db:
        _switch(settings, db, halted=False, flatten=False, reason=reason)
    if as_json:
        print_json({"halted": False})
    else:
        typer.echo("resumed")


def _switch(settings: "Settings", db: "Database[Any]", *, halted: bool, flatten: bool, reason: str | None) -> None:
    from pipeline.cli.trading_access import operator  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    control = ControlStore(db, settings.environment)
    control.set_halt(halted, flatten=flatten, by=operator(), now=datetime.now(UTC), reason=reason)


@contextmanager
def _database(settings: "Settings") -> "Iterator[Database[Any] | None]":
    """The database if it answers soon; None, and a word about it, if it does not."""
    import pymongo  # noqa: PLC0415
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    from pipeline.store import connect  # noqa: PLC0415

    with ExitStack() as ends:
        try:
            client = ends.enter_context(connect.client(_uri(settings, ends)))
            with pymongo.timeout(_DATABASE_WITHIN):
                client.admin.command("ping")
        except (PyMongoError, TidemarkError) as error:
            complain(f"the database does not answer, so the halt is not recorded: {str(error)[:200]}")
            found = None
        else:
            found = client[settings.database]
        yield found


def _uri(settings: "Settings", ends: ExitStack) -> str:
    """Of a server that may answer. One that hangs is not waited for."""
    from pipeline.store.session import embedded, running  # noqa: PLC0415

    if settings.mongo_uri is None:
        status = embedded(settings).status()
        if status.running and not status.ready:
            raise AttentionError(f"the database in {settings.home} runs but does not answer")
    return ends.enter_context(running(settings))


def _flatten(settings: "Settings", db: "Database[Any] | None") -> "Report":
    from pipeline.cli.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.cli.trading_access import account_at  # noqa: PLC0415
    from pipeline.exchange.market import Market  # noqa: PLC0415
    from pipeline.execution.flatten import Flattener, Report  # noqa: PLC0415

    if db is not None and _executor_does_it(settings, db):
        return Report()
    identity = _identity(settings, db)
    with running_exchange(settings) as place, account_at(settings, place) as trading:
        flattener = Flattener(trading, Market(trading.client), _journaled(settings, db), identity)
        return flattener.flatten(_scope(settings, db, identity))


def _executor_does_it(settings: "Settings", db: "Database[Any]") -> bool:
    """Whether an executor acts, and has closed everything in its time."""
    from pipeline.store.account import PositionStore  # noqa: PLC0415
    from pipeline.store.lease import LeaseStore  # noqa: PLC0415

    if LeaseStore(db, f"executor:{settings.environment}", "").holder() is None:
        return False
    positions = PositionStore(db, settings.environment)
    until = time.monotonic() + EXECUTOR_HAS
    while time.monotonic() < until:
        time.sleep(_LOOK_EVERY)
        if not any(one.ours and one.quantity for one in positions.list()):
            return True
    complain(f"the executor did not close everything within {EXECUTOR_HAS:g} s; doing it from here")
    return False


def _identity(settings: "Settings", db: "Database[Any] | None") -> "Identity":
    """Who we are; nobody, where the database does not say it."""
    from pipeline.execution.documents import identity_of  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    known = None if db is None else ControlStore(db, settings.environment).read().installation
    return identity_of(known, settings.environment)


def _scope(settings: "Settings", db: "Database[Any] | None", identity: "Identity") -> "Scope":
    from pipeline.execution.flatten import Scope  # noqa: PLC0415
    from pipeline.execution.names import installation_of  # noqa: PLC0415
    from pipeline.store.account import PositionStore  # noqa: PLC0415
    from pipeline.store.orders import OrderJournal  # noqa: PLC0415

    if db is None:
        complain("nobody knows what is ours without the database: everything on the account is closed")
        return Scope()
    positions, journal = PositionStore(db, settings.environment), OrderJournal(db, settings.environment)
    held = {one.symbol for one in positions.list() if one.ours and identity.keeps(one.installation)}
    under_way = [one for one in journal.unsettled() if identity.keeps(installation_of(one.id))]
    ids = {one.id for one in under_way}
    return Scope(held | {one.symbol for one in under_way}, lambda name: name in ids or identity.owns(name))


def _journaled(settings: "Settings", db: "Database[Any] | None") -> "Sent":
    """What this command sends is in the journal too, where there is one."""
    from pipeline.execution.flatten import journaled  # noqa: PLC0415
    from pipeline.store.orders import OrderJournal  # noqa: PLC0415

    if db is None:
        return lambda *_: None
    journal = OrderJournal(db, settings.environment)
    return lambda order, report: journaled(journal, settings.environment, order, report, datetime.now(UTC))


def _tell(done: dict[str, Any], as_json: bool) -> None:
    report = done["flattened"]
    if as_json:
        print_json(done)
    else:
        typer.echo("halted: nothing is opened any more" if done["halted"] else "the halt is NOT recorded")
        if report is not None:
            typer.echo(_said(report))
    if report is not None and (report.left or report.problems):
        raise AttentionError(
            f"not everything is closed: {', '.join(report.left) or 'see above'}. "
            f"{' '.join(report.problems)} Run this again, or close it at the exchange"
        )
    if not done["halted"]:
        raise AttentionError(
            "the halt is not recorded: without its journal an executor opens nothing, but once the database is back "
            "it goes on. Start the database and run `tidemark halt` again"
        )


def _said(report: "Report") -> str:
    closed = ", ".join(f"{quantity} {symbol}" for symbol, quantity in report.closed.items())
    return f"flat. Closed from here: {closed or 'nothing'}; cancelled {len(report.cancelled)} orders"
