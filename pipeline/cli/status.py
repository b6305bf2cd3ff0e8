"""`tidemark status`: what is current, what is behind, and which processes live. Reads the database only."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import amount, measured, moment
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import sentence

if TYPE_CHECKING:
    from pipeline.app.status import Process, SeriesNow, Status

app = typer.Typer()

SERIES = (
    *(
        Column("symbol"),
        Column("interval", 1),
        Column("closed (UTC)", 2),
        Column("frame age, s", 4, right=True),
        Column("behind", 3, right=True),
    ),
    *(Column("stored", 6, right=True), Column("holes", 5)),
)
TARGETS = (Column("how well it goes", long="wrap", least=24), Column("target", 3), Column("measured", 1), Column("met"))


@app.command(epilog="Examples: [bold]tidemark status[/bold], [bold]tidemark status --calls[/bold]")
def status(
    calls: Annotated[bool, typer.Option("--calls", help="Also what became of each call to the exchange.")] = False,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """How current each series is, and how the processes that keep it so are faring. Exits with 3 if one is dead, or a
    deployment has not run for too long."""
    from pipeline.app import status as asking  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.beside import tell_standing  # noqa: PLC0415

    settings = having_data(begin(exchange))
    with Opened(settings) as tm:
        stands = tell_standing(settings, tm.db, as_json=as_json)
        found = asking.status(tm)
    if as_json:
        print_json({"standing": stands} | {one.name: getattr(found, one.name) for one in fields(found)})
    else:
        _show(found, wide=wide)
        if calls:
            _show_calls(found.processes, wide=wide)
        for name in settings.every[1:] if settings.is_first else ():
            typer.echo(f"{name} is run as well: `tidemark status --exchange {name}`", err=True)
    if found.overdue or not all(process.alive for process in found.processes):
        raise typer.Exit(3)


def _show(found: "Status", *, wide: bool) -> None:
    if not found.processes:
        typer.echo("No ingester runs: `tidemark live` starts one.", err=True)
    for process in found.processes:
        typer.echo(_said_of(process))
    for late in found.overdue:
        typer.echo(f"OVERDUE: {late.lateness}")
    rows = [
        (one.symbol, one.interval, moment(_closed(one)), amount(one.frame_age), one.behind,
         amount(one.stored), one.holes)
        for one in found.series
    ]  # fmt: skip
    print_table(SERIES, rows, wide=wide)
    for one in found.series:
        if one.gone:
            series = f"{one.symbol} {one.interval}"
            typer.echo(f"{series}: given up: {sentence(one.gone)} `tidemark unwatch {one.symbol}` forgets it", err=True)
    met = {True: "yes", False: "NO", None: "no data yet"}
    judged = [(one.name, one.target, measured(one.measured, one.unit), met[one.met]) for one in found.targets]
    typer.echo()
    print_table(TARGETS, judged, wide=wide)


def _said_of(process: "Process") -> str:
    state = "lives" if process.alive else f"DEAD: last heartbeat {process.heartbeat_age:.0f} s ago"
    who = f"{process.role} {process.what} on {process.host} (process {process.pid}) {state}"
    if process.role == "executor":
        return ", ".join([who, "stands by" if process.stands_by else "acts", *_served(process)])

    def figure(name: str, scale: int = 1) -> float:
        return float(process.figures.get(name, 0)) * scale

    parts = (
        *(["STANDS BY: it stores what another stores too"] if process.stands_by else []),
        f"{figure('connections'):.0f} connections",
        f"{figure('frames_per_second'):.0f} frames/s",
        f"lag {figure('lag_p50'):.2f} s",
        f"stored after {figure('stored_after_p50', 1000):.0f} ms (p99 {figure('stored_after_p99', 1000):.0f} ms)",
        f"flush {figure('flush_p50', 1000):.0f} ms",
        f"{figure('missing'):.0f} candles missing",
        *_served(process),
        *(["FALLING BEHIND"] if figure("behind") else []),
    )
    return f"{who}: {', '.join(parts)}"


def _served(process: "Process") -> list[str]:
    """How the exchange serves that process, as far as it was measured."""
    figures = process.figures
    counted = [count for counts in process.calls.values() for count in counts.values()]
    answered = sum(counts.get("answered", 0) for counts in process.calls.values())
    calls = [f"{sum(counted):,} calls, {100 * answered / sum(counted):.1f} % answered"] if counted else []
    said = (
        ("api_mean", 1_000, "API {:.0f} ms on average"),
        ("api_p99", 1_000, "p99 {:.0f} ms"),
        ("uptime", 100, "stream up {:.3f} % since its start"),
        ("uptime_day", 100, "{:.3f} % of the last day"),
        ("weight_most", 100, "at most {:.0f} % of the request weight"),
    )
    return calls + [form.format(figures[name] * scale) for name, scale, form in said if name in figures]


def _show_calls(processes: "Sequence[Process]", *, wide: bool) -> None:
    ends = ("answered", "refused", "limited", "unknown", "failed")
    rows = [
        (process.role, call, *(counts.get(one, 0) for one in ends))
        for process in processes
        for call, counts in sorted(process.calls.items())
    ]
    print_table(("process", "call", *ends), rows, wide=wide)


def _closed(series: "SeriesNow") -> datetime | None:
    """When the newest closed candle did."""
    from pipeline.timeline import interval, to_datetime, to_ms  # noqa: PLC0415

    opened = series.last_closed
    return None if opened is None else to_datetime(interval(series.interval).after(to_ms(opened)))
