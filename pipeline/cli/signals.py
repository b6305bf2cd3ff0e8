"""`tidemark signals`: list signals, as a table, JSON or CSV. Asks the database only."""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import Ticks, amount, moment, percent, plain, price
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.app.signals import Found
    from schemas.signals import Decision, Signal

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark signals --fresh                                    what can be acted on now

  tidemark signals --symbol BTCUSDT --since 2d

  tidemark signals --strategy macd_cross --sort return --limit 10

  tidemark signals --since 2026-01-01 --limit 100000 --csv > signals.csv
"""

HISTORICAL = "historical"
COLUMNS = (
    *("at", "symbol", "interval", "strategy", "kind", "side", "price", "verdict", "reason"),
    *("current_price", "return_pct", "best_pct", "worst_pct", "return_1h", "return_4h", "return_1d", "return_7d"),
)
DECIDED = ("quantity", "stop_price")
SHOWN = (
    *(Column("closed (UTC)"), Column("symbol", 1), Column("interval", 6), Column("strategy", 4), Column("kind", 8)),
    *(Column("side", 2), Column("price", 7, right=True), Column("return %", 5, right=True)),
    *(Column("best %", 9, right=True), Column("worst %", 10, right=True), Column("1h %", 11, right=True)),
    *(Column("1d %", 12, right=True), Column("7d %", 13, right=True), Column("verdict", 3, long="wrap", least=20)),
)

Symbol = Annotated[str | None, typer.Option(help="Only this contract, for example BTCUSDT.")]
Strategy = Annotated[str | None, typer.Option(help="Only of this strategy.")]
Interval = Annotated[str | None, typer.Option("--interval", "-i", help="Only on candles of this length.")]
Since = Annotated[str | None, typer.Option(help="From then on: 12h, 2d, 4w ago, or a date.")]


class Order(StrEnum):
    """What comes first."""

    AT = "at"
    RETURN = "return"


@app.command(epilog=EXAMPLES)
def signals(
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Only those that can be acted on now.")] = False,
    symbol: Symbol = None,
    strategy: Strategy = None,
    interval: Interval = None,
    since: Since = None,
    shown_open: Annotated[
        bool, typer.Option("--open", help="Also those of candles that are still open: they may go again.")
    ] = False,
    sort: Annotated[Order, typer.Option(help="Newest first, or best return first.")] = Order.AT,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="So many at most.")] = 20,
    exchange: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    wide: Wide = False,
) -> None:
    """List signals: when, what, at which price, and what came of them. Returns are in percent, positive
    when the price went the signal's way."""
    from pipeline.app import signals as asking  # noqa: PLC0415
    from pipeline.app.moments import since as since_of  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; choose one")
    with Opened(having_data(begin(exchange))) as tm:
        asked = asking.asked_for(
            tm, symbol=symbol, strategy=strategy, interval=interval, since=since_of("--since", since), only_fresh=fresh,
            include_open=shown_open,
        )  # fmt: skip
        found = asking.signals(tm, asked, sort.value, limit)
    if as_json:
        print_json(found.signals)
    elif as_csv:
        print_csv((*COLUMNS, *DECIDED), map(_values, found.signals))
    else:
        _show(found, wide=wide)


def print_csv(columns: Sequence[str], rows: Any) -> None:
    """Print rows as CSV; a time as ISO 8601 in UTC, nothing where nothing is known."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{cell:%Y-%m-%dT%H:%M:%SZ}" if isinstance(cell, datetime) else cell for cell in row])


def _show(found: "Found", *, wide: bool) -> None:
    if not found.signals:
        typer.echo("No such signals.", err=True)
        return
    print_table(SHOWN, [_row(one, found.ticks) for one in found.signals], wide=wide)


def _row(one: "Signal", ticks: Ticks) -> tuple[Any, ...]:
    said = (moment(one.at), one.symbol, one.interval, one.strategy, one.kind, one.side)
    returns = (one.return_pct, one.best_pct, one.worst_pct, one.return_1h, one.return_1d, one.return_7d)
    verdict = verdict_of(one.verdict, planned(one.decision, ticks.get(one.symbol)) or one.reason, one.source)
    return (*said, price(one.price, ticks.get(one.symbol)), *map(percent, returns), verdict)


def _values(one: "Signal") -> list[Any]:
    decided = [None if one.decision is None else getattr(one.decision, column) for column in DECIDED]
    return [getattr(one, column) for column in COLUMNS] + [None if each is None else plain(each) for each in decided]


def planned(decision: "Decision | None", tick: Decimal | None) -> str | None:
    """What the executor would have done, where it only worked it out."""
    if decision is None or decision.mode == "auto-execute":
        return None
    if decision.stop_price is None:
        return f"closes {amount(decision.quantity)}"
    return f"{amount(decision.quantity)}, stop {price(decision.stop_price, tick)}"


def verdict_of(verdict: str, reason: str | None, source: str) -> str:
    """What the executor made of a signal, and why. One from the history was never asked about."""
    if source == "history" and verdict == "expired":
        return HISTORICAL
    return verdict if reason is None or verdict == "taken" else f"{verdict}: {reason}"
