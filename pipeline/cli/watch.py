"""`tidemark watch`, `unwatch`, `symbols`: what the ingester keeps current, and what there is to watch."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.figures import UNKNOWN, amount, plain
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from schemas.series import SeriesKey
    from schemas.symbols import Symbol

app = typer.Typer()

Intervals = Annotated[list[str] | None, typer.Option("--interval", "-i", help="Candle length; repeat it for several.")]


@app.command(epilog="Example: [bold]tidemark watch BTCUSDT XRPUSDT --interval 1m[/bold]")
def watch(symbols: Annotated[list[str], typer.Argument()], interval: Intervals = None, as_json: Json = False) -> None:
    """Keep these series current. A running ingester backfills them and takes them up within seconds."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.errors import UsageError  # noqa: PLC0415
    from pipeline.history.listing import wanted_series  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

    settings = begin()
    listed, now = _listed(settings)
    series = wanted_series(symbols, interval or settings.intervals, listed, settings.environment)
    for one in series:
        if (why := one.ending(now)) is not None:
            raise UsageError(
                f"{why}: nothing new comes of it. `tidemark backfill {one.key.symbol}` fetches what there is"
            )
    with database(settings) as db:
        watchlist = Watchlist(db, settings.environment)
        watchlist.watch([one.key for one in series], datetime.now(UTC))
        _show(watchlist.wanted(), as_json)


@app.command(epilog="Examples: [bold]tidemark unwatch XRPUSDT[/bold], [bold]tidemark unwatch --all[/bold]")
def unwatch(
    symbols: Annotated[list[str] | None, typer.Argument()] = None,
    interval: Intervals = None,
    every: Annotated[bool, typer.Option("--all", help="Let everything go.")] = False,
    as_json: Json = False,
) -> None:
    """Stop keeping these series current; without an interval, all of a symbol. What is stored stays."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.errors import UsageError  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

    if bool(symbols) == every:
        raise UsageError("name the symbols to let go, or --all for everything")
    settings = begin()
    with database(settings) as db:
        watchlist = Watchlist(db, settings.environment)
        watched = watchlist.wanted()
        names = {symbol.upper() for symbol in symbols or ()}
        unknown = names - {key.symbol for key in watched}
        if unknown:
            raise UsageError(f"{', '.join(sorted(unknown))}: not watched. Watched: {_names(watched) or 'nothing'}")
        gone = {
            key for key in watched if (every or key.symbol in names) and (interval is None or key.interval in interval)
        }
        watchlist.unwatch(gone, datetime.now(UTC))
        _show(watchlist.wanted(), as_json)


@app.command(epilog="Example: [bold]tidemark symbols --search btc[/bold]")
def symbols(
    search: Annotated[str, typer.Option(help="Only those whose name contains this.")] = "",
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """What the exchange trades, with the rules of its orders."""
    from pipeline.app.wiring import begin  # noqa: PLC0415

    found = [one for one in _listed(begin())[0] if search.upper() in one.symbol.upper()]
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


def _listed(settings: "Settings") -> "tuple[list[Symbol], int]":
    """What the exchange lists, and its time."""
    from pipeline.app.exchange_access import client_of  # noqa: PLC0415
    from pipeline.exchange.market import Market  # noqa: PLC0415

    with client_of(settings) as client:
        return Market(client).symbols(), client.clock.now()


def _show(watched: "set[SeriesKey]", as_json: bool) -> None:
    if as_json:
        print_json(sorted(watched))
    else:
        print_table(("symbol", "interval"), [(key.symbol, key.interval) for key in sorted(watched)], title="watched")


def _names(watched: "set[SeriesKey]") -> str:
    return ", ".join(sorted({key.symbol for key in watched}))
