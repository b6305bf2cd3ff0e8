"""Prefect's own database with its tables in it. To make those takes Prefect ten seconds: once a run is enough."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store.mongod.launch import any_free_port
from pipeline.supervise import services


class PrefectHome:
    """Where Prefect finds a database that it need not make."""

    def __init__(self, shared: Path) -> None:
        self._made = shared / "prefect.db"
        self._lock = shared / "prefect.lock"
        self._workshop = shared / "prefect-workshop"

    def furnish(self, home: Path) -> None:
        """Put the database into the folder that Prefect calls its home."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._made.exists():
                self._make()
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._made, home / "prefect.db")

    def _make(self) -> None:
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        environment = services.prefect_environment(self._workshop, any_free_port())
        self._workshop.mkdir(exist_ok=True)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=180)
        (self._workshop / "prefect" / "prefect.db").rename(self._made)


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> PrefectHome:
    """All processes of the run share the one that was made first."""
    mine = tmp_path_factory.getbasetemp()
    return PrefectHome(mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine)
