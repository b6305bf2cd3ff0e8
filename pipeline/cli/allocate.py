"""`tidemark allocate`: how much of the equity each strategy goes by."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json, print_table
from pipeline.cli.table import Column
from pipeline.cli.trading import Reason
from pipeline.errors import UsageError

app = typer.Typer()

SHARES = (Column("strategy"), Column("% of the equity", 1, right=True))

EXAMPLES = """
Examples:

  tidemark allocate                                  what is set

  tidemark allocate macd_cross=60 rsi_reversal=30    the others open nothing

  tidemark allocate --equal-risk 20261127-101500-3fa2c1

  tidemark allocate --all                            each goes by all of it
"""


@app.command(epilog=EXAMPLES)
def allocate(
    shares: Annotated[list[str] | None, typer.Argument(help="NAME=PERCENT of each strategy that trades.")] = None,
    equal_risk: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Shares by which each strategy of that backtest brings as much unrest."),
    ] = None,
    all_of_it: Annotated[bool, typer.Option("--all", help="Each strategy goes by all of the equity again.")] = False,
    reason: Reason = None,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """How much of the account's equity each strategy sizes by. What is not named opens nothing; what is held keeps its
    size. A running executor takes it up within a second."""
    from pipeline.app import allocation as ordering  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    orders = bool(shares) + all_of_it + (equal_risk is not None)
    if orders > 1:
        raise UsageError("name shares, or give --equal-risk or --all: one of them")
    wanted = ordering.shares_in(shares or ())
    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json, begins=orders > 0) as (tm, _):
        if equal_risk is not None:
            wanted, reason = ordering.equal_risk_of(tm, equal_risk), reason or f"equal risk by run {equal_risk}"
        if orders:
            ordering.allocate(tm, wanted or None, by=operator(), reason=reason)
        found = ordering.allocation(tm)
    if as_json:
        print_json({"environment": settings.environment, "shares": found})
    else:
        _show(settings.environment, found)


def _show(environment: str, shares: Mapping[str, Decimal] | None) -> None:
    if shares is None:
        typer.echo(f"{environment}: each strategy goes by all of the equity")
        return
    print_table(SHARES, [(name, f"{share:f}") for name, share in shares.items()])
