"""`tidemark execute`, `tidemark mode`: the executor in the foreground, and whether it sends orders."""

from typing import Annotated, get_args

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import moment
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError
from schemas.shared import Mode

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark execute                      decide on fresh signals until Ctrl-C; what it sends depends on the mode

  tidemark execute --take-over          the same, after another installation on the account is gone for good

  tidemark mode auto-execute            send orders from now on (a running executor takes it up within a second)

  tidemark halt --flatten               open nothing any more and close what is held
"""


@app.command(epilog=EXAMPLES)
def execute(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="First make ours what other Tidemark installations have open on the account. Only if they are gone.",
        ),
    ] = False,
    exchange: Where = None,
) -> None:
    """Act on fresh signals, each at most once. A second executor stands by and takes over within seconds."""
    from pipeline.app import executor  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    executor.execute(
        begin(exchange, log_is_output=True),
        take_over=take_over,
        by=operator(),
        say=lambda text: typer.echo(text, err=True),
    )


@app.command(epilog="Examples: [bold]tidemark mode[/bold], [bold]tidemark mode auto-execute --reason tested[/bold]")
def mode(
    wanted: Annotated[str | None, typer.Argument(metavar="[signal-only|auto-execute]")] = None,
    reason: Annotated[str | None, typer.Option(help="Kept with the change.")] = None,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Show or change whether orders are sent. A running executor takes it up within a second."""
    from pipeline.app import switches  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator, require_confirmation  # noqa: PLC0415
    from pipeline.cli.beside import say_place, tell_standing  # noqa: PLC0415

    if wanted not in {None, *get_args(Mode)}:
        raise UsageError(f"there is no mode {wanted!r}. Allowed: {', '.join(get_args(Mode))}")
    settings = begin_beside(exchange)
    if wanted == "auto-execute":
        require_confirmation(settings)
    with Opened(having_data(settings) if wanted is None else settings) as tm:
        say_place(settings, tm.db)
        if wanted is not None:
            sends = wanted == "auto-execute"
            switches.set_mode(tm, "auto-execute" if sends else "signal-only", by=operator(), reason=reason)
        changes = switches.mode_changes(tm)
        stands = tell_standing(settings, tm.db, as_json=as_json)
    if as_json:
        print_json({"environment": settings.environment, "mode": stands.mode, "standing": stands, "changes": changes})
        return
    typer.echo(f"{settings.environment}: {stands.mode}")
    if changes:
        print_table(
            (Column("at (UTC)"), Column("by", 3), Column("from", 4), Column("to", 1), Column("reason", 2, long="wrap")),
            [(moment(one.at, seconds=True), one.by, one.old, one.new, one.reason) for one in changes[-10:]],
            wide=wide,
        )
