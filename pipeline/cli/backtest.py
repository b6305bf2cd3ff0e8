"""`tidemark backtest`: would it have earned? Stored candles, the executor's own decisions, a simulated exchange."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.contribution import show_contributions, told_contributions
from pipeline.cli.figures import amount, change, moment, percent, price
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.signals import print_csv
from pipeline.cli.strategies import pair
from pipeline.cli.table import Column
from pipeline.cli.why import one_form, show_why
from pipeline.errors import UsageError
from pipeline.exchange_names import decimals_of_asset
from pipeline.timeline import HOUR, to_datetime

if TYPE_CHECKING:
    from rich.text import Text

    from pipeline.app.backtest import By, Result, Trade

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark backtest                              what runs now, over all that is stored

  tidemark backtest macd_turtle --symbol BTCUSDT --interval 1h --days 90

  tidemark backtest macd_turtle --all -i 1h      every symbol that traded then, delisted ones too

  tidemark backtest macd_cross --set fast=8 --trades --csv > trades.csv

  tidemark backtest macd_cross rsi_reversal --contribution

  tidemark backtest macd_turtle --why            what was different in the months that earned
"""


class Apart(StrEnum):
    """What the trades can be set apart by."""

    SIDE = "side"
    REASON = "reason"
    STRATEGY = "strategy"
    SYMBOL = "symbol"
    WEEKDAY = "weekday"


_MOST_REASONS = 8
_BLOCKS = "▁▂▃▄▅▆▇█"
_BLOCKS_WIDE = 60
_ENGINES = {"fast": "the executor's rules, compiled", "exact": "the executor itself"}
TRADES = (
    *(Column("opened (UTC)"), Column("symbol", 1), Column("side", 2), Column("strategy", 6), Column("on", 9)),
    *(Column("hours", 5, right=True), Column("quantity", 8, right=True), Column("entry", 4, right=True)),
    *(Column("exit", 4, right=True), Column("profit", 0, right=True), Column("ended by", 3)),
    *(Column("fees", 7, right=True), Column("funding", 10, right=True), Column("decided by", 11)),
)


