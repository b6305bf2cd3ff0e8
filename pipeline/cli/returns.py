"""`tidemark returns`: bring the returns of all signals up to the newest prices by hand."""

from typing import Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark returns

  tidemark returns --symbol BTCUSDT --anew    work out all of its signals again, after candles were corrected by hand
"""


@app.command(epilog=EXAMPLES)
def returns(
    *,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this contract; repeat it for several.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Work everything out again from the candles.")] = False,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Refresh the stored returns of signals: at horizons that fell due, and those of a week at the newest prices.

    It happens by itself every minute. Whoever lists signals sees them at the newest price anyway.
    """
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.returns import refresh_returns  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm:
        refreshed = refresh_returns(tm, symbol, anew=anew, by=operator())
    if as_json:
        print_json({"symbols": refreshed.symbols, "worked_out": refreshed.worked_out, "moved": refreshed.moved})
    else:
        typer.echo(
            f"{refreshed.symbols} symbols: {refreshed.worked_out:,} signals worked out from the candles, "
            f"{refreshed.moved:,} moved to the newest price."
        )
