"""A database that dies under a whole Tidemark is started again where it was; when the whole ends, it ends too."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pymongo.errors import AutoReconnect

from pipeline.errors import AttentionError
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.mongod import session
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server

PATIENCE = 60.0
Mongods = Callable[[Path], list[psutil.Process]]


def until(so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.05)


def count(client: connect.MongoClient) -> int:
    try:
        return client.db.notes.count_documents({})
    except AutoReconnect:
        return -1


def test_killed_it_is_tried_until_it_comes_back_where_it_was(
    prepared: Path, mongods: Mongods, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(home=prepared, mongo_port=any_free_port())
    failures = iter([AttentionError("the disk is full"), OSError("no file handle is left")])
    revive = Server.revive

    def fails_twice(self: Server) -> bool:
        failure = next(failures, None) if not mongods(prepared) else None
        if failure is not None:
            raise failure
        return revive(self)

    monkeypatch.setattr(Server, "revive", fails_twice)
    with session.kept_up(settings) as uri, connect.client(uri) as client:
        client.db.notes.insert_one({})
        (before,) = mongods(prepared)
        before.kill()
        until(lambda: [one.pid for one in mongods(prepared)] not in ([], [before.pid]))
        until(lambda: count(client) == 1)
    assert mongods(prepared) == []
    for failure in ("the disk is full", "no file handle is left"):
        assert caplog.text.count(f"cannot be started again yet: {failure}") == 1


def test_a_server_of_ones_own_is_left_alone(prepared: Path, mongods: Mongods, mongo_uri: str) -> None:
    with session.kept_up(Settings(home=prepared, mongo_uri=mongo_uri)) as uri:
        assert uri == mongo_uri
        assert mongods(prepared) == []
