"""`tidemark runs`, `tidemark rerun`: backtests that were kept, and the same again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import moment, percent
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.signals import print_csv
from pipeline.cli.table import Column
from pipeline.errors import AttentionError, UsageError
from pipeline.exchange_names import decimals_of_asset

if TYPE_CHECKING:
    from pipeline.app.runs import Kept

app = typer.Typer()
kept = typer.Typer(help="Backtests that were kept, the newest first; `show` has one of them.")
app.add_typer(kept, name="runs")

Name = Annotated[str, typer.Argument(metavar="RUN", help="As `tidemark runs` shows it.")]
_FIGURES = (
    "return_pct", "yearly_return_pct", "market_return_pct", "max_drawdown_pct", "sharpe", "sortino", "trades",
    "won_pct", "profit_factor",
)  # fmt: skip


@kept.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    *,
    most: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many.")] = 20,
    exchange: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print them as CSV on stdout.")] = False,
    wide: Wide = False,
) -> None:
    """Backtests that were kept, the newest first. One whose candles changed since is stale."""
    if context.invoked_subcommand is not None:
        return
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.runs import runs as ask  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; choose one")
    with Opened(having_data(begin(exchange))) as tm:
        found = ask(tm, most)
    rows = [_row(one) for one in found]
    if as_json:
        print_json(rows)
    elif as_csv:
        print_csv(
            tuple(rows[0]) if rows else ("id", "at", "title", "stale", "kept"), (tuple(one.values()) for one in rows)
        )
    else:
        _show(found, wide=wide)


@kept.command(epilog="Example: [bold]tidemark runs show 20261127-114610-16f1f2[/bold]")
def show(name: Name, *, exchange: Where = None, as_json: Json = False, wide: Wide = False) -> None:
    """One of them: its figures in each reading, what it went by; with --json its trades and its equity too."""
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.runs import run  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm:
        found = run(tm, name)
    if as_json:
        print_json({**found.run.model_dump(), "stale": found.changed, "trades": found.trades})
        return
    readings = found.run.readings
    digits = decimals_of_asset(found.figures.get("asset", "USDT"))
    rows = [(each, *(_said(one.figures.get(each), digits) for one in readings)) for each in readings[0].figures]
    columns: list[Column | str] = [
        "figure",
        *(Column(one.inside, place, right=True) for place, one in enumerate(readings, 1)),
    ]
    print_table(columns, rows, title=found.run.title, wide=wide)
    for one in (*found.run.notes, *_stale(found)):
        typer.echo(f"note: {one}", err=True)


@kept.command(epilog="Example: [bold]tidemark runs keep 20261127-114610-16f1f2[/bold]")
def keep(
    name: Name,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="It may be forgotten again.")] = False,
    exchange: Where = None,
) -> None:
    """Mark one of them: retention never forgets it."""
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.runs import mark  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm:
        mark(tm, name, kept=not undo)
    typer.echo(f"{name} {'may be forgotten' if undo else 'is kept for good'}", err=True)


@app.command(epilog="Example: [bold]tidemark rerun 20261127-114610-16f1f2[/bold]")
def rerun(name: Name, *, exchange: Where = None, as_json: Json = False) -> None:
    """Run a backtest again that was kept: the same to the bit, or it is said what is not as it was then."""
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.progress import days_done  # noqa: PLC0415
    from pipeline.app.runs import rerun as again  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm, days_done(shown=not as_json) as told:
        found = again(tm, name, told)
    before, now = found.before.readings[0].figures.get("return_pct"), found.found.summary.return_pct
    if as_json:
        print_json({"id": name, "same": found.is_same, "differs": found.differs, "before": before, "now": now})
    else:
        said = "the same to the bit" if found.is_same else f"return {before:+.2f} % then, {now:+.2f} % now"
        typer.echo(f"{found.before.title}: {said}")
        for one in found.differs:
            typer.echo(f"note: {one}", err=True)
    if not found.is_same and not found.differs:
        raise AttentionError(f"run {name} came out otherwise, and nothing that it goes by has changed: report this")


def _row(one: "Kept") -> dict[str, Any]:
    run = one.run
    return {"id": run.id, "at": run.at, "title": run.title, "stale": bool(one.changed), "kept": run.kept} | {
        each: one.figures.get(each) for each in _FIGURES
    }


def _show(found: "list[Kept]", *, wide: bool) -> None:
    names = ("return", "drawdown", "Sharpe", "trades")
    columns = (
        Column("run"),
        *(Column(name, place, right=True) for place, name in enumerate(names, 1)),
        Column("candles", 5),
        Column("kept", 8),
        Column("at (UTC)", 7),
        Column("of", 6, long="wrap"),
    )
    rows = [
        (
            one.run.id,
            percent(one.figures.get("return_pct"), " %"),
            _said(one.figures.get("max_drawdown_pct")),
            _said(one.figures.get("sharpe")),
            one.figures.get("trades"),
            "changed" if one.changed else "as then",
            "for good" if one.run.kept else "",
            moment(one.run.at),
            one.run.title,
        )
        for one in found
    ]
    print_table(columns, rows, wide=wide)


def _stale(found: "Kept") -> list[str]:
    if not found.changed:
        return []
    return [f"stale: candles of {', '.join(found.changed)} changed since; tidemark rerun {found.run.id}"]


def _said(value: Any, digits: int = 2) -> Any:
    return f"{value:,.{digits}f}" if isinstance(value, float) else value
