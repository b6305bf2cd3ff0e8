"""Whether the process of a role does its work on a host, by what the database knows. Reads only."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.settings import Settings


class Role(StrEnum):
    """Who can be asked after."""

    INGESTER = "ingester"
    EXECUTOR = "executor"


def sign_of_life(settings: "Settings", role: Role, host: str) -> str | None:
    """The newest sign of it, in words. An executor that stands by for another one lives too: somebody holds the lease.

    The database is taken as it is, not prepared: who asks every few seconds wants an answer and nothing else."""
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.mongod.session import running  # noqa: PLC0415

    with running(settings) as uri, connect.client(uri) as client:
        connect.require(client, uri)
        return _sign(client[settings.database], role, host, settings.environment)


def _sign(db: "Database[dict[str, Any]]", role: Role, host: str, environment: str) -> str | None:
    from pipeline.store.lease import LeaseStore  # noqa: PLC0415
    from schemas.control import ALIVE_FOR  # noqa: PLC0415

    since = datetime.now(UTC) - ALIVE_FOR
    wanted = {"kind": "heartbeat", "role": role.value, "exchange": environment, "host": host, "at": {"$gte": since}}
    beat = db["control"].find_one(wanted)
    if beat is not None:
        return f"{role} (process {beat['pid']}) beat at {beat['at']:%H:%M:%S}"
    if role is Role.EXECUTOR:
        holder = LeaseStore(db, f"executor:{environment}", "nobody").holder()
        return holder and f"the lease is held by {holder}"
    return None
