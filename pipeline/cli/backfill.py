"""`tidemark backfill`: fetch what is missing of the chosen series, compute what depends on it, say what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, Wide, complain, print_json, print_table

if TYPE_CHECKING:
    from pipeline.exchange.limits import LimitGate
    from pipeline.history.report import Progress, SeriesReport

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark backfill                                    everything in the settings

  tidemark backfill BTCUSDT --interval 1m --days 300

  tidemark backfill BTCUSDT -i 15m --limit 2000        the newest 2,000 candles

  tidemark backfill BTCUSDT ETHUSDT -i 1m -i 1h --source rest --json
"""

COLUMNS = ("symbol", "interval", "wanted", "stored", "fetched", "holes", "source", "seconds")
DETAILS = ("known_holes", "note", "failures")


class From(StrEnum):
    """Where candles may come from."""

    AUTO = "auto"
    REST = "rest"
    ARCHIVE = "archive"


@app.command(epilog=EXAMPLES)
def backfill(
    *,
    symbols: Annotated[list[str] | None, typer.Argument(help="Which contracts; none: those in the settings.")] = None,
    interval: Annotated[
        list[str] | None, typer.Option("--interval", "-i", help="Candle length; repeat it for several.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=5_000, help="How far back.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=5_000_000, help="The newest so many candles of each series, not days.")
    ] = None,
    source: Annotated[
        From, typer.Option(help="auto: the archive for whole months and days, REST for the rest.")
    ] = From.AUTO,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Fetch the candles that are not stored yet. Stop it whenever you like: the next run goes on from there."""
    from pipeline.app.candle_database import candle_database  # noqa: PLC0415
    from pipeline.app.exchange_access import archive_of, client_of  # noqa: PLC0415
    from pipeline.app.wiring import begin, derivation_of, due_keys  # noqa: PLC0415
    from pipeline.cli.indicators import tell  # noqa: PLC0415
    from pipeline.cli.upgrade_bar import bring_up  # noqa: PLC0415
    from pipeline.errors import UsageError  # noqa: PLC0415
    from pipeline.exchange.market import Market  # noqa: PLC0415
    from pipeline.history.backfill import Backfill  # noqa: PLC0415
    from pipeline.history.listing import kept_series, wanted_series  # noqa: PLC0415
    from pipeline.store.series import SeriesStore  # noqa: PLC0415
    from pipeline.store.symbols import SymbolStore  # noqa: PLC0415

    if days is not None and limit is not None:
        raise UsageError("--days and --limit exclude each other: say how far back, or how many candles")
    settings = begin()
    with (
        candle_database(settings, bring_up) as db,
        client_of(settings) as client,
        archive_of(client, source) as archive,
    ):
        market = Market(client)
        listed = market.symbols()
        series = (
            wanted_series(symbols, interval or settings.intervals, listed, settings.environment)
            if symbols
            else kept_series(due_keys(settings, db, interval or ()), listed, SeriesStore(db), client.clock.now())
        )
        SymbolStore(db).save(listed)
        derivation = derivation_of(settings, db)
        with _bars(client.weight, shown=not as_json) as bars, Backfill(db, market, archive, progress=bars) as work:
            reports = work.fill_all(series, days or settings.history_days, source.value, limit=limit)
        derived = derivation.bring_up_all([one.key for one in series], client.clock.now())
    tell(derived)
    _show(reports, wide=wide, as_json=as_json)


def _show(reports: Sequence["SeriesReport"], *, wide: bool, as_json: bool) -> None:
    if as_json:
        print_json([{name: getattr(report, name) for name in (*COLUMNS, *DETAILS)} for report in reports])
    else:
        print_table(COLUMNS, [[getattr(report, name) for name in COLUMNS] for report in reports], wide=wide)
        for report in reports:
            if report.note:
                typer.echo(f"{report.symbol} {report.interval}: {report.note}", err=True)
    failed = [report for report in reports if not report.is_complete]
    for report in failed:
        complain(f"{report.symbol} {report.interval}: {_why(report)}")
    if failed:
        raise typer.Exit(max(1, *(report.exit_code for report in failed)))


def _why(report: "SeriesReport") -> str:
    if not report.failures:
        return f"{report.holes - report.known_holes:,} candles are still missing; run it again, with --source auto"
    more = f" (and {len(report.failures) - 1} more)" if len(report.failures) > 1 else ""
    return f"{report.holes:,} candles are missing: {report.failures[0]}{more}"


@contextmanager
def _bars(weight: "LimitGate", *, shown: bool) -> Iterator["Progress"]:
    """Progress bars on stderr, where a person watches."""
    from rich.console import Console  # noqa: PLC0415

    from pipeline.cli.progress import Bars  # noqa: PLC0415
    from pipeline.history.report import NoProgress  # noqa: PLC0415

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield NoProgress()
        return
    with Bars(console, weight) as bars:
        yield bars
