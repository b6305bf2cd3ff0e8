"""`tidemark halt`, `tidemark resume`: the kill switch. Works without an executor, and whatever the database does.

The switch is in the database, where every executor sees it within a second. What is to be closed is closed by the
executor if one acts, else by this command itself. Without the database nobody knows what is ours: then everything on
the account is closed, and an executor, which opens nothing without its journal, does not open it again. Of symbols it
is the same switch as `tidemark trading SYMBOL --off`.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json
from pipeline.errors import AttentionError

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.cli.clerk import Job
    from pipeline.execution.flatten import Report
    from pipeline.settings import Settings

app = typer.Typer()

Reason = Annotated[str | None, typer.Option(help="Kept with the change.")]
Symbols = Annotated[
    list[str] | None, typer.Option("--symbol", help="Only in this symbol, as `trading SYMBOL --off/--on`; repeat it.")
]


@app.command(
    epilog="Examples: [bold]tidemark halt[/bold], [bold]tidemark halt --flatten --reason 'the market is mad'[/bold], "
    "[bold]tidemark halt --symbol BTCUSDT --flatten[/bold]"
)
def halt(
    symbol: Symbols = None,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also cancel every order and close every position, reduce-only.")
    ] = False,
    reason: Reason = None,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """Open nothing any more, or nothing in some symbols. Stops of what is held stand, unless --flatten closes it.

    Exits with 3 if something is left to do: the database could not be told, or something could not be closed.
    """
    from pipeline.cli.beside import begin_beside, place_of  # noqa: PLC0415
    from pipeline.cli.clerk import Clerk  # noqa: PLC0415
    from pipeline.cli.closing import Asking, close_ours, place_in_need, recorded, say  # noqa: PLC0415
    from pipeline.cli.known_symbols import symbol_in_need  # noqa: PLC0415

    settings = begin_beside(environment)
    say(place_of(settings))
    with Clerk(settings) as clerk:
        symbols = [symbol_in_need(settings, clerk, one) for one in symbol or ()]
        asking = Asking(settings, symbols, {"enabled": False}, closes=flatten, reason=reason)
        switch = asking.write if symbols else _switch(settings, halted=True, flatten=flatten, reason=reason)
        recording = clerk.leave(switch)
        report = close_ours(settings, clerk, recording, symbols or None) if flatten else None
        halted = recorded(clerk, recording, switch, "the halt")
        if symbols and report is not None and report.flat:
            asking.end(clerk)
        of = place_in_need(settings, clerk)
    _tell(of | {"symbols": symbols, "halted": halted, "flattened": report}, as_json)


@app.command(
    epilog="Examples: [bold]tidemark resume --reason 'looked at it'[/bold], "
    "[bold]tidemark resume --symbol BTCUSDT[/bold]"
)
def resume(symbol: Symbols = None, reason: Reason = None, environment: Where = None, as_json: Json = False) -> None:
    """Let signals open positions again, at all or in some symbols. Breakers that were tripped stay tripped: see
    `tidemark breakers`."""
    from pipeline.cli.beside import begin_beside, say_place  # noqa: PLC0415
    from pipeline.cli.closing import Asking  # noqa: PLC0415
    from pipeline.cli.known_symbols import known_symbol  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415

    settings = begin_beside(environment)
    with database(settings) as db:
        say_place(settings, db)
        symbols = [known_symbol(settings, db, one) for one in symbol or ()]
        if symbols:
            on = {"enabled": True, "close_asked": None}
            Asking(settings, symbols, on, closes=False, reason=reason).write(db)
        else:
            _switch(settings, halted=False, flatten=False, reason=reason)(db)
        controls = ControlStore(db, settings.environment).read()
    halted = controls.halt is not None and controls.halt.halted
    off = sorted(one.symbol for one in controls.trading.values() if one.enabled is False)
    if as_json:
        print_json({"halted": halted, "off": off})
        return
    typer.echo(f"resumed {', '.join(symbols)}".rstrip())
    if halted:
        typer.echo("everything is halted all the same: `tidemark resume` without a symbol ends that", err=True)
    if off:
        typer.echo(f"off, each by itself: {', '.join(off)}", err=True)


def _switch(settings: "Settings", *, halted: bool, flatten: bool, reason: str | None) -> "Job[None]":
    from pipeline.cli.trading_access import operator  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    by, now = operator(), datetime.now(UTC)

    def switch(db: "Database[Any]") -> None:
        ControlStore(db, settings.environment).set_halt(halted, flatten=flatten, by=by, now=now, reason=reason)

    return switch


def _tell(done: dict[str, Any], as_json: bool) -> None:
    from pipeline.cli.closing import require_flat, said  # noqa: PLC0415

    report: Report | None = done["flattened"]
    halted: bool = done["halted"]
    if as_json:
        print_json(done)
    else:
        of = f"{done['environment']}, {done['acting'] or 'no executor'} acts"
        where = f" in {', '.join(done['symbols'])}" if done["symbols"] else ""
        typer.echo(
            f"halted: nothing is opened{where} any more ({of})" if halted else f"the halt is NOT recorded ({of})"
        )
        if report is not None:
            typer.echo(said(report))
    if report is not None:
        require_flat(report)
    if not halted:
        raise AttentionError(
            "the halt is not recorded: without its journal an executor opens nothing, but once the database is back "
            "it goes on. Start the database and run `tidemark halt` again"
        )
