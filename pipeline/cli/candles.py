"""`tidemark candles`: read stored candles, as a table, JSON, CSV or Parquet. Asks the database only."""

from decimal import Decimal
from difflib import get_close_matches
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.figures import amount, moment, price
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pipeline.store.series import SeriesStore
    from schemas.series import SeriesKey

app = typer.Typer()

DEFAULT_LAST = 20
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
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    wide: Wide = False,
    parquet: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a Parquet file instead.")] = None,
) -> None:
    """Print stored candles with their indicators; the newest 20 unless told otherwise."""
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.moments import moment as moment_of  # noqa: PLC0415
    from pipeline.store.candles.frame import FOR_PEOPLE  # noqa: PLC0415
    from pipeline.store.candles.store import CandleStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415
    from pipeline.store.series import SeriesStore  # noqa: PLC0415
    from pipeline.store.symbols import SymbolStore  # noqa: PLC0415
    from schemas.series import SeriesKey  # noqa: PLC0415

    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise UsageError("--json, --csv and --parquet exclude each other; choose one")
    first, stop = moment_of("--start", start), moment_of("--end", end)
    if first is not None and stop is not None and first > stop:
        raise UsageError(f"--start {start} is after --end {end}")
    settings = begin()
    with database(settings) as db:
        key = SeriesKey(settings.environment, symbol.upper(), _code(interval))
        span = _span(SeriesStore(db), key, first, stop, last)
        found = CandleStore(db).load(key, *span, FOR_PEOPLE)
        tick = SymbolStore(db).ticks(key.exchange).get(key.symbol)
    if last is not None or (first is None and stop is None):
        found = found.tail(last or DEFAULT_LAST)
    if parquet is not None:
        _write_parquet(found, key, parquet)
    elif as_csv:
        typer.echo(found.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ"), nl=False)
    elif as_json:
        print_json(found.to_dicts())
    else:
        _show(found, key, tick, wide=wide)


def _code(text: str) -> str:
    from pipeline.timeline import UnknownIntervalError, interval  # noqa: PLC0415

    try:
        return interval(text).code
    except UnknownIntervalError as error:
        raise UsageError(str(error)) from error


def _span(
    store: "SeriesStore", key: "SeriesKey", first: int | None, stop: int | None, last: int | None
) -> tuple[int, int]:
    """The opening times to load: what was asked for, cut to what is stored (and the candle that is open now)."""
    from pipeline.timeline import interval, to_ms  # noqa: PLC0415

    known = store.get(key)
    if known is None or known.first is None or known.last_closed is None:
        raise UsageError(_unknown(store, key))
    step = interval(key.interval)
    forming = step.after(to_ms(known.last_closed))
    stop = forming if stop is None else min(stop, forming)
    if first is None:
        count = last or DEFAULT_LAST
        spare = count + sum(step.count(to_ms(hole.start), to_ms(hole.end)) for hole in known.holes)
        first = step.after(stop, -spare)
    return max(first, to_ms(known.first)), stop


def _unknown(store: "SeriesStore", key: "SeriesKey") -> str:
    stored = store.list(key.exchange)
    of_symbol = [one.interval for one in stored if one.symbol == key.symbol and one.stored]
    if of_symbol:
        return f"no {key.interval} candles of {key.symbol} are stored; stored are {', '.join(of_symbol)}"
    near = get_close_matches(key.symbol, {one.symbol for one in stored}, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"no candles of {key.symbol} are stored.{hint} "
        f"Fetch them: tidemark backfill {key.symbol} --interval {key.interval}"
    )


def _write_parquet(found: "pl.DataFrame", key: "SeriesKey", file: Path) -> None:
    try:
        found.write_parquet(file)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from error
    typer.echo(f"{found.height:,} candles of {key.symbol} {key.interval} written to {file}", err=True)


def _show(found: "pl.DataFrame", key: "SeriesKey", tick: Decimal | None, *, wide: bool) -> None:
    rows = [
        (
            moment(row["t"]),
            *(price(row[name], tick) for name in PRICES),
            amount(row["volume"]),
            _figure(row["rsi"], _RSI),
            "closed" if row["closed"] else "open",
            *(_figure(row[name], tick) for name in MORE),
        )
        for row in found.iter_rows(named=True)
    ]
    print_table(SHOWN, rows, title=f"{key.symbol} {key.interval}", wide=wide)


def _figure(value: float, tick: Decimal | None) -> str:
    """An indicator is an average: it has as many decimals as a price."""
    return price(None if isnan(value) else Decimal(value), tick)
