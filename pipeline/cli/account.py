"""`tidemark account`, `positions`, `orders`: what the account is worth, what it holds, what was sent."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json, print_table
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from schemas.accounts import Snapshot

app = typer.Typer()


EXAMPLES = """
Examples:

  tidemark account                 what it is worth, and the last thirty days

  tidemark account --by month      every month that is stored

  tidemark account --days 7 --json
"""


class By(StrEnum):
    """What a line of the table is."""

    DAY = "day"
    MONTH = "month"


@app.command(epilog=EXAMPLES)
def account(
    by: Annotated[By | None, typer.Option(help="A line a day or a month, over all that is stored.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only so many days back; 30 without --by.")] = None,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """Equity, its return today and this month, and the days or months before. The executor takes a snapshot each
    minute."""
    from pipeline.cli.beside import begin_beside, say_place  # noqa: PLC0415
    from pipeline.execution.periods import periods  # noqa: PLC0415
    from pipeline.store.account import AccountStore  # noqa: PLC0415
    from pipeline.store.session import database  # noqa: PLC0415

    back = 30 if by is None and days is None else days
    settings = begin_beside(environment)
    with database(settings) as db:
        say_place(settings, db)
        store = AccountStore(db, settings.environment)
        latest = store.latest()
        ends = store.daily(None if back is None else datetime.now(UTC) - timedelta(days=back))
    line: Literal["day", "month"] = "month" if by is By.MONTH else "day"
    found = periods(ends, line)
    if as_json:
        listed = {"months": found} if by is By.MONTH else {"days": ends}
        print_json({"environment": settings.environment, "latest": latest, **listed})
        return
    if latest is None:
        typer.echo(
            f"No snapshot of the account at {settings.environment} yet: `tidemark execute` takes them.", err=True
        )
        return
    typer.echo(_headline(latest))
    print_table(
        (line, "equity", "return %", "realized", "fees", "funding", "transfers"),
        [
            (one.name, one.equity, _percent(one.return_pct), one.realized, one.fees, one.funding, one.transfers)
            for one in found
        ],
    )


@app.command(epilog="Example: [bold]tidemark positions --json[/bold]")
def positions(
    every: Annotated[bool, typer.Option("--all", help="Flat ones too.")] = False,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """What is held, and the stop that protects it."""
    from pipeline.cli.beside import begin_beside, say_place  # noqa: PLC0415
    from pipeline.store.account import PositionStore  # noqa: PLC0415
    from pipeline.store.session import database  # noqa: PLC0415

    settings = begin_beside(environment)
    with database(settings) as db:
        say_place(settings, db)
        found = [one for one in PositionStore(db, settings.environment).list() if every or one.quantity]
    if as_json:
        print_json(found)
        return
    print_table(
        ("symbol", "quantity", "entry", "mark", "unrealized", "units", "stop", "take profit", "strategy", "interval"),
        [
            (one.symbol, one.quantity, one.entry_price, one.mark_price, one.unrealized,
             None if one.units is None else round(one.units, 2), one.stop_price, one.take_profit_price,
             one.strategy if one.ours else "not ours", one.interval)
            for one in found
        ],
    )  # fmt: skip


@app.command(epilog="Example: [bold]tidemark orders --symbol BTCUSDT --limit 5 --json[/bold]")
def orders(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """The journal: every order, what became of it, and how that was learnt."""
    from pipeline.cli.beside import begin_beside, say_place  # noqa: PLC0415
    from pipeline.store.orders import OrderJournal  # noqa: PLC0415
    from pipeline.store.session import database  # noqa: PLC0415

    if symbol is not None and not symbol.replace("_", "").isalnum():
        raise UsageError(f"{symbol!r} is no symbol; write it as the exchange does, for example BTCUSDT")
    settings = begin_beside(environment)
    with database(settings) as db:
        say_place(settings, db)
        found = OrderJournal(db, settings.environment).newest(limit, symbol.upper() if symbol else None)
    if as_json:
        print_json(found)
        return
    print_table(
        ("at", "symbol", "interval", "leg", "side", "quantity", "trigger", "state", "filled", "price", "fee",
         "realized"),
        [
            (f"{one.created_at:%m-%d %H:%M:%S}", one.symbol, one.interval, one.leg, one.side, one.quantity,
             one.trigger_price, one.state, one.filled, _short(one.average_price), one.fee, one.realized)
            for one in found
        ],
    )  # fmt: skip


def _headline(latest: "Snapshot") -> str:
    today, month = _percent(latest.day_return_pct), _percent(latest.month_return_pct)
    return (
        f"{latest.environment}: {latest.equity} {latest.asset} ({latest.available} available), today {today} %, "
        f"this month {month} %, {latest.open_positions} positions; at {latest.at:%Y-%m-%d %H:%M:%S} UTC"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _short(price: Any) -> Any:
    return None if price is None else f"{price:.8f}".rstrip("0").rstrip(".")
