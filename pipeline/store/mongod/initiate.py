"""Makes servers that run somewhere else ready for us: one replica set of them, and one user who may use one database.

What the URI says is what is made: its hosts become the members, its user the user. Every step looks first and does only
what is missing, so it can be run again. The embedded server needs none of this.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import InvalidURI, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from pipeline.errors import AttentionError, UsageError

_ALREADY_INITIALIZED: Final = 23
_NOT_FOUND: Final = 11
_WRONG_PASSWORD: Final = 18
_ANSWER: Final = 5_000
_POLL: Final = 0.2

Admin = MongoClient[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who may form a replica set and make users."""

    name: str
    password: str
    source: str = "admin"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a URI asks for."""

    members: tuple[str, ...]
    replica_set: str
    user: str
    password: str
    source: str
    tls: dict[str, Any]


def wanted(uri: str) -> Wanted:
    """What that URI needs to work; it must name a replica set, a user and a password."""
    try:
        said = parse_uri(uri)
    except (InvalidURI, PyMongoError, ValueError):
        raise UsageError("TIDEMARK_MONGO_URI cannot be read as a MongoDB URI") from None
    name = said["options"].get("replicaSet")
    if not (name and said["username"] and said["password"]):
        raise UsageError(
            "TIDEMARK_MONGO_URI must name the replica set, the user and the password to make: "
            "mongodb://user:password@host:27017/?replicaSet=name&authSource=admin"
        )
    members = tuple(f"{host}:{port}" for host, port in said["nodelist"])
    tls = {option: value for option, value in said["options"].items() if option.lower().startswith("tls")}
    source = said["options"].get("authSource") or "admin"
    return Wanted(members, name, said["username"], said["password"], source, tls)


def initiate(
    uri: str,
    administrator: Administrator,
    database: str,
    *,
    patience: float = 120,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Wanted:
    """Form the set and make its user, waiting for servers that still start; returns what there is now."""
    goal = wanted(uri)
    deadline = clock() + patience
    while True:
        try:
            _form(goal, administrator)
            _give_access(goal, administrator, database)
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code == _WRONG_PASSWORD:
                raise AttentionError(
                    f"{goal.members[0]} refuses the administrator {administrator.name!r}: wrong name or password."
                ) from None
            if clock() > deadline:
                raise AttentionError(
                    f"the replica set {goal.replica_set!r} of {', '.join(goal.members)} was not ready within "
                    f"{patience:.0f} seconds: {error}"
                ) from None
            sleep(_POLL)
        else:
            return goal


def _client(goal: Wanted, administrator: Administrator, **which: Any) -> Admin:
    return MongoClient(
        list(goal.members if "replicaSet" in which else goal.members[:1]),
        username=administrator.name,
        password=administrator.password,
        authSource=administrator.source,
        serverSelectionTimeoutMS=_ANSWER,
        connectTimeoutMS=_ANSWER,
        socketTimeoutMS=_ANSWER,
        appname="tidemark-initiate",
        **which,
        **goal.tls,
    )


def _form(goal: Wanted, administrator: Administrator) -> None:
    members = [{"_id": number, "host": host} for number, host in enumerate(goal.members)]
    with _client(goal, administrator, directConnection=True) as admin:
        try:
            admin.admin.command("replSetInitiate", {"_id": goal.replica_set, "members": members})
        except OperationFailure as error:
            if error.code != _ALREADY_INITIALIZED:
                raise


def _give_access(goal: Wanted, administrator: Administrator, database: str) -> None:
    """A user who may do everything with that database, and nothing else."""
    roles = [{"role": role, "db": database} for role in ("readWrite", "dbAdmin")]
    with _client(goal, administrator, replicaSet=goal.replica_set, w="majority") as admin:
        try:
            admin[goal.source].command("updateUser", goal.user, pwd=goal.password, roles=roles)
        except OperationFailure as error:
            if error.code != _NOT_FOUND:
                raise
            admin[goal.source].command("createUser", goal.user, pwd=goal.password, roles=roles)
