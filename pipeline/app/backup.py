"""The orders to write the whole database into a folder, and to make the database what such a folder holds."""

from datetime import UTC, datetime
from pathlib import Path

from pipeline.app.audit_trail import note
from pipeline.app.opened import Opened
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.backup import restore as restoring
from pipeline.store.backup.files import Manifest, Progress, unheard
from pipeline.store.backup.restore import read as verify
from pipeline.store.backup.take import take
from pipeline.store.mongod.session import running
from pipeline.store.prepare import prepare

__all__ = ["Manifest", "Progress", "back_up", "restore", "unheard", "verify"]


def back_up(tm: Opened, folder: Path, *, by: str, reason: str | None = None, progress: Progress = unheard) -> Manifest:
    """All of it, as of one moment, while everything goes on running. After an interruption it goes on."""
    db = tm.db
    note(tm.settings.home, f"backup into {folder.absolute()}", by=by, reason=reason)
    return take(db, folder, clock=_now, progress=progress)


def restore(
    settings: Settings, folder: Path, *, force: bool, by: str, reason: str | None = None, progress: Progress = unheard
) -> Manifest:
    """The database holds what the backup does, and nothing else. Nothing is written before the whole backup has proved
    sound; a database that holds something is left alone without `force`, and one in use always."""
    with running(settings) as uri, connect.client(uri) as client:
        connect.require(client, uri)
        note(settings.home, f"restore of {folder.absolute()}{', by force' if force else ''}", by=by, reason=reason)
        db = client[settings.database]
        manifest = restoring.restore(db, folder, clock=_now, force=force, progress=progress)
        prepare(db)
    return manifest


def _now() -> datetime:
    return datetime.now(UTC)
