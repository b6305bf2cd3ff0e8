"""`tidemark backfill`: fetch what is missing of the chosen series, compute what depends on it, say what came of it."""

import logging
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, Wide, complain, print_json, print_table

if TYPE_CHECKING:
    from pipeline.app.backfill import SeriesReport

log = logging.getLogger(__name__)
app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark backfill                                    everything in the settings

  tidemark backfill BTCUSDT --interval 1m --days 300

  tidemark backfill BTCUSDT -i 15m --limit 2000        the newest 2,000 candles

  tidemark backfill BTCUSDT ETHUSDT -i 1m -i 1h --source rest --json

  tidemark backfill -i 1m --cluster tcp://10.0.0.5:8786    by several hosts, each with its own request weight
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
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Series are given out to the workers of that Dask cluster, tcp://HOST:8786: each fetches from its own "
            "address, with the request weight that the exchange counts there, and writes into this database.",
        ),
    ] = None,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Fetch the candles that are not stored yet. Stop it whenever you like: the next run goes on from there."""
    from rich.console import Console  # noqa: PLC0415

    from pipeline.app import backfill as ordering  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.progress import Countdown, computing, fetching  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.indicators import agree_to_withdraw, tell  # noqa: PLC0415
    from pipeline.cli.upgrade_bar import bring_up  # noqa: PLC0415

    console = Console(stderr=True, force_terminal=False if as_json else None)
    settings = begin(exchange)
    with (
        ordering.fetchers_of(cluster) as fetchers, Opened(settings, bring_up) as tm, Countdown(console) as countdown
    ):  # fmt: skip
        done = ordering.backfill(
            tm, symbols or (), interval or (), days=days, limit=limit, source=source.value, by=operator(),
            shown=partial(fetching, console, log.info, countdown), deriving=partial(computing, console, log.info),
            agreed=partial(agree_to_withdraw, as_json=as_json),
            waits=countdown if console.is_terminal else None, fetchers=fetchers,
        )  # fmt: skip
    tell(done.derived)
    _show(done.reports, wide=wide, as_json=as_json)


def _show(reports: Sequence["SeriesReport"], *, wide: bool, as_json: bool) -> None:
    if as_json:
        print_json([{name: getattr(report, name) for name in (*COLUMNS, *DETAILS)} for report in reports])
    else:
        print_table(COLUMNS, [[getattr(report, name) for name in COLUMNS] for report in reports], wide=wide)
        for report in reports:
            if report.note:
                typer.echo(f"{report.symbol} {report.interval}: {report.note}", err=True)
    from pipeline.app.backfill import lacks  # noqa: PLC0415

    failed = [report for report in reports if not report.is_complete]
    for report in failed:
        complain(f"{report.symbol} {report.interval}: {lacks(report)}")
    if failed:
        raise typer.Exit(max(1, *(report.exit_code for report in failed)))
