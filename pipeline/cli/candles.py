"""`tidemark candles`: read stored candles, as a table, JSON, CSV or Parquet. Asks the database only."""

from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import amount, moment, price
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pipeline.app.candles import Candles, SeriesKey

app = typer.Typer()

PRICES = ("open", "high", "low", "close")
MORE = ("macd", "macd_signal", "macd_hist", "sma20", "atr")
SHOWN = (
    *(Column("opened (UTC)"), Column("open", 2, right=True), Column("high", 3, right=True)),
    *(Column("low", 4, right=True), Column("close", 1, right=True), Column("volume", 5, right=True)),
    *(Column("rsi", 6, right=True), Column("is", 7), *(Column(name, 8, right=True) for name in MORE)),
)
_RSI = Decimal("0.01")
EXAMPLES = """
Examples:

  tidemark candles BTCUSDT 1h

  tidemark candles BTCUSDT 1m --last 1440 --csv > day.csv

  tidemark candles BTCUSDT 1m --start 2026-01-01 --end 2026-02-01 --parquet january.parquet
"""


@app.command(epilog=EXAMPLES)
def candles(
    *,
    symbol: Annotated[str, typer.Argument(help="The contract, for example BTCUSDT.")],
    interval: Annotated[str, typer.Argument(help="The candle length, for example 1h.")],
    last: Annotated[int | None, typer.Option(min=1, help="So many candles, the newest.")] = None,
    start: Annotated[str | None, typer.Option(help="From here on, ISO 8601; without a zone it is UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Up to here, inclusive.")] = None,
    exchange: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    wide: Wide = False,
    parquet: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a Parquet file instead.")] = None,
) -> None:
    """Print stored candles with their indicators; the newest 20 unless told otherwise."""
    from pipeline.app.candles import candles as candles_of  # noqa: PLC0415
    from pipeline.app.moments import moment as moment_of  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise UsageError("--json, --csv and --parquet exclude each other; choose one")
    first, stop = moment_of("--start", start), moment_of("--end", end)
    if first is not None and stop is not None and first > stop:
        raise UsageError(f"--start {start} is after --end {end}")
    with Opened(having_data(begin(exchange))) as tm:
        found = candles_of(tm, symbol, interval, first=first, stop=stop, last=last)
    if parquet is not None:
        _write_parquet(found.frame, found.key, parquet)
    elif as_csv:
        typer.echo(found.frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ"), nl=False)
    elif as_json:
        print_json(found.frame.to_dicts())
    else:
        _show(found, wide=wide)


def _write_parquet(found: "pl.DataFrame", key: "SeriesKey", file: Path) -> None:
    try:
        found.write_parquet(file)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from error
    typer.echo(f"{found.height:,} candles of {key.symbol} {key.interval} written to {file}", err=True)


def _show(found: "Candles", *, wide: bool) -> None:
    key, tick = found.key, found.tick
    rows = [
        (
            moment(row["t"]),
            *(price(row[name], tick) for name in PRICES),
            amount(row["volume"]),
            _figure(row["rsi"], _RSI),
            "closed" if row["closed"] else "open",
            *(_figure(row[name], tick) for name in MORE),
        )
        for row in found.frame.iter_rows(named=True)
    ]
    print_table(SHOWN, rows, title=f"{key.symbol} {key.interval}", wide=wide)


def _figure(value: float, tick: Decimal | None) -> str:
    """An indicator is an average: it has as many decimals as a price."""
    return price(None if isnan(value) else Decimal(value), tick)
