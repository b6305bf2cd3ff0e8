"""`tidemark halt`, `tidemark resume`: the kill switch. Works without an executor, and whatever the database does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json
from pipeline.errors import AttentionError

if TYPE_CHECKING:
    from pipeline.app.kill_switch import Halted

app = typer.Typer()

_NOT_RECORDED = (
    "the halt is not recorded: without its journal an executor opens nothing, but once the database is back "
    "it goes on. Start the database and run `tidemark halt` again"
)

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
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Open nothing any more, or nothing in some symbols. Stops of what is held stand, unless --flatten closes it.

    Without --exchange and --symbol it is done at every exchange where this installation trades. Exits with 3 if
    something is left to do: the database could not be told, or something could not be closed.
    """
    from pipeline.app import kill_switch  # noqa: PLC0415
    from pipeline.app.beside import begin_beside, place_of  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.closing import Spoken  # noqa: PLC0415

    spoken, by = Spoken(), operator()
    if exchange is None and not symbol:
        each = kill_switch.halt_everywhere(begin(), flatten=flatten, by=by, listener=spoken, reason=reason)
    else:
        settings = begin_beside(exchange)
        spoken.say(place_of(settings))
        each = [kill_switch.halt(settings, symbol or (), flatten=flatten, by=by, listener=spoken, reason=reason)]
    _tell(each, as_json)


@app.command(
    epilog="Examples: [bold]tidemark resume --reason 'looked at it'[/bold], "
    "[bold]tidemark resume --symbol BTCUSDT[/bold]"
)
def resume(symbol: Symbols = None, reason: Reason = None, exchange: Where = None, as_json: Json = False) -> None:
    """Let signals open positions again, at all or in some symbols. Breakers that were tripped stay tripped: see
    `tidemark breakers`."""
    from pipeline.app import kill_switch  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import say_place  # noqa: PLC0415

    settings = begin_beside(exchange)
    with Opened(settings) as tm:
        say_place(settings, tm.db)
        done = kill_switch.resume(tm, symbol or (), by=operator(), reason=reason)
    if as_json:
        print_json({"halted": done.halted, "off": done.off})
        return
    typer.echo(f"resumed {', '.join(done.symbols)}".rstrip())
    if done.halted:
        typer.echo("everything is halted all the same: `tidemark resume` without a symbol ends that", err=True)
    if done.off:
        typer.echo(f"off, each by itself: {', '.join(done.off)}", err=True)


def _tell(each: "Sequence[Halted]", as_json: bool) -> None:
    """What came of it at each exchange; and what is left to do at any of them."""
    from pipeline.cli.closing import require_flat  # noqa: PLC0415

    if as_json:
        print_json({**{name: getattr(each[0], name) for name in each[0].__slots__}, "elsewhere": each[1:]})
    else:
        for done in each:
            _say(done)
    left = []
    for done in each:
        try:
            if done.flattened is not None:
                require_flat(done.flattened)
        except AttentionError as error:
            left.append(str(error) if len(each) == 1 else f"{done.environment}: {error}")
    if not all(done.halted for done in each):
        left.append(_NOT_RECORDED)
    if left:
        raise AttentionError("\n".join(left))


def _say(done: "Halted") -> None:
    from pipeline.cli.closing import said  # noqa: PLC0415

    of = f"{done.environment}, {done.acting or 'no executor'} acts"
    where = f" in {', '.join(done.symbols)}" if done.symbols else ""
    typer.echo(
        f"halted: nothing is opened{where} any more ({of})" if done.halted else f"the halt is NOT recorded ({of})"
    )
    if done.flattened is not None:
        typer.echo(said(done.flattened, done.closed))
