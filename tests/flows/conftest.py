"""A Prefect server of the test run's own, in a folder of its own; kept here, because it costs seconds to start.

All tests of this folder run in one process.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.simulator.handle import Simulator
from pipeline.store.mongod.launch import any_free_port
from pipeline.supervise import services
from pipeline.supervise.prefect_login import login_of
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor
from tests.prefect_home import PrefectHome

HOME = Path(tempfile.mkdtemp(prefix="tidemark-prefect-"))
os.environ |= {
    "PREFECT_HOME": str(HOME / "prefect"),
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}


@pytest.fixture(scope="session", autouse=True)
def prefect_server(prefect_home: PrefectHome) -> Iterator[None]:
    """The server of these tests. To import Prefect takes seconds too."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    prefect_home.furnish(HOME / "prefect")
    server = services.prefect_server(HOME, port := any_free_port())
    with Reaper() as reaper, Supervisor(HOME / "logs", reaper) as supervisor:
        supervisor.start(server)
        supervisor.wait_ready(server.name)
        where = {PREFECT_API_URL: f"http://127.0.0.1:{port}/api", PREFECT_API_AUTH_STRING: login_of(HOME)}
        with temporary_settings(where):
            yield


def pytest_sessionfinish() -> None:
    """Every process that looks at these tests makes a folder, also where it runs none of them."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def settings_of_the_run(
    db: Database[Any], mongo_uri: str, simulator: Simulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flow reads the settings as any command does: here, from the environment."""
    for name, value in {
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_MONGO_URI": mongo_uri,
        "TIDEMARK_DATABASE": db.name,
        "TIDEMARK_SIM_URL": simulator.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)
