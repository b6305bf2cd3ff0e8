"""Make a listening mongod ready: a replica set of one, and one user with our password.

Every step looks first and does only what is missing, so it can be interrupted anywhere and run again. It speaks as the
server's internal user, whom the key file authenticates: no moment exists in which a stranger could make the first user,
and a lost password or a changed port is mended without a person.
"""

import time
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from pipeline.errors import AttentionError
from pipeline.store.mongod.folder import Folder
from pipeline.store.mongod.launch import LOOPBACK, REPLICA_SET

USER: Final = "tidemark"
_POLL: Final = 0.01
_AUTHENTICATION_FAILED: Final = 18
_ALREADY_INITIALIZED: Final = 23
_NOT_FOUND: Final = 11
_NOT_YET_INITIALIZED: Final = 94

Admin = MongoClient[dict[str, Any]]


def address(port: int) -> str:
    return f"{LOOPBACK}:{port}"


def is_ready(folder: Folder, port: int, patience: float) -> bool:
    """Whether the server takes our password and accepts writes. A stranger, not knowing it, cannot pass."""
    with _client(port, USER, folder.password, "admin", patience) as client:
        try:
            return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False


def make_ready(folder: Folder, port: int, timeout: float, patience: float) -> None:
    """Bring the server from whatever state it was left in to one that takes our password and accepts writes.

    `timeout` is for the whole, `patience` for one answer, in seconds. A server that becomes primary may close its
    connections, and one whose port another program has now takes a while to see that: neither ends anything.
    """
    deadline = time.monotonic() + timeout
    with _client(port, "__system", folder.key, "local", patience) as admin:
        while True:
            try:
                _form_set(admin, port)
                _wait_writable(admin, deadline, timeout)
                if not is_ready(folder, port, patience):
                    _set_password(admin, folder.password)
            except PyMongoError as error:
                if _passes(error) and time.monotonic() < deadline:
                    time.sleep(_POLL)
                    continue
                if isinstance(error, OperationFailure):
                    raise AttentionError(_refusal(folder, port, error)) from error
                raise AttentionError(
                    f"the database at {address(port)} stopped answering while it was set up: {error}. "
                    f"{folder.log} says why. Try again; if it hangs, end it with `tidemark db stop --force`."
                ) from error
            return


def shut_down(folder: Folder, port: int, patience: float) -> bool:
    """Ask the server to write everything and end; returns whether it agreed, by closing the connection."""
    with _client(port, "__system", folder.key, "local", patience) as admin:
        try:
            admin.admin.command("shutdown", force=True, timeoutSecs=0)
        except PyMongoError as error:
            return _only_disconnected(error)
    return True


def _passes(error: PyMongoError) -> bool:
    """Whether the same may go well in a moment."""
    return _only_disconnected(error) or (isinstance(error, OperationFailure) and error.code == _NOT_YET_INITIALIZED)


def _only_disconnected(error: PyMongoError) -> bool:
    """Whether the server closed a connection, rather than not being there or not answering in time."""
    return isinstance(error, AutoReconnect) and not isinstance(error, ServerSelectionTimeoutError | NetworkTimeout)


def _client(port: int, user: str, password: str, source: str, patience: float) -> Admin:
    milliseconds = int(patience * 1_000)
    return MongoClient(
        LOOPBACK,
        port,
        username=user,
        password=password,
        authSource=source,
        authMechanism="SCRAM-SHA-256",
        directConnection=True,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        socketTimeoutMS=milliseconds,
        retryWrites=False,
        appname="tidemark-server",
    )


def _form_set(admin: Admin, port: int) -> None:
    member = {"_id": 0, "host": address(port)}
    configuration = admin.local["system.replset"].find_one()
    if configuration is None:
        try:
            admin.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        except OperationFailure as error:
            if error.code != _ALREADY_INITIALIZED:
                raise
    elif [one["host"] for one in configuration["members"]] != [member["host"]]:
        configuration["members"] = [configuration["members"][0] | member]
        configuration["version"] += 1
        configuration.pop("term", None)
        admin.admin.command("replSetReconfig", configuration, force=True)


def _wait_writable(admin: Admin, deadline: float, timeout: float) -> None:
    while not admin.admin.command("hello")["isWritablePrimary"]:
        if time.monotonic() > deadline:
            raise AttentionError(
                f"the database started but accepted no writes within {timeout:.0f} seconds. "
                "Try again; if it stays so, look into mongod.log in the data folder."
            )
        time.sleep(_POLL)


def _set_password(admin: Admin, password: str) -> None:
    try:
        admin.admin.command("updateUser", USER, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code != _NOT_FOUND:
            raise
        admin.admin.command("createUser", USER, pwd=password, roles=["root"])


def _refusal(folder: Folder, port: int, error: OperationFailure) -> str:
    if error.code == _AUTHENTICATION_FAILED:
        return (
            f"the database at {address(port)} runs with another key than {folder.key_file}. "
            "Stop it with `tidemark db stop --force` and try again."
        )
    return f"the database at {address(port)} refused to be set up: {error.details or error}"
