"""`tidemark search`, `tidemark trials`: which parameters would have earned, and each set that was tried."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import moment, percent
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.signals import print_csv
from pipeline.cli.strategies import pair
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.app.search import Found
    from pipeline.app.searched import Kept
    from schemas.searches import Search, Trial

app = typer.Typer()
tried = typer.Typer(help="Searches that were made, the newest first; with a name its trials, the best first.")
app.add_typer(tried, name="trials")

EXAMPLES = """
Examples:

  tidemark search macd_turtle --symbol BTCUSDT --interval 1h --days 300 --trials 500

  tidemark search ma_breakout --space n=5..60:5 --space stop=1..4:0.5 --sampler grid

  tidemark search --resume 20261127-114610-16f1f2
"""
_BEST = 10
_SHOWN = ("return_pct", "max_drawdown_pct", "sharpe", "trades", "profit_factor")


@app.command(epilog=EXAMPLES)
def search(
    *,
    strategy: Annotated[str | None, typer.Argument(help="A name, or path/to/file.py:Name.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Which contracts; repeat it for several.")] = None,
    interval: Annotated[str | None, typer.Option("--interval", "-i", help="Candles of the signals.")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUES", help="What is searched: n=5..60:5, criterion=macd,both, stop=1..4:0.5."),
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter that stays; may be repeated.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="So many sets; 200 where nothing is said.")] = None,
    sampler: Annotated[str, typer.Option(help="random, qmc (evenly spread), tpe (led by what was found), grid.")] = (
        "random"
    ),
    seed: Annotated[int, typer.Option(help="The same seed tries the same sets.")] = 1,
    objective: Annotated[
        list[str] | None, typer.Option(help="The figure that ranks; repeat it for several. sharpe if none.")
    ] = None,
    folds: Annotated[int, typer.Option("--walk-forward", help="So many folds; 0: none.")] = 6,
    anchored: Annotated[bool, typer.Option("--anchored", help="Train from the first day on in each fold.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="End a set that is below the middle on the first training stretch.")
    ] = False,
    sealed: Annotated[float, typer.Option(help="The share of the days, the last, that no set sees.")] = 0.15,
    days: Annotated[float | None, typer.Option(min=0, help="So many, until the end.")] = None,
    start: Annotated[str | None, typer.Option(help="From here on, ISO 8601; without a zone it is UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Up to here.")] = None,
    equity: Annotated[
        float | None, typer.Option(min=0, help="What the account begins with; usual: 10,000, or coins of that worth.")
    ] = None,
    through_holes: Annotated[
        bool, typer.Option("--through-holes", help="Go on although minutes are not stored over which one may be held.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What it is called; one of that name goes on.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with that one, as it was asked for.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="So many processes of this machine; unless said, one a core where it takes long.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The workers of that Dask cluster: tcp://HOST:8786.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a report: one file, for any browser.", dir_okay=False),
    ] = None,
    exchange: Where = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Which parameters would have earned? Sets of them over stored candles, by the rules of a backtest; each is kept.

    What was best on a stretch is judged on the stretch behind it. The last days are sealed: no set sees them.
    """
    from pipeline.app.moments import moment as moment_of  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.progress import trials_done  # noqa: PLC0415
    from pipeline.app.search import report  # noqa: PLC0415
    from pipeline.app.search import search as run  # noqa: PLC0415
    from pipeline.app.searched import SearchFor, resumed  # noqa: PLC0415
    from pipeline.app.trying import workers_of  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    if (strategy is None) == (resume is None):
        raise UsageError("name a strategy to search, or --resume NAME, and not both")
    if days is not None and start is not None:
        raise UsageError("--days and --start exclude each other; choose one")
    settings = having_data(begin(exchange))
    at_work = workers_of(settings.home / "search", workers, cluster)
    with Opened(settings) as tm, at_work as those, trials_done(shown=not as_json) as told:
        if resume is not None:
            asked = resumed(tm, resume, trials)
        else:
            asked = SearchFor(
                strategy=strategy or "",
                symbols=symbol or [],
                interval=interval,
                parameters=dict(map(pair, parameters or [])),
                space=space or [],
                days=days,
                start=moment_of("--start", start),
                end=moment_of("--end", end),
                equity=None if equity is None else Decimal(repr(equity)),
                trials=200 if trials is None else trials,
                sampler=sampler,
                seed=seed,
                objectives=objective or ["sharpe"],
                folds=folds,
                anchored=anchored,
                prune=prune,
                through_holes=through_holes,
                sealed=sealed,
                name=name,
            )
        found = run(tm, asked, workers=those, begun=_say_name, progress=told)
    if html is not None:
        report(found, html)
        typer.echo(f"the report is in {html}", err=True)
    if as_json:
        print_json(_whole(found))
    else:
        _show(found, wide=wide)


