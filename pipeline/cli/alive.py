"""`tidemark alive`: for a container's healthcheck: does the process of that role on this host do its work?"""

import socket
from typing import Annotated

import typer

from pipeline.app.alive import Role
from pipeline.cli.beside import Where
from pipeline.cli.output import Json, print_json

app = typer.Typer()


@app.command(epilog="Example: [bold]tidemark alive ingester[/bold]")
def alive(
    role: Annotated[Role, typer.Argument(help="Which process.")],
    host: Annotated[str | None, typer.Option(help="Where it runs; without it: here.")] = None,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Exit with 0 while that process shows signs of life in the database, else with 3.

    An executor that stands by for another one is alive too: somebody holds the lease.
    """
    from pipeline.app.alive import sign_of_life  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    found = sign_of_life(begin(exchange), role, host or socket.gethostname())
    if as_json:
        print_json({"role": role, "alive": found is not None, "sign": found})
    else:
        typer.echo(found or f"no sign of life of the {role}")
    if found is None:
        raise typer.Exit(3)
