"""`tidemark db`: the embedded database by hand: start it, stop it, look at it, get its address."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, print_json

if TYPE_CHECKING:
    from pipeline.app.embedded import Other, ServerStatus

app = typer.Typer(name="db", no_args_is_help=True, help="Start, stop and look at the embedded database.")


@app.command(epilog="Example: [bold]tidemark db start[/bold]")
def start(as_json: Json = False) -> None:
    """Start the database, or join the one that runs; it stays until [bold]tidemark db stop[/bold]."""
    from pipeline.app import embedded  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    _show(embedded.start(load(), by=operator()), as_json)


@app.command(epilog="Example: [bold]tidemark db stop[/bold]")
def stop(
    force: Annotated[bool, typer.Option("--force", help="Stop it even while another tidemark uses it.")] = False,
    unused: Annotated[
        bool, typer.Option("--unused", help="Stop it only if no tidemark uses it and none asked it to stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop the database cleanly. It is no error if it does not run."""
    from pipeline.app import embedded  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    stopped = embedded.stop(load(), force=force, unused=unused, by=operator())
    if as_json:
        print_json({"stopped": stopped})
    elif stopped:
        typer.echo("The database is stopped.")
    else:
        typer.echo("The database stays as it was." if unused else "The database was not running.")


@app.command(epilog="Example: [bold]tidemark db status --json[/bold]")
def status(as_json: Json = False) -> None:
    """Whether the database runs, where, and who uses it. Changes nothing. Exits with 3 when it cannot be used."""
    from pipeline.app import embedded  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    found = embedded.status(load())
    if isinstance(found, embedded.Other):
        _show_other(found, as_json)
        return
    _show(found, as_json)
    if not found.ready:
        raise typer.Exit(3)


@app.command(epilog='Example: [bold]mongosh "$(tidemark db uri)"[/bold]')
def uri(
    redacted: Annotated[bool, typer.Option("--redacted", help="Hide the password.")] = False, as_json: Json = False
) -> None:
    """Print the URI of the database, password included: for mongosh, Compass and your own programs."""
    from pipeline.app import embedded  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    settings = load()
    shown = embedded.uri(settings, redacted=redacted)
    if as_json:
        print_json({"uri": shown, "database": settings.database})
    else:
        typer.echo(shown)


@app.command(epilog="Example: [bold]tidemark db initiate --admin-password-file /run/secrets/mongo_root_password[/bold]")
def initiate(
    *,
    admin: Annotated[str, typer.Option(help="Who may make replica sets and users.")] = "root",
    admin_password_file: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The file that holds that user's password.")
    ],
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for servers that still start.")] = 120,
    as_json: Json = False,
) -> None:
    """Make servers of your own ready: the replica set and the user that TIDEMARK_MONGO_URI names. May be run again."""
    from pipeline.app import embedded  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    made = embedded.initiate(begin(), admin, admin_password_file, patience=patience, by=operator())
    if as_json:
        print_json(made)
    else:
        typer.echo(f"{made.user} may use {made.database} on {made.replica_set} ({', '.join(made.members)}).")


def _show(found: "ServerStatus", as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found.running:
        typer.echo(f"The database does not run. Its folder: {found.folder}")
        return
    state = "accepts writes" if found.ready else "runs but does not accept writes"
    stays = "stays until `tidemark db stop`" if found.kept else "stops with its last user"
    typer.echo(f"The database {state} at {found.address} (process {found.process_id}); it {stays}.")
    typer.echo(f"In use: {'yes' if found.in_use else 'no'}. Data: {found.data_mb:.0f} MB in {found.folder}")


def _show_other(found: "Other", as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        typer.echo(f"MongoDB {found.version} answers at {found.address}; it is not ours to start or stop.")