@tried.callback(invoke_without_command=True)
def trials(
    context: typer.Context,
    *,
    of: Annotated[str | None, typer.Option("--search", help="The trials of that one, not the searches.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="So many.")] = 20,
    exchange: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print them as CSV on stdout.")] = False,
    wide: Wide = False,
) -> None:
    """Searches that were made, the newest first; with --search its trials, the best first."""
    if context.invoked_subcommand is not None:
        return
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.searched import searches  # noqa: PLC0415
    from pipeline.app.searched import trials as ask  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; choose one")
    with Opened(having_data(begin(exchange))) as tm:
        if of is None:
            kept = searches(tm, most)
            rows = [_search_row(one) for one in kept]
        else:
            one, found = ask(tm, of)
            rows = [_row(each) for each in found[:most]]
    if as_json:
        print_json(rows)
    elif as_csv:
        print_csv(tuple(rows[0]) if rows else ("id",), (tuple(each.values()) for each in rows))
    elif of is None:
        _show_searches(kept, wide=wide)
    else:
        _show_trials(one, found[:most], wide=wide)


@tried.command(epilog="Example: [bold]tidemark trials show 20261127-114610-16f1f2:17[/bold]")
def show(
    name: Annotated[str, typer.Argument(metavar="TRIAL", help="As `tidemark trials --search NAME` shows it.")],
    *,
    exchange: Where = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """One of them: its parameters, its figures, and those of each fold."""
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.searched import trial  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm:
        found = trial(tm, name)
    if as_json:
        print_json(found.model_dump())
        return
    title = f"trial {found.id}: {_words(found.parameters)}"
    columns: list[Column | str] = ["figure", Column("whole", 0, right=True)]
    columns += [Column(f"fold {place}", place, right=True) for place in range(1, len(found.folds) + 1)]
    rows = [(each, _said(value), *(_both(fold, each) for fold in found.folds)) for each, value in found.figures.items()]
    if rows:
        print_table(columns, rows, title=title, wide=wide)
    else:
        typer.echo(f"{title}: {found.state}, {found.reason}")


@tried.command("open", epilog="Example: [bold]tidemark trials open 20261127-114610-16f1f2[/bold]")
def open_(
    name: Annotated[str, typer.Argument(metavar="SEARCH", help="As `tidemark trials` shows it.")],
    *,
    trial: Annotated[str | None, typer.Option(help="For that trial; the best if none.")] = None,
    exchange: Where = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """What the sealed days make of a trial. They open once, and it is kept for which trial; later the same is shown."""
    from pipeline.app.adopting import open_sealed  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm:
        sealed = open_sealed(tm, name, trial).sealed
    if sealed is None or sealed.figures is None or sealed.opened_at is None:
        return
    if as_json:
        print_json(sealed.model_dump())
        return
    title = f"{sealed.trial} on the sealed days, opened {moment(sealed.opened_at)}"
    rows = [(each, _said(value)) for each, value in sealed.figures.items()]
    print_table(("figure", Column(f"{moment(sealed.start)} on", 1, right=True)), rows, title=title, wide=wide)


@app.command(epilog="Example: [bold]tidemark adopt 20261127-114610-16f1f2:17 --symbol BTCUSDT[/bold]")
def adopt(
    name: Annotated[str, typer.Argument(metavar="TRIAL", help="As `tidemark trials --search NAME` shows it.")],
    *,
    symbol: Annotated[str, typer.Option(help="Whose own settings are written.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="In production also what is likely luck.")] = False,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Trade a symbol as a trial did: its strategy alone, on its candles, with its stop, target and leverage.

    The parameters of the strategy stand in the settings, for all symbols: if they are not the trial's, it is said what
    to write there, and nothing is adopted.
    """
    from pipeline.app.adopting import adopt as write  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    with Opened(having_data(begin(exchange))) as tm:
        found = write(tm, name, symbol, by=operator(), anyway=anyway)
    if as_json:
        print_json(found._asdict())
        return
    typer.echo(f"{found.symbol}: {', '.join(f'{one} {_listed(value)}' for one, value in found.changes.items())}")
    typer.echo(found.reason)


def _say_name(name: str) -> None:
    typer.echo(f"search {name}: if it is interrupted, tidemark search --resume {name} goes on", err=True)


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "as in the settings" if value is None else str(value)


def _whole(found: "Found") -> dict[str, Any]:
    """Everything but the trials, for a program: `tidemark trials --search NAME --json` has those."""
    return {**found.search.model_dump(), "best": [_row(one) for one in found.best]}


def _row(trial: "Trial") -> dict[str, Any]:
    return {"id": trial.id, "number": trial.number, "state": trial.state, "reason": trial.reason} | {
        **trial.parameters, **trial.figures
    }  # fmt: skip


def _search_row(kept: "Kept") -> dict[str, Any]:
    one = kept.search
    return {
        "id": one.id, "at": one.at, "strategy": one.strategy, "symbols": " ".join(one.symbols),
        "intervals": " ".join(one.intervals), "start": one.start, "end": one.end, "sampler": one.sampler,
        "seed": one.seed, "objectives": " ".join(one.objectives), "tried": kept.tried, "wanted": one.trials,
        "ended_at": one.ended_at,
    }  # fmt: skip


def _show(found: "Found", *, wide: bool) -> None:
    from pipeline.app.search import ranked  # noqa: PLC0415

    best = found.best[:_BEST] if len(found.search.objectives) > 1 else ranked(found)[:_BEST]
    _show_trials(found.search, best, wide=wide)
    failed = [one for one in found.trials if one.state == "failed"]
    for one in failed[:1]:
        typer.echo(f"note: {len(failed)} of {len(found.trials)} failed, the first: {one.reason}", err=True)
    if found.forward is not None:
        typer.echo()
        _show_forward(found)
    typer.echo()
    _show_verdict(found)
    for note in found.search.notes:
        typer.echo(f"note: {note}", err=True)


def _show_trials(search: "Search", shown: "Sequence[Trial]", *, wide: bool) -> None:
    names = [*search.objectives, *(one for one in _SHOWN if one not in search.objectives)]
    columns = (
        Column("trial"),
        *(Column(one, 0 if one in search.objectives else place, right=True) for place, one in enumerate(names, 2)),
        Column("parameters", 1, long="wrap"),
    )
    rows = [
        (
            one.id,
            *(_said(one.figures.get(each)) for each in names),
            _words(one.parameters) if one.state == "done" else f"{one.state}: {one.reason}",
        )
        for one in shown
    ]
    print_table(columns, rows, title=f"{search.strategy}, {_span(search)}", wide=wide)


def _show_forward(found: "Found") -> None:
    forward = found.forward
    if forward is None:
        return
    from pipeline.timeline import to_datetime  # noqa: PLC0415

    first = found.search.objectives[0]
    columns = (
        Column("behind (UTC)"), Column("chosen", 3, right=True), Column(f"{first}, chosen by", 1, right=True),
        Column(f"{first}, behind", 0, right=True), Column("return behind", 2, right=True),
    )  # fmt: skip
    rows = [
        (
            moment(to_datetime(one.test[0])), one.chosen, _said(one.trained.get(first)), _said(one.brought.get(first)),
            percent(one.brought["return_pct"], " %"),
        )
        for one in forward.steps
    ]  # fmt: skip
    print_table(columns, rows, title="out of sample: chosen on a stretch, traded on the one behind it")
    figures = forward.figures
    typer.echo(f"all of them: {figures['return_pct']:+.2f} %, Sharpe {_said(figures['sharpe'])},")
    typer.echo(f"deepest drawdown {figures['max_drawdown_pct']:.2f} %, {figures['trades']} trades")


def _show_verdict(found: "Found") -> None:
    verdict = found.verdict
    rows = [("because", one) for one in verdict.because] + [("it would change", one) for one in verdict.would_change]
    print_table((Column(verdict.word, 1), Column("", 0, long="wrap")), rows, title="verdict of the best trial")


def _show_searches(kept: "Sequence[Kept]", *, wide: bool) -> None:
    columns = (
        Column("search"), Column("strategy", 1), Column("tried", 2, right=True), Column("by", 3),
        Column("at (UTC)", 4), Column("over", 5, long="wrap"),
    )  # fmt: skip
    rows = [
        (
            one.search.id, one.search.strategy, f"{one.tried}/{one.search.trials}", one.search.sampler,
            moment(one.search.at), _span(one.search),
        )
        for one in kept
    ]  # fmt: skip
    print_table(columns, rows, wide=wide)


def _span(one: "Search") -> str:
    return f"{' '.join(one.symbols)} {' '.join(one.intervals)}, {moment(one.start)} to {moment(one.end)}"


def _words(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _both(fold: dict[str, Any], name: str) -> str:
    """Where it would have been chosen, and behind that."""
    train, test = fold["train"], fold["test"]
    return f"{_said(train[name])} / {_said(test[name])}" if name in train else ""
