"""What `tidemark backtest --contribution` shows: the run without each of its strategies, and how days go together."""

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.figures import change, percent
from pipeline.cli.output import print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError
from pipeline.exchange_names import decimals_of_asset

if TYPE_CHECKING:
    from pipeline.app.backtest import Contribution, Result

WITHOUT = (
    *(Column("run"), Column("profit of its trades", 4, right=True), Column("return", 1, right=True)),
    *(Column("drawdown", 2, right=True), Column("Sharpe", 3, right=True)),
)


def show_contributions(found: "Result", *, wide: bool) -> None:
    """Two tables."""
    from pipeline.app.backtest import FEWEST, number, share  # noqa: PLC0415

    parts = _parts(found)
    decimals = decimals_of_asset(found.summary.asset)
    runs = [("all of them", None, found.summary)] + [(f"without {one.strategy}", one, one.without) for one in parts]
    rows = [
        (
            name,
            None if part is None else change(Decimal(part.profit), decimals),
            percent(summary.return_pct, " %"),
            share(summary.max_drawdown_pct),
            number(summary.sharpe),
        )
        for name, part, summary in runs
    ]
    print_table(WITHOUT, rows, title=found.title, wide=wide)
    typer.echo()
    names = [one.strategy for one in parts]
    head = (Column("days go with those of"), *(Column(name, place, right=True) for place, name in enumerate(names, 1)))
    beside = [
        (one.strategy, *("" if other == one.strategy else _together(one.correlations[other]) for other in names))
        for one in parts
    ]
    print_table(head, beside, wide=wide)
    if any(value is None for one in parts for value in one.correlations.values()):
        typer.echo(f"too few: trades of the two ended on fewer than {FEWEST} days, or one of them had none")


def _together(correlation: float | None) -> str:
    return "too few" if correlation is None else f"{correlation:,.2f}"


def told_contributions(found: "Result") -> list[dict[str, Any]]:
    """The same for a program."""
    return [asdict(one) for one in _parts(found)]


def _parts(found: "Result") -> "list[Contribution]":
    from pipeline.app.backtest import apart  # noqa: PLC0415

    parts = apart(found, lambda name: typer.echo(f"the same without {name}", err=True))
    if not parts:
        raise UsageError(
            f"a part is told from a whole of two strategies or more, and this is of {', '.join(found.strategies)} "
            "alone: name another one beside it"
        )
    return parts
