"""`tidemark close`: one position of ours is closed, and its orders; every other goes on. Works without an executor, and
whatever the database does.
"""

from typing import Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json
from pipeline.errors import AttentionError

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]tidemark close BTCUSDT[/bold], [bold]tidemark close BTCUSDT --reason 'the news'[/bold]"
)
def close(
    symbol: Annotated[str, typer.Argument(help="What is held in it is closed.")],
    reason: Annotated[str | None, typer.Option(help="Kept with the change.")] = None,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Close the position in SYMBOL, reduce-only, and cancel its orders; its stop last.

    Later signals may open it again: `tidemark halt --symbol SYMBOL --flatten` closes it and keeps it closed. Exits with
    3 if something is left to do; an executor that runs, or is started, goes on with it.
    """
    from pipeline.app import kill_switch  # noqa: PLC0415
    from pipeline.app.beside import begin_beside, place_of  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.closing import Spoken, require_flat, said  # noqa: PLC0415

    settings, spoken = begin_beside(exchange), Spoken()
    spoken.say(place_of(settings))
    done = kill_switch.close(settings, symbol, by=operator(), listener=spoken, reason=reason)
    (symbol,), report = done.symbols, done.flattened
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{symbol}: {said(report, done.closed)}")
    if symbol in report.others:
        raise AttentionError(f"the position in {symbol} is not Tidemark's and is left alone: close it at the exchange")
    require_flat(report)
