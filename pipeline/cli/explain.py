"""`tidemark explain`: what was traded live, explained by a backtest of the same signals."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import change, moment
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.signals import Since, Strategy, Symbol
from pipeline.cli.table import Column
from pipeline.exchange_names import decimals_of_asset
from pipeline.timeline import to_datetime

if TYPE_CHECKING:
    from decimal import Decimal

    from pipeline.app.explain import Explained, Row, Slippage

app = typer.Typer()

CAUSES = (
    *(Column("cause"), Column("money", 1, right=True), Column("points", 2, right=True)),
    *(Column("positions", 4, right=True), Column("what it is", 3, long="wrap")),
)
POSITIONS = (
    *(Column("opened (UTC)"), Column("symbol", 1), Column("side", 6), Column("strategy", 8), Column("interval", 9)),
    *(Column("live", 3, right=True), Column("backtest", 4, right=True), Column("difference", 5, right=True)),
    *(Column("causes, in basis points", 7, long="wrap", least=20), Column("rest", 2, right=True)),
)
SLIPPAGE = (
    *(Column("symbol"), Column("orders of", 2), Column("count", 1, right=True), Column("median", 1, right=True)),
    *(Column("half lie between", 3, right=True), Column("the backtest", 4, right=True)),
)
EXAMPLES = """
Examples:

  tidemark explain                          the last seven days

  tidemark explain --since 24h --symbol BTCUSDT

  tidemark explain --since 4w --slippage    how far fills were from where they were decided

  tidemark explain --since 2026-01-31 --json
"""


@app.command(epilog=EXAMPLES)
def explain(
    *,
    since: Since = None,
    symbol: Symbol = None,
    strategy: Strategy = None,
    slippage: Annotated[
        bool, typer.Option("--slippage", help="How far fills were from where they were decided, by symbol and size.")
    ] = False,
    exchange: Where = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Why live did not earn what a backtest says: each difference with its cause and its cost.

    The signals of the window are traded once more by the exact backtest, with today's settings and the equity of then.
    Costs are what live lost by them (negative) or gained, in money and in basis points of what was entered; the rest is
    what nothing stored explains. Sends and writes nothing.
    """
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.explain import explain as ask  # noqa: PLC0415
    from pipeline.app.explain import told  # noqa: PLC0415
    from pipeline.app.moments import since as since_of  # noqa: PLC0415
    from pipeline.app.progress import days_done  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    begin = since_of("--since", since)
    with (
        answering(begin_beside(exchange), as_json=as_json) as (tm, stands),
        days_done(shown=not as_json) as progress,
    ):
        found = ask(tm, since=begin, symbol=symbol, strategy=strategy, progress=progress)
        environment = tm.environment
    if as_json:
        print_json({"environment": environment, "standing": stands, "accounts": [told(one) for one in found]})
        return
    if not any(one.rows for one in found):
        typer.echo("Nothing was traded then, by neither of the two.", err=True)
    for one in found:
        if slippage:
            print_table(
                SLIPPAGE, [_fills(each) for each in one.slippage], title="in basis points, + is worse", wide=wide
            )
        elif one.rows:
            _show(one, wide=wide)
        for note in one.notes:
            typer.echo(f"note: {note}", err=True)


def _show(found: "Explained", *, wide: bool) -> None:
    from pipeline.app.explain import MEANINGS  # noqa: PLC0415

    digits = decimals_of_asset(found.asset)
    typer.echo(f"{moment(to_datetime(found.start))} to {moment(to_datetime(found.end))} UTC")
    typer.echo(f"{found.alike} of {found.signals} signals had the same verdict")
    rows: list[tuple[Any, ...]] = [("the backtest", change(found.paper, digits), None, None, "")]
    for cause, money in found.by_cause.items():
        count = sum(cause in one.by_cause for one in found.rows)
        rows.append((cause, change(money, digits), _points(found.points(money)), count, MEANINGS[cause]))
    rest = sum(1 for one in found.rows if one.rest)
    rows.append(("rest", change(found.rest, digits), _points(found.points(found.rest)), rest, "nothing explains it"))
    rows.append(("live", change(found.live, digits), None, None, f"in {found.asset}"))
    print_table(CAUSES, rows, wide=wide)
    typer.echo()
    print_table(POSITIONS, [_row(one, digits) for one in found.rows], wide=wide)


def _row(one: "Row", digits: int) -> tuple[Any, ...]:
    causes = ", ".join(f"{cause} {_points(one.points(money))}" for cause, money in one.by_cause.items())
    return (
        moment(to_datetime(one.opened_at), seconds=True),
        one.symbol,
        one.side,
        one.strategy,
        one.interval,
        *(change(each, digits) for each in (one.live, one.paper, one.difference)),
        causes or "-",
        _points(one.points(one.rest)),
    )


def _fills(one: "Slippage") -> tuple[Any, ...]:
    assumed = "-" if one.assumed is None else f"{one.assumed:+.2f}"
    return (one.symbol, one.size, one.orders, f"{one.median:+.2f}", f"{one.low:+.2f} to {one.high:+.2f}", assumed)


def _points(value: "Decimal") -> str:
    """Basis points."""
    return f"{value:+.2f}" if value else "0"
