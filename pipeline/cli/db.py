"""`tidemark db`: the embedded database by hand: start it, stop it, look at it, get its address."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, print_json

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.store.mongod.server import ServerStatus

app = typer.Typer(name="db", no_args_is_help=True, help="Start, stop and look at the embedded database.")


@app.command(epilog="Example: [bold]tidemark db start[/bold]")
def start(as_json: Json = False) -> None:
    """Start the database, or join the one that runs; it stays until [bold]tidemark db stop[/bold]."""
    from pipeline.store.mongod.session import embedded  # noqa: PLC0415

    settings = _settings_of_embedded("start")
    server = embedded(settings)
    with server.running():
        server.keep()
        status = server.status()
    _show(status, as_json)


@app.command(epilog="Example: [bold]tidemark db stop[/bold]")
def stop(
    force: Annotated[bool, typer.Option("--force", help="Stop it even while another tidemark uses it.")] = False,
    unused: Annotated[
        bool, typer.Option("--unused", help="Stop it only if no tidemark uses it and none asked it to stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop the database cleanly. It is no error if it does not run."""
    from pipeline.errors import UsageError  # noqa: PLC0415
    from pipeline.store.mongod.session import embedded  # noqa: PLC0415

    if force and unused:
        raise UsageError("--force and --unused contradict each other; give one of them")
    server = embedded(_settings_of_embedded("stop"))
    stopped = server.stop_unused() if unused else server.stop(force=force)
    if as_json:
        print_json({"stopped": stopped})
    elif stopped:
        typer.echo("The database is stopped.")
    else:
        typer.echo("The database stays as it was." if unused else "The database was not running.")


@app.command(epilog="Example: [bold]tidemark db status --json[/bold]")
def status(as_json: Json = False) -> None:
    """Whether the database runs, where, and who uses it. Changes nothing. Exits with 3 when it cannot be used."""
    from pipeline.settings import load  # noqa: PLC0415

    settings = load()
    if settings.mongo_uri is not None:
        _show_other(settings.mongo_uri.get_secret_value(), as_json)
        return
    from pipeline.store.mongod.session import embedded  # noqa: PLC0415

    found = embedded(settings).status()
    _show(found, as_json)
    if not found.ready:
        raise typer.Exit(3)


@app.command(epilog='Example: [bold]mongosh "$(tidemark db uri)"[/bold]')
def uri(
    redacted: Annotated[bool, typer.Option("--redacted", help="Hide the password.")] = False, as_json: Json = False
) -> None:
    """Print the URI of the database, password included: for mongosh, Compass and your own programs."""
    from pipeline.settings import load  # noqa: PLC0415
    from pipeline.store.connect import redact  # noqa: PLC0415
    from pipeline.store.mongod.session import embedded  # noqa: PLC0415

    settings = load()
    text = settings.mongo_uri.get_secret_value() if settings.mongo_uri else embedded(settings).uri
    shown = redact(text) if redacted else text
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
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.errors import UsageError  # noqa: PLC0415
    from pipeline.store.mongod.initiate import Administrator  # noqa: PLC0415
    from pipeline.store.mongod.initiate import initiate as make  # noqa: PLC0415

    settings = begin()
    if settings.mongo_uri is None:
        raise UsageError("TIDEMARK_MONGO_URI is not set; the embedded database needs none of this.")
    administrator = Administrator(admin, admin_password_file.read_text(encoding="utf-8").strip())
    made = make(settings.mongo_uri.get_secret_value(), administrator, settings.database, patience=patience)
    facts = {"replica_set": made.replica_set, "members": made.members, "user": made.user, "database": settings.database}
    if as_json:
        print_json(facts)
    else:
        typer.echo(f"{made.user} may use {settings.database} on {made.replica_set} ({', '.join(made.members)}).")


def _settings_of_embedded(wish: str) -> "Settings":
    from pipeline.errors import UsageError  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    settings = load()
    if settings.mongo_uri is not None:
        raise UsageError(
            f"TIDEMARK_MONGO_URI names a server that is not ours to {wish}. Remove it to use the embedded database."
        )
    return settings


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


def _show_other(text: str, as_json: bool) -> None:
    from pipeline.store import connect  # noqa: PLC0415

    with connect.client(text) as client:
        connect.require(client, text)
        facts = {"ready": True, "address": connect.hosts(text), "version": client.server_info()["version"]}
    if as_json:
        print_json(facts)
    else:
        typer.echo(f"MongoDB {facts['version']} answers at {facts['address']}; it is not ours to start or stop.")
