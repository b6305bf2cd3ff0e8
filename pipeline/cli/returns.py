"""`tidemark returns`: bring the returns of all signals up to the newest prices by hand."""

from typing import Annotated

import typer

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
    as_json: Json = False,
) -> None:
    """Refresh the stored returns of signals: at horizons that fell due, and those of a week at the newest prices.

    It happens by itself every minute. Whoever lists signals sees them at the newest price anyway.
    """
    from pipeline.app.opened import having_data  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415
    from pipeline.store.signals.returns import ReturnStore  # noqa: PLC0415

    settings = having_data(begin())
    symbols = None if symbol is None else [one.upper() for one in symbol]
    with database(settings) as db:
        store = ReturnStore(db)
        if anew:
            store.forget(settings.environment, symbols)
        refreshed = store.refresh(settings.environment, symbols)
    if as_json:
        print_json({"symbols": refreshed.symbols, "worked_out": refreshed.worked_out, "moved": refreshed.moved})
    else:
        typer.echo(
            f"{refreshed.symbols} symbols: {refreshed.worked_out:,} signals worked out from the candles, "
            f"{refreshed.moved:,} moved to the newest price."
        )
