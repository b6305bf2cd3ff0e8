"""Data folders for tests of the embedded database."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.store.folder import Folder, Remembered
from pipeline.store.launch import any_free_port


@pytest.fixture
def prepared(home: Path) -> Path:
    """An empty data folder whose database will use a port of its own."""
    folder = Folder(home)
    folder.create()
    folder.remember(Remembered(port=any_free_port()))
    return home


@pytest.fixture
def mongods() -> Callable[[Path], list[psutil.Process]]:
    """Finds every living process that was called with a data folder."""

    def find(home: Path) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if str(home / "mongo" / "data") in (process.info["cmdline"] or ())
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    return find
