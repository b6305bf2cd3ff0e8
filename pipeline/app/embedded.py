"""The embedded database by hand: the orders to start and to stop it, how it is, and its address; and servers of one's
own made ready."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.app.audit_trail import note
from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.mongod import initiate as initiating
from pipeline.store.mongod.initiate import Administrator
from pipeline.store.mongod.server import Server, ServerStatus
from pipeline.store.mongod.session import embedded

__all__ = ["Other", "Ready", "ServerStatus", "initiate", "start", "status", "stop", "uri"]


@dataclass(frozen=True, slots=True)
class Other:
    """A server that is not ours to start or stop, and answers."""

    ready: bool
    address: str
    version: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Servers of one's own that are: their replica set, and who may use which database."""

    replica_set: str
    members: list[str]
    user: str
    database: str


def start(settings: Settings, *, by: str, reason: str | None = None) -> ServerStatus:
    """It runs, and stays until it is stopped."""
    server = _ours(settings, "start")
    with server.running():
        note(settings.home, "db start", by=by, reason=reason)
        server.keep()
        return server.status()


def stop(settings: Settings, *, force: bool = False, unused: bool = False, by: str, reason: str | None = None) -> bool:
    """Whether it was stopped. `force`: even while it is used; `unused`: only if nobody uses it or asked it to stay."""
    if force and unused:
        raise UsageError("--force and --unused contradict each other; give one of them")
    server = _ours(settings, "stop")
    stopped = server.stop_unused() if unused else server.stop(force=force)
    if stopped:
        note(settings.home, f"db stop{', by force' if force else ''}", by=by, reason=reason)
    return stopped


def status(settings: Settings) -> ServerStatus | Other:
    """How the database of these settings is. Changes nothing."""
    if settings.mongo_uri is None:
        return embedded(settings).status()
    text = settings.mongo_uri.get_secret_value()
    with connect.client(text) as client:
        connect.require(client, text)
        return Other(ready=True, address=connect.hosts(text), version=client.server_info()["version"])


def uri(settings: Settings, *, redacted: bool) -> str:
    """Its address; not redacted, with the password."""
    text = settings.mongo_uri.get_secret_value() if settings.mongo_uri else embedded(settings).uri
    return connect.redact(text) if redacted else text


def initiate(
    settings: Settings, admin: str, password_file: Path, *, patience: float, by: str, reason: str | None = None
) -> Ready:
    """The replica set and the user that the settings name. May be ordered again."""
    if settings.mongo_uri is None:
        raise UsageError("TIDEMARK_MONGO_URI is not set; the embedded database needs none of this.")
    note(settings.home, "db initiate", by=by, reason=reason)
    administrator = Administrator(admin, password_file.read_text(encoding="utf-8").strip())
    text = settings.mongo_uri.get_secret_value()
    made = initiating.initiate(text, administrator, settings.database, patience=patience)
    return Ready(made.replica_set, list(made.members), made.user, settings.database)


def _ours(settings: Settings, wish: str) -> Server:
    if settings.mongo_uri is not None:
        raise UsageError(
            f"TIDEMARK_MONGO_URI names a server that is not ours to {wish}. Remove it to use the embedded database."
        )
    return embedded(settings)
