"""What `--why` shows, of a backtest and of an account: months, what goes with them, and the cells that stand out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.figures import change, percent
from pipeline.cli.output import print_json, print_table
from pipeline.cli.signals import print_csv
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.app.why import Answer, Cell

MONTHS = (
    *(Column("month"), Column("return", 1, right=True), Column("nine of ten", 3, right=True)),
    *(Column("trades", 4, right=True), Column("the market", 2, long="wrap")),
)
CELLS = (
    *(Column("month"), Column("by", 3), Column("is", 1), Column("trades", 4, right=True)),
    *(Column("return", 2, right=True), Column("nine of ten", 5, right=True), Column("profit", 6, right=True)),
)
_MOST = 12
_HEAD = ("month", "by", "name", "trades", "profit", "return_pct", "low_pct", "high_pct")


def show_why(
    answers: Sequence["Answer"],
    *,
    several: bool = False,
    as_json: bool = False,
    as_csv: bool = False,
    wide: bool = False,
) -> None:
    """As it is asked for; the notes go to stderr, each once. `several`: of an account in several assets, each by
    itself."""
    if as_json:
        print_json({"accounts": [told(one) for one in answers]} if several else told(answers[0]))
    elif as_csv:
        cells = ((one, answer.asset) for answer in answers for one in answer.why.cells)
        print_csv((*_HEAD, "asset"), ((*(getattr(one, name) for name in _HEAD), asset) for one, asset in cells))
    else:
        for one in answers:
            _show(one, several=several, wide=wide)
    for note in dict.fromkeys(note for one in answers for note in one.notes):
        typer.echo(f"note: {note}", err=True)


def one_form(*, as_json: bool, as_csv: bool) -> None:
    """Refuse to print two at once."""
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; choose one")


def told(answer: "Answer") -> dict[str, Any]:
    """Everything, for a program."""
    found = answer.why
    return {
        "asset": answer.asset,
        "verdict": found.verdict,
        "months": [
            {
                "month": one.month,
                "return_pct": one.return_pct,
                "low_pct": one.low_pct,
                "high_pct": one.high_pct,
                "trades": one.trades,
                "because": one.because,
                "market": {
                    each.condition.name: {"value": each.value, "higher_than": each.higher_than}
                    for each in one.conditions
                },
            }
            for one in found.months
        ],
        "goes_with": [
            {"condition": one.condition.name, "correlation": one.correlation, "chance": one.chance}
            for one in found.goes_with
        ],
        "cells": found.cells,
        "notes": answer.notes,
    }


def _show(answer: "Answer", *, several: bool, wide: bool) -> None:
    found, head = answer.why, f"In {answer.asset}: " if several else ""
    if not found.months:
        typer.echo(f"{head}No month is known yet.", err=True)
        return
    typer.echo(f"{head}{found.verdict}.")
    rows = [
        (one.month, percent(one.return_pct, " %"), _between(one.low_pct, one.high_pct), one.trades, one.because)
        for one in found.months
    ]
    print_table(MONTHS, rows, wide=wide)
    typer.echo()
    clear = found.clear
    if not found.judged:
        typer.echo("No cell has trades enough for an interval.")
        return
    typer.echo(
        f"{len(clear)} of {found.judged} cells are clearly above or below nothing; about {found.judged / 10:.0f} would "
        "be by chance."
    )
    if clear:
        print_table(CELLS, [_row(one, answer.decimals) for one in (clear if wide else clear[:_MOST])], wide=wide)


def _row(one: "Cell", decimals: int) -> tuple[Any, ...]:
    return (
        one.month,
        one.by,
        one.name,
        one.trades,
        percent(one.return_pct, " %"),
        _between(one.low_pct, one.high_pct),
        change(one.profit, decimals),
    )


def _between(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
