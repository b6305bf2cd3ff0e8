"""`tidemark account`, `positions`, `orders`: what the account is worth, what it holds, what was sent."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import Ticks, amount, change, moment, money, percent, price
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.cli.why import one_form, show_why
from pipeline.errors import UsageError
from pipeline.exchange_names import counts_in_several, decimals_of_asset, decimals_of_money
from pipeline.timeline import to_datetime

if TYPE_CHECKING:
    from decimal import Decimal

    from pipeline.app.account import Account, Journal, ListedOrders, Snapshot
    from pipeline.settings import Settings
    from schemas.positions import Position

app = typer.Typer()

PERIOD = ("equity", "return %", "realized", "fees", "funding", "transfers")
HELD_NOW = ("quantity", "entry", "mark", "worth", "unrealized")
POSITIONS = (
    *(Column("symbol"), Column("quantity", 1, right=True), Column("entry", 2, right=True)),
    *(Column("mark", 5, right=True), Column("unrealized", 3, right=True), Column("units", 6, right=True)),
    *(
        Column("stop", 4, right=True),
        Column("take profit", 8, right=True),
        Column("strategy", 7),
        Column("interval", 9),
    ),
)
BOOKS = (
    *(Column("symbol"), Column("strategy", 1), Column("interval", 2), Column("quantity", 3, right=True)),
    *(Column("entry", 4, right=True), Column("units", 7, right=True), Column("stop", 5, right=True)),
    Column("take profit", 6, right=True),
)
ORDERS = (
    *(Column("at (UTC)"), Column("symbol", 1), Column("interval", 11), Column("leg", 6), Column("side", 2)),
    *(Column("quantity", 4, right=True), Column("trigger", 8, right=True), Column("state", 3)),
    *(Column("filled", 7, right=True), Column("price", 5, right=True), Column("fee", 10, right=True)),
    Column("realized", 9, right=True),
)
AT_EXCHANGE = (
    *(Column("at (UTC)"), Column("symbol", 1), Column("type", 6), Column("side", 2), Column("quantity", 4, right=True)),
    *(Column("price", 5, right=True), Column("state", 3), Column("filled", 8, right=True)),
    *(Column("whose", 7, long="wrap"), Column("id", 9)),
)

EXAMPLES = """
Examples:

  tidemark account                 what it is worth, and the last thirty days

  tidemark account --by month      every month that is stored

  tidemark account --days 7 --json

  tidemark account --now           what the exchange says this moment

  tidemark account --why           what was different in the months that earned
