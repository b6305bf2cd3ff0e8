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

PREFECT_HOME = tempfile.mkdtemp(prefix="tidemark-prefect-")
os.environ |= {
    "PREFECT_HOME": PREFECT_HOME,
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """The server of these tests. To import it takes seconds too."""
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    with prefect_test_harness(server_startup_timeout=120):
        yield


def pytest_sessionfinish() -> None:
    """Every process that looks at these tests makes a folder, also where it runs none of them."""
    shutil.rmtree(PREFECT_HOME, ignore_errors=True)


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
