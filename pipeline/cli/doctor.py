"""`tidemark doctor`: is this machine ready, and if not, how to mend it."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.app.checks import Checked

app = typer.Typer()

_MARKS = {"good": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "bold red")}


@app.command(epilog="Example: [bold]tidemark doctor --only database --only disk[/bold]")
def doctor(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Run this check alone; may be repeated.")
    ] = None,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Check this machine: Python, Prefect, TA-Lib, disk, mongod, database, exchange, clock, keys and stages.

    Changes nothing and prints no secret. Exits with 0 when all is well, with 3 when something needs you.
    """
    findings = list(_examine(only or [], exchange))
    healthy = all(finding.state != "problem" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": findings})
    else:
        _show(findings)
    if not healthy:
        raise typer.Exit(3)


def _examine(only: list[str], exchange: str | None) -> "list[Checked]":
    from pipeline.app.checks import CHECKS, Checked, of_each  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    for name in only:
        if name not in CHECKS:
            raise UsageError(f"there is no check {name!r}. Allowed: {', '.join(CHECKS)}")
    try:
        settings = load().at(exchange)
    except UsageError as error:
        return [
            Checked("settings", "problem", line, "Correct it and run this again.") for line in str(error).split("\n")
        ]
    return [finding for name in CHECKS if name in (only or CHECKS) for finding in of_each(name, settings)]


def _show(findings: "list[Checked]") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        mark, style = _MARKS[finding.state]
        console.print(Text.assemble((f"{mark:<8}", style), f"{finding.check:<9}", finding.found))
        if finding.mend:
            console.print(Text.assemble(" " * 17, (finding.mend, "bold")))
