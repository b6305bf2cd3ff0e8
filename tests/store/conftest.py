"""Data folders for tests of the embedded database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.store.mongod import launch
from pipeline.store.mongod.folder import Folder, Remembered
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server


@pytest.fixture
def prepared(home: Path) -> Path:
    """An empty data folder whose database will use a port of its own."""
    folder = Folder(home)
    folder.create()
    folder.remember(Remembered(port=any_free_port()))
    return home


@pytest.fixture
def start(prepared: Path) -> Iterator[Callable[..., str]]:
    """Starts or joins the database of `prepared` and returns its URI; whatever runs at the end is killed."""
    servers: list[Server] = []

    def ensure(**options: Any) -> str:
        servers.append(Server(prepared, **options))
        return servers[-1].ensure()

    yield ensure
    for process in servers_of(prepared):
        process.kill()
        assert launch.wait_gone(process, 30)
    for server in servers:
        server.release()


@pytest.fixture
def mongods() -> Callable[[Path], list[psutil.Process]]:
    """Finds every living process that was called with a data folder."""
    return servers_of


def servers_of(home: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(home / "mongo" / "data") in (process.info["cmdline"] or ())
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