"""


class By(StrEnum):
    """What a line of the table is."""

    DAY = "day"
    MONTH = "month"


@app.command(epilog=EXAMPLES)
def account(
    by: Annotated[By | None, typer.Option(help="A line a day or a month, over all that is stored.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only so many days back; 30 without --by.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Ask the exchange, not what is stored.")] = False,
    why: Annotated[bool, typer.Option("--why", help="What was different in the months, over all that is stored.")] = (
        False
    ),
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="With --why: what trades brought, as CSV on stdout.")] = False,
) -> None:
    """Equity, its return today and this month, and the days or months before. The executor takes a snapshot each
    minute."""
    from pipeline.app import account as asking  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.opened import having_exchange  # noqa: PLC0415
    from pipeline.app.why import of_account  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    one_form(as_json=as_json, as_csv=as_csv)
    if as_csv and not why:
        raise UsageError("--csv goes with --why; use --json")
    if why and (now or by is not None or days is not None):
        raise UsageError("--why goes by the months of all that is stored: leave --now, --by and --days out")
    back = 30 if by is None and days is None else days
    settings = begin_beside(exchange)
    if why:
        with answering(settings, as_json=as_json or as_csv) as (tm, _):
            answers = of_account(tm)
        several = counts_in_several(settings.environment) or len(answers) > 1
        show_why(answers, several=several, as_json=as_json, as_csv=as_csv, wide=wide)
        return
    if now:
        if by is not None or days is not None:
            raise UsageError("--now is this moment: leave --by and --days out, or --now")
        _show_now(having_exchange(settings), wide=wide, as_json=as_json)
        return
    line: Literal["day", "month"] = "month" if by is By.MONTH else "day"
    with answering(settings, as_json=as_json) as (tm, stands):
        found = asking.accounts(tm, line, back)
    if as_json:
        several = counts_in_several(settings.environment)
        print_json({"environment": settings.environment, "standing": stands, **_listed(found, by, several=several)})
        return
    if not found:
        typer.echo(
            f"No snapshot of the account at {settings.environment} yet: `tidemark execute` takes them.", err=True
        )
        return
    for one in found:
        _show_periods(one, line, wide=wide)


@app.command(epilog="Example: [bold]tidemark positions --json[/bold]")
def positions(
    every: Annotated[bool, typer.Option("--all", help="Flat ones too.")] = False,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """What is held, and the stop that protects it."""
    from pipeline.app import account as asking  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json) as (tm, stands):
        held = asking.positions(tm, flat_too=every)
    found, ticks = held.positions, held.ticks
    if as_json:
        print_json({"environment": settings.environment, "standing": stands, "positions": found})
        return
    print_table(
        POSITIONS,
        [
            (one.symbol, amount(one.quantity), *_prices(ticks, one.symbol, one.entry_price, one.mark_price),
             change(one.unrealized, decimals_of_money(one.environment)), money(one.units),
             *_prices(ticks, one.symbol, one.stop_price, one.take_profit_price),
             _whose(one), one.interval if len(one.books) < 2 else None)
            for one in found
        ],
        wide=wide,
    )  # fmt: skip
    if shared := [(held, one) for held in found if len(held.books) > 1 for one in held.books]:
        typer.echo("\nof these, each strategy's own:")
        print_table(
            BOOKS,
            [
                (held.symbol, one.strategy, one.interval, amount(one.quantity),
                 *_prices(ticks, held.symbol, one.entry_price),
                 money(abs(one.quantity) / one.unit_quantity if one.unit_quantity else None),
                 *_prices(ticks, held.symbol, one.stop_price, one.take_profit_price))
                for held, one in shared
            ],
            wide=wide,
        )  # fmt: skip
    for symbol, cap in sorted(held.caps.items()):
        typer.echo(f"{symbol}: {cap} decided how large a unit is, and not the risk of one; see docs/words.md")


@app.command(
    epilog="Examples: [bold]tidemark orders --symbol BTCUSDT --limit 5 --json[/bold], "
    "[bold]tidemark orders --now --symbol BTCUSDT[/bold]"
)
def orders(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    now: Annotated[
        bool,
        typer.Option("--now", help="Ask the exchange what is open, whose ever it is; of a symbol, six days of it."),
    ] = False,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """The journal: every order, what became of it, and how that was learnt."""
    from pipeline.app import account as asking  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.known_symbols import symbol_in  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    named = symbol_in(symbol) if symbol is not None else None
    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json) as (tm, stands):
        listed = asking.orders_at_exchange(tm, limit, named) if now else asking.orders(tm, limit, named)
    if as_json:
        print_json({"environment": settings.environment, "standing": stands, "orders": listed.orders})
    elif isinstance(listed, asking.ListedOrders):
        _show_at_exchange(listed, wide=wide)
    else:
        _show_journal(listed, wide=wide)


def _listed(found: "Sequence[Account]", by: By | None, *, several: bool) -> dict[str, object]:
    """Where it counts in several coins, a list of them."""
    of_each: list[dict[str, object]] = [
        {"latest": one.latest, **({"months": one.periods} if by is By.MONTH else {"days": one.days})} for one in found
    ]
    if several:
        return {"accounts": of_each}
    return of_each[0] if of_each else {"latest": None, "months" if by is By.MONTH else "days": []}


def _show_periods(found: "Account", line: str, *, wide: bool) -> None:
    if found.latest is None:
        return
    decimals = decimals_of_asset(found.latest.asset)
    typer.echo(_headline(found.latest))
    print_table(
        (Column(line), *(Column(name, rank, right=True) for rank, name in enumerate(PERIOD, 1))),
        [
            (one.name, money(one.equity, decimals), percent(one.return_pct),
             *(change(each, decimals) for each in (one.realized, one.fees, one.funding, one.transfers)))
            for one in found.periods
        ],
        wide=wide,
    )  # fmt: skip


def _show_journal(listed: "Journal", *, wide: bool) -> None:
    ticks = listed.ticks
    print_table(
        ORDERS,
        [
            (moment(one.created_at, seconds=True), one.symbol, one.interval, one.leg, one.side, amount(one.quantity),
             *_prices(ticks, one.symbol, one.trigger_price), one.state, amount(one.filled),
             *_prices(ticks, one.symbol, one.average_price),
             *(change(each, decimals_of_money(one.environment)) for each in (one.fee and -one.fee, one.realized)))
            for one in listed.orders
        ],
        wide=wide,
    )  # fmt: skip


def _show_now(settings: "Settings", *, wide: bool, as_json: bool) -> None:
    from pipeline.app.at_exchange import worth_now  # noqa: PLC0415
    from pipeline.app.beside import place_of  # noqa: PLC0415

    typer.echo(place_of(settings), err=True)
    found = worth_now(settings)
    if as_json:
        print_json(found)
        return
    several = counts_in_several(settings.environment)
    decimals = decimals_of_money(settings.environment)
    for one in found["wallets"]:
        asset, digits = (f" {one['asset']}", decimals_of_asset(one["asset"])) if several else ("", decimals)
        equity, wallet, available = (money(one[name], digits) for name in ("equity", "wallet", "available"))
        typer.echo(
            f"{settings.environment}, the exchange says: equity {equity}{asset}, wallet {wallet}, "
            f"{available} available, {change(one['unrealized'], digits)} unrealized"
        )
    print_table(
        (Column("symbol"), *(Column(name, rank, right=True) for rank, name in enumerate(HELD_NOW, 1))),
        [
            (one["symbol"], *map(amount, (one["quantity"], one["entry"], one["mark"])), money(one["worth"], decimals),
             change(one["unrealized"], decimals))
            for one in found["positions"]
        ],
        wide=wide,
    )  # fmt: skip


def _show_at_exchange(listed: "ListedOrders", *, wide: bool) -> None:
    ticks = listed.ticks
    print_table(
        AT_EXCHANGE,
        [
            (moment(to_datetime(one.at), seconds=True), one.symbol, one.type, one.side, amount(one.quantity),
             *_prices(ticks, one.symbol, one.price), "open" if one.open else one.status.lower(), amount(one.filled),
             one.whose, one.id)
            for one in listed.orders
        ],
        wide=wide,
    )  # fmt: skip


def _headline(latest: "Snapshot") -> str:
    today, month = percent(latest.day_return_pct, " %"), percent(latest.month_return_pct, " %")
    equity, available = (money(one, decimals_of_asset(latest.asset)) for one in (latest.equity, latest.available))
    return (
        f"{latest.environment}: {equity} {latest.asset} ({available} available), "
        f"today {today}, this month {month}, {latest.open_positions} positions; "
        f"at {moment(latest.at, seconds=True)} UTC"
    )


def _whose(position: "Position") -> str | None:
    if not position.ours:
        return "not ours"
    return f"{len(position.books)} strategies" if len(position.books) > 1 else position.strategy


def _prices(ticks: Ticks, symbol: str, *prices: "Decimal | None") -> Iterator[str]:
    return (price(one, ticks.get(symbol)) for one in prices)
