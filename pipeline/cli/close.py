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
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """Close the position in SYMBOL, reduce-only, and cancel its orders; its stop last.

    Later signals may open it again: `tidemark halt --symbol SYMBOL --flatten` closes it and keeps it closed. Exits with
    3 if something is left to do; an executor that runs, or is started, goes on with it.
    """
    from pipeline.cli.beside import begin_beside, place_of  # noqa: PLC0415
    from pipeline.cli.clerk import Clerk  # noqa: PLC0415
    from pipeline.cli.closing import (  # noqa: PLC0415
        Asking,
        close_ours,
        place_in_need,
        recorded,
        require_flat,
        said,
        say,
    )
    from pipeline.cli.known_symbols import symbol_in_need  # noqa: PLC0415

    settings = begin_beside(environment)
    say(place_of(settings))
    with Clerk(settings) as clerk:
        symbol = symbol_in_need(settings, clerk, symbol)
        asking = Asking(settings, [symbol], {}, closes=True, reason=reason)
        recording = clerk.leave(asking.write)
        report = close_ours(settings, clerk, recording, asking.symbols)
        if report.flat:
            asking.end(clerk)
        else:
            recorded(clerk, recording, asking.write, "what was asked")
        done = place_in_need(settings, clerk) | {"symbols": asking.symbols, "flattened": report}
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{symbol}: {said(report)}")
    if symbol in report.others:
        raise AttentionError(f"the position in {symbol} is not Tidemark's and is left alone: close it at the exchange")
    require_flat(report)
