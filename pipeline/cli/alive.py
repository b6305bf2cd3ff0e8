"""`tidemark alive`: for a container's healthcheck: does the process of that role on this host do its work?"""

import socket
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import Json, print_json

if TYPE_CHECKING:
    from pymongo.database import Database

app = typer.Typer()


class Role(StrEnum):
    """Who can be asked after."""

    INGESTER = "ingester"
    EXECUTOR = "executor"


@app.command(epilog="Example: [bold]tidemark alive ingester[/bold]")
def alive(
    role: Annotated[Role, typer.Argument(help="Which process.")],
    host: Annotated[str | None, typer.Option(help="Where it runs; without it: here.")] = None,
    as_json: Json = False,
) -> None:
    """Exit with 0 while that process shows signs of life in the database, else with 3.

    An executor that stands by for another one is alive too: somebody holds the lease.
    """
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.mongod.session import running  # noqa: PLC0415

    settings = begin()
    with running(settings) as uri, connect.client(uri) as client:
        connect.require(client, uri)
        found = _signs(client[settings.database], role, host or socket.gethostname(), settings.environment)
    if as_json:
        print_json({"role": role, "alive": found is not None, "sign": found})
    else:
        typer.echo(found or f"no sign of life of the {role}")
    if found is None:
        raise typer.Exit(3)


def _signs(db: "Database[dict[str, Any]]", role: Role, host: str, environment: str) -> str | None:
    from schemas.control import ALIVE_FOR  # noqa: PLC0415

    since = datetime.now(UTC) - ALIVE_FOR
    beat = db["control"].find_one({"kind": "heartbeat", "role": role.value, "host": host, "at": {"$gte": since}})
    if beat is not None:
        return f"{role} (process {beat['pid']}) beat at {beat['at']:%H:%M:%S}"
    if role is Role.EXECUTOR:
        from pipeline.store.lease import LeaseStore  # noqa: PLC0415

        holder = LeaseStore(db, f"executor:{environment}", "nobody").holder()
        return holder and f"the lease is held by {holder}"
    return None