@app.command(epilog=EXAMPLES)
def backtest(
    *,
    strategies: Annotated[
        list[str] | None, typer.Argument(help="Names, or path/to/file.py:Name; none: those that run.")
    ] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Which contracts; repeat it for several.")] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All symbols that traded then, delisted ones too, of which candles are stored."),
    ] = False,
    interval: Annotated[
        list[str] | None, typer.Option("--interval", "-i", help="Candles of the signals; repeat it for several.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="So many, until the end.")] = None,
    start: Annotated[str | None, typer.Option(help="From here on, ISO 8601; without a zone it is UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Up to here.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    equity: Annotated[
        float | None, typer.Option(min=0, help="What the account begins with; usual: 10,000, or coins of that worth.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="By the executor itself, not by its rules compiled; slower, and equal.")
    ] = False,
    through_holes: Annotated[
        bool,
        typer.Option("--through-holes", help="Go on although a position was held over minutes that are not stored."),
    ] = False,
    trades: Annotated[bool, typer.Option("--trades", help="Every trade, not the figures.")] = False,
    by: Annotated[Apart | None, typer.Option(help="The trades apart, not the figures.")] = None,
    contribution: Annotated[
        bool,
        typer.Option("--contribution", help="What each strategy adds: the run without it, and how they go together."),
    ] = False,
    curve: Annotated[bool, typer.Option("--curve", help="The equity as a line, and the months.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a report: one file, for any browser.", dir_okay=False),
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="What was different in the months, not the figures.")] = False,
    no_store: Annotated[bool, typer.Option("--no-store", help="Do not keep it among the runs.")] = False,
    exchange: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the trades as CSV on stdout.")] = False,
    wide: Wide = False,
) -> None:
    """Would it have earned? The executor's own decisions over stored candles, filled on 1m candles.

    With the settings as they are now: risk, ladder, stops, fees. What a minute does not tell is counted against the
    position; where that makes a difference, the other readings stand beside it. Nothing is sent anywhere.
    """
    from pipeline.app.backtest import backtest as run  # noqa: PLC0415
    from pipeline.app.backtest import report  # noqa: PLC0415
    from pipeline.app.moments import moment as moment_of  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.progress import days_done  # noqa: PLC0415
    from pipeline.app.runs import AskedFor, keep  # noqa: PLC0415
    from pipeline.app.why import of_backtest  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    one_form(as_json=as_json, as_csv=as_csv)
    if days is not None and start is not None:
        raise UsageError("--days and --start exclude each other; choose one")
    if everything and symbol:
        raise UsageError("--all and --symbol exclude each other; choose one")
    given = dict(map(pair, parameters or []))
    with Opened(having_data(begin(exchange))) as tm:
        with days_done(shown=not (as_json or as_csv)) as told:
            found = run(
                tm,
                strategies or (),
                symbols=symbol or (),
                everything=everything,
                intervals=interval or (),
                parameters=given,
                days=days,
                start=moment_of("--start", start),
                end=moment_of("--end", end),
                equity=None if equity is None else Decimal(repr(equity)),
                exact=exact,
                through_holes=through_holes,
                progress=told,
            )
        answer = of_backtest(tm, found) if why or html is not None else None
        try:
            if html is not None:
                report(found, html, None if answer is None else answer.why)
                typer.echo(f"the report is in {html}", err=True)
            if why and answer is not None:
                show_why([answer], as_json=as_json, as_csv=as_csv, wide=wide)
            else:
                _print(found, trades=trades, by=by, curve=curve, contribution=contribution, as_json=as_json,
                       as_csv=as_csv, wide=wide)  # fmt: skip
        finally:
            if not no_store:
                asked = AskedFor(strategies or [], symbol or [], interval or [], given, exact, through_holes)
                typer.echo(f"kept as run {keep(tm, found, asked)}", err=True)


def _print(
    found: "Result",
    *,
    trades: bool,
    by: Apart | None,
    curve: bool,
    contribution: bool,
    as_json: bool,
    as_csv: bool,
    wide: bool,
) -> None:
    """What was asked for of it."""
    if as_json:
        print_json(_whole(found) | ({"contributions": told_contributions(found)} if contribution else {}))
    elif as_csv:
        _print_csv(found.trades)
    elif trades:
        _show_trades(found, wide=wide)
    elif curve:
        _show_curve(found)
    elif contribution:
        show_contributions(found, wide=wide)
    elif by is not None:
        _show_groups(found, by.value, wide=wide)
    else:
        _show(found)


def _whole(found: "Result") -> dict[str, Any]:
    """Everything, for a program."""
    from pipeline.app.backtest import row_of  # noqa: PLC0415

    return {
        "strategies": found.strategies,
        "symbols": found.symbols,
        "took_part": found.parts,
        "intervals": found.intervals,
        "start": to_datetime(found.start),
        "end": to_datetime(found.end),
        "summary": {one.inside: one.summary for one in found.backtest.outcomes},
        "engine": found.backtest.outcome.engine,
        "months": {one.inside: one.months for one in found.backtest.outcomes},
        "market_return_pct": found.backtest.market_return,
        "by": {one.value: found.by(one.value) for one in Apart},
        "assumptions": dict(found.backtest.assumed),
        "notes": found.notes,
        "trades": [row_of(one) for one in found.trades],
    }


def _print_csv(trades: "Sequence[Trade]") -> None:
    from pipeline.app.backtest import ROW, row_of  # noqa: PLC0415

    rows = (row_of(one) | {"orders": " ".join(one.orders)} for one in trades)
    print_csv(ROW, (tuple(one[name] for name in ROW) for one in rows))


def _show_trades(found: "Result", *, wide: bool) -> None:
    decimals = _decimals(found)
    ticks = {one.symbol: one.tick for one in found.backtest.asked.minutes.values()}
    rows = [
        (
            moment(to_datetime(one.opened_at)),
            one.symbol,
            one.side,
            one.strategy,
            one.interval,
            None if one.closed_at is None else f"{(one.closed_at - one.opened_at) / HOUR:.1f}",
            amount(one.quantity),
            price(one.entry_price, ticks[one.symbol]),
            price(one.exit_price, ticks[one.symbol]),
            change(one.profit, decimals),
            one.reason,
            change(-one.fees, decimals),
            change(one.funding, decimals),
            one.decided_by,
        )
        for one in found.trades
    ]
    print_table(TRADES, rows, title=f"trades, in {found.summary.asset}", wide=wide)


def _show_curve(found: "Result") -> None:
    """A block a stretch: how high the equity was at its end, between the lowest and the highest."""
    _, equity = found.backtest.outcome.curve.daily()
    step = -(-len(equity) // _BLOCKS_WIDE)
    shown = equity[(len(equity) - 1) % step :: step]
    low, high = float(shown.min()), float(shown.max())
    places = ((shown - low) / ((high - low) or 1.0) * (len(_BLOCKS) - 1)).round().astype(int)
    decimals = _decimals(found)
    typer.echo(f"equity from {low:,.{decimals}f} to {high:,.{decimals}f} {found.summary.asset}")
    typer.echo("".join(_BLOCKS[one] for one in places.tolist()))
    typer.echo()
    _show_months(found)


def _show_groups(found: "Result", by: "By", *, wide: bool) -> None:
    from pipeline.app.backtest import number, share  # noqa: PLC0415

    names = (
        "trades",
        "profit",
        "of equity",
        "won",
        "profit factor",
        "a trade brings",
        "fees",
        "funding",
        "worst",
        "hours",
    )
    places = (1, 0, 2, 3, 4, 5, 6, 7, 8, 9)
    decimals = _decimals(found)
    rows = [
        (
            one.name,
            one.trades + one.still_open,
            change(one.profit, decimals),
            percent(one.return_pct, " %"),
            share(one.won_pct),
            number(one.profit_factor),
            _sum(one.expectancy, decimals),
            change(-one.fees, decimals),
            change(one.funding, decimals),
            _sum(one.worst, decimals),
            number(one.mean_hours),
        )
        for one in found.by(by)
    ]
    columns = [Column(name, place, right=True) for name, place in zip(names, places, strict=True)]
    print_table((by, *columns), rows, title=f"trades apart, in {found.summary.asset}", wide=wide)


def _show(found: "Result") -> None:
    from pipeline.app.backtest import FIGURES  # noqa: PLC0415

    outcomes = found.backtest.outcomes
    headings = [str(one.inside) for one in outcomes] if len(outcomes) > 1 else ["value"]
    title = (
        f"{', '.join(found.strategies)} on {', '.join(found.symbols)} {', '.join(found.intervals)}, "
        f"{moment(to_datetime(found.start))} to {moment(to_datetime(found.end))}"
    )
    rows = [(one.name, *(_coloured(one.text(each.summary)) for each in outcomes)) for one in FIGURES if one.telling]
    print_table(
        ("figure", *(Column(one, place, right=True) for place, one in enumerate(headings, 1))), rows, title=title
    )
    typer.echo()
    _show_months(found)
    for heading, counted in (("ended by", found.summary.reasons), ("left out", found.summary.skipped)):
        if counted:
            most = [(count, word) for word, count in list(counted.items())[:_MOST_REASONS]]
            print_table((Column(heading, right=True), Column("because", 1, long="wrap")), most)
            typer.echo()
    print_table(("assumed", Column("what", 1, long="wrap")), list(found.backtest.assumed.items()))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def _show_months(found: "Result") -> None:
    from pipeline.app.backtest import share  # noqa: PLC0415

    names = ("return", "drawdown", "trades", "profit of trades")
    columns = (Column("month"), *(Column(name, place, right=True) for place, name in enumerate(names, 1)))
    rows = [
        (
            one.month,
            percent(one.return_pct, " %"),
            share(one.max_drawdown_pct),
            one.trades,
            _sum(one.profit, _decimals(found)),
        )
        for one in found.backtest.outcome.months
    ]
    print_table(columns, rows)
    typer.echo()


def _coloured(text: str) -> "Text | str":
    """What was gained is green and what was lost red."""
    from rich.text import Text  # noqa: PLC0415

    colours = {"+": "green", "-": "red"}
    return Text(text, style=colours.get(text[0], "") if text[1:] else "")


def _sum(value: float | None, decimals: int) -> Any:
    return change(None if value is None else Decimal(value), decimals)


def _decimals(found: "Result") -> int:
    return decimals_of_asset(found.summary.asset)
