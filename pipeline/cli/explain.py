"""`tidemark explain`: what was traded live, explained by a backtest of the same signals."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import change, moment
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.signals import Since, Strategy, Symbol
from pipeline.cli.table import Column
from pipeline.cli.trading import Reason
from pipeline.errors import UsageError
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

  tidemark explain --since 4w --adopt-slippage --reason "measured in October"    backtests assume it from now on

  tidemark explain --forget-slippage        they assume what is usual again
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
    adopts: Annotated[
        bool,
        typer.Option("--adopt-slippage", help="From now on backtests and searches assume what these fills had."),
    ] = False,
    forgets: Annotated[
        bool, typer.Option("--forget-slippage", help="They assume what is usual again; nothing is explained.")
    ] = False,
    reason: Reason = None,
    exchange: Where = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Why live did not earn what a backtest says: each difference with its cause and its cost.

    The signals of the window are traded once more by the exact backtest, with today's settings and the equity of then.
    Costs are what live lost by them (negative) or gained, in money and in basis points of what was entered; the rest is
    what nothing stored explains. Sends nothing; writes only where slippage is adopted or forgotten.
    """
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.explain import explain as ask  # noqa: PLC0415
    from pipeline.app.explain import told  # noqa: PLC0415
    from pipeline.app.moments import since as since_of  # noqa: PLC0415
    from pipeline.app.progress import days_done  # noqa: PLC0415
    from pipeline.app.slippage import adopt, adopted, forget  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    _require_sense(adopts, forgets, symbol or strategy)
    begin, settings = since_of("--since", since), begin_beside(exchange)
    with answering(settings, as_json=as_json) as (tm, stands), days_done(shown=not (as_json or forgets)) as progress:
        if forgets:
            forget(tm, by=operator(), reason=reason)
            found = []
        else:
            found = ask(tm, since=begin, symbol=symbol, strategy=strategy, progress=progress)
        assumed = adopt(tm, found, by=operator(), reason=reason) if adopts else adopted(tm)
    if as_json:
        print_json({"environment": settings.environment, "standing": stands, "accounts": [told(one) for one in found],
                    "assumed": assumed})  # fmt: skip
        return
    if not (forgets or any(one.rows for one in found)):
        typer.echo("Nothing was traded then, by neither of the two.", err=True)
    for one in found:
        _show(one, slippage=slippage or adopts, wide=wide)
    if slippage or adopts or forgets:
        typer.echo(f"{settings.environment}: a backtest assumes {assumed or 'the slippage that is usual'}")


def _require_sense(adopts: bool, forgets: bool, only: str | None) -> None:
    if adopts and forgets:
        raise UsageError("slippage is adopted or forgotten: give one of --adopt-slippage and --forget-slippage")
    if adopts and only is not None:
        raise UsageError("slippage is fitted on all that was traded: leave out --symbol and --strategy")


def _show(found: "Explained", *, slippage: bool, wide: bool) -> None:
    if slippage:
        rows = [_fills(each) for each in found.slippage]
        print_table(SLIPPAGE, rows, title="in basis points, + is worse", wide=wide)
    elif found.rows:
        _show_positions(found, wide=wide)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def _show_positions(found: "Explained", *, wide: bool) -> None:
    from pipeline.app.explain import means  # noqa: PLC0415

    digits = decimals_of_asset(found.asset)
    typer.echo(f"{moment(to_datetime(found.start))} to {moment(to_datetime(found.end))} UTC")
    typer.echo(f"{found.alike} of {found.signals} signals had the same verdict")
    rows: list[tuple[Any, ...]] = [("the backtest", change(found.paper, digits), None, None, "")]
    for cause, money in found.by_cause.items():
        count = sum(cause in one.by_cause for one in found.rows)
        rows.append((cause, change(money, digits), _points(found.points(money)), count, means(cause)))
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
