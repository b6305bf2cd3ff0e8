"""`tidemark watch`, `unwatch`, `symbols`: what the ingester keeps current, and what there is to watch."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import UNKNOWN, amount, plain
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column

if TYPE_CHECKING:
    from pipeline.app.series import SeriesKey, Symbol

app = typer.Typer()

Intervals = Annotated[list[str] | None, typer.Option("--interval", "-i", help="Candle length; repeat it for several.")]


@app.command(epilog="Example: [bold]tidemark watch BTCUSDT XRPUSDT --interval 1m[/bold]")
def watch(
    symbols: Annotated[list[str], typer.Argument()],
    interval: Intervals = None,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Keep these series current. A running ingester backfills them and takes them up within seconds."""
    from pipeline.app import series  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(begin(exchange)) as tm:
        _show(series.watch(tm, symbols, interval or (), by=operator()), as_json)


@app.command(epilog="Examples: [bold]tidemark unwatch XRPUSDT[/bold], [bold]tidemark unwatch --all[/bold]")
def unwatch(
    symbols: Annotated[list[str] | None, typer.Argument()] = None,
    interval: Intervals = None,
    every: Annotated[bool, typer.Option("--all", help="Let everything go.")] = False,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Stop keeping these series current; without an interval, all of a symbol. What is stored stays."""
    from pipeline.app import series  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.errors import UsageError  # noqa: PLC0415

    if bool(symbols) == every:
        raise UsageError("name the symbols to let go, or --all for everything")
    with Opened(having_data(begin(exchange))) as tm:
        _show(series.unwatch(tm, symbols or (), interval or (), by=operator()), as_json)


@app.command(epilog="Example: [bold]tidemark symbols --search btc[/bold]")
def symbols(
    search: Annotated[str, typer.Option(help="Only those whose name contains this.")] = "",
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """What the exchange trades, with the rules of its orders."""
    from pipeline.app import series  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_exchange  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_exchange(begin(exchange))) as tm:
        found = series.symbols(tm, search)
    if as_json:
        print_json(found)
        return
    print_table(
        (
            *(Column("symbol"), Column("contract", 4), Column("status", 5), Column("tick", 1, right=True)),
            *(Column("step", 2, right=True), Column("min notional", 3, right=True), Column("listed (UTC)", 6)),
        ),
        [(one.symbol, one.contract_type, one.status, *_rules(one), f"{one.onboarded:%Y-%m-%d}") for one in found],
        wide=wide,
    )


def _rules(symbol: "Symbol") -> tuple[str, str, str]:
    if symbol.filters is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return plain(symbol.filters.tick_size), plain(symbol.filters.step_size), amount(symbol.filters.min_notional)


def _show(watched: "set[SeriesKey]", as_json: bool) -> None:
    if as_json:
        print_json(sorted(watched))
    else:
        print_table(("symbol", "interval"), [(key.symbol, key.interval) for key in sorted(watched)], title="watched")
